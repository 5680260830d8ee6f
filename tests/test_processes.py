"Several processes train one model: started as users start them, on a CPU, with gloo. Each start has a limit, so that a hang is a failure."
import os, signal, socket, subprocess, sys, textwrap
import numpy as np
import pytest
import torch
from flowfm_tsai.all import *

# What every program below begins with: data, small networks, and a record of what a process sees and draws.
SHARED = '''
import os, signal, sys, warnings
warnings.filterwarnings('ignore')
import numpy as np
import torch
from torch import nn
from fastai.callback.core import Callback
from fastai.optimizer import SGD
from tsai.data.core import get_ts_dls, TSClassification
from flowfm_tsai.all import *
rank, world = int(os.environ.get('RANK', 0)), int(os.environ.get('WORLD_SIZE', 1))
SMALL = dict(dim=16, depth=1, n_heads=2, patch_size=6)

def waves(n=160, seed=0):
    rng = np.random.default_rng(seed)
    freq, t = rng.choice([2, 5], n), np.arange(60)/60
    a = 2*np.pi*freq[:, None]*t + rng.uniform(0, 6.28, (n, 1))
    return np.stack([np.sin(a), 20 + 5*np.cos(a)], 1).astype(np.float32), np.array(['slow', 'fast'])[(freq == 5).astype(int)]

class Record(Callback):
    "What is drawn for which windows."
    order = 50
    def __init__(self): self.train, self.valid = [], []
    def before_batch(self):
        b = self.xb[0]
        kept = None if b.keep is None else b.keep.tolist()
        (self.train if self.training else self.valid).append(dict(x=b.x[:, 0, 0].tolist(), t=b.t.tolist(), xt=b.xt.sum().item(), kept=kept))

X, y = waves()
SPLITS = (list(range(120)), list(range(120, 160)))
def udls(n=120, bs=16, valid=True, **kw):
    return get_ts_dls(X if valid else X[:n], splits=(list(range(n)), SPLITS[1]) if valid else None, bs=bs, inplace=False, num_workers=0, **kw)
def ldls(bs=16): return get_ts_dls(X, y, splits=SPLITS, tfms=[None, TSClassification()], bs=bs, inplace=False, num_workers=0)
def flat(learn): return torch.cat([v.detach().double().flatten() for v in learn.model.state_dict().values()])
def fit(learn, epochs=2, f='fit_one_cycle', lr=1e-3, **kw):
    with learn.no_bar(), learn.no_logging(), learn.distrib_ctx(): getattr(learn, f)(epochs, lr, **kw)
    return learn
'''
exec(SHARED)

def free_port():
    with socket.socket() as s:
        s.bind(('', 0))
        return s.getsockname()[1]

TORCHRUN = ('torch.distributed.run', '--nproc_per_node=2', '--master_port={}')
ACCELERATE = ('accelerate.commands.launch', '--multi_gpu', '--num_processes=2', '--main_process_port={}', '--num_machines=1',
              '--mixed_precision=no', '--dynamo_backend=no')

