"The command line as a shell starts it."
import signal, subprocess, sys, time
from pathlib import Path
import numpy as np
import pytest

FLOWFM = Path(sys.executable).with_name('flowfm')

def flowfm(*args, cwd, ok=True):
    r = subprocess.run([FLOWFM, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert (r.returncode == 0) == ok, r.stderr[-3000:]
    assert ok or 'Traceback' not in r.stderr, r.stderr
    return r.stdout + r.stderr

def test_help_imports_no_torch(tmp_path):
    code = "import sys; from flowfm_tsai.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, cwd=tmp_path)

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

def test_text(waves, tmp_path):
    X, y = waves
    np.savez(tmp_path/'waves.npz', X=X, y=np.where(y == y[0], 'slow', 'fast'), age=np.arange(160) % 60)
    flowfm('pretrain', '--data', 'waves.npz', '--epochs', 2, '--patch-size', 12, cwd=tmp_path)
    assert "this FlowFM was never tuned to follow text" in flowfm('generate', '--weights', 'pretrained', '--text', 'a slow wave', cwd=tmp_path, ok=False)
    assert "no column 'sex'" in flowfm('tune-text', '--data', 'waves.npz', '--weights', 'pretrained', '--template', 'a {sex}', cwd=tmp_path, ok=False)
    assert not (tmp_path/'text2signal').exists()
    said = flowfm('tune-text', '--data', 'waves.npz', '--weights', 'pretrained', '--template', 'a {y} wave; someone[ of {age} years] sees a {y} wave', '--epochs', 2, cwd=tmp_path)
    assert "160 windows, such as 'a " in said
    for out in ('a.npz', 'b.npz'): assert 'NFE 20' in flowfm('generate', '--weights', 'text2signal', '--text', 'a slow wave; a fast wave', '--n', 3, '--seed', 0, '--out', out, cwd=tmp_path)
    a, b = (np.load(tmp_path/f'{f}.npz') for f in 'ab')
    assert a['X'].shape == (6, 2, 60) and '"a fast wave"' in str(a['meta'])
    np.testing.assert_array_equal(a['X'], b['X'])
    assert 'NFE 40' in flowfm('generate', '--weights', 'text2signal', '--text', 'a slow wave', '--guidance-scale', 3, '--n', 2, cwd=tmp_path)

@pytest.mark.parametrize('args, says', [
    (('bench', 'generation', '--data', 'nowhere.npz'), 'no file'),
    (('bench', 'training', '--data', 'short.npz'), 'no classes y'),
    (('generate', '--weights', 'nowhere'), 'no checkpoint in'),
    (('pretrain', '--data', 'nowhere.npz'), 'no file'),
    (('pretrain', '--data', 'short.npz'), 'patch'),
    (('pretrain', '--data', 'short.npz', '--size', 'huge'), "choose one of 'tiny'"),
    (('pretrain', '--data', 'short.npz', '--p', '1.5'), 'p=1.5'),
    (('pretrain', '--data', 'short.npz', '--out', 'short.npz'), 'choose another one'),
    (('demo', '--folds', '0'), 'folds=0'),
    (('generate', '--n', '2'), '--weights'),
    (('bench', 'har', '--data', 'nowhere'), 'the benchmark needs adl'),
    (('bench', 'text', '--data', 'short.npz'), 'no classes y'),
    (('bench', 'wrist', '--data', 'nowhere'), 'there is no adl.npz')])
def test_bad_input(args, says, tmp_path):
    np.savez(tmp_path/'short.npz', X=np.random.randn(20, 2, 5))
    before = (tmp_path/'short.npz').read_bytes()
    assert says in flowfm(*args, cwd=tmp_path, ok=False)
    assert (tmp_path/'short.npz').read_bytes() == before
    assert not list(tmp_path.rglob('*.safetensors'))

def test_interrupted_pretraining_goes_on(waves, tmp_path):
    np.savez(tmp_path/'waves.npz', X=np.repeat(waves[0], 4, 0))
    args = [FLOWFM, 'pretrain', '--data', 'waves.npz', '--epochs', '40', '--patch-size', '12', '--bs', '32']
    heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) # a shell's background jobs ignore ctrl-c, and their children with them
    p = subprocess.Popen(args, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heed)
    state = tmp_path/'pretrained/training.pt'
    for _ in range(1200):
        if state.exists() or p.poll() is not None: break
        time.sleep(.1)
    p.send_signal(signal.SIGINT)
    out, _ = p.communicate(timeout=120)
    assert p.returncode == 130 and 'goes on from what is finished' in out, out[-2000:]
    assert state.exists() and not (tmp_path/'pretrained/model.safetensors').exists()
    import torch
    start = torch.load(state, weights_only=True)['epoch']
    assert f'going on in epoch {start} of 40' in flowfm(*args[1:], cwd=tmp_path)
    assert 0 < start < 40 and not state.exists() and (tmp_path/'pretrained/model.safetensors').exists()

def test_a_finished_training_is_not_done_again(waves, tmp_path):
    X, y = waves
    np.savez(tmp_path/'a.npz', X=X), np.savez(tmp_path/'b.npz', X=X + 1)
    def pretrain(*args, data='a.npz', ok=True): return flowfm('pretrain', '--data', data, '--patch-size', 12, '--epochs', 2, *args, cwd=tmp_path, ok=ok)
    pretrain()
    weights = (tmp_path/'pretrained/model.safetensors').read_bytes()
    assert 'this training is finished' in pretrain()
    for args, says in ((('--lr', '1e-4'), 'lr=0.001 (now 0.0001)'), (('--seed', '7'), 'seed=0 (now 7)')): assert says in pretrain(*args, ok=False)
    assert 'data=' in pretrain(data='b.npz', ok=False)
    assert (tmp_path/'pretrained/model.safetensors').read_bytes() == weights
    pretrain('--fresh', '--seed', '7')
    assert (tmp_path/'pretrained/model.safetensors').read_bytes() != weights

def test_one_process_in_one_place(waves, tmp_path):
    np.savez(tmp_path/'waves.npz', X=np.repeat(waves[0], 4, 0))
    args = ['pretrain', '--data', 'waves.npz', '--patch-size', '12', '--epochs', '100']
    p = subprocess.Popen([FLOWFM, *args], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while 'epoch 1 of 100' not in p.stdout.readline(): assert p.poll() is None
        assert 'another process works at' in flowfm(*args, cwd=tmp_path, ok=False)
    finally: p.kill(), p.communicate()
    assert (tmp_path/'pretrained/training.pt').exists()

def test_output_that_is_no_terminal(waves, tmp_path):
    "A line an epoch, no carriage returns, no warnings of others; and a reader that goes away ends the printing, not the work."
    np.savez(tmp_path/'waves.npz', X=waves[0])
    args = [FLOWFM, 'pretrain', '--data', 'waves.npz', '--patch-size', '12', '--epochs', '3']
    r = subprocess.run([*args, '--out', 'a'], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert '\r' not in r.stdout and [line[:12] for line in r.stdout.splitlines() if line.startswith('epoch')] == [f'epoch {i} of 3' for i in (1, 2, 3)] and not r.stderr
    p = subprocess.Popen([*args, '--out', 'b'], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdout.readline(), p.stdout.close()
    assert p.wait(timeout=300) == 0 and not p.stderr.read()
    assert (tmp_path/'b/model.safetensors').read_bytes() == (tmp_path/'a/model.safetensors').read_bytes()

def test_numbers_that_cannot_be_right(tmp_path, capsys, monkeypatch):
    "They are refused before data are read and before a folder is made."
    from flowfm_tsai.cli import main
    monkeypatch.chdir(tmp_path)
    for options, says in ((('--lr', 'nan'), 'lr=nan'), (('--epochs', '0'), 'epochs=0'), (('--bs', '0'), 'bs=0'), (('--seed', '-1'), 'seed=-1'), (('--ema', '1'), 'less than 1')):
        assert main(['pretrain', '--data', 'nowhere.npz', *options]) == 2
        said = capsys.readouterr().err
        assert says in said and said.count('\n') == 1 and not list(tmp_path.iterdir())

def test_demo(tmp_path):
    "The demo on seglearn's recordings, trained far too little: every file is there, and a second run goes on from the first."
    pytest.importorskip('seglearn', reason="the package seglearn brings the recordings: pip install 'flowfm_tsai[demo]'")
    args = ('demo', '--pretrain-epochs', 1, '--epochs', 4, '--overlap', 0, '--patch-size', 50, '--steps', 2)
    out = flowfm(*args, cwd=tmp_path)
    assert all(row in out for row in ('random forest', 'MiniRocket', 'linear probe', 'fine-tuned', 'from scratch', 'unseen subjects', 'generated over real'))
    made = {f.name for f in (tmp_path/'demo').iterdir()}
    assert {'tsne.png', 'confusion.png', 'generated_acceleration.png', 'generated_rotation.png', 'table.md', 'settings.json'} <= made
    assert all((tmp_path/'demo'/f).read_bytes()[:4] == b'\x89PNG' for f in made if f.endswith('.png'))
    again = flowfm(*args, cwd=tmp_path)
    assert 'pretraining on' not in again and '| fine-tuned |' in again
    assert 'other settings' in flowfm(*args, '--seed', 1, cwd=tmp_path, ok=False)

def test_data_and_pretrain_from_disk(tmp_path):
    "Original files to windows on disk, and a training on them that `load` would have made too."
    rng = np.random.default_rng(0)
    for pid in (1600, 1601):
        (tmp_path/'raw').mkdir(exist_ok=True)
        xyz = rng.normal(0, 1, (1300, 3)) + [0, 0, 9.8]
        (tmp_path/f'raw/data_{pid}_accel_watch.txt').write_text(''.join(f'{pid},{"AB"[i//650]},{50_000_000*i},{a},{b},{c};\n' for i, (a, b, c) in enumerate(xyz)))
    for out in ('w.npz', 'w'):
        said = flowfm('data', 'wisdm', '--root', 'raw', '--out', out, cwd=tmp_path)
        assert '2 subjects, 2 classes' in said and 'no files of 44 of 46 subjects' in said
        assert 'is already there' in flowfm('data', 'wisdm', '--root', 'raw', '--out', out, cwd=tmp_path, ok=False)
    assert np.array_equal(np.load(tmp_path/'w.npz')['X'], np.load(tmp_path/'w/X.npy'))
    flowfm('pretrain', '--data', 'w', '--epochs', 1, '--patch-size', 30, '--bs', 8, '--out', 'a', cwd=tmp_path)
    assert 'fine-tuned' in flowfm('finetune', '--data', 'raw', '--weights', 'a', '--epochs', 1, '--freeze-epochs', 1, '--bs', 8, cwd=tmp_path)
    assert 'no data set that is known' in flowfm('pretrain', '--data', 'a', cwd=tmp_path, ok=False)
    for args, says in ((('wisdm', '--root', 'a'), 'archive.ics.uci.edu'), (('wisdm', '--root', 'nowhere'), 'no folder or zip'), (('wisdom', '--root', 'raw'), 'expected one of')):
        assert says in flowfm('data', *args, '--out', 'x.npz', cwd=tmp_path, ok=False)
    assert not list(tmp_path.glob('*x.npz*'))
