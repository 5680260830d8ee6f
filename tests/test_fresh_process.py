"What is saved in one process is the same in another."
import json
import numpy as np
import torch
import pytest
from tsai.data.core import get_ts_dls, TSClassification
from tsai.data.preprocessing import TSStandardize
from flowfm_tsai.all import *

SMALL = dict(dim=32, depth=2, n_heads=2, patch_size=6)

@pytest.fixture(scope='module')
def pretrained(waves):
    X, _ = waves
    learn = flowfm_learner(get_ts_dls(X, splits=(list(range(120)), list(range(120, 160))), bs=40, batch_tfms=TSStandardize(by_var=True)), pretrained=False, seed=0, **SMALL)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(3, 1e-3)
    return learn

def test_save_pretrained(pretrained, waves, fresh, tmp_path):
    X, _ = waves
    pretrained.save_pretrained(tmp_path/'wave')
    np.save(tmp_path/'X.npy', X[:8])
    fresh("""
import sys, numpy as np
from flowfm_tsai.pretrained import from_pretrained
import torch
m = from_pretrained('wave')
X = np.load('X.npy')
with torch.no_grad(): np.savez('out.npz', Z=m.encode(torch.from_numpy(X)), g=m.generate(4, seed=3), v=m.generate(like=X, seed=3, guidance_scale=2.))
""")
    out = np.load(tmp_path/'out.npz')
    here = from_pretrained(tmp_path/'wave')
    # the same checkpoint in this process: identical; the learner that it came from: equal up to the folding of units
    with torch.no_grad(): np.testing.assert_array_equal(out['Z'], here.encode(torch.from_numpy(X[:8])))
    np.testing.assert_array_equal(out['g'], here.generate(4, seed=3))
    np.testing.assert_allclose(out['Z'], pretrained.get_embeddings(X[:8]), atol=1e-3) # rounding in the folded units, times the slope of the bank's step
    np.testing.assert_allclose(out['g'], pretrained.generate(4, seed=3), atol=1e-3)
    np.testing.assert_allclose(out['v'], pretrained.generate(like=X[:8], seed=3, guidance_scale=2.), atol=1e-3)

def test_identical_without_transforms(waves, fresh, tmp_path):
    X, _ = waves
    learn = flowfm_learner(get_ts_dls(X, bs=40), pretrained=False, seed=0, **SMALL)
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    learn.save_pretrained(tmp_path/'wave')
    np.save(tmp_path/'X.npy', X[:8])
    fresh("""
import numpy as np
from tsai.basics import *
from flowfm_tsai.all import *
X = np.load('X.npy')
learn = flowfm_learner(get_ts_dls(X, bs=4), pretrained='wave')
np.savez('out.npz', Z=learn.get_embeddings(X), g=learn.generate(4, seed=3))
""")
    out = np.load(tmp_path/'out.npz')
    np.testing.assert_array_equal(out['Z'], learn.get_embeddings(X[:8]))
    np.testing.assert_array_equal(out['g'], learn.generate(4, seed=3))

@pytest.mark.parametrize('kind', ['DiffFM', 'distilled'])
def test_twin_and_distilled(pretrained, waves, fresh, tmp_path, kind):
    X, _ = waves
    dls = get_ts_dls(X, bs=40)
    learn = difffm_learner(dls, pretrained=False, schedule='cosine', seed=0, **SMALL) if kind == 'DiffFM' else distill_learner(dls, pretrained, steps=3, seed=0)
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    learn.save_pretrained(tmp_path/'wave')
    learn.export((tmp_path/'learner.pkl').absolute())
    fresh("""
import numpy as np
from fastai.learner import load_learner
from flowfm_tsai.pretrained import from_pretrained
m = from_pretrained('wave')
np.savez('out.npz', g=m.generate(4, seed=3), h=load_learner('learner.pkl').generate(4, seed=3), nfe=m.nfe, kind=type(m).__name__)
""")
    out, here = np.load(tmp_path/'out.npz'), learn.generate(4, seed=3)
    np.testing.assert_array_equal(out['h'], here)
    np.testing.assert_allclose(out['g'], here, atol=1e-3)
    assert (str(out['kind']), int(out['nfe'])) == (('DiffFM', 50) if kind == 'DiffFM' else ('FlowFM', 3))

