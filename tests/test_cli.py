"The command line as a shell starts it."
import os, shutil, subprocess, sys
import numpy as np
import pandas as pd
import pytest
from conftest import flowfm

def test_help_imports_no_torch(tmp_path):
    code = "import sys; from flowfm_tsai.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, cwd=tmp_path)

def test_module(tmp_path):
    "`python -m flowfm_tsai`, which launchers want, is the command."
    said = subprocess.run([sys.executable, '-m', 'flowfm_tsai', '--version'], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert said == flowfm('--version', cwd=tmp_path) and said.startswith('flowfm_tsai ')

def test_pretrain_finetune_generate(waves, tmp_path):
    X, y = waves
    np.savez(tmp_path/'waves.npz', X=X, y=y, pid=np.arange(160)//16)
    flowfm('pretrain', '--data', 'waves.npz', '--epochs', 2, '--patch-size', 12, cwd=tmp_path)
    assert 'linear probe' in flowfm('probe', '--data', 'waves.npz', '--weights', 'pretrained', cwd=tmp_path)
    assert 'fine-tuned' in flowfm('finetune', '--data', 'waves.npz', '--weights', 'pretrained', '--epochs', 1, '--freeze-epochs', 1, cwd=tmp_path)
    assert 'NFE 7' in flowfm('generate', '--weights', 'pretrained', '--n', 5, '--method', 'euler', '--steps', 7, '--seed', 0, cwd=tmp_path)
    assert np.load(tmp_path/'generated.npz')['X'].shape == (5, 2, 60)
    flowfm('generate', '--weights', 'pretrained', '--n', 5, '--method', 'euler', '--steps', 7, '--seed', 0, '--out', 'again.npz', cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path/'generated.npz')['X'], np.load(tmp_path/'again.npz')['X'])

def test_generated_is_read_whatever_its_shape(tmp_path):
    "More channels than time steps, as an EEG has: what `generate` wrote is what `--like` and the other commands read."
    np.savez(tmp_path/'eeg.npz', X=np.random.default_rng(0).normal(size=(40, 64, 50)).astype(np.float32), layout='NCL')
    flowfm('pretrain', '--data', 'eeg.npz', '--out', 'w', '--epochs', 1, '--bs', 20, cwd=tmp_path)
    for _ in range(2): # the second time it replaces what the first one wrote
        assert '2 signals of 64 channels and 50 steps' in flowfm('generate', '--weights', 'w', '--n', 2, '--seed', 0, '--out', 'g.npz', cwd=tmp_path)
    assert np.load(tmp_path/'g.npz')['X'].shape == (2, 64, 50)
    assert '6 signals of 64 channels and 50 steps' in flowfm('generate', '--weights', 'w', '--n', 3, '--like', 'g.npz', '--out', 'h.npz', cwd=tmp_path)
    assert sorted(f.name for f in tmp_path.iterdir()) == ['eeg.npz', 'g.npz', 'h.npz', 'w']
    flowfm('pretrain', '--data', 'g.npz,h.npz', '--weights', 'w', '--out', 'v', '--epochs', 1, '--bs', 8, cwd=tmp_path)

def test_twin_and_distilled(waves, tmp_path):
    np.savez(tmp_path/'waves.npz', X=waves[0])
    for arch in ('FlowFM', 'DiffFM'): flowfm('pretrain', '--data', 'waves.npz', '--arch', arch, '--out', arch, '--epochs', 1, '--patch-size', 12, cwd=tmp_path)
    flowfm('distill', '--data', 'waves.npz', '--weights', 'FlowFM', '--steps', 3, '--epochs', 1, cwd=tmp_path)
    assert 'NFE 3' in flowfm('generate', '--weights', 'distilled', '--n', 2, cwd=tmp_path)
    assert 'NFE 6' in flowfm('generate', '--weights', 'DiffFM', '--n', 2, '--sampler', 'ddim', '--steps', 6, cwd=tmp_path)
    assert "isn't an option of DiffFM" in flowfm('generate', '--weights', 'DiffFM', '--method', 'rk4', cwd=tmp_path, ok=False)
    assert 'knows no others' in flowfm('generate', '--weights', 'distilled', '--steps', 9, cwd=tmp_path, ok=False)
    assert 'is a DiffFM' in flowfm('distill', '--data', 'waves.npz', '--weights', 'DiffFM', cwd=tmp_path, ok=False)

def test_classes(waves, tmp_path):
    X, y = waves
    np.savez(tmp_path/'waves.npz', X=X, y=np.where(y == y[0], 'slow', 'fast'))
    flowfm('pretrain', '--data', 'waves.npz', '--classes', '--epochs', 1, '--patch-size', 12, cwd=tmp_path)
    assert 'NFE 10' in flowfm('generate', '--weights', 'pretrained', '--y', 'slow; fast', '--n', 2, '--out', 'made.npz', cwd=tmp_path)
    assert np.load(tmp_path/'made.npz')['y'].tolist() == ['slow']*2 + ['fast']*2
    assert "choose of 'fast', 'slow'" in flowfm('generate', '--weights', 'pretrained', '--y', 'quick', cwd=tmp_path, ok=False)
    np.savez(tmp_path/'bare.npz', X=X)
    assert 'whose windows have classes y' in flowfm('pretrain', '--data', 'bare.npz', '--classes', '--out', 'no', cwd=tmp_path, ok=False)

def test_text(waves, tmp_path):
    X, y = waves
    np.savez(tmp_path/'waves.npz', X=X, y=np.where(y == y[0], 'slow', 'fast'), age=np.arange(160) % 60)
    flowfm('pretrain', '--data', 'waves.npz', '--epochs', 2, '--patch-size', 12, cwd=tmp_path)
    assert "this FlowFM was never tuned to follow text" in flowfm('generate', '--weights', 'pretrained', '--text', 'a slow wave', cwd=tmp_path, ok=False)
    assert "no column 'sex'" in flowfm('tune-text', '--data', 'waves.npz', '--weights', 'pretrained', '--template', 'a {sex}', cwd=tmp_path, ok=False)
    assert not (tmp_path/'text2signal').exists()
    said = flowfm('tune-text', '--data', 'waves.npz', '--weights', 'pretrained', '--template', 'a {y} wave; someone[ of {age} years] sees a {y} wave', '--epochs', 2, cwd=tmp_path)
    assert "160 windows, such as 'a " in said
    for out in ('a.npz', 'b.npz'): assert 'NFE 10' in flowfm('generate', '--weights', 'text2signal', '--text', 'a slow wave; a fast wave', '--n', 3, '--seed', 0, '--out', out, cwd=tmp_path)
    a, b = (np.load(tmp_path/f'{f}.npz') for f in 'ab')
    assert a['X'].shape == (6, 2, 60) and '"a fast wave"' in str(a['meta'])
    np.testing.assert_array_equal(a['X'], b['X'])
    assert 'NFE 20' in flowfm('generate', '--weights', 'text2signal', '--text', 'a slow wave', '--guidance-scale', 3, '--n', 2, cwd=tmp_path)

@pytest.mark.parametrize('args, says', [
    (('bench', 'generation', '--data', 'nowhere.npz'), 'no file'),
    (('bench', 'training', '--data', 'short.npz'), 'no classes y'),
    (('generate', '--weights', 'nowhere'), 'no checkpoint in'),
    (('pretrain', '--data', 'nowhere.npz'), 'no file'),
    (('pretrain', '--data', 'short.npz', '--patch-size', '6'), 'patch'),
    (('pretrain', '--data', 'short.npz', '--size', 'huge'), "choose one of 'nano', 'tiny'"),
    (('pretrain', '--data', 'short.npz', '--p', '1.5'), '--p 1.5: expected'),
    (('pretrain', '--data', 'short.npz', '--out', 'short.npz'), 'choose another one'),
    (('demo', '--folds', '0'), '--folds 0: expected'),
    (('predict', '--weights', 'nowhere'), '--data'),
    (('bench', 'har', '--data', 'nowhere'), 'the benchmark needs adl'),
    (('bench', 'text', '--data', 'short.npz'), 'no classes y'),
    (('bench', 'wrist', '--data', 'nowhere'), 'there is no adl.npz')])
def test_bad_input(args, says, tmp_path, capsys, monkeypatch):
    "In this process: what a shell would see of `main`, without waiting for torch each time."
    from flowfm_tsai.cli import main
    monkeypatch.chdir(tmp_path)
    np.savez('short.npz', X=np.random.randn(20, 2, 5))
    before = (tmp_path/'short.npz').read_bytes()
    try: status = main(list(args))
    except SystemExit as e: status = e.code # argparse's
    out, err = capsys.readouterr()
    assert status == 2 and says in err and 'Traceback' not in err, (out, err)
    assert (tmp_path/'short.npz').read_bytes() == before
    assert not list(tmp_path.rglob('*.safetensors'))

def test_help_lists_the_names_that_are_there(tmp_path):
    "Read off the registries, a row that somebody adds included."
    listed = lambda *args: ' '.join(flowfm(*args, '--help', cwd=tmp_path).split())
    from flowfm_tsai.bench.tasks import TASKS
    from flowfm_tsai.bench.transfer import METHODS, SETS
    from flowfm_tsai.learner import LEARNERS
    from flowfm_tsai.layers import SIZES
    from flowfm_tsai.sampling import FIXED_SOLVERS, SAMPLERS
    braces = lambda names, between=', ': '{' + between.join(names) + '}'
    said = listed('pretrain')
    assert braces(LEARNERS) in said and braces(SIZES) in said
    said = listed('generate')
    assert ', '.join(FIXED_SOLVERS) in said and braces(SAMPLERS) in said
    assert braces(SETS) in listed('bench', 'har') and braces(METHODS, '; ') in listed('bench', 'har')
    assert braces(TASKS, '; ') in listed('bench', 'tasks') and '{transfer, own}' in listed('bench', 'tasks')
    for command in ('predict', 'embed', 'classify'): # options of tables, which they share
        said = listed(command)
        assert all(f'--{o} ' in said for o in ('columns', 'time', 'rate', 'subject', 'unit', 'stride')) and '{g, m/s2, mg}' in said
    (tmp_path/'more.py').write_text("from flowfm_tsai.wearables.tables import UNITS\nUNITS['kg'] = 1.\nfrom flowfm_tsai.cli import main\nmain(['predict', '--help'])")
    assert 'mg, kg}' in subprocess.run([sys.executable, 'more.py'], check=True, capture_output=True, text=True, cwd=tmp_path).stdout

def test_messages_speak_of_options(tmp_path):
    "A fresh process: what is an argument in Python, and what one does about it, is an option in a shell."
    np.savez(tmp_path/'six.npz', X=np.random.default_rng(0).normal(size=(20, 6, 300)), y=np.arange(20) % 2, layout='NCL')
    pd.DataFrame(dict(x=np.arange(9.))).to_csv(tmp_path/'t.csv')
    for args, says in ((('pretrain', '--data', 'six.npz', '--bs', '0'), '--bs 0: expected at least 1\n'),
                       (('windows', '--data', 't.csv', '--columns', 'x'), 'has the time (--time), or how many rows make a second (--rate)'),
                       (('finetune', '--data', 'six.npz', '--weights', 'wrist-tiny'), 'pass --scratch to start afresh'),
                       (('generate', '--guidance-scale', '2'), '--guidance-scale 2.0 needs something to be guided by: pass --text, --y or --like'),
                       (('generate', '--weights', ''), "--weights '': expected a folder")):
        said = flowfm(*args, cwd=tmp_path, ok=False)
        assert 'flowfm: error: ' in said and says in said, said
    assert '--scratch starts from scratch' in flowfm('finetune', '--data', 'six.npz', '--epochs', 1, '--freeze-epochs', 1, cwd=tmp_path)

@pytest.fixture(scope='module')
def odd(waves, tmp_path_factory):
    "A folder with a classifier of windows (2, 60) at 60 Hz, and with data in which something is wrong."
    from flowfm_tsai.cli import main
    folder, (X, y) = tmp_path_factory.mktemp('odd'), waves
    was = os.getcwd()
    os.chdir(folder)
    try:
        save = lambda name, X, **known: np.savez(f'{name}.npz', X=X, layout='NCL', **known)
        save('ok', X, y=y, pid=np.arange(160)//16, meta='{"rate": 60}'), save('noy', X), save('oney', X, y=np.full(160, 'a'))
        save('three', np.repeat(X, 2, 1)[:, :3], y=y), save('nan', X*np.nan, y=y), save('inf', X + np.inf, y=y), save('few', X[:2], y=y[:2])
        np.savez('nox.npz', Y=X), open('junk.npz', 'wb').write(b'PK junk'), os.mkdir('folder'), open('note.txt', 'w').write('hello')
        open('empty.csv', 'w').close(), open('header.csv', 'w').write('time,a,b\n'), open('binary.csv', 'wb').write(bytes(range(256)))
        t = np.arange(600)/60
        table = pd.DataFrame(dict(time=t, a=np.sin(9*t), b=np.cos(9*t), who=(t // 2).astype(int), what='walking'))
        table.to_csv('ok.csv', index=False), table[['a', 'b']].to_csv('norate.csv', index=False), table[:9].to_csv('short.csv', index=False)
        for name, change in dict(backwards=dict(time=t[::-1]), still=dict(time=1.), never=dict(time=np.nan), words=dict(time='noon'), nothing=dict(a=np.nan)).items():
            table.assign(**change).to_csv(f'{name}.csv', index=False)
        assert main(['finetune', '--data', 'ok.npz', '--scratch', '--epochs', '1', '--freeze-epochs', '1', '--out', 'clf']) == 0
    finally: os.chdir(was)
    return folder

def each(commands, said): return [(f'{c} {rest}', says) for c in commands for rest, says in said.items()]

CHECKPOINTS = {w: 'no checkpoint in' for w in ('folder', 'nowhere', 'note.txt')} | {"''": "--weights '': expected a folder"}
OUTS = dict.fromkeys(('x.doc', 'x', "''", 'folder', 'folder/'), 'expected the name of a file .') | dict.fromkeys(('note.txt/x.npz', '/proc/x.npz'), "can't be written")
TABLES = OUTS | dict.fromkeys(('note.txt/x.csv', '/proc/x.csv'), "can't be written") | dict.fromkeys(('note.txt/x.npz', '/proc/x.npz'), 'expected the name of a file .csv')
ODD = [
    *each(['predict --weights clf --columns a,b --data', 'embed --weights clf --columns a,b --data'], {
        'empty.csv': 'is empty', 'header.csv': 'has no rows', 'binary.csv': "can't be read as a table", 'norate.csv': '(--rate)', 'short.csv': 'no window of',
        'backwards.csv': 'Sort the rows', 'still.csv': 'Sort the rows', 'never.csv': 'no times', 'words.csv': 'neither numbers nor dates',
        'nothing.csv': "'a' has no numbers", 'nowhere.csv': 'no file'}),
    *each(['predict --weights clf --data', 'embed --weights clf --data'], {
        'nox.npz': "no array 'X'", 'junk.npz': "isn't a readable .npz", 'three.npz': 'expected 2 channels', 'nan.npz': 'no values', 'inf.npz': 'infinite values',
        'folder': 'expected a file .npz', 'note.txt': 'flowfm windows --data note.txt', 'nowhere.npz': 'no file', "''": "--data '': expected",
        'ok.csv': 'got 3 (a, b, who): say which by --columns', 'ok.npz --rate 60': '--rate 60.0 is for a table'}),
    *each(['predict --data ok.csv --weights clf --columns'], {
        'a,q': "no column 'q'", 'a,what': "'what' has no numbers", 'a,b --time when': "no column 'when'", 'a,b --subject nobody': "no column 'nobody'",
        'a,b --unit stone': "--unit 'stone'", 'a,b --rate 0': '--rate 0.0: expected above 0', 'a,b --rate 999': 'leave one of them out',
        'a,b --stride 0': '--stride 0.0', 'a,b --stride 1e-9': '--stride 1e-09', 'a,b --bs 0': '--bs 0', 'a,b --out ok.csv': 'would be replaced'}),
    *each(['predict --data ok.npz --weights clf --out', 'classify --data ok.npz --texts a;b --out'], TABLES),
    *each(['embed --data ok.npz --weights clf --out', 'generate --out', 'windows --data ok.csv --out'], OUTS),
    *each(['predict --data ok.npz --weights', 'embed --data ok.npz --weights', 'probe --data ok.npz --weights', 'generate --weights'], CHECKPOINTS),
    *each(['probe --data ok.npz --weights clf --figure', 'generate --figure', 'finetune --data ok.npz --figure'], {
        'x.doc': 'expected the name', 'x': 'expected the name', 'folder': 'expected the name', 'note.txt/x.png': "can't be written", '/proc/x.png': "can't be written"}),
    *each(['finetune --out new --data', 'probe --weights clf --data'], {
        'noy.npz': 'no classes y', 'oney.npz': 'one class', 'few.npz': 'at least 3 windows', 'nox.npz': "no array 'X'", 'ok.csv': 'flowfm windows --data ok.csv'}),
    *each(['finetune --data ok.npz'], {
        '--weights folder': 'no checkpoint in', '--out note.txt': 'choose another one', '--scratch --out clf --seed 3': '--seed 0 (now 3)', '--test noy.npz --out new': 'no classes y',
        '--test three.npz --out new': 'three.npz: expected 2 channels', '--everybody --figure x.png': 'nobody is left'}),
    *each(['generate'], {
        '--weights clf': 'it is a classifier', '--text ;': 'leave --text out', '--like ok.npz': 'expected 3 channels', '--like ok.npz --out ok.npz': 'would be replaced',
        '--like ok.csv': 'flowfm windows --data ok.csv', '--method foo': "--method 'foo' is unknown", '--sampler ddim': "isn't an option of FlowFM", '--steps 0': '--steps 0'}),
    *each(['windows --data'], {
        'ok.npz': 'is no table', "''": "--data '': expected", 'ok.csv,ok.npz --out ok.npz': 'would be replaced', 'ok.csv,norate.csv': '(--rate)', 'ok.csv --label nothing': "no column 'nothing'",
        'ok.csv --seconds 1e9': 'no window of', 'ok.csv --out-rate 1e9': '--out-rate 1000000000.0: expected above 0'}),
    ('predict --data ok.npz --weights wrist-tiny', 'is no classifier'), ('embed --data ok.npz --weights clf --out ./ok.npz', 'would be replaced'),
    ('classify --data ok.npz --texts a;b', 'expected 3 channels'), ('classify --data ok.npz --texts a;b --weights clf', 'such as --weights wrist-tiny'),
    ('probe --data ok.npz --weights clf --k 999', '--k 999: expected at most 128')]

@pytest.mark.parametrize('line, says', ODD, ids=[line for line, _ in ODD])
def test_odd_input(line, says, odd, capsys, monkeypatch):
    "Ends in a line that says what is wrong, and leaves everything as it was."
    from flowfm_tsai.cli import main
    monkeypatch.chdir(odd)
    state = lambda: {f: (f.stat().st_mtime_ns, f.stat().st_size) for f in odd.rglob('*') if f.is_file()}
    before = state()
    assert main([a.strip("'") for a in line.split(' ')]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith('flowfm: error: ') and says in err[-1], err
    assert all(e.startswith('flowfm: warning: ') for e in err[:-1]), err
    assert state() == before

def test_figures(odd, tmp_path):
    "Of a probe, of a fine-tuned classifier and of what is generated, in a fresh process."
    for f in ('ok.npz', 'clf'): (shutil.copytree if f == 'clf' else shutil.copy)(odd/f, tmp_path/f)
    flowfm('probe', '--data', 'ok.npz', '--weights', 'clf', '--figure', 'p.png', cwd=tmp_path)
    flowfm('finetune', '--data', 'ok.npz', '--scratch', '--epochs', 1, '--freeze-epochs', 1, '--figure', 'new/f.svg', cwd=tmp_path)
    flowfm('generate', '--n', 2, '--figure', 'g.pdf', cwd=tmp_path)
    assert [(tmp_path/f).read_bytes()[:4] for f in ('p.png', 'new/f.svg', 'g.pdf')] == [b'\x89PNG', b'<?xm', b'%PDF']

def test_demo(tmp_path):
    "The demo on seglearn's recordings, trained far too little: every file is there, and a second run goes on from the first."
    pytest.importorskip('seglearn', reason="the package seglearn brings the recordings: pip install 'flowfm_tsai[demo]'")
    args = ('demo', '--further-epochs', 1, '--epochs', 4, '--overlap', 0, '--steps', 2)
    out = flowfm(*args, cwd=tmp_path)
    assert all(row in out for row in ('random forest', 'MiniRocket', 'linear probe', 'fine-tuned', 'from scratch', 'unseen subjects', 'generated over real'))
    made = {f.name for f in (tmp_path/'demo').iterdir()}
    assert {'tsne.png', 'confusion.png', 'generated.png', 'sentences.png', 'table.md', 'index.html', 'settings.json'} <= made
    assert all((tmp_path/'demo'/f).read_bytes()[:4] == b'\x89PNG' for f in made if f.endswith('.png'))
    again = flowfm(*args, cwd=tmp_path)
    assert 'pretraining further' not in again and '| fine-tuned |' in again
    assert 'other settings' in flowfm(*args, '--seed', 1, cwd=tmp_path, ok=False)
