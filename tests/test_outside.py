"A task, a path, a sampler, a head and a model class from outside the package, in a file of one's own, here and in fresh processes."
import importlib, os, sys
import numpy as np
import pytest
import torch
from torch import nn
from tsai.data.core import get_ts_dls, TSClassification
from flowfm_tsai.all import *

SMALL = dict(dim=16, depth=1, n_heads=2, patch_size=6)
TRAIN, VALID = list(range(120)), list(range(120, 160))

MINE = '''
import math
import torch
from torch import nn
from flowfm_tsai.core import Part, expand_t
from flowfm_tsai.models import HEADS, MODELS, FlowFM
from flowfm_tsai.paths import PATHS, uniform_t
from flowfm_tsai.pretext.base import PretextCallback
from flowfm_tsai.sampling import SAMPLERS, Sampler

@PATHS.register('bow')
class Bow(Part):
    "A path that leaves the straight line on its way: x_t = (1-t) x0 + t x1 + bend t (1-t) x1."
    def __init__(self, bend=.3): self.bend = bend
    sample_t = staticmethod(uniform_t)
    def sample(self, x0, x1, t):
        s = expand_t(t, x0)
        return (1-s)*x0 + (s + self.bend*s*(1-s))*x1, x1 - x0 + self.bend*(1-2*s)*x1

@SAMPLERS.register('heun')
class Heun(Sampler):
    "The same steps for all signals, each corrected once."
    def __init__(self, steps=6): self.steps = steps
    def __call__(self, field, x0, path, generator=None, progress=False):
        x, h = x0, 1/self.steps
        for i in range(self.steps):
            t = torch.full((len(x),), i*h, device=x.device)
            v = field(x, t)
            x = x + h*(v + field(x + h*v, t + h))/2
        return x, 2*self.steps

@HEADS.register
def deep_head(head_nf, c_out, seq_len=1, hidden=12): return nn.Sequential(nn.Flatten(), nn.Linear(head_nf, hidden), nn.GELU(), nn.Linear(hidden, c_out))

@MODELS.register
class BowFM(FlowFM):
    "FlowFM along a bow, and with a scale on what the encoder says."
    def __init__(self, c_in, c_out=1, gain=1., path='bow', sampler='heun', **kwargs):
        super().__init__(c_in, c_out, path=path, sampler=sampler, **kwargs)
        self.gain = gain
    def represent(self, x1, keep=None): return self.gain*super().represent(x1, keep)

class Direction(PretextCallback):
    "Which way does time run?"
    task = 'direction'
    def projector(self, model): return nn.Linear(model.head_nf, 1)
    def prepare(self, b):
        x = b.x1.nan_to_num(0.)
        b.turned = torch.rand(len(x), generator=self.rand_generator(x.device), device=x.device) < .5
        b.maybe_turned = torch.where(b.turned[:, None, None], x.flip(-1), x)
    def predict(self, model, b): return model.projectors[self.task](model.backbone(b.maybe_turned))[:, 0]
    def loss(self, pred, b): return nn.functional.binary_cross_entropy_with_logits(pred, b.turned.to(pred))

class NobodysFM(FlowFM): "In no registry."
class NobodysPath(Bow): "In no registry."
'''

@pytest.fixture(scope='module')
def mine(tmp_path_factory):
    "The module `my_parts` in a folder of its own, imported, and the folder."
    folder = tmp_path_factory.mktemp('outside')
    (folder/'my_parts.py').write_text(MINE)
    sys.path.insert(0, str(folder))
    yield importlib.import_module('my_parts'), folder
    sys.path.remove(str(folder))

def fit(learn, n=1):
    with learn.no_bar(), learn.no_logging(): learn.fit(n, 2e-3)
    return learn

@pytest.fixture(scope='module')
def trained(mine, waves):
    "A model of all of these parts, trained for some epochs and saved beside the module."
    parts, folder = mine
    dls = get_ts_dls(waves[0], splits=(TRAIN, VALID), bs=40)
    learn = flowfm_learner(dls, arch=parts.BowFM, tasks=parts.Direction(weight=.1), pretrained=False, seed=0, config=dict(gain=2., path=dict(name='bow', bend=.2)), **SMALL)
    fit(learn, 3)
    learn.save_pretrained(folder/'bow')
    np.save(folder/'X.npy', waves[0]); np.save(folder/'y.npy', waves[1])
    return learn

