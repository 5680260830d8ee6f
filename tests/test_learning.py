"Trained on a distribution that we know, the model's samples have its mean, covariance and shape."
import numpy as np
import pytest
from scipy.spatial import cKDTree
from sklearn.datasets import make_moons
from tsai.data.core import get_ts_dls
from flowfm_tsai.all import *

def train(X, epochs, make=flowfm_learner):
    learn = make(get_ts_dls(X, bs=128), pretrained=False, dim=64, depth=2, n_heads=4, patch_size=4, seed=0, tasks=[], cbs=EMACallback(.99))
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(epochs, 3e-3)
    return learn

@pytest.mark.parametrize('make, options', [(flowfm_learner, dict(method='rk4')), (difffm_learner, dict(sampler='ddim', steps=100))])
def test_gaussian(make, options):
    "A Gaussian family: 2 channels x 8 steps with a covariance of our choosing, and an offset of 100 in one channel."
    rng = np.random.default_rng(0)
    A = np.linalg.qr(rng.normal(size=(16, 16)))[0] * np.sqrt(np.geomspace(2, .05, 16))
    mean = np.concatenate([np.linspace(-1, 1, 8), 100 + np.zeros(8)])
    X = (rng.normal(size=(4096, 16)) @ A.T + mean).reshape(-1, 2, 8).astype(np.float32)
    learn = train(X, 40, make)
    G = learn.generate(4000, seed=0, progress=False, **options).numpy().reshape(-1, 16)
    np.testing.assert_allclose(G.mean(0), mean, atol=.12)
    cov = A @ A.T
    error = np.linalg.norm(np.cov(G.T) - cov) / np.linalg.norm(cov)
    assert error < .15, error
    # "like" a window keeps what the representation knows of it: nearer to it than to the others
    like = X[:64]
    V = learn.generate(like=like, seed=1).numpy()
    assert np.linalg.norm((V - like).reshape(64, -1), axis=1).mean() < .8*np.linalg.norm((V - like[::-1]).reshape(64, -1), axis=1).mean()

def test_two_moons():
    "Signals u sin + v cos whose coefficients lie on two moons: mean, covariance, and the moons themselves come back."
    uv, _ = make_moons(4096, noise=.05, random_state=0)
    t = np.arange(16)/16*2*np.pi
    basis = np.stack([np.sin(t), np.cos(t)])
    X = (uv @ basis)[:, None].astype(np.float32)
    learn = train(X, 60)
    G = learn.generate(4000, seed=0, progress=False, method='rk4').numpy()[:, 0] @ np.linalg.pinv(basis)
    np.testing.assert_allclose(G.mean(0), uv.mean(0), atol=.08)
    np.testing.assert_allclose(np.cov(G.T), np.cov(uv.T), atol=.08)
    tree = cKDTree(uv)
    gaussian = np.random.default_rng(0).multivariate_normal(uv.mean(0), np.cov(uv.T), 4000)
    off, off_gaussian = tree.query(G)[0].mean(), tree.query(gaussian)[0].mean()
    assert off < .35*off_gaussian, (off, off_gaussian) # a Gaussian with the right moments would fill the space between the moons
