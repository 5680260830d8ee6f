"Pages of results are views of their JSON: those in the repository are made again from it alone, to the byte."
import json, re, shutil
from pathlib import Path
import numpy as np
import pytest
from flowfm_tsai.bench import generation, training
from flowfm_tsai.bench.runner import RESULTS, Trained, load_benches
from flowfm_tsai.cli import main

load_benches()
FOLDER = Path(__file__).resolve().parent.parent/'docs/results'
FILES = {f.stem: r for f in sorted(FOLDER.glob('*.json')) if (r := json.loads(f.read_text(encoding='utf-8'))).get('bench') in RESULTS}

def read(name): return (FOLDER/name).read_text(encoding='utf-8')

def test_every_benchmark_has_a_result():
    "But for that of a GPU, of which none was to be had."
    assert set(RESULTS) - {r['bench'] for r in FILES.values()} <= {'gpu'}

@pytest.mark.parametrize('name', FILES)
def test_page(name):
    view = RESULTS[FILES[name]['bench']]
    assert view.page(FILES[name]) == read(f'{name}.md')
    figures = view.figures(FILES[name])
    assert set(figures) <= set(re.findall(r'\]\(([^)]*\.png)\)', read(f'{name}.md'))) and all((FOLDER/f).exists() for f in figures)

def test_command(tmp_path, capsys):
    names = {f'{n}.md' for n in FILES}
    for f in FOLDER.iterdir(): shutil.copy(f, tmp_path) if f.suffix != '.md' else (tmp_path/f.name).write_text('')
    assert main(['bench', 'pages', '--out', str(tmp_path)]) == 0
    assert {f.name for f in tmp_path.glob('*.md') if f.read_text(encoding='utf-8')} == names
    assert all((tmp_path/n).read_text(encoding='utf-8') == read(n) for n in names)
    assert 'generation.png' in capsys.readouterr().out
    assert main(['bench', 'pages', '--out', str(tmp_path/'nowhere')]) == 2
    assert 'has no results' in capsys.readouterr().err

@pytest.fixture
def small(tmp_path, monkeypatch):
    "A small data set by the name of a large one, in a folder of its own; and nothing may train."
    def trains(*args, **kwargs): raise AssertionError('something trains')
    for owner, name in ((Trained, 'train'), (generation.Bench, 'classifier'), (generation.Bench, 'dls')): monkeypatch.setattr(owner, name, trains)
    monkeypatch.setattr(Trained, 'model', property(trains))
    rng = np.random.default_rng(0)
    np.savez(tmp_path/'wisdm.npz', X=rng.normal(size=(60, 1, 40)).astype(np.float32), y=np.array(['a', 'b'])[np.arange(60) % 2], pid=np.arange(60)//6)
    monkeypatch.chdir(tmp_path)
    return tmp_path

def finished(work, found):
    "A work folder as a finished run leaves it, without weights."
    for name, value in found.items():
        (file := work/'measured'/f'{name}.json').parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))

def differs(a, b):
    "Paragraphs of page `a` that page `b` hasn't got."
    return [p[:20] for p in a.split('\n\n') if p not in b.split('\n\n')]

def test_generation_from_measurements(small):
    result, found = FILES['generation'], {}
    how = dict(epochs=24, few_steps='4', matched='2,1', distill_epochs=2)
    for seed in range(len(result['training'])):
        for r in result['rows']:
            own = {k: v[seed] for k, v in r.items() if isinstance(v, list) and v[seed] is not None and k != 'ratio'}
            found[f"{seed}/{r['model']}-{r['name']}-{r['steps'] or ''}" if 'ratio' in r else f'{seed}/real'] = own
        for model, scores in result['labels'][seed].items(): found[f'{seed}/{model}-labels'] = scores
        for model, cost in result['training'][seed].items(): found[f'{seed}/{model}/cost'] = cost
    finished(small/'work', found)
    assert generation.bench_generation('wisdm.npz', 'out', 'work', **how) == result['rows']
    assert differs((small/'out/generation.md').read_text(encoding='utf-8'), read('generation.md')) == ['Both twins saw the s'] # that many windows
    (small/'work/measured/0/FlowFM-RK4-5.json').unlink()
    with pytest.raises(AssertionError, match='something trains'): generation.bench_generation('wisdm.npz', 'out', 'work', **how)

def test_training_from_measurements(small):
    result = FILES['training']
    finished(small/'work', {f'{i}-{name}': points for i, r in enumerate(result['runs']) for name, points in r.items()})
    assert training.bench_training('wisdm.npz', 'out', 'work', config='plain') == result['runs']
    assert differs((small/'out/training.md').read_text(encoding='utf-8'), read('training.md')) == ['Both twins were trai']
    (small/'work/measured/0-DiffFM.json').unlink()
    with pytest.raises(AssertionError, match='something trains'): training.bench_training('wisdm.npz', 'out', 'work', config='plain')