def test_trains_and_says_what_it_is(trained, mine):
    parts, _ = mine
    model, c = trained.model, trained.model.config
    assert type(model) is parts.BowFM and c['path'] == dict(name='bow', bend=.2) and c['sampler'] == dict(name='heun', steps=6) and c['gain'] == 2.
    assert {'train_flow', 'train_direction', 'valid_flow', 'valid_direction'} <= set(trained.recorder.metric_names)
    assert np.isfinite([list(map(float, v)) for v in trained.recorder.values]).all()
    with trained.no_bar(): assert trained.validate() == trained.validate()
    g = trained.generate(4, seed=0)
    assert g.shape == (4, 2, 60) and model.nfe == 12
    assert trained.generate(4, seed=0, steps=3).shape == g.shape and model.nfe == 6
    assert trained.generate(2, sampler='ode', method='euler', steps=5).shape == (2, 2, 60) and model.nfe == 5
    with pytest.raises(TypeError, match="method='euler' isn't an option of BowFM, which has steps"): trained.generate(2, method='euler')

def test_projector_is_trained_and_kept_with_the_training(trained, mine, waves, tmp_path):
    parts, folder = mine
    own = trained.model.projectors['direction']
    assert any(p is own.weight for p, *_ in trained.opt.all_params())
    trained.save(tmp_path/'state')
    again = flowfm_learner(trained.dls, arch=parts.BowFM, tasks=parts.Direction(weight=.1), pretrained=False, seed=1, config=dict(gain=2.), **SMALL).load(tmp_path/'state')
    assert torch.equal(again.model.projectors['direction'].weight, own.weight)
    assert not len(from_pretrained(folder/'bow').projectors) # a checkpoint is for what comes after

def test_fresh_process_generates_and_fine_tunes(trained, fresh, mine):
    "The same signals and embeddings; and a classifier with a head of its own goes to a third process."
    folder = mine[1]
    fresh("""
from tsai.basics import *
import my_parts
from flowfm_tsai.all import *
X, y = np.load('X.npy'), np.load('y.npy')
m = from_pretrained('bow')
out = dict(kind=type(m).__name__, g=m.generate(4, seed=3), like=m.generate(like=X[:3], seed=3, guidance_scale=2.), Z=m.get_embeddings(X[:9]), gain=m.gain)
more = flowfm_learner(get_ts_dls(X, bs=40), arch=my_parts.BowFM, tasks=my_parts.Direction(weight=.1), pretrained='bow')
out['again'] = more.generate(4, seed=3)
with more.no_bar(), more.no_logging(): more.fit(1)
dls = get_ts_dls(X, y, splits=(list(range(120)), list(range(120, 160))), tfms=[None, TSClassification()], bs=40)
probe = linear_probe(dls, 'bow')
clf = flowfm_learner(dls, arch=my_parts.BowFM, pretrained='bow', custom_head=partial(my_parts.deep_head, hidden=9), seed=0)
with clf.no_bar(), clf.no_logging(): clf.fine_tune(2, freeze_epochs=1)
clf.save_pretrained('clf')
np.savez('out.npz', **out, probs=clf.get_X_preds(X[120:])[0], probe=probe.metrics['accuracy'])
""", cwd=folder)
    out, X = np.load(folder/'out.npz'), np.load(folder/'X.npy')
    here = from_pretrained(folder/'bow')
    assert str(out['kind']) == 'BowFM' and float(out['gain']) == 2.
    np.testing.assert_array_equal(out['g'], here.generate(4, seed=3))
    np.testing.assert_array_equal(out['like'], here.generate(like=X[:3], seed=3, guidance_scale=2.))
    np.testing.assert_array_equal(out['Z'], here.get_embeddings(X[:9]))
    np.testing.assert_allclose(out['again'], trained.generate(4, seed=3), atol=1e-3)
    np.testing.assert_allclose(out['g'], trained.generate(4, seed=3), atol=1e-3)
    assert out['probe'] > .6
    fresh("import numpy as np, my_parts\nfrom flowfm_tsai.pretrained import from_pretrained\n"
          "y, probs = from_pretrained('clf').predict(np.load('X.npy')[120:])\nnp.savez('clf.npz', y=y, probs=probs)", cwd=folder)
    clf = np.load(folder/'clf.npz')
    np.testing.assert_allclose(clf['probs'], out['probs'], atol=1e-4)
    assert from_pretrained(folder/'clf').head_spec == dict(name='deep_head', hidden=9) and set(clf['y']) <= {'slow', 'fast'}

