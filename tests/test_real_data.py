"Real recordings in the units of their sensors, where a folder of data sets is at hand."
import numpy as np
import pytest
from tsai.data.core import get_ts_dls, TSClassification
from flowfm_tsai.all import *
from flowfm_tsai.recipes import open_data

def labelled(file):
    data = open_data(str(file))
    return data.X, data.y, data.pid

pytestmark = pytest.mark.filterwarnings('ignore:.*(no files of|left out)')

@pytest.mark.parametrize('name', ['adl', 'weda_fall'])
def test_pretrain_and_generate(real_data, name):
    X, y, pid = labelled(real_data/f'{name}.npz')
    assert X.shape[1:] == (3, 300) and len(y) == len(pid) == len(X)
    train, test = subject_folds(pid)[0]
    learn = flowfm_learner(get_ts_dls(X, splits=(train.tolist()[:512], test.tolist()[:128]), bs=32, inplace=False), pretrained=False, seed=0)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(6, 1e-3)
    losses = [float(v[1]) for v in learn.recorder.values]
    assert losses[-1] < .85*losses[0], losses
    g = learn.generate(16, seed=0).numpy()
    assert np.isfinite(g).all() and .5 < np.linalg.norm(g, axis=1).mean() < 2 # gravity is 1 g

def test_stages_share_one_file(real_data):
    X, y, pid = labelled(real_data/'adl.npz')
    dls = get_ts_dls(X, y, splits=subject_folds(pid)[0], tfms=[None, TSClassification()], bs=64)
    learn = flowfm_learner(dls, pretrained=False, seed=0)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(4, 1e-3)
    majority = np.unique(y[subject_folds(pid)[0][1]], return_counts=True)[1].max() / len(subject_folds(pid)[0][1])
    assert learn.validate()[1] > majority

@pytest.mark.parametrize('make', [flowfm_learner, difffm_learner])
def test_generated_beats_noise(real_data, make):
    "After half a minute of training, signals are nearer to unseen people's than noise with the right mean and deviation is, in the features of an independent classifier."
    X, y, pid = labelled(real_data/'wisdm.npz')
    train, test = subject_folds(pid)[0]
    train, test = train[::10], test[::6]
    clf = fit_features(X[train], y[train], epochs=2, show=False)
    learn = make(get_ts_dls(X[train], bs=64, inplace=False), pretrained=False, patch_size=20, seed=0, cbs=EMACallback(.98))
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(4, 2e-3)
    noise = X[train].mean((0, 2))[:, None] + X[train].std((0, 2))[:, None]*np.random.default_rng(0).normal(size=(200, 3, 300))
    fid = {k: generation_metrics(clf, X[test], g)['fid'] for k, g in dict(real=X[train[::10]], generated=learn.generate(200, seed=0, steps=20), noise=noise).items()}
    assert fid['real'] < fid['generated'] < .7*fid['noise'], fid

def test_original_files_of_adl(real_data):
    "The same windows, classes and people as in the file that was made of them elsewhere, in the same order; values as far as resampling goes."
    made, ours = har.load('adl', real_data), har.load('adl', real_data/'raw/adl')
    assert len(ours) == 635
    np.testing.assert_array_equal(ours.y, made.y)
    np.testing.assert_array_equal(ours.pid, made.pid)
    a, b = (d.X - d.X.mean(-1, keepdims=True) for d in (ours, made))
    r = (a*b).sum((1, 2)) / np.sqrt((a**2).sum((1, 2)) * (b**2).sum((1, 2)))
    assert r.min() > .98 and np.abs(ours.X - made.X).mean() < .02, (r.min(), np.abs(ours.X - made.X).mean())
    for split in subject_folds(ours.pid, y=ours.y): check_splits(split, ours)

def test_original_files_of_wisdm(real_data):
    "The file made elsewhere takes the sample nearest to every 50 ms and draws straight lines: done at our windows' starts, that gives its values. So the windows are the same; what differs is the resampling."
    made, ours = har.load('wisdm', real_data), har.load('wisdm', real_data/'raw/wisdm')
    made = made[made.pid == '1600']
    np.testing.assert_array_equal(ours.y, made.y)
    rows = np.array([line.rstrip(b';\n').split(b',')[2:] for line in open(real_data/'raw/wisdm/raw/watch/accel/data_1600_accel_watch.txt', 'rb')], float)
    t, x = rows[:, 0]*1e-9, rows[:, 1:]/9.80665
    order = np.argsort(t)
    t, x = t[order], x[order]
    off = []
    for start, theirs in zip(ours.columns['start'], made.X):
        at = start + np.arange(200)*.05
        after = np.searchsorted(t, at).clip(1, len(t)-1)
        near = np.where(at - t[after-1] <= t[after] - at, after-1, after)
        lines = np.stack([np.interp(np.linspace(0, 199, 300), np.arange(200), c) for c in x[near].T])
        off.append(np.abs(lines - theirs).max())
    assert (np.array(off) < 2e-3).mean() > .99, np.sort(off)[-10:] # float16; a tie between two samples may go either way

def test_recipes_take_original_files(real_data, tmp_path):
    made = har.load('wisdm', real_data/'raw/wisdm', out=tmp_path/'wisdm')
    assert made.X.on_disk and open_data(str(tmp_path/'wisdm')).X.shape == open_data(str(real_data/'raw/wisdm')).X.shape == made.X.shape
    with pytest.raises(ValueError, match='adl and wisdm'): open_data(str(real_data/'raw'))

def test_pool_draws_by_movement(real_data):
    "Nearly still people, a third of the windows, are a small part of what is drawn."
    still, moving = har.load('stress_predict', real_data)[:2000], har.load('wisdm', real_data)[:4000]
    both = har.pool([still, moving], weights='movement', names=['still', 'moving'])
    assert both.weights[:2000].sum() < .15
    learn = flowfm_learner(get_ts_dls(both.X, weights=both.weights, bs=64, inplace=False), pretrained=False, seed=0)
    drawn = learn.dls.train.get_idxs()
    assert len(drawn) == 6000 and (drawn < 2000).mean() < .15 and len(np.unique(drawn)) < 5000
