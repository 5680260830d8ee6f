"What the tests share: a small data set, a way to run code in a fresh process, and the folder of real data."
import os, subprocess, sys
from pathlib import Path
import numpy as np
import pytest

FLOWFM = Path(sys.executable).with_name('flowfm')

def flowfm(*args, cwd, ok=True):
    "Run a command as a shell starts it; return what it said."
    r = subprocess.run([FLOWFM, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert (r.returncode == 0) == ok, r.stderr[-3000:]
    assert ok or 'Traceback' not in r.stderr, r.stderr
    return r.stdout + r.stderr

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