@pytest.mark.parametrize('call', ["from_pretrained('bow')", "flowfm_learner(get_ts_dls(np.load('X.npy'), bs=40), pretrained='bow')", "from_pretrained('straight')"])
def test_not_imported_is_refused(trained, fresh, mine, waves, call):
    "The error names what is missing, says what is known, and what to do."
    parts, folder = mine
    if call == "from_pretrained('straight')": # a class that is known, with a path that isn't
        fit(flowfm_learner(get_ts_dls(waves[0], bs=40), pretrained=False, config=dict(path='bow'), **SMALL)).save_pretrained(folder/'straight')
    said = fresh(f"from tsai.basics import *\nfrom flowfm_tsai.all import *\ntry: {call}\nexcept ValueError as e: print('refused:', e)", cwd=folder)
    assert 'refused:' in said and 'registered by your module' in said and 'import that first' in said
    assert ("'BowFM'" in said and "'FlowFM'" in said) if 'straight' not in call else ("path='bow' is unknown" in said and "'linear'" in said)

def test_a_learner_for_another_class_is_refused(trained, mine, waves):
    with pytest.raises(TypeError, match='this checkpoint is a BowFM.*difffm|this checkpoint is a BowFM.*arch=BowFM'):
        difffm_learner(get_ts_dls(waves[0], bs=40), pretrained=mine[1]/'bow')

def test_unregistered_is_refused(mine, waves, tmp_path):
    "A class at saving, before anything is written; a path when the learner is made, because a learner reads the config."
    parts, _ = mine
    dls = get_ts_dls(waves[0], bs=40)
    learn = fit(flowfm_learner(dls, arch=parts.NobodysFM, pretrained=False, **SMALL))
    assert learn.generate(2, seed=0).shape == (2, 2, 60)
    says = 'has no name that a checkpoint could say: register it once'
    with pytest.raises(ValueError, match=f'NobodysFM {says}'): learn.save_pretrained(tmp_path/'nobody')
    assert not (tmp_path/'nobody/config.json').exists() and not (tmp_path/'nobody/model.safetensors').exists()
    with pytest.raises(ValueError, match=f'NobodysPath {says}'): flowfm_learner(dls, pretrained=False, config=dict(path=parts.NobodysPath(.1)), **SMALL)

def test_times_are_the_path_s_own(mine, waves, monkeypatch):
    parts, _ = mine
    drawn = []
    def late(n, generator=None, device='cpu'): drawn.append(n); return .9 + .1*torch.rand(n, generator=generator, device=device)
    monkeypatch.setattr(parts.Bow, 'sample_t', staticmethod(late))
    fit(flowfm_learner(get_ts_dls(waves[0], bs=40), arch=parts.BowFM, pretrained=False, **SMALL))
    assert drawn == [40]*4
    fit(flowfm_learner(get_ts_dls(waves[0], bs=40), arch=parts.BowFM, pretrained=False, time_sampler=LogitNormal(), **SMALL))
    assert len(drawn) == 4

def test_head_without_a_name(waves, tmp_path):
    "It works, and the checkpoint is saved without it, aloud."
    dls = get_ts_dls(*waves, splits=(TRAIN, VALID), tfms=[None, TSClassification()], bs=40)
    learn = fit(flowfm_learner(dls, pretrained=False, custom_head=lambda nf, c, n: nn.Sequential(nn.Flatten(), nn.Linear(nf, c)), **SMALL))
    with pytest.warns(match='register its function in HEADS'): learn.save_pretrained(tmp_path/'clf')
    with pytest.raises(RuntimeError, match='no trained head'): from_pretrained(tmp_path/'clf').predict(waves[0])

def test_a_name_is_taken_once(mine):
    "Another part of a name that is taken is refused; the same one, from a module that is loaded anew, replaces it."
    from flowfm_tsai.paths import PATHS
    parts, _ = mine
    with pytest.raises(ValueError, match="there is a path 'bow' already, my_parts.Bow: choose another name"): PATHS.register('bow', parts.NobodysPath)
    again = importlib.reload(parts)
    assert PATHS['bow'] is again.Bow
