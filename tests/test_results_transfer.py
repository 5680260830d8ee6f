"A bench goes on from a finished JSON without training, and rows of the transfer bench come from anywhere. (test_results.py renders the pages.)"
import json, shutil
from pathlib import Path
import numpy as np
import pytest
from flowfm_tsai.bench import text, transfer, wrist
from flowfm_tsai.bench.runner import Row
from flowfm_tsai.transfer import Transfer, labelled_windows

RESULTS = Path(__file__).resolve().parent.parent/'docs/results'
def result(name): return json.loads((RESULTS/f'{name}.json').read_text(encoding='utf-8'))

def made_up(folder, names=('adl', 'weda_fall', 'selfback', 'wisdm', 'stress_predict', 'spsw_watch', 'wharf_bimanual'), n=60):
    "Small sets of windows whose frequency is their class, five people in each; no window twice."
    rng = np.random.default_rng(0)
    for name in names:
        k = rng.integers(0, 3, n)
        a = 2*np.pi*np.array([1, 2, 4])[k][:, None]*np.arange(90)/30 + rng.uniform(0, 6.3, (n, 1))
        X = np.stack([np.sin(a)*.5, np.cos(a)*.5, np.ones((n, 90))], 2) + rng.normal(size=(n, 90, 3))*.05
        np.savez(Path(folder)/f'{name}.npz', X=X.astype(np.float32), y=np.array(list('abc'))[k], pid=np.arange(n) % 5)

def never(*args, **kwargs): raise AssertionError('a finished measurement was made again')

def earlier(name, out):
    "A folder with an earlier result, as it was committed."
    out.mkdir()
    for f in RESULTS.glob(f'{name}*'):
        if f.suffix in ('.json', '.png'): shutil.copy(f, out)
    return {f.name: f.read_bytes() for f in (RESULTS/f'{name}.json', RESULTS/f'{name}.md')}

def same(out, files):
    for name, content in files.items(): assert (out/name).read_bytes() == content, name

def test_har_from_its_json(tmp_path, monkeypatch):
    made_up(tmp_path)
    files = earlier('har', tmp_path/'out')
    for what in ('later', 'start', 'dls'): monkeypatch.setattr(transfer.TransferBench, what, never)
    transfer.bench_har(str(tmp_path), str(tmp_path/'out'), str(tmp_path/'work'))
    same(tmp_path/'out', files)

def test_wrist_from_its_json(tmp_path, monkeypatch):
    made_up(tmp_path)
    files = earlier('wrist', tmp_path/'out')
    monkeypatch.setattr(wrist, 'first_try', never)
    monkeypatch.setattr(wrist, 'weights_sha256', lambda name: result('wrist')['settings'][name]) # whatever ships by now
    sets = ','.join(dict.fromkeys(t.split(',')[0] for t in result('wrist')['cells']))
    wrist.bench_wrist(str(tmp_path), str(tmp_path/'out'), str(tmp_path/'work'), sets)
    same(tmp_path/'out', files)

def test_text_from_its_json(tmp_path, monkeypatch, real_data):
    files = earlier('text_weda_fall', tmp_path/'out')
    for what in ('later', 'classifier', 'network'): monkeypatch.setattr(text.TextBench, what, never)
    monkeypatch.setattr(text, 'MiniRocketRidge', never)
    text.bench_text(str(real_data/'weda_fall.npz'), str(tmp_path/'out'), str(tmp_path/'work'))
    same(tmp_path/'out', files)

def test_names_decide_nothing():
    "With meaningless names for rows the numbers, their order, the places and the bars are the same."
    one, other = result('har'), result('har')
    for i, r in enumerate(other['facts']['rows']): r['name'] = f'row {i}'
    other['facts']['ours']['name'] = 'ours'
    def numbers(r): return [line.split('|')[2:] for line in transfer.transfer_page(r).splitlines() if line.startswith('| ')]
    def place(r): return next(line for line in transfer.transfer_page(r).splitlines() if line.startswith('Place of')).split(': ', 1)[1]
    def bars(r): return [(b.get_width(), b.get_facecolor()) for ax in transfer.plot_transfer(r).axes for b in ax.patches]
    assert numbers(one) == numbers(other) and place(one) == place(other) and bars(one) == bars(other)

