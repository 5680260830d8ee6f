"Whatever dataloaders do to raw windows, every door gives the same predictions: learner, recipe, checkpoint, checkpoint alone in a fresh process."
import copy, json
import numpy as np
import pytest
import torch
from fasttransform import Transform
from sklearn.metrics import accuracy_score
from tsai.data.core import get_ts_dls, TSClassification, TSForecasting, TSTensor, TSMultiLabelClassification, TSRegression
from tsai.data.preprocessing import *
from flowfm_tsai.all import *
from flowfm_tsai.units import Intake

SMALL = dict(dim=16, depth=1, n_heads=2, patch_size=6)
TRAIN, VALID = list(range(60)), list(range(60, 101)) # with bs=20 one window is left over
rng = np.random.default_rng(0)

class Root(Transform): # not linear, and by no name
    def encodes(self, o): return (o - 20)**2/10

class TurnedOver(Transform): # by no name either, but a factor and a shift for each channel
    by = torch.tensor([-2., 1., .5])[:, None]
    def encodes(self, o:TSTensor): return o*self.by + 3
    def decodes(self, o:TSTensor): return (o - 3)/self.by

def fit(learn, n=1, lr=3e-3):
    with learn.no_bar(), learn.no_logging(): learn.fit(n, lr)
    return learn

def signals(n=101, c=3, L=60):
    "X (n, c, L) around 20, with a deviation of about 3.5; y (n,): slow or fast."
    fast, t = np.arange(n) % 2, np.arange(L)/L
    a = 2*np.pi*np.where(fast, 5, 2)[:, None, None]*t + rng.uniform(0, 6.28, (n, c, 1))
    return (20 + 5*np.sin(a) + rng.normal(0, .2, (n, c, L))).astype(np.float32), np.array(['slow', 'fast'])[fast]

X, Y = signals()
still = X.copy(); still[:, 1] = 101_325
gaps = X.copy(); gaps[::3, 0, 10:30] = np.nan
several = np.empty(len(X), object)
for i in range(len(X)): several[i] = ['walk', 'talk'] if i % 3 else ['sit']
numbers = np.stack([X.mean((1, 2)), X.std((1, 2))], 1).astype(np.float32)

KINDS = dict( # arguments of `get_ts_dls`; X and y may be others
    plain=dict(), in_batches_of_one=dict(bs=1), no_copy=dict(inplace=False), weights=dict(weights=np.linspace(1, 3, 101)), seven_at_a_time=dict(bs=7, drop_last=False),
    two_channels=dict(sel_vars=[2, 0]), channels_as_slice=dict(sel_vars=slice(1, None)), one_channel=dict(sel_vars=[1]),
    late_steps=dict(sel_steps=slice(12, None)), every_second_step=dict(sel_steps=slice(None, None, 2)), steps_as_list=dict(sel_steps=list(range(0, 60, 3))),
    channels_and_steps=dict(sel_vars=[0, 2], sel_steps=slice(-30, None)),
    by_variable=dict(batch_tfms=TSStandardize(by_var=True)), by_sample=dict(batch_tfms=TSStandardize(by_sample=True)), by_both=dict(batch_tfms=TSStandardize(by_sample=True, by_var=True)),
    by_step=dict(batch_tfms=TSStandardize(by_step=True)), over_all=dict(batch_tfms=TSStandardize(by_var=True, use_single_batch=False)),
    range_by_variable=dict(batch_tfms=TSNormalize(by_var=True)), range_by_sample=dict(batch_tfms=TSNormalize(by_sample=True)), robust=dict(batch_tfms=TSRobustScale()),
    clipped=dict(batch_tfms=TSClip(16, 24)), clipped_by_variable=dict(batch_tfms=TSClipByVar([[0, 18, 22]])), differences=dict(batch_tfms=TSDiff()),
    positions=dict(batch_tfms=TSLinearPosition()), cycles=dict(batch_tfms=TSCyclicalPosition()), position_gaps=dict(X=gaps, batch_tfms=[TSPositionGaps(), TSNan2Value()]), rolling_means=dict(batch_tfms=TSRollingMean(window=5)),
    dropped=dict(batch_tfms=TSDropVars([0])), mean_of_a_dropped_one=dict(batch_tfms=[TSRollingMean(), TSDropVars([0])]), selected_standardised_and_derived=dict(sel_vars=[2, 0], sel_steps=slice(6, None), batch_tfms=[TSStandardize(by_var=True), TSRollingMean()]),
    augmented=dict(batch_tfms=[*wearable_tfms(20, shift=3), TSStandardize(by_var=True)]), item_transform=dict(x_tfms=[Root()]), item_and_batch=dict(x_tfms=[Root()], sel_vars=[0, 1], batch_tfms=TSStandardize(by_sample=True)), logarithm=dict(batch_tfms=[TSAdd(1.), TSLog()]), turned_over=dict(batch_tfms=[TurnedOver()]),
    missing=dict(X=gaps), constant=dict(X=still), tesla=dict(X=((X - 20)*1e-13).astype(np.float32)), pascal=dict(X=X*np.float32(1e5)), tesla_by_variable=dict(X=((X - 20)*1e-13).astype(np.float32), batch_tfms=TSStandardize(by_var=True)),
    half=dict(X=X.astype(np.float16)), double=dict(X=X.astype(np.float64)), whole_numbers=dict(X=(100*X).astype(np.int64)), memmap=dict(on_disk='memmap'), window_array=dict(on_disk='window_array'),
    classes_as_numbers=dict(y=(Y == 'fast').astype(int)*3), classes_in_a_column=dict(y=Y[:, None]), classes_of_steps=dict(y=np.where(X[:, 0] > 20, 'up', 'down')), several_labels=dict(y=several, target=TSMultiLabelClassification()), several_labels_by_sample=dict(y=several, target=TSMultiLabelClassification(), batch_tfms=TSStandardize(by_sample=True)),
    one_number=dict(y=numbers[:, 0], target=TSRegression()), several_numbers=dict(y=numbers, target=TSRegression()), several_numbers_selected=dict(y=numbers, target=TSRegression(), sel_vars=[1], batch_tfms=TSStandardize(by_sample=True)),
    forecasts=dict(y=X[..., -12:], X=X[..., :-12], target=TSForecasting()))
