"What the package relies on in tsai and fastai. When one of these fails after an upgrade, the comment says what to look at."
import inspect
import numpy as np
import pytest
import torch
from tsai.data.core import get_ts_dls, NumpyDataLoader, TSClassification, TSTensor
from tsai.data.preprocessing import TSStandardize
from tsai.learner import ts_learner
from tsai.tslearner import TSClassifier
from fastai.learner import Learner
from tsai.models.utils import build_ts_model, ts_splitter
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.mixup import MixUp
from fastai.callback.training import GradientAccumulation
from flowfm_tsai.all import *

SMALL = dict(dim=32, depth=1, n_heads=2, patch_size=6)
SPLITS = (list(range(120)), list(range(120, 160)))
quiet = lambda learn: learn.no_logging()

def fit(learn, *a, **kw):
    with learn.no_bar(), learn.no_logging(): learn.fit(*a, **kw)
    return learn

@pytest.fixture
def udls(waves): return get_ts_dls(waves[0], splits=SPLITS, bs=40)
@pytest.fixture
def ldls(waves): return get_ts_dls(*waves, splits=SPLITS, tfms=[None, TSClassification()], bs=40)

@pytest.mark.parametrize('arch', [FlowFM, DiffFM])
def test_names_reach_tsai(ldls, waves, arch):
    # models.register
    assert type(ts_learner(ldls, arch.__name__, **SMALL).model) is arch
    assert type(ts_learner(ldls, arch, **SMALL).model) is arch
    clf = TSClassifier(*waves, splits=SPLITS, tfms=[None, TSClassification()], arch=arch.__name__, arch_config=SMALL)
    assert type(clf.model) is arch and clf.model.c_out == 2
    assert type(ts_learner(ldls, 'FCN').model).__name__ == 'FCN'

@pytest.mark.parametrize('arch', [FlowFM, DiffFM])
def test_build_passes_c_in_c_out_alone(ldls, arch):
    # the name of the class decides: models.FlowFM
    seen = {}
    class Probe(arch):
        def __init__(self, *args, **kw): seen.update(args=args, kw=kw); super().__init__(*args, **SMALL)
    Probe.__name__ = arch.__name__
    build_ts_model(Probe, dls=ldls)
    assert seen == dict(args=(2, 2), kw={})

def test_unlabelled_dls(udls):
    # learner.dls_stage, callbacks: 1-tuples, one output, no loss
    assert len(udls.one_batch()) == 1 and len(udls.train.dataset[[0]]) == 1
    assert udls.c == 1 and udls.cat is False and not hasattr(udls, 'loss_func') and not hasattr(udls.train_ds, 'loss_func')

def test_reading_the_shape_draws_a_batch(udls):
    # learner.joint_learner reads d before it seeds
    np.random.seed(0); a = np.random.get_state()[1].copy(), np.random.get_state()[2]
    udls.vars
    b = np.random.get_state()[1], np.random.get_state()[2]
    assert not (np.array_equal(a[0], b[0]) and a[1] == b[1])

@pytest.mark.parametrize('make', [flowfm_learner, difffm_learner])
def test_seeded_learner_repeats(udls, make):
    w = [fit(make(udls, pretrained=False, seed=3, **SMALL), 1).model.state_dict() for _ in range(2)]
    for k in w[0]: assert torch.equal(w[0][k], w[1][k]), k

def test_loaded_learner_has_no_shape(udls, tmp_path):
    # models: what generation needs lives in the model, because this is what is left of the dataloaders
    from fastai.learner import load_learner
    learn = fit(flowfm_learner(udls, pretrained=False, **SMALL), 1)
    learn.export((tmp_path/'x.pkl').absolute())
    loaded = load_learner(tmp_path/'x.pkl')
    assert (loaded.dls.vars, loaded.dls.len, loaded.dls.c) == (0, 0, 0)
    assert loaded.generate(2, seed=0).shape == (2, 2, 60)

def test_fit_without_targets_does_nothing(udls):
    # callbacks.CFMCallback has to set both xb and yb
    learn = ts_learner(udls, FlowFM, **SMALL)
    before = {k: v.clone() for k, v in learn.model.named_parameters()}
    try: fit(learn, 1)
    except Exception: pass
    assert all(torch.equal(v, before[k]) for k, v in learn.model.named_parameters())

def test_standardise_ignores_plain_tensors():
    # callbacks.transform_batch wraps windows in a TSTensor before it calls the transforms
    tfm = TSStandardize(mean=torch.zeros(1, 1, 1)+5, std=torch.ones(1, 1, 1))
    x = torch.randn(4, 2, 10)
    assert torch.equal(tfm.decode(x), x) and torch.equal(tfm(x), x)
    assert not torch.equal(tfm(TSTensor(x)), x)

def test_order_of_callbacks():
    # callbacks.PretextCallback: the target is made after MixUp and accumulation, before mixed precision
    assert MixUp.order < CFMCallback.order < DGSCallback.order < MixedPrecision.order and GradientAccumulation.order < CFMCallback.order

