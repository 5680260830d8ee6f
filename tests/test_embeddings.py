"Representations of windows on disk: what is resident meanwhile stays far below what is read. FLOWFM_GIB=1 is the full form."
import os
import pytest

GIB = float(os.environ.get('FLOWFM_GIB', .25))
CODE = """
import sys, threading, warnings
import numpy as np, psutil
warnings.filterwarnings('ignore')
from tsai.data.core import get_ts_dls
from flowfm_tsai.all import *
X = np.random.default_rng(0).normal(size=(64, 3, 300)).astype(np.float32)
learn = flowfm_learner(get_ts_dls(X, bs=16), pretrained=False, dim=8, depth=1, n_heads=1, patch_size=50, config='plain')
learn.get_embeddings(np.tile(X, (8, 1, 1)))
on_disk, me, done, most = %s, psutil.Process(), threading.Event(), [0]
start = me.memory_info().rss
def watch():
    while not done.wait(.01): most[0] = max(most[0], me.memory_info().rss - start)
watcher = threading.Thread(target=watch)
watcher.start()
Z = learn.get_embeddings(on_disk, progress=False)
done.set(), watcher.join()
few = [0, len(on_disk)//2, len(on_disk)-1]
assert np.allclose(Z[few], learn.get_embeddings(np.asarray(on_disk[few])), atol=1e-4) and len(Z) == len(on_disk)
print('MiB', most[0]/2**20)
"""
KINDS = {'folder': "open_windows('windows').X", 'r': "np.load('windows/X.npy', mmap_mode='r')", 'r+': "np.load('windows/X.npy', mmap_mode='r+')"}

@pytest.mark.parametrize('kind', KINDS)
def test_embeddings_leave_memory_alone(fresh, tmp_path, kind):
    import numpy as np
    (tmp_path/'windows').mkdir()
    X = np.lib.format.open_memmap(tmp_path/'windows/X.npy', 'w+', np.float32, (int(GIB*2**30/3600), 3, 300)) # a hole, which takes no room on disk
    X[-1], X[len(X)//2] = 1, -1
    X.flush()
    most = float(fresh(CODE % KINDS[kind]).split()[-1])
    assert most < 300*min(GIB, 1), f'{most:.0f} MiB more for {GIB} GiB of windows'
