"Real recordings in the units of their sensors, where a folder of data sets is at hand."
import numpy as np
import pytest
from tsai.data.core import get_ts_dls, TSClassification
from flowfm_tsai.all import *
from flowfm_tsai.recipes import load_windows

@pytest.mark.parametrize('name', ['adl', 'weda_fall'])
def test_pretrain_and_generate(real_data, name):
    X, y, pid = load_windows(str(real_data/f'{name}.npz'))
    assert X.shape[1:] == (3, 300) and len(y) == len(pid) == len(X)
    train, test = subject_folds(pid)[0]
    learn = flowfm_learner(get_ts_dls(X, splits=(train.tolist()[:512], test.tolist()[:128]), bs=32, inplace=False), pretrained=False, seed=0)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(6, 1e-3)
    losses = [float(v[1]) for v in learn.recorder.values]
    assert losses[-1] < .85*losses[0], losses
    g = learn.generate(16, seed=0).numpy()
    assert np.isfinite(g).all() and .5 < np.linalg.norm(g, axis=1).mean() < 2 # gravity is 1 g

def test_stages_share_one_file(real_data):
    X, y, pid = load_windows(str(real_data/'adl.npz'))
    dls = get_ts_dls(X, y, splits=subject_folds(pid)[0], tfms=[None, TSClassification()], bs=64)
    learn = flowfm_learner(dls, pretrained=False, seed=0)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(4, 1e-3)
    majority = np.unique(y[subject_folds(pid)[0][1]], return_counts=True)[1].max() / len(subject_folds(pid)[0][1])
    assert learn.validate()[1] > majority

@pytest.mark.parametrize('make', [flowfm_learner, difffm_learner])
def test_generated_beats_noise(real_data, make):
    "After a minute of training, signals are nearer to unseen people's than noise with the right mean and deviation is, in the features of an independent classifier."
    X, y, pid = load_windows(str(real_data/'wisdm.npz'))
    train, test = subject_folds(pid)[0]
    train, test = train[::6], test[::6]
    clf = fit_features(X[train], y[train], epochs=2, show=False)
    learn = make(get_ts_dls(X[train], bs=64, inplace=False), pretrained=False, patch_size=20, seed=0, cbs=EMACallback(.98))
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(4, 2e-3)
    noise = X[train].mean((0, 2))[:, None] + X[train].std((0, 2))[:, None]*np.random.default_rng(0).normal(size=(200, 3, 300))
    fid = {k: generation_metrics(clf, X[test], g)['fid'] for k, g in dict(real=X[train[::10]], generated=learn.generate(200, seed=0, steps=20), noise=noise).items()}
    assert fid['real'] < fid['generated'] < .7*fid['noise'], fid
