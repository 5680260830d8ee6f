"""Processes that are killed while they save, train, write windows or measure: what is there afterwards is old or new and whole, what is run again gives what it would have given, and the next writer removes what they left."""
import os, random, shutil
from functools import cache
from pathlib import Path
import numpy as np
import torch
from tsai.data.core import get_ts_dls
from flowfm_tsai import recipes
from flowfm_tsai.bench.runner import Workplace
from flowfm_tsai.callbacks import EMACallback
from flowfm_tsai.data.storage import HARData, open_windows
from flowfm_tsai.learner import flowfm_learner
from flowfm_tsai.models import FlowFM
from flowfm_tsai.pretrained import from_pretrained
from flowfm_tsai.callbacks import ResumeCallback
from .forked import attempt, killed_after

TINY = dict(dim=8, depth=1, n_heads=1, patch_size=5)
X = np.sin(np.arange(96)[:, None, None]*.7 + np.arange(2)[:, None] + np.arange(40)/3).astype(np.float32)

def weights(model): return {k: v.clone() for k, v in model.weights().items()}
def equal(a, b): return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
def leftovers(folder): return [f.name for f in Path(folder).rglob('.*') if f.name.endswith('.tmp')]

@cache
def model(seed):
    torch.manual_seed(seed)
    m = FlowFM(2, **TINY)
    m.trained_len.fill_(20)
    return m

def saving(r, folder):
    "Two models in turns over one checkpoint."
    out = folder/'w'
    model(0).save_pretrained(out)
    def work():
        for i in range(10**6): model((i+1) % 2).save_pretrained(out)
    if not killed_after(work, r.uniform(.0, .06)): return 'ended by itself'
    got = weights(from_pretrained(out))
    if not any(equal(got, weights(model(i))) for i in range(2)): return 'neither the old weights nor the new ones'
    model(1).save_pretrained(out)
    if not equal(weights(from_pretrained(out)), weights(model(1))): return 'the next save is not there'
    return 'held' if sorted(os.listdir(out)) == ['config.json', 'model.safetensors'] else f'left over: {os.listdir(out)}'

def train(file, minutes=0.):
    learn = flowfm_learner(get_ts_dls(X, splits=(list(range(80)), list(range(80, 96))), bs=16, num_workers=0), pretrained=False, seed=3, cbs=EMACallback(.9), **TINY)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(4, 3e-3, cbs=ResumeCallback(file, minutes) if file else None)
    return weights(learn.model)

@cache
def trained(): return train(None)

def training(r, folder):
    "A training that is killed up to three times, anywhere."
    file, whole = folder/'training.pt', trained()
    for _ in range(r.randrange(1, 4)): killed_after(lambda: train(file), r.uniform(.05, 1.6))
    said = attempt(lambda: equal(train(file), whole), memory=None, seconds=100)
    if said is not True: return f'other weights than those of the uninterrupted training ({said})'
    return 'held' if not os.listdir(folder) else f'left over: {os.listdir(folder)}'

def windows(r, folder):
    "Windows into a file or a folder."
    data, out = HARData(np.repeat(X, 60, 0), np.repeat(np.arange(96), 60)), folder/r.choice(['x.npz', 'x'])
    killed_after(lambda: data.save(out), r.uniform(.0, .15))
    if out.exists() and not np.array_equal(open_windows(out).X[:], data.X): return 'windows that are not whole'
    if not out.exists(): data.save(out)
    HARData(X).save(folder/'next.npz')
    if not np.array_equal(open_windows(out).X[:], data.X): return 'the windows are not there'
    return 'held' if not leftovers(folder) else f'left over: {leftovers(folder)}'

def benches(r, folder):
    "Measurements that are done once."
    def work(n):
        b = Workplace(str(folder), dict(seed=1))
        return [b.once(f'cells/{i}', lambda: dict(i=i, x=[.1*i]*500)) for i in range(n)]
    killed_after(lambda: work(40), r.uniform(.0, .08))
    said = attempt(lambda: work(41) == [dict(i=i, x=[.1*i]*500) for i in range(41)], memory=None)
    if said is not True: return f'other measurements: {said}'
    return 'held' if not leftovers(folder) else f'left over: {leftovers(folder)}'

def pretrain(folder): return weights(recipes.pretrain(str(folder/'x.npz'), str(folder/'w'), patch_size=10, epochs=2, bs=32, ema=.9).model)

@cache
def pretrained(folder):
    "What `flowfm pretrain` makes if nobody kills it."
    HARData(X).save(folder/'x.npz')
    pretrain(folder)
    return weights(from_pretrained(folder/'w'))

def recipe(r, folder):
    "`flowfm pretrain`, killed and run again."
    whole = pretrained(folder.parent)
    HARData(X).save(folder/'x.npz')
    for _ in range(r.randrange(1, 3)): killed_after(lambda: pretrain(folder), r.uniform(.2, 3.))
    said = attempt(lambda: bool(pretrain(folder)), memory=None, seconds=100)
    if said is not True: return f'did not go on: {said}'
    if not equal(weights(from_pretrained(folder/'w')), whole): return 'other weights than those of the uninterrupted command'
    return 'held' if sorted(os.listdir(folder/'w')) == ['config.json', 'model.safetensors'] else f"left over: {os.listdir(folder/'w')}"

WHAT = dict(saving=(saving, 8), training=(training, 5), windows=(windows, 3), benches=(benches, 2), recipe=(recipe, 2)) # of twenty kills

def cases(n, seed, folder):
    kinds = [k for k, (_, times) in WHAT.items() for _ in range(times)]
    for i in range(n): yield kinds[i % len(kinds)], i, seed, Path(folder)

def tried(case):
    "'held', or what went wrong."
    kind, i, seed, folder = case
    place = folder/f'{kind}_{seed}_{i}'
    place.mkdir()
    try: said = WHAT[kind][0](random.Random(f'{seed} {i}'), place)
    except Exception as e: said = f'{type(e).__name__}: {e}'
    shutil.rmtree(place, ignore_errors=True)
    return said if said == 'held' else f'{place.name}: {said}'