@pytest.mark.parametrize('arch, pretext', [(FlowFM, CFMCallback), (DiffFM, DDPMCallback)])
def test_ts_learner_drops_the_splitter(udls, ldls, arch, pretext):
    # and so the pretext callbacks set it in after_create: otherwise the velocity network would never train
    mine = lambda m: [list(m.parameters())]
    assert ts_learner(udls, arch, splitter=mine, **SMALL).splitter is ts_splitter
    learn = fit(ts_learner(udls, arch, cbs=[pretext(), DGSCallback(.5)], **SMALL), 1)
    groups = [{id(p) for p in g} for g in learn.opt.param_lists]
    assert groups == [{id(p) for p in learn.model.backbone.parameters()}, {id(p) for p in learn.model.velocity.parameters()}]
    assert learn.model.velocity.final_layer.linear.weight.any()

def test_fastai_trains_frozen_norms(ldls):
    # flowfm_learner passes train_bn=False: otherwise "frozen" would not hold for layer norms
    for train_bn, moved in ((True, True), (False, False)):
        learn = ts_learner(ldls, FlowFM, train_bn=train_bn, **SMALL)
        before = learn.model.backbone.blocks[-1].norm2.weight.clone()
        learn.freeze(); fit(learn, 1, 1e-2)
        assert torch.equal(before, learn.model.backbone.blocks[-1].norm2.weight) != moved

def test_transfer_weights_leaves_the_head(ldls, tmp_path):
    # no "head" in the names of the encoder's weights
    from tsai.models.utils import transfer_weights
    a, b = FlowFM(2, 3, **SMALL), FlowFM(2, 5, **SMALL)
    torch.save(a.state_dict(), tmp_path/'w.pth')
    transfer_weights(b, tmp_path/'w.pth', device=torch.device('cpu'))
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items() if k.startswith(('backbone', 'velocity')))

def test_no_validation_split(waves):
    learn = fit(flowfm_learner(get_ts_dls(waves[0], bs=40), pretrained=False, tasks=[], **SMALL), 1)
    assert learn.recorder.values[-1][1] is None
    assert learn.show_results(max_n=2) is not None
    with learn.no_bar(): assert learn.get_X_preds(waves[0][:3])[0].shape == (3, 1)

def test_memmap_stays_on_disk(waves, tmp_path):
    f = np.memmap(tmp_path/'X.dat', np.float32, 'w+', shape=waves[0].shape)
    f[:] = waves[0]; f.flush()
    X = np.memmap(tmp_path/'X.dat', np.float32, 'r', shape=waves[0].shape)
    dls = get_ts_dls(X, splits=SPLITS, bs=40, inplace=False)
    assert isinstance(dls.train.dataset.tls[0].items, np.memmap) or isinstance(dls.dataset.ptls[0], np.memmap)
    learn = fit(flowfm_learner(dls, pretrained=False, **SMALL), 1)
    assert learn.get_embeddings(X).shape == (160, learn.model.head_nf)

def test_fine_tune_needs_no_argument(udls, ldls):
    assert inspect.signature(Learner.fine_tune).parameters['epochs'].default is inspect.Parameter.empty # fastai's does
    pre = fit(flowfm_learner(udls, pretrained=False, seed=0, **SMALL), 1)
    learn = flowfm_learner(ldls, pretrained=pre, seed=0)
    with learn.no_bar(), learn.no_logging(): learn.fine_tune()
    assert learn.validate()[1] > .8 # half would be chance

def test_unfreeze_and_freeze(udls, ldls):
    pre = fit(flowfm_learner(udls, pretrained=False, **SMALL), 1)
    learn = flowfm_learner(ldls, pretrained=pre)
    trainable = lambda: {k.split('.')[0] for k, p in learn.model.named_parameters() if p.requires_grad}
    assert trainable() == {'head'}
    learn.unfreeze(); assert trainable() == {'head', 'backbone'}
    learn.freeze(); assert trainable() == {'head'}

def test_embeddings_of_dls_and_numpy_agree(ldls, waves):
    learn = flowfm_learner(ldls, pretrained=False, **SMALL)
    with torch.no_grad(): Z = learn.model.eval().encode(torch.from_numpy(waves[0]))
    torch.testing.assert_close(learn.get_embeddings(waves[0], bs=7), Z, atol=1e-5, rtol=1e-4)

@pytest.mark.parametrize('n', [40, 100, 127, 130])
def test_last_batch_isn_t_empty(waves, n, monkeypatch):
    # units._wide: tsai's index arithmetic overflows under numpy 2; when the first assert fails, it can go
    X, y = waves
    dls = get_ts_dls(X, y, splits=(list(range(160)), list(range(n))), tfms=[None, TSClassification()], bs=64)
    with monkeypatch.context() as m:
        m.setattr(NumpyDataLoader, 'get_idxs', NumpyDataLoader.get_idxs.wraps)
        assert (sum(len(b[0]) for b in dls.valid) < n) == (64 < n < 128)
    learn = flowfm_learner(dls, pretrained=False, **SMALL)
    assert sum(len(b[0]) for b in dls.valid) == n and np.isfinite(learn.validate()).all()
    with learn.no_bar(): assert len(learn.get_X_preds(X[:n])[0]) == n

@pytest.mark.parametrize('make', [flowfm_learner, difffm_learner])
def test_summary(udls, make):
    # fastai sends before_fit for it, without a lock and before there is an optimiser: core.fitting
    learn = make(udls, pretrained=False, cbs=[EMACallback(.9)], **SMALL)
    with learn.no_bar(): before = str(learn.summary())
    assert 'Total params' in before
    fit(learn, 1)
    with learn.no_bar(): assert str(learn.summary()).split('Total')[1] == before.split('Total')[1]