@pytest.mark.parametrize('stage', ['pretrain', 'downstream'])
def test_export(pretrained, waves, fresh, tmp_path, stage):
    X, y = waves
    learn = pretrained
    if stage == 'downstream':
        learn = flowfm_learner(get_ts_dls(X, y, splits=(list(range(120)), list(range(120, 160))), tfms=[None, TSClassification()], bs=40), pretrained=pretrained)
        with learn.no_bar(), learn.no_logging(): learn.fine_tune(1, freeze_epochs=1)
    learn.export((tmp_path/'learner.pkl').absolute())
    np.save(tmp_path/'X.npy', X[:8])
    fresh(f"""
import numpy as np
from fastai.learner import load_learner
learn = load_learner('learner.pkl')
X = np.load('X.npy')
out = dict(Z=learn.get_embeddings(X), p=learn.get_X_preds(X)[0])
if {stage!r} == 'pretrain': out['g'] = learn.generate(4, seed=3)
np.savez('out.npz', **out)
""")
    out = np.load(tmp_path/'out.npz')
    np.testing.assert_array_equal(out['Z'], learn.get_embeddings(X[:8]))
    np.testing.assert_array_equal(out['p'], learn.get_X_preds(X[:8])[0])
    if stage == 'pretrain': np.testing.assert_array_equal(out['g'], learn.generate(4, seed=3))

def test_hub_cache(pretrained, waves, fresh, tmp_path, monkeypatch):
    "A Hub id is found in the cache that huggingface_hub keeps; unknown and offline, the error names both places."
    pytest.importorskip('huggingface_hub')
    snapshot = tmp_path/'hub/models--someone--wave/snapshots/abc'
    pretrained.save_pretrained(snapshot)
    refs = tmp_path/'hub/models--someone--wave/refs'
    refs.mkdir(); (refs/'main').write_text('abc')
    out = fresh(f"""
import os
os.environ.update(HF_HUB_OFFLINE='1', HF_HUB_CACHE={str(tmp_path/'hub')!r})
from flowfm_tsai.pretrained import from_pretrained
print(from_pretrained('someone/wave').generate(2, seed=0).shape)
try: from_pretrained('someone/other')
except FileNotFoundError as e: print(e)
""")
    assert '[2, 2, 60]' in out and "there is no folder 'someone/other', and the Hugging Face Hub didn't give it" in out

def test_nothing_is_pickled(pretrained, tmp_path):
    folder = pretrained.save_pretrained(tmp_path/'wave')
    assert sorted(f.name for f in folder.iterdir()) == ['config.json', 'model.safetensors']
    json.loads((folder/'config.json').read_text())
    raw = (folder/'model.safetensors').read_bytes()
    assert json.loads(raw[8:8+int.from_bytes(raw[:8], 'little')])['__metadata__'] == {'format': 'pt'}

def test_windows_on_disk_leave_memory_alone(fresh):
    "A shuffled epoch over 1 GB: a mapped file ends up in this process's memory whole, a `WindowArray` doesn't."
    code = """
import numpy as np, psutil
from tsai.data.core import get_ts_dls
from flowfm_tsai.data.storage import open_windows
from flowfm_tsai.learner import set_epoch_order
np.lib.format.open_memmap('X.npy', 'w+', np.float32, (300_000, 3, 300)).flush() # a hole, which takes no room on disk
resident = lambda: psutil.Process().memory_info().rss/2**20
def rise(X):
    dl = get_ts_dls(X, bs=256, inplace=False).train
    set_epoch_order(dl)
    start, most = resident(), 0
    for x, in dl: most = max(most, resident() - start)
    return most
print(rise(open_windows('.').X), rise(np.load('X.npy', mmap_mode='r')))
"""
    ours, mapped = map(float, fresh(code).split()[-2:])
    assert ours < 300 and mapped > 800, (ours, mapped)

def test_learners_of_tsai_with_a_hundred_windows_to_validate(fresh):
    # tsai's own learners, as their users type them: the last of two batches was empty
    said = fresh("""
from tsai.basics import *
from flowfm_tsai.all import *
X = np.random.default_rng(0).normal(size=(164, 3, 60)).astype(np.float32)
ahead, y, splits = X[..., -12:], np.arange(164) % 2, (list(range(64)), list(range(64, 164)))
dls = get_ts_dls(X, y, splits=splits, tfms=[None, TSClassification()], bs=64)
for learn in (TSForecaster(X, ahead, splits=splits, arch='FlowFM', bs=64), TSRegressor(X, X.mean((1, 2)), splits=splits, arch='FlowFM', bs=64),
              TSClassifier(X, y, splits=splits, tfms=[None, TSClassification()], arch='FlowFM', bs=64), ts_learner(dls, 'FCN')):
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3)
    with learn.no_bar(): print(list(learn.get_X_preds(X[64:])[0].shape), bool(np.isfinite(learn.validate()[0])))
""")
    assert said.splitlines() == ['[100, 3, 12] True', '[100, 1] True', '[100, 2] True', '[100, 2] True']
