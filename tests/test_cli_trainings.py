"Trainings as a shell starts them: interrupted, finished, one at a time, and without a terminal."
import signal, subprocess, time
import numpy as np
import torch
from conftest import FLOWFM, flowfm

def test_interrupted_pretraining_goes_on(waves, tmp_path):
    np.savez(tmp_path/'waves.npz', X=np.repeat(waves[0], 4, 0))
    args = [FLOWFM, 'pretrain', '--data', 'waves.npz', '--epochs', '12', '--patch-size', '12', '--bs', '32']
    heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) # a shell's background jobs ignore ctrl-c, and their children with them
    p = subprocess.Popen(args, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heed)
    state = tmp_path/'pretrained/training.pt'
    for _ in range(1200): # there is a state from the beginning
        if state.exists() and torch.load(state, weights_only=True)['epoch'] > 0 or p.poll() is not None: break
        time.sleep(.1)
    p.send_signal(signal.SIGINT)
    out, _ = p.communicate(timeout=120)
    assert p.returncode == 130 and 'goes on from what is finished' in out, out[-2000:]
    assert state.exists() and not (tmp_path/'pretrained/model.safetensors').exists()
    start = torch.load(state, weights_only=True)['epoch']
    assert f'going on in epoch {start+1} of 12' in flowfm(*args[1:], cwd=tmp_path)
    assert 0 < start < 12 and not state.exists() and (tmp_path/'pretrained/model.safetensors').exists()

def test_a_finished_training_is_not_done_again(waves, tmp_path):
    X, y = waves
    np.savez(tmp_path/'a.npz', X=X), np.savez(tmp_path/'b.npz', X=X + 1)
    def pretrain(*args, data='a.npz', ok=True): return flowfm('pretrain', '--data', data, '--patch-size', 12, '--epochs', 2, *args, cwd=tmp_path, ok=ok)
    pretrain()
    weights = (tmp_path/'pretrained/model.safetensors').read_bytes()
    assert 'this training is finished' in pretrain()
    for args, says in ((('--lr', '1e-4'), '--lr 0.001 (now 0.0001)'), (('--seed', '7'), '--seed 0 (now 7)')): assert says in pretrain(*args, ok=False)
    assert 'a training on other data' in pretrain(data='b.npz', ok=False)
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
    for options, says in ((('--lr', 'nan'), '--lr nan'), (('--epochs', '0'), '--epochs 0'), (('--bs', '0'), '--bs 0: expected at least 1'), (('--seed', '-1'), '--seed -1'), (('--ema', '1'), 'less than 1')):
        assert main(['pretrain', '--data', 'nowhere.npz', *options]) == 2
        said = capsys.readouterr().err
        assert says in said and said.count('\n') == 1 and not list(tmp_path.iterdir())

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
