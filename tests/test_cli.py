"The command line as a shell starts it."
import subprocess, sys
import numpy as np
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

def test_demo(tmp_path):
    "The demo on seglearn's recordings, trained far too little: every file is there, and a second run goes on from the first."
    pytest.importorskip('seglearn', reason="the package seglearn brings the recordings: pip install 'flowfm_tsai[demo]'")
    args = ('demo', '--pretrain-epochs', 1, '--epochs', 4, '--overlap', 0, '--patch-size', 50, '--steps', 2)
    out = flowfm(*args, cwd=tmp_path)
    assert all(row in out for row in ('random forest', 'MiniRocket', 'linear probe', 'fine-tuned', 'from scratch', 'unseen subjects', 'generated over real'))
    made = {f.name for f in (tmp_path/'demo').iterdir()}
    assert {'tsne.png', 'confusion.png', 'generated_acceleration.png', 'generated_rotation.png', 'sentences.png', 'table.md', 'index.html', 'settings.json'} <= made
    assert all((tmp_path/'demo'/f).read_bytes()[:4] == b'\x89PNG' for f in made if f.endswith('.png'))
    again = flowfm(*args, cwd=tmp_path)
    assert 'pretraining on' not in again and '| fine-tuned |' in again
    assert 'other settings' in flowfm(*args, '--seed', 1, cwd=tmp_path, ok=False)