def launch(folder, code, *args, launcher=TORCHRUN, seconds=500):
    "Start a program in two processes as a user does; what it printed, and its status."
    (folder/'program.py').write_text(SHARED + textwrap.dedent(code))
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    how = ['-m', *[o.format(free_port()) for o in launcher], 'program.py', *map(str, args)]
    p = subprocess.Popen([sys.executable, *how], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try: said, _ = p.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        pytest.fail(f'two processes hang: {p.communicate()[0][-3000:]}')
    return said, p.returncode

# Several trainings in one start, as a start takes longer than they do. Each leaves what it has seen in `out`.
TRAININGS = '''
from flowfm_tsai.pretext.base import PretextCallback
from flowfm_tsai.text import TextEncoder
from flowfm_tsai.distributed import processes
from tsai.learner import ts_learner
from fastai.callback.tracker import EarlyStoppingCallback, SaveModelCallback
from fastai.callback.training import GradientAccumulation
out = {}
def keep(name, learn, **more):
    rows = learn.recorder.values
    out[name] = dict(weights=flat(learn), device=str(next(learn.model.parameters()).device), values=[list(map(float, r)) if None not in list(r) else list(r) for r in rows], model=type(learn.model).__name__, **more)
    return learn

def pretrain(name, epochs=2, dls=None, ema=None, make=flowfm_learner, **kw):
    record = Record()
    learn = make(dls or udls(), **{'pretrained': False, 'seed': 0, **SMALL, **kw}, cbs=[record, *([EMACallback(ema)] if ema else [])])
    fit(learn, epochs)
    return keep(name, learn, train=[*record.train], valid=[*record.valid])

plain = pretrain('plain', ema=.9)
with plain.no_bar():
    a, b = plain.validate(), plain.validate() # each process by itself
    with plain.distrib_ctx(): out['plain']['validated'] = [list(map(float, v)) for v in (plain.validate(), plain.validate())]
out['plain']['alone'] = [list(map(float, v)) for v in (a, b)]
plain.save_pretrained('both') # at once
out['plain']['generated'] = plain.generate(3, seed=1)
out['plain']['embedded'] = plain.get_embeddings(X[:9])

pretrain('again', ema=.9)
pretrain('other seed', ema=.9, seed=1)
pretrain('no seed', seed=None)
pretrain('p=1', p=1., tasks=[])
pretrain('p=0', p=0.)
pretrain('diffusion', make=difffm_learner)
pretrain('no validation', dls=udls(37, 8, valid=False))
pretrain('drops its rest', dls=udls(37, 8))
for n in (1, 3, 21): pretrain(f'{n} windows', dls=udls(n, 16, drop_last=False), seed=0)
pretrain('batches of one', dls=udls(7, 1))
pretrain('weighted', dls=get_ts_dls(X, bs=16, inplace=False, num_workers=0, weights=np.linspace(0, 1, len(X))))

class Level(PretextCallback):
    "Predict the mean of a window, but only in the first process."
    task = 'level'
    def projector(self, model): return nn.Linear(model.head_nf, 2)
    def predict(self, model, b): return model.projectors[self.task](model.backbone(b.x1)) if rank == 0 else b.x1.new_zeros(len(b.x1), 2)
    def loss(self, pred, b): return (pred - b.x1.mean(-1)).square().mean()
pretrain('two tasks', tasks=Level())

tsai_learner = ts_learner(udls(), FlowFM, **SMALL, cbs=[CFMCallback(), DGSCallback()])
with tsai_learner.no_bar(), tsai_learner.no_logging(), processes(tsai_learner): tsai_learner.fit_one_cycle(2, 1e-3)
keep('tsai learner', tsai_learner)
watched = flowfm_learner(udls(), pretrained=False, seed=0, **SMALL, cbs=EMACallback(.9))
fit(watched, 8, lr=3e-3, cbs=[SaveModelCallback(), EarlyStoppingCallback(patience=1), GradientAccumulation(32)])
keep('watched', watched)

class Words(TextEncoder):
    def __init__(self): self.name = 'words'
    n_features = 4
    config = property(lambda self: dict(name=self.name, n_features=4))
    def __call__(self, texts): return torch.stack([torch.randn(4, generator=torch.Generator().manual_seed(len(t))) for t in ([texts] if isinstance(texts, str) else texts)])
    def __repr__(self): return 'Words()'
sentences = [['slow', 'quite slow'] if o == 'slow' else 'fast' for o in y]
text = text2signal_learner(text_dls(X, sentences, splits=SPLITS, bs=16, num_workers=0), plain, Words(), seed=0, cbs=EMACallback(.9))
keep('text', fit(text), generated=text.generate(text='fast', n=2, seed=0))
few = distill_learner(udls(), plain, steps=2, seed=0)
keep('distilled', fit(few), generated=few.generate(2, seed=0))

def classify(name, **kw):
    learn = flowfm_learner(ldls(), seed=0, **kw)
    with learn.no_bar(), learn.no_logging(), learn.distrib_ctx():
        learn.fine_tune(2, freeze_epochs=1)
        values = [list(map(float, r)) for r in learn.recorder.values]
        inside = learn.get_X_preds(X[:33])[0]
        valid = learn.get_preds()
    outside = learn.get_X_preds(X[:33])[0]
    norms = [type(m).__name__ for m in learn.model.modules() if 'Norm1d' in type(m).__name__ or type(m).__name__ in ('FeatureNorm', 'SyncBatchNorm')]
    keep(name, learn, log=values, inside=inside, outside=outside, valid=valid, norms=norms, patched=[m for m in learn.model.modules() if 'forward' in vars(m)])
classify('fine-tuned', pretrained=plain)
classify('from scratch', pretrained=False, opt_func=SGD, **SMALL)

class Spoil(Callback):
    "A loss that isn't finite, in one process."
    order = 14
    def after_loss(self):
        if self.training and self.train_iter == 5 and rank == 1: self.learn.loss_grad = self.learn.loss = self.learn.loss*float('nan')
bad = flowfm_learner(udls(), pretrained=False, seed=0, **SMALL, cbs=Spoil())
try: fit(bad)
except RuntimeError as e: out['spoilt'] = dict(weights=flat(bad), said=str(e), model=type(bad.model).__name__, values=[])

with_state = flowfm_learner(udls(), pretrained=False, seed=0, **SMALL, cbs=[EMACallback(.9)])
keep('uninterrupted', fit(with_state, 3, cbs=ResumeCallback('state.pt', minutes=0)), left=os.path.exists('state.pt'))
torch.save(out, f'out{rank}.pt')
'''

@pytest.fixture(scope='module')
def folder(tmp_path_factory): return tmp_path_factory.mktemp('processes')

@pytest.fixture(scope='module')
def both(folder):
    "What the two processes have seen of the trainings."
    said, status = launch(folder, TRAININGS)
    assert status == 0, said[-4000:]
    return [torch.load(folder/f'out{r}.pt', weights_only=False) for r in (0, 1)]

NAMES = ['plain', 'again', 'other seed', 'no seed', 'p=1', 'p=0', 'diffusion', 'no validation', 'drops its rest', '1 windows', '3 windows', '21 windows',
         'batches of one', 'weighted', 'two tasks', 'tsai learner', 'watched', 'text', 'distilled', 'fine-tuned', 'from scratch', 'spoilt', 'uninterrupted']

@pytest.mark.parametrize('name', NAMES)
def test_one_model(both, name):
    "Afterwards each process has the plain model, with the same weights and statistics to the last bit, and the same log."
    a, b = (o[name] for o in both)
    assert torch.equal(a['weights'], b['weights']) and a['weights'].isfinite().all()
    assert a['model'] == b['model'] in ('FlowFM', 'DiffFM')
    assert a['values'] == b['values']

def test_where_it_is(both):
    "What is saved can be loaded: torch knows the place."
    assert {o[name]['device'] for o in both for name in NAMES if 'device' in o[name]} == {'cpu'}

def test_draws(both):
    "Each process has windows, times, noise and masks of its own; a seed repeats them, another one doesn't."
    a, b = (o['plain'] for o in both)
    for part in ('train', 'valid'):
        for u, v in zip(a[part], b[part]): assert not set(u['x']) & set(v['x']) and not set(u['t']) & set(v['t']) and u['xt'] != v['xt']
    assert any(u['kept'] != v['kept'] for u, v in zip(a['train'], b['train'])) and any(u['kept'] != v['kept'] for u, v in zip(a['valid'], b['valid']))
    for o in both:
        assert o['again']['train'] == o['plain']['train'] and torch.equal(o['again']['weights'], o['plain']['weights'])
        assert o['other seed']['train'] != o['plain']['train']
    a, b = (o['no seed']['train'] for o in both)
    assert all(not set(u['t']) & set(v['t']) for u, v in zip(a, b))

def test_first_process_draws_as_one_alone(both):
    "Up to the number of windows: the first time is the first of one process, as the seed is."
    record = Record()
    learn = flowfm_learner(udls(), pretrained=False, seed=0, **SMALL, cbs=[record, EMACallback(.9)])
    fit(learn, 1)
    assert record.train[0]['t'] == both[0]['plain']['train'][0]['t'] and record.train[0]['x'] == both[0]['plain']['train'][0]['x']

def test_windows(both):
    "An epoch has every window once, or those that fill it up a second time; validation likewise."
    seen = lambda name, part: [sum((row['x'] for row in o[name][part]), []) for o in both]
    X = waves()[0][:, 0, 0]
    for name, n, epochs in (('no validation', 37, 2), ('21 windows', 21, 2), ('3 windows', 3, 2)):
        each = seen(name, 'train')
        assert len(each[0]) == len(each[1]), name
        if name != 'no validation': assert set(each[0] + each[1]) == set(X[:n].tolist()), name
    each = seen('plain', 'valid')
    assert sorted(each[0] + each[1]) == sorted(X[120:].tolist()*2)
    assert len(both[0]['plain']['train']) == 2*(120//32)

def test_validation(both):
    "The logged loss is the mean over the processes, and the same each time; a process alone knows its own draws."
    for o in both:
        (a, b), (alone, too) = o['plain']['validated'], o['plain']['alone']
        assert a == b and alone == too
        assert abs(a[0] - o['plain']['values'][-1][3]) < 1e-6 # after the three of training
    assert both[0]['plain']['validated'] == both[1]['plain']['validated']
    assert both[0]['plain']['alone'] == both[1]['plain']['alone'] # outside of the context all are alike

def test_rested_parts(both):
    "With p=1 the encoder never works: it is what it was, as with one process."
    learn = flowfm_learner(udls(), pretrained=False, seed=0, p=1., tasks=[], **SMALL)
    was = torch.cat([p.detach().double().flatten() for p in learn.model.backbone.parameters()])
    n = len(was)
    learn.model.load_state_dict(unflat(learn, both[0]['p=1']['weights']))
    now = torch.cat([p.detach().double().flatten() for p in learn.model.backbone.parameters()])
    assert torch.equal(was, now) and n

def unflat(learn, w):
    state, i = {}, 0
    for k, v in learn.model.state_dict().items(): state[k], i = w[i:i+v.numel()].view(v.shape).to(v.dtype), i + v.numel()
    return state

def test_saved_by_both(both, folder):
    "Two that save into one folder at once leave it whole, and generate and embed alike."
    model = from_pretrained(folder/'both')
    g, z = (both[0]['plain'][k] for k in ('generated', 'embedded'))
    assert torch.equal(g, both[1]['plain']['generated']) and torch.equal(z, both[1]['plain']['embedded'])
    np.testing.assert_allclose(model.generate(3, seed=1), g, atol=1e-3)
    with torch.no_grad(): np.testing.assert_allclose(model.encode(torch.tensor(waves()[0][:9])), z, atol=1e-3)

@pytest.mark.parametrize('name', ['text', 'distilled'])
def test_generators(both, name):
    assert torch.equal(both[0][name]['generated'], both[1][name]['generated']) and both[0][name]['generated'].isfinite().all()

def test_predictions(both):
    "Within the context and outside of it: each window once, in order."
    for name in ('fine-tuned', 'from scratch'):
        a, b = (o[name] for o in both)
        assert a['outside'].shape == (33, 2) and torch.equal(a['outside'], b['outside'])
        np.testing.assert_allclose(a['inside'], a['outside'], atol=1e-6)
        assert len(a['valid'][0]) == 40 and a['norms'] == ['FeatureNorm'] and not a['patched']
        accuracy = (a['valid'][0].argmax(1) == a['valid'][1].flatten()).float().mean()
        assert abs(accuracy - a['log'][-1][2]) < 1e-6

def test_like_one_process_with_labels(both):
    "Without noise the two are one process with batches twice as large, up to rounding; statistics of the head's batch norm included."
    make = lambda: flowfm_learner(ldls(bs=32), seed=0, pretrained=False, opt_func=SGD, **SMALL)
    learn, start, got = make(), make(), both[0]['from scratch']
    with learn.no_bar(), learn.no_logging(): learn.fine_tune(2, freeze_epochs=1)
    off = (got['weights'] - flat(learn)).abs().max()
    moved = max((p - q).abs().max() for p, q in zip(learn.model.parameters(), start.model.parameters()))
    print('largest difference of a weight, and how far one moved:', off.item(), moved.item())
    assert off < 1e-5 < .01*moved
    np.testing.assert_allclose(got['log'], [list(r) for r in learn.recorder.values], rtol=1e-5)

def test_one_that_fails_ends_all(both):
    a, b = (o['spoilt']['said'] for o in both)
    assert "another process isn't finite" in a and 'the loss is nan' in b

def resume(folder, *args): return launch(folder, '''
class Die(Callback):
    order = 250
    def after_batch(self):
        if self.training and rank == int(sys.argv[1]) and self.train_iter == int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)
learn = flowfm_learner(udls(), pretrained=False, seed=0, **SMALL, cbs=[EMACallback(.9), Die()])
fit(learn, 3, cbs=ResumeCallback('state.pt', minutes=0))
torch.save(flat(learn), f'resumed{rank}.pt')
''', *args)

def test_resuming(both, folder):
    "Killed in the middle of an epoch, in one process, and started again: the weights of the uninterrupted training, to the last bit."
    said, status = resume(folder, 1, 5)
    assert status != 0 and (folder/'state.pt').exists(), said[-2000:]
    said, status = resume(folder, 1, 10**6)
    assert status == 0 and said.count('going on in epoch 2 of 3, batch 3') == 1, said[-3000:]
    for r in (0, 1): assert torch.equal(torch.load(folder/f'resumed{r}.pt'), both[r]['uninterrupted']['weights'])
    assert not (folder/'state.pt').exists() and not both[0]['uninterrupted']['left']

def test_like_one_process(folder):
    "`accelerate launch`: the loss and a linear probe are those of one process with batches twice as large."
    pytest.importorskip('accelerate')
    code = '''
    learn = fit(flowfm_learner(udls(bs=8), pretrained=False, seed=0, **SMALL), 12, lr=3e-3)
    torch.save(dict(weights=flat(learn), loss=learn.recorder.values[-1][1], world=world, Z=learn.get_embeddings(X)), f'many{rank}.pt')
    '''
    said, status = launch(folder, code, launcher=ACCELERATE)
    assert status == 0, said[-3000:]
    a, b = (torch.load(folder/f'many{r}.pt', weights_only=False) for r in (0, 1))
    assert a['world'] == 2 and torch.equal(a['weights'], b['weights'])
    X, y = waves()
    one = fit(flowfm_learner(udls(bs=16), pretrained=False, seed=0, **SMALL), 12, lr=3e-3)
    probe = lambda Z: scores(y[120:], linear_classifier(.1).fit(Z[:120], y[:120]).predict(Z[120:]))['accuracy']
    losses, probes = (a['loss'], one.recorder.values[-1][1]), (probe(a['Z'].numpy()), probe(one.get_embeddings(X).numpy()))
    print('validation loss, linear probe; two processes and one:', losses, probes)
    assert abs(losses[0]/losses[1] - 1) < .25, losses # over twelve seeds, after 40 epochs: .529 (.024) and .523 (.038)
    assert max(losses) < 1.5 and abs(probes[0] - probes[1]) <= .1, (losses, probes) # at the start the loss is 2

@pytest.mark.parametrize('launcher', [('torch.distributed.run', '--standalone', '--nproc_per_node', '2', '--no-python'),
                                      ('accelerate.commands.launch', '--multi_gpu', '--num_processes', '2', '--no_python')], ids=['torchrun', 'accelerate'])
def test_flowfm_pretrain_under_a_launcher(tmp_path, launcher):
    "One training, one log, one checkpoint; the same command again trains nothing."
    np.savez(tmp_path/'w.npz', X=np.random.default_rng(0).normal(size=(128, 2, 60)).astype(np.float32))
    command = [sys.executable, '-m', *launcher, os.path.join(os.path.dirname(sys.executable), "flowfm"), 'pretrain', '--data', 'w.npz', '--patch-size', '12', '--epochs', '2', '--bs', '16']
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '', 'ACCELERATE_USE_CPU': 'true'}
    said = [subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200) for _ in range(2)]
    assert said[0].returncode == 0 and said[0].stdout.count('epoch 2 of 2') == 1 and said[0].stdout.count('weights are in') == 1, said[0]
    assert sorted(f.name for f in (tmp_path/'pretrained').iterdir()) == ['config.json', 'model.safetensors']
    assert said[1].returncode == 0 and 'this training is finished' in said[1].stdout and 'epoch' not in said[1].stdout, said[1]