CHANGING = ('by_step', 'range_by_variable', 'selected_standardised_and_derived') # not linear, with statistics of a random batch: other dataloaders have others
NAMELESS = ('item_transform', 'item_and_batch')

def make(kind, folder, labelled=True, **other):
    "Dataloaders of a kind."
    kw = {k: copy.deepcopy(v) if "tfms" in k or k == "target" else v for k, v in KINDS[kind].items()} # transforms keep statistics
    x, y, target, x_tfms = kw.pop('X', X), kw.pop('y', Y), kw.pop('target', TSClassification()), kw.pop('x_tfms', None)
    disk = kw.pop('on_disk', None)
    if disk and not (folder/f'{kind}/X.npy').exists(): HARData(x).save(folder/kind)
    if disk: x, kw['inplace'] = (open_windows(folder/kind).X if disk == 'window_array' else np.load(folder/f'{kind}/X.npy', mmap_mode='r')), False
    kw = dict(splits=(TRAIN, VALID), bs=20) | kw | other
    return get_ts_dls(x, y, tfms=[x_tfms, target], **kw) if labelled else get_ts_dls(x, tfms=x_tfms, **kw)

def raw(kind): return np.asarray(KINDS[kind].get('X', X))[VALID]

@pytest.fixture(scope='module')
def folder(tmp_path_factory): return tmp_path_factory.mktemp('intake')

@pytest.fixture(scope='module')
def trained(folder):
    "Learners by kind, trained for an epoch and saved when they are first asked for."
    made = {}
    def of(kind):
        if kind not in made:
            learn = made[kind] = fit(flowfm_learner(make(kind, folder), pretrained=False, seed=0, **SMALL))
            learn.save_pretrained(folder/f'{kind}_model')
            np.save(folder/f'{kind}_raw.npy', raw(kind))
        return made[kind]
    return of

def predictions(learn):
    with learn.no_bar(), learn.no_logging(): return learn.get_preds(ds_idx=1)

def close(a, b, atol=2e-3): np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=atol*max(1, np.abs(np.asarray(b)).max()))

@pytest.mark.parametrize('kind', KINDS)
def test_learner(trained, kind):
    "Validation, predictions of a split, and predictions of raw windows."
    learn = trained(kind)
    with learn.no_bar(), learn.no_logging(): valid = learn.validate()
    preds, targets = predictions(learn)
    assert len(preds) == len(VALID) and np.isfinite(preds).all()
    with learn.no_bar(): close(learn.get_X_preds(raw(kind))[0], preds)
    close(learn.split_preds(learn.dls.valid), preds)
    if learn.model.task['kind'] == 'classes': assert valid[1] == pytest.approx((preds.argmax(-1).flatten() == targets.flatten()).float().mean().item())
    Z = learn.get_embeddings(raw(kind))
    close(learn.split_embeddings(learn.dls.valid), Z)
    seen = Intake(learn.dls)(raw(kind)) # a forecast goes on from these
    with torch.no_grad(): out = learn.model._said(learn.model.eval().head(Z[..., None]), seen)
    close(getattr(learn.loss_func, 'activation', lambda o: o)(out), preds)

