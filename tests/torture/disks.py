"""A disk that is full, at each writer: the error names it, what was there before is as it was, and nothing is left over.

The disk is a small one in memory where this process may mount it; elsewhere a limit on the size of a file stands for it."""
import contextlib, resource, shutil, signal, subprocess
from pathlib import Path
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from tsai.data.core import get_ts_dls
from flowfm_tsai.bench.runner import Workplace
from flowfm_tsai.data.storage import HARData, open_windows, save_npz
from flowfm_tsai.learner import flowfm_learner
from flowfm_tsai.models import FlowFM
from flowfm_tsai.pretrained import from_pretrained
from flowfm_tsai.callbacks import ResumeCallback
from flowfm_tsai.saving import read_json, write_json, write_tensors, write_whole
from .forked import attempt

X = np.random.default_rng(0).normal(size=(4000, 2, 40)).astype(np.float32)
TINY = dict(dim=8, depth=1, n_heads=1, patch_size=5)

def model(dim): return FlowFM(2, **{**TINY, 'dim': dim})

def fit(file, dim):
    learn = flowfm_learner(get_ts_dls(X[:64], bs=32), pretrained=False, seed=0, **{**TINY, 'dim': dim})
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3, cbs=ResumeCallback(file, keep=True) if file else None)
    return learn

def figure(path, inches):
    matplotlib.use('agg')
    fig = plt.figure(figsize=(inches, inches))
    fig.add_subplot().imshow(np.random.default_rng(0).normal(size=(999, 999)))
    write_whole(path, lambda p: fig.savefig(p, format='png'))

WRITERS = dict( # name: what is there before, what doesn't fit any more, and how one sees that the first is as it was
    weights=(lambda d: model(8).save_pretrained(d/'w'), lambda d: model(256).save_pretrained(d/'w'), lambda d: from_pretrained(d/'w').config['dim'] == 8),
    state=(lambda d: write_tensors(d/'t.pt', dict(w=torch.ones(3))), lambda d: write_tensors(d/'t.pt', dict(w=torch.ones(10**6))), lambda d: len(torch.load(d/'t.pt')['w']) == 3),
    training=(lambda d: None, lambda d: fit(d/'training.pt', 256), lambda d: True),
    windows_npz=(lambda d: None, lambda d: HARData(X).save(d/'x.npz'), lambda d: True),
    windows_folder=(lambda d: None, lambda d: HARData(X).save(d/'x'), lambda d: True),
    generated=(lambda d: save_npz(d/'g.npz', X[:3]), lambda d: save_npz(d/'g.npz', X), lambda d: np.array_equal(open_windows(d/'g.npz').X, X[:3])),
    page=(lambda d: write_json(d/'p.json', 1), lambda d: write_json(d/'p.json', list(range(300_000))), lambda d: read_json(d/'p.json') == 1),
    cell=(lambda d: None, lambda d: Workplace(str(d), {}).once('c', lambda: list(range(300_000))), lambda d: not (d/'measured/c.json').exists()),
    learner=(lambda d: None, lambda d: write_whole(d/'l.pkl', lambda p: fit(None, 256).export(p.absolute())), lambda d: True),
    figure=(lambda d: figure(d/'f.png', 1), lambda d: figure(d/'f.png', 40), lambda d: (d/'f.png').read_bytes()[:4] == b'\x89PNG'))

@contextlib.contextmanager
def small_disk(folder):
    "A disk of 700 kB, or `None` where nobody may mount one."
    place = Path(folder)/'disk'
    place.mkdir()
    mounted = shutil.which('mount') and subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=700k', 'tmpfs', place], capture_output=True).returncode == 0
    try: yield place, bool(mounted)
    finally:
        if mounted: subprocess.run(['umount', place])
        shutil.rmtree(place, ignore_errors=True)

def limited():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

def work(write, place, mounted):
    "What a writer says that finds no room."
    if not mounted: limited()
    try: write(place)
    except OSError as e: return str(e)
    return 'no error'

def cases(n, seed, folder):
    for i, name in zip(range(n), [*WRITERS]*n): yield name, i, Path(folder)

def tried(case):
    "'held', or what went wrong."
    name, i, folder = case
    before, write, as_it_was = WRITERS[name]
    with small_disk(folder) as (place, mounted):
        before(place)
        was = sorted(f.relative_to(place) for f in place.rglob('*'))
        said = attempt(lambda: work(write, place, mounted), memory=None, seconds=100)
        now = [f for f in place.rglob('*') if f.relative_to(place) not in was and f.name not in ('w', 'measured', 'settings.json')]
        if 'the disk is full' not in said: return f'{name}: {said}'
        if not as_it_was(place): return f'{name}: what was there before is gone'
        return 'held' if not [f for f in now if not f.name.endswith('.lock')] else f'{name}: left over: {now}'
