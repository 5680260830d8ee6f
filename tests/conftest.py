"What the tests share: a small data set, a way to run code in a fresh process, and the folder of real data."
import multiprocessing, os, subprocess, sys, tempfile
from pathlib import Path
import numpy as np
import pytest

FLOWFM = Path(sys.executable).with_name('flowfm')

# Importing PyTorch takes seconds, so it is done once, in a process that does nothing else, and commands are copies of that one.
SERVER = multiprocessing.get_context('forkserver')
SERVER.set_forkserver_preload(['flowfm_tsai.all', 'flowfm_tsai.recipes', 'flowfm_tsai.applying', 'flowfm_tsai.supervised'])

def _command(args, cwd, env, said):
    "What `flowfm` does when a shell starts it in a folder; what it says goes into two files."
    from flowfm_tsai.cli import main
    os.chdir(cwd), os.environ.clear(), os.environ.update(env)
    sys.argv, sys.path[:] = [str(FLOWFM), *args], [p for p in sys.path if p not in ('', str(cwd))]
    for fd, f in zip((1, 2), said): os.dup2(os.open(f, os.O_WRONLY), fd)
    sys.stdout, sys.stderr = open(1, 'w', closefd=False), open(2, 'w', closefd=False)
    sys.exit(main(args))

def flowfm(*args, cwd, ok=True):
    "Run a command in a new process; return what it said."
    with tempfile.NamedTemporaryFile('r') as out, tempfile.NamedTemporaryFile('r') as err:
        p = SERVER.Process(target=_command, args=([*map(str, args)], cwd, dict(os.environ), (out.name, err.name)))
        p.start(), p.join(600)
        said, wrong, hangs = out.read(), err.read(), p.exitcode is None
        if hangs: p.kill()
    assert not hangs, f'no end after ten minutes: {wrong[-3000:]}'
    assert (p.exitcode == 0) == ok, wrong[-3000:]
    assert ok or 'Traceback' not in wrong, wrong
    return said + wrong

@pytest.fixture
def real_data():
    "The folder that FLOWFM_DATA names."
    folder = os.environ.get('FLOWFM_DATA')
    if not folder: pytest.skip('FLOWFM_DATA names no folder of real data sets (.npz files with X, y, pid)')
    return Path(folder)

@pytest.fixture(scope='session')
def waves():
    "X (160, 2, 60), y (160,): slow and fast sines with an offset."
    rng = np.random.default_rng(0)
    freq, t = rng.choice([2, 5], 160), np.arange(60)/60
    a = 2*np.pi*freq[:, None]*t + rng.uniform(0, 6.28, (160, 1))
    return np.stack([np.sin(a), 20 + 5*np.cos(a)], 1).astype(np.float32), np.array(['slow', 'fast'])[(freq == 5).astype(int)]

@pytest.fixture
def fresh(tmp_path):
    "Run Python code in a new process, in a folder of its own; return what it printed."
    def run(code, cwd=tmp_path):
        r = subprocess.run([sys.executable, '-c', code], cwd=cwd, capture_output=True, text=True, timeout=300)
        assert r.returncode == 0, r.stderr[-3000:]
        return r.stdout
    return run