@pytest.mark.parametrize('kind', KINDS)
def test_checkpoint_in_a_learner(trained, folder, kind):
    "The head is there, and the statistics are those of the training: nothing needs to be trained again."
    learn = trained(kind)
    same = dict(batch_tfms=list(learn.dls.train.after_batch.fs)) if kind in CHANGING else {}
    again = flowfm_learner(make(kind, folder, **same), pretrained=folder/f'{kind}_model')
    assert again.model.task == learn.model.task
    close(predictions(again)[0], predictions(learn)[0])

@pytest.fixture(scope='module')
def alone(trained, folder):
    "What each checkpoint says of raw windows in a process without dataloaders, or why it says nothing."
    import subprocess, sys
    for kind in KINDS: trained(kind)
    code = f"""
import json, numpy as np
from flowfm_tsai.pretrained import from_pretrained
said = {{}}
for kind in {list(KINDS)}:
    X = np.load(f'{{kind}}_raw.npy')
    try: model = from_pretrained(f'{{kind}}_model'); y, probs = model.predict(X, bs=17); Z = model.get_embeddings(X)
    except Exception as e: said[kind] = f'{{type(e).__name__}}: {{e}}'; continue
    np.savez(f'{{kind}}_out.npz', y=np.array(['+'.join(v) for v in y]) if model.task['kind'] == 'labels' else y, probs=y if probs is None else probs, Z=Z)
json.dump(said, open('said.json', 'w'))
"""
    r = subprocess.run([sys.executable, '-c', code], cwd=folder, capture_output=True, text=True, timeout=600)
    assert r.returncode == 0, r.stderr[-3000:]
    return json.loads((folder/'said.json').read_text())

@pytest.mark.parametrize('kind', KINDS)
def test_checkpoint_alone(trained, folder, alone, kind):
    if kind in NAMELESS:
        assert 'Root' in alone[kind] and 'TRANSFORMS' in alone[kind]
        return
    assert kind not in alone, alone[kind]
    learn, out = trained(kind), np.load(folder/f'{kind}_out.npz')
    preds, targets = predictions(learn)
    close(out['probs'], preds.squeeze(-1) if out['probs'].ndim < preds.ndim else preds)
    close(out['Z'], learn.get_embeddings(raw(kind)))
    if learn.model.task['kind'] == 'classes': assert (out['y'] == np.array(list(learn.dls.vocab))[preds.argmax(-1)]).mean() > .95

@pytest.mark.parametrize('kind', [k for k, v in KINDS.items() if 'target' not in v and k != 'classes_of_steps'])
@pytest.mark.parametrize('recipe', [fine_tune, linear_probe])
def test_recipe(folder, kind, recipe):
    "A recipe's metrics are what its learner's own predictions give."
    kw = dict(epochs=2, fit=dict(freeze_epochs=0)) if recipe is fine_tune else {}
    r = recipe(make(kind, folder), pretrained=False, seed=0, **kw, **SMALL)
    learn, y = r.learn, KINDS[kind].get('y', Y).flatten()
    assert list(r.y) == list(y[VALID])
    if recipe is fine_tune:
        with r.learn.no_bar(), r.learn.no_logging(): assert r.learn.validate()[1] == pytest.approx(r.metrics['accuracy'])
        pred = np.array(list(learn.dls.vocab))[learn.get_X_preds(raw(kind))[0].argmax(1)]
    else:
        X = np.asarray(KINDS[kind].get('X', globals()['X']))
        pred = linear_classifier().fit(learn.get_embeddings(X[TRAIN]).numpy(), y[TRAIN]).predict(learn.get_embeddings(X[VALID]).numpy())
    assert abs(accuracy_score(y[VALID], pred) - r.metrics['accuracy']) < .05 # float32: one window of 41 may lie on the border

@pytest.mark.parametrize('kind', ['plain', 'two_channels', 'late_steps', 'by_variable', 'by_sample', 'rolling_means', 'item_transform', 'memmap', 'pascal', 'tesla'])
def test_pretrained_then_fine_tuned(folder, kind):
    "Pretraining and its checkpoint see a window as the learner does, and so does what is fine-tuned from it."
    learn = fit(flowfm_learner(make(kind, folder, labelled=False), pretrained=False, seed=0, **SMALL))
    learn.save_pretrained(folder/f'{kind}_pre')
    Z = learn.get_embeddings(raw(kind))
    if kind not in NAMELESS: close(from_pretrained(folder/f'{kind}_pre').get_embeddings(raw(kind)), Z)
    clf = flowfm_learner(make(kind, folder), pretrained=folder/f'{kind}_pre')
    close(clf.get_embeddings(raw(kind)), Z)
    close(clf.split_embeddings(clf.dls.valid), Z)

