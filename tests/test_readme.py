"The README as a newcomer reads it: its Python is pasted, its shell is typed, its links are followed."
import re, shlex
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from conftest import flowfm
from flowfm_tsai.pretrained import from_pretrained
from flowfm_tsai.text2signal import text_dls # noqa: F401 generate(text=)

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT/'README.md').read_text(encoding='utf-8')

def blocks(kind): return re.findall(rf'```{kind}\n(.*?)```', README, re.S)

def test_python(monkeypatch, tmp_path):
    "The quick start runs, and its comments say what it gives."
    pytest.importorskip('seglearn', reason="the package seglearn brings the recordings: pip install 'flowfm_tsai[demo]'")
    monkeypatch.chdir(tmp_path)
    [code], given = blocks('python'), {}
    for line in filter(None, code.splitlines()):
        run, _, said = line.partition('#')
        exec(run, given)
        if not run.strip().startswith('linear_probe') and 'torch.Size' not in said: continue
        value = eval(run.split(';')[-1].strip(), given)
        if 'torch.Size' in said: assert str(value.shape if hasattr(value, 'shape') else value) == said.strip()
        else: np.testing.assert_allclose(list(value.metrics.values()), [float(v) for v in re.findall(r'0\.\d+', said)], atol=.015)

@pytest.fixture
def recordings(tmp_path):
    "What four people's watches wrote, in m/s² at 50 Hz, and a recording of somebody else."
    made = from_pretrained('wrist-tiny').generate(6, text=['a person jogging', 'sitting'], seed=0).numpy()
    def table(signals, what, who):
        at = np.arange(0, 3000)/50
        x = np.concatenate(list(signals), 1) # (3, 1800) at 30 Hz: a minute
        return pd.DataFrame(dict(time=at, **{k: 9.80665*np.interp(at, np.arange(x.shape[1])/30, v) for k, v in zip('xyz', x)}, activity=what, person=who))
    parts = [table(np.roll(made[i], k, 0), what, f'p{k}') for k in range(4) for i, what in ((slice(0, 6), 'jogging'), (slice(6, 12), 'sitting'))]
    watch = pd.concat(parts, ignore_index=True)
    watch.assign(time=np.arange(len(watch))/50).round(4).to_csv(tmp_path/'watch.csv', index=False)
    parts[0][['time', 'x', 'y', 'z']].round(4).to_csv(tmp_path/'new.csv', index=False)
    gaps = pd.DataFrame(made[0].T, columns=list('xyz')) # ten seconds in g, at 30 Hz
    gaps.loc[100:150] = np.nan
    gaps.to_csv(tmp_path/'gaps.csv', index=False)
    return tmp_path

def test_shell(recordings):
    "The lines of the section Shell, one after the other, from the table of a device to predictions in another table."
    lines = [line for line in blocks('sh')[-1].splitlines() if line.startswith('flowfm')]
    assert [shlex.split(line)[1] for line in lines] == ['windows', 'finetune', 'predict', 'classify', 'embed', 'generate', 'impute']
    for line in lines: flowfm(*shlex.split(line, comments=True)[1:], *(('--epochs', 2) if 'finetune' in line else ()), cwd=recordings)
    said = pd.read_csv(recordings/'predictions.csv')
    assert (said['class'] == 'jogging').mean() > .8 and {'start', 'end', 'p(jogging)', 'p(sitting)'} <= set(said)
    assert {'scores.json', 'predictions.csv', 'confusion.png'} <= {f.name for f in (recordings/'finetuned').iterdir()}
    assert set(pd.read_csv(recordings/'classes.csv')['class']) <= {'walking', 'jogging', 'sitting'}
    assert len(pd.read_csv(recordings/'embeddings.csv')) == len(np.load(recordings/'windows.npz')['X'])
    gaps, filled = (pd.read_csv(recordings/f'{f}.csv') for f in ('gaps', 'filled'))
    assert filled.notna().all(axis=None) and (filled == gaps)[gaps.notna()].where(gaps.notna(), True).all(axis=None)
    assert len(pd.read_csv(recordings/'jogging.csv')) == 16*300 and (recordings/'jogging.png').stat().st_size > 10_000

def test_links():
    for url in re.findall(r'\]\(([^)#]+)\)', README):
        if ':' not in url: assert (ROOT/url).exists(), url