def test_a_row_that_is_called_otherwise_runs_the_same(tmp_path, monkeypatch):
    made_up(tmp_path, ('adl',))
    monkeypatch.setattr(transfer, 'METHODS', {})
    first = transfer.Method('untrained, linear probe', transfer.linear_probe, augment=False, key='a')
    transfer.add_row(first)
    transfer.add_row(transfer.Method('MVP without DGS, fine-tuned', first.run, augment=False, key='b'))
    cells = transfer.bench_har(str(tmp_path), str(tmp_path/'out'), str(tmp_path/'work'), quick=True, sets='adl')
    a, b = ([{k: v for k, v in c[0].items() if k != 'seconds'} for c in r.values()] for r in cells.values())
    assert a == b

def test_everything_from_outside(tmp_path, monkeypatch):
    "A row, its pretraining, a data set with its pool, and a way to split it."
    for registry in ('METHODS', 'SETS', 'PROTOCOLS'): monkeypatch.setattr(transfer, registry, {})
    made_up(tmp_path, ('mine', 'yours', 'others'))
    trained, seen = [], []
    def pretrain(bench, path, windows):
        file = bench.dir/path
        if not file.exists(): trained.append(len(windows())); file.write_text('weights')
        return file.read_text()
    def run(dls, start, seed):
        X, y, X_test, y_test = labelled_windows(dls)
        seen.append((start, seed, len(y)))
        return Transfer('mine', y_test, y_test)
    pool = transfer.Pool('all', ('others',))
    for name in ('mine', 'yours'): transfer.add_set(transfer.ActivitySet(name, pool))
    halves = [(np.arange(k, 60, 2), np.arange(1-k, 60, 2)) for k in (0, 1)]
    transfer.add_protocol(transfer.Protocol('halves', lambda data: (halves*3)[:5], labels=4))
    transfer.add_row(transfer.Method('my method', run, augment=False, colour='tab:green', start=transfer.Pretrained('mine-{pool}.txt', pretrain)))
    cells = transfer.bench_har(str(tmp_path), str(tmp_path/'out'), str(tmp_path/'work'), sets='mine,yours', folds=2)
    assert trained == [60] and seen == [('weights', k, 12) for _ in range(2) for k in range(2)]
    assert list(cells['my method']) == [('mine', 'halves'), ('yours', 'halves')]
    page = (tmp_path/'out/har.md').read_text()
    assert '## With 4 labels of each class' in page and '| my method | **100.0 ± 0.0** | **100.0 ± 0.0** |' in page
    with pytest.raises(FileNotFoundError, match='others.npz'): # wanted by the row's pretraining, and asked for first
        (tmp_path/'others.npz').unlink()
        transfer.bench_har(str(tmp_path), str(tmp_path/'o2'), str(tmp_path/'w2'), sets='mine')
    assert not (tmp_path/'w2').exists()

def test_rows_of_a_file(tmp_path, fresh):
    made_up(tmp_path, ('adl',))
    (tmp_path/'mine.py').write_text('''
from flowfm_tsai.bench.runner import Row
from flowfm_tsai.bench.transfer import add_row
from flowfm_tsai.transfer import Transfer, labelled_windows
def run(dls, start, seed):
    X, y, X_test, y_test = labelled_windows(dls)
    return Transfer('mine', y_test, y_test)
add_row(Row('my method', run, augment=False))
''')
    fresh('''
from flowfm_tsai.cli import main
assert main('bench har --data . --out out --work work --quick --sets adl --rows mine.py --methods'.split() + ['my method; random forest']) == 0
''')
    page = (tmp_path/'out/har-quick.md').read_text()
    assert "flowfm bench har --data DIR --quick --methods 'my method; random forest' --sets adl --rows mine.py" in page
    assert '| my method | **100.0** | **100.0** |' in page and str(tmp_path) not in page

def test_registered_twice(monkeypatch):
    monkeypatch.setattr(transfer, 'METHODS', {})
    transfer.add_row(Row('a row', None))
    transfer.add_row(Row('a row', len))
    assert transfer.METHODS['a row'].run is len
    with pytest.raises(ValueError, match="has the key of 'a row'"): transfer.add_row(transfer.Method('another', None, key='a-row'))