def test_windows_are_left_alone(trained, folder):
    "Some of tsai's transforms write into what they are given; nobody's windows are changed by a prediction."
    for kind in ('clipped_by_variable', 'rolling_means', 'plain'):
        learn, given = trained(kind), gaps[VALID].copy()
        with learn.no_bar(): learn.get_X_preds(given), learn.get_embeddings(given)
        from_pretrained(folder/f'{kind}_model').predict(given)
        np.testing.assert_array_equal(given, gaps[VALID])

def test_units_change_nothing(folder):
    "In tesla and in pascal: the same predictions as in numbers around 1, and signals with the spread of the data."
    base, made = (X - 20)/5, {}
    for unit in (1., 1e-13, 1e5):
        x = (base*unit).astype(np.float32)
        clf = fit(flowfm_learner(get_ts_dls(x, Y, splits=(TRAIN, VALID), tfms=[None, TSClassification()], bs=20), pretrained=False, seed=0, **SMALL))
        gen = fit(flowfm_learner(get_ts_dls(x, bs=20), pretrained=False, seed=0, **SMALL), 30)
        made[unit] = predictions(clf)[0], gen.generate(64, seed=0).numpy()/unit
    for unit in (1e-13, 1e5):
        close(made[unit][0], made[1.][0], .02)
        assert .6 < made[unit][1].std()/base.std() < 1.4
        close(made[unit][1].std((0, 2)), made[1.][1].std((0, 2)), .1)

def test_constant_channel_comes_back_constant(folder):
    learn = fit(flowfm_learner(make('constant', folder, labelled=False), pretrained=False, seed=0, **SMALL), 2)
    learn.save_pretrained(folder/'constant_pre')
    for g in (learn.generate(3, seed=0), from_pretrained(folder/'constant_pre').generate(3, like=still[:1], seed=0)):
        np.testing.assert_array_equal(g[:, 1], np.full((3, 60), 101_325, np.float32))
        assert g[:, 0].std() > .1

def test_pretraining_from_a_classifier(folder):
    "The statistics are those of the weights, not of the new windows: the same window has the same representation."
    clf = fit(flowfm_learner(make('plain', folder), pretrained=False, seed=0, **SMALL))
    clf.save_pretrained(folder/'clf')
    Z = clf.get_embeddings(X)
    for source in (clf, folder/'clf'):
        pre = flowfm_learner(get_ts_dls(5 + 10*X, bs=20), pretrained=source)
        close(pre.model.mean, clf.model.mean); close(pre.model.std, clf.model.std)
        close(pre.get_embeddings(X), Z)
        scaled = flowfm_learner(get_ts_dls(X, bs=20, batch_tfms=TSStandardize(by_var=True)), pretrained=source)
        close(scaled.get_embeddings(X), Z)
        fit(pre); assert torch.equal(pre.model.mean, clf.model.mean)

@pytest.mark.parametrize('kind', ['two_channels', 'channels_and_steps', 'by_variable', 'rolling_means', 'dropped'])
def test_generated_windows_look_like_measured_ones(folder, kind):
    "In raw units, the kept channels in the order of the raw ones; and they can be given back as `like`."
    learn = fit(flowfm_learner(make(kind, folder, labelled=False), pretrained=False, seed=0, **SMALL), 20)
    kept = dict(two_channels=2, channels_and_steps=2, by_variable=3, rolling_means=3, dropped=2)[kind]
    g = learn.generate(16, seed=0)
    assert g.shape == (16, kept, 30 if kind == 'channels_and_steps' else 60) and abs(g.mean() - 20) < 2
    learn.save_pretrained(folder/f'{kind}_gen')
    alone = from_pretrained(folder/f'{kind}_gen')
    close(alone.generate(2, seed=0), learn.generate(2, seed=0))
    like = raw(kind)[:2]
    close(alone.generate(1, like=like, seed=0), learn.generate(1, like=like, seed=0))

@pytest.mark.parametrize('kind', ['by_sample', 'clipped', 'differences', 'mean_of_a_dropped_one', 'item_transform'])
def test_no_way_back_is_said(folder, kind):
    learn = fit(flowfm_learner(make(kind, folder, labelled=False), pretrained=False, seed=0, **SMALL))
    with pytest.raises(ValueError, match='no units'): learn.generate(2)

def test_a_registered_transform_travels(folder, monkeypatch):
    from flowfm_tsai.units import TRANSFORMS
    monkeypatch.setitem(TRANSFORMS, 'Root', Root)
    learn = fit(flowfm_learner(make('item_and_batch', folder), pretrained=False, seed=0, **SMALL))
    close(from_pretrained(learn.save_pretrained(folder/'root')).predict(raw('item_and_batch')).probs, predictions(learn)[0])
