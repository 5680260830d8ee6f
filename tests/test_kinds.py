"Shapes and types as people have them: targets, windows, precisions, options and batches of all kinds are taken, or refused before any training."
import copy, json, os, shutil, sqlite3, subprocess, sys
from contextlib import closing
import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback
from fastai.metrics import accuracy_multi
from tsai.data.core import get_ts_dls, TSClassification, TSForecasting, TSMultiLabelClassification, TSRegression
from flowfm_tsai.all import *
from flowfm_tsai.cli import main
from flowfm_tsai.core import FlowFMWarning
from flowfm_tsai.models import FlowFM

SMALL = dict(dim=8, depth=1, n_heads=1, patch_size=5)
N, SPLITS = 44, (list(range(32)), list(range(32, 44)))
rng = np.random.default_rng(0)
X, k = rng.normal(size=(N, 2, 20)).astype(np.float32), np.arange(N) % 3
s = np.array(['a', 'b', 'c'])[k]

def holed(y, v, at=(5, 40)):
    y = np.array(y, object)
    y[list(at)] = v
    return y

def data(y, bs=16, tfm=TSClassification, splits=SPLITS, **kw): return get_ts_dls(X, y, splits=splits, tfms=[None, tfm()] if tfm else None, bs=bs, **kw)
def learner(dls, **kw): return flowfm_learner(dls, pretrained=False, seed=0, **SMALL, **kw)

def fit(learn, n=1):
    with learn.no_bar(), learn.no_logging(): learn.fit(n)
    return learn

@pytest.fixture(scope='module')
def generator(): return fit(learner(get_ts_dls(X, bs=16)))

@pytest.fixture(scope='module')
def classifier(): return fit(learner(data(s)))

# --- classes

TAKEN = dict(text=s, column=s[:, None], frame=pd.DataFrame(dict(y=s)), series=pd.Series(s, index=range(N)[::-1]), list=s.tolist(), objects=s.astype(object), bytes=s.astype('S'),
             byte_objects=s.astype('S').astype(object), booleans=k > 0, category=pd.Series(s).astype('category'), floats=k.astype(float), float_column=k[:, None].astype(float), small=k.astype('u1'), tensor=torch.tensor(k))
REFUSED = dict(one_hot=np.eye(3)[k], one_hot_whole=np.eye(3, dtype=int)[k], one_hot_frame=pd.get_dummies(pd.Series(s)), nan=np.where(k == 0, np.nan, k), nan_object=holed(s, np.nan), empty=holed(s, ''),
               blank=holed(s, '  '), nan_text=np.array(holed(s, 'nan'), str), infinite=np.where(k == 0, np.inf, k), mixed=holed(s, 1), only_in_validation=holed(s, np.nan, [40]))

@pytest.mark.parametrize('kind', TAKEN)
def test_classes_that_are_taken(kind):
    dls = data(TAKEN[kind])
    fit(learner(dls))
    for r in (linear_probe(dls, False, **SMALL), knn_probe(dls, False, **SMALL), fine_tune(dls, False, epochs=1, fit=dict(freeze_epochs=0), **SMALL)):
        assert len(np.unique(r.y)) == len(dls.vocab) and set(r.pred.tolist()) <= set(r.y.tolist())

@pytest.mark.parametrize('kind', REFUSED)
def test_classes_that_are_refused(kind):
    dls = data(REFUSED[kind])
    for f in (learner, lambda d: linear_probe(d, False, **SMALL), lambda d: knn_probe(d, False, **SMALL), lambda d: fine_tune(d, False, **SMALL),
              lambda d: few_label_curve(d, pretrained=False, **SMALL)):
        with pytest.raises(ValueError, match='missing or infinite|no class|one-hot|all texts or all numbers'): f(dls)

def test_a_class_at_each_step_is_no_one_hot_table():
    y = np.zeros((N, 20), int)
    y[np.arange(N), k] = 1
    assert learner(data(y)).model.c_out == 2

FILES = dict(bytes=s.astype('S'), column=k[:, None], floats=k.astype(float), one_hot=np.eye(3)[k], booleans=k > 0)
BAD_FILES = dict(halves=k*.5, nan=np.where(k == 0, np.nan, k), nan_text=np.array(holed(s, 'nan'), str), empty=np.array(holed(s, ''), str), table=rng.normal(size=(N, 3)), one=np.full(N, 'a'))

@pytest.mark.parametrize('kind', [*FILES, *BAD_FILES])
def test_classes_in_files(kind, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez('d.npz', X=np.tile(X, (1, 1, 2)), y={**FILES, **BAD_FILES}[kind], pid=np.arange(N)//4)
    status = main(['finetune', '--data', 'd.npz', '--out', 'out', '--epochs', '1', '--freeze-epochs', '0'])
    if kind in FILES: assert not status and (tmp_path/'out/learner.pkl').exists()
    else: assert status == 2 and 'd.npz' in capsys.readouterr().err and not (tmp_path/'out').exists()

# --- numbers

@pytest.mark.parametrize('shape', [(N,), (N, 1), (N, 3), (N, 2, 4)])
@pytest.mark.parametrize('v', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('at, split', [(5, 'training'), (40, 'validation')])
def test_numbers_that_are_missing(shape, v, at, split):
    y = rng.normal(size=shape).astype(np.float32)
    for inplace in (True, False): fit(learner(data(y, tfm=TSForecasting if len(shape) == 3 else TSRegression, inplace=inplace)))
    y[at:at+1].flat[-1] = v
    for tfm in (None, TSRegression):
        with pytest.raises(ValueError, match=f'{split} split: 1 of .* missing or infinite, the first is number {at % 32}'): learner(data(y, tfm=tfm))
    learner(data(y, tfm=None), stage='pretrain') # where they play no part

def test_texts_are_no_numbers():
    with pytest.raises(ValueError, match="is no number: for classes pass"): learner(data(s, tfm=None, inplace=False))

# --- windows

@pytest.mark.parametrize('v', [np.inf, -np.inf, 1e39])
def test_infinite_windows(v, generator, classifier, tmp_path):
    bad = np.array(X, np.float64)
    bad[37, 1, 3] = v
    disk = np.memmap(tmp_path/'X', np.float64, 'w+', shape=bad.shape)
    disk[:] = bad
    for x in (bad, disk, torch.tensor(bad)):
        for f in (generator.get_embeddings, generator.model.get_embeddings, classifier.model.predict, classifier.get_X_preds, lambda x: generator.generate(like=x)):
            with pytest.raises(ValueError, match=r'infinite values.* window 37, channel 1, step 3'): f(x)

def test_outputs_that_are_not_finite():
    g, c = fit(learner(get_ts_dls(X, bs=16))), learner(data(s))
    with pytest.raises(RuntimeError, match='numbers became too large'): copy.deepcopy(g.model).half().get_embeddings(X*1e30)
    for m in (g.model, c.model):
        with torch.no_grad(): next(m.backbone.blocks.parameters())[0] = torch.nan
    with torch.no_grad(): g.model.velocity.final_layer.linear.bias[0] = torch.inf
    for f in (lambda: g.generate(2), lambda: g.generate(2, method='dopri5'), lambda: g.get_embeddings(X), lambda: g.model.get_embeddings(X), lambda: g.split_embeddings(g.dls.train),
              lambda: c.model.predict(X), lambda: c.get_X_preds(X), lambda: c.split_preds(c.dls.valid)):
        with pytest.raises(RuntimeError, match="finite"): f()

@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize('config', [None, 'paper'])
def test_cast_models(dtype, config, tmp_path):
    far = X*3e3 + 1e5 # more than float16 holds
    g = fit(difffm_learner(get_ts_dls(far, bs=16), pretrained=False, seed=0, tasks=[], config=config, **SMALL))
    white = fit(difffm_learner(get_ts_dls(far, bs=16), pretrained=False, seed=0, config=config, **SMALL)).model
    c = fit(flowfm_learner(get_ts_dls(far, s, splits=SPLITS, tfms=[None, TSClassification()], bs=16), pretrained=False, seed=0, config=config, **SMALL))
    def said():
        with c.no_bar(), c.no_logging(): preds = c.get_X_preds(far)[0]
        return [g.generate(3, seed=0, like=far[:2], steps=3), g.generate(2, seed=0, steps=2), g.get_embeddings(far), g.model.encode(torch.tensor(far)), c.model.predict(far).probs, preds]
    before, whitened = said(), white.get_embeddings(far)
    g.model.to(dtype), c.model.to(dtype), white.to(dtype)
    for a, b in zip(before, said()):
        assert b.dtype == torch.float32 and (a - b).abs().max() < .1*a.abs().max()
    assert (white.get_embeddings(far) - whitened).norm() < .1*whitened.norm()
    g.save_pretrained(tmp_path, torch.float16)
    assert from_pretrained(tmp_path).generate(2, seed=0, steps=2).isfinite().all()
    m = from_pretrained(tmp_path).to(dtype)
    assert m.generate(2, like=far[:1], seed=0, steps=2).dtype == m.get_embeddings(far).dtype == torch.float32

# --- options

@pytest.mark.parametrize('options', [dict(rtol=1e-3), dict(method='euler', atol=1e-3), dict(method='dopri5', steps=5), dict(steps=0), dict(steps=np.nan), dict(method='dopri5', rtol=np.nan),
    dict(method='dopri5', atol=0.), dict(method='dopri5', rtol=-1), dict(eta=0.), dict(clip=3.), dict(guidance_scale=2.), dict(guidance_scale=np.nan), dict(like=X[:1], guidance_scale=np.nan), dict(like=X[:1], guidance_scale=dict(like=np.inf)),
    dict(like=X[:1], guidance_scale='2'), dict(seq_len=0), dict(n=0), dict(n=2.5), dict(bs=np.nan), dict(sampler='ddim'), dict(cond=dict(r=np.full((1, 3), np.nan)))], ids=str)
def test_options_that_are_refused(options, generator):
    for g in (generator, generator.model):
        with pytest.raises((ValueError, TypeError), match='|'.join(options) + '|finite'): g.generate(**options)

@pytest.mark.parametrize('options', [dict(sampler='ddpm', eta=.5), dict(eta=np.nan), dict(clip=np.nan), dict(steps=0), dict(steps=np.nan), dict(method='euler'), dict(rtol=1e-3), dict(sampler='ddpm', steps=1001)], ids=str)
def test_options_that_diffusion_refuses(options):
    m = DiffFM(2, **SMALL)
    m.trained_len.fill_(20)
    with pytest.raises((ValueError, TypeError), match='|'.join(options)): m.generate(**options)

def test_settings_of_the_own_sampler_stay():
    m = FlowFM(2, sampler=dict(name='ode', method='euler', steps=3), **SMALL)
    m.trained_len.fill_(20)
    for kw, nfe in ((dict(), 3), (dict(sampler='ode'), 3), (dict(method='midpoint'), 6), (dict(steps=4), 4)):
        m.generate(1, **kw)
        assert m.nfe == nfe
    m.generate(1, method='dopri5') # whose steps are its own

# --- batches, callbacks, several labels

@pytest.mark.parametrize('kw', [dict(bs=1), dict(bs=31, drop_last=False), dict(bs=16, drop_last=True)], ids=str)
def test_a_batch_of_one(kw):
    for learn in (learner(data(s, **kw)), learner(data(rng.normal(size=N), tfm=TSRegression, **kw)), learner(get_ts_dls(X, splits=SPLITS, **kw))): fit(learn)

@pytest.mark.parametrize('cb', [SaveModelCallback, EarlyStoppingCallback, ReduceLROnPlateau, lambda: SaveModelCallback('accuracy', every_epoch=True), lambda: [SaveModelCallback('accuracy'), EarlyStoppingCallback()]])
def test_callbacks_in_recipes(cb, tmp_path):
    dls = data(s, path=tmp_path)
    for kw in (dict(cbs=cb()), dict(fit=dict(cbs=cb()))):
        kw['fit'] = {**kw.get('fit', {}), 'freeze_epochs': 1}
        for pre in (False, learner(data(s)).model): fine_tune(dls, pre, epochs=1, **kw, **({} if pre else SMALL))
    linear_probe(dls, False, cbs=cb(), **SMALL), knn_probe(dls, False, cbs=cb(), **SMALL)
    few_label_curve(dls, fine_tune, False, budgets=(3,), seeds=1, cbs=cb(), epochs=1, fit=dict(freeze_epochs=0), **SMALL)

def test_summary(capsys):
    for learn in (learner(get_ts_dls(X, bs=16)), learner(data(s)), fit(learner(get_ts_dls(X, bs=16)))): assert 'Total params' in str(learn.summary()) + capsys.readouterr().out

def test_several_labels(tmp_path):
    y = np.empty(N, object)
    for i in range(N): y[i] = ['walk', 'talk'] if i % 3 else ['sit'] if i % 2 else []
    learn = fit(learner(data(y, tfm=TSMultiLabelClassification), metrics=accuracy_multi))
    with learn.no_bar(): probs, score = learn.get_X_preds(X)[0], learn.validate()[1]
    assert 0 <= score <= 1 and probs.shape == (N, 3)
    learn.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path).predict(X)
    torch.testing.assert_close(again.probs, probs, rtol=1e-4, atol=1e-5)
    assert [set(v) for v in again.y] == [{c for c, q in zip(learn.dls.vocab, r) if q > .5} for r in probs]
    assert flowfm_learner(learn.dls, pretrained=tmp_path).model.c_out == 3
    learn.dls.train.dataset.tls[1].items[3] = [None]
    with pytest.raises(ValueError, match='missing'): learner(learn.dls)

@pytest.mark.parametrize('shape', [(6, 64, 50), (6, 50, 64), (6, 30, 5)])
def test_windows_come_back_as_they_went(shape, tmp_path):
    x = rng.normal(size=shape).astype(np.float32)
    for out in (tmp_path/'d.npz', tmp_path/'d'): np.testing.assert_array_equal(open_windows(HARData(x).save(out)).X[:], x)

# --- text

@pytest.fixture(scope='module')
def text_models(tmp_path_factory):
    "Two language models whose files have equal names, sizes and dates."
    from transformers import BertConfig, BertModel, BertTokenizer
    folders = [tmp_path_factory.mktemp(f'm{i}') for i in range(2)]
    for i, f in enumerate(folders):
        torch.manual_seed(i)
        (f/'vocab.txt').write_text('\n'.join(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'dog', 'man', 'walks', '.']))
        BertModel(BertConfig(vocab_size=10, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)).save_pretrained(f)
        BertTokenizer(str(f/'vocab.txt')).save_pretrained(f)
        for file in f.iterdir(): os.utime(file, (10**9, 10**9))
    return folders

def test_two_models_two_caches(text_models, tmp_path):
    one, two = (TextEncoder(f, cache=tmp_path) for f in text_models)
    assert one.file != two.file and not torch.allclose(one('a man walks'), two('a man walks'))
    torch.testing.assert_close(two('a man walks'), two.encode(['a man walks']))
    one.file.write_bytes(two.file.read_bytes()) # another one's rows
    torch.testing.assert_close(TextEncoder(text_models[0], cache=tmp_path)('a man walks'), one.encode(['a man walks']))

def test_a_model_that_is_replaced(text_models, tmp_path):
    folder = shutil.copytree(text_models[0], tmp_path/'m')
    enc = TextEncoder(folder, cache=tmp_path/'c')
    enc('a dog')
    first = enc.file
    shutil.copytree(text_models[1], folder, dirs_exist_ok=True)
    assert enc.file == first and TextEncoder(folder).content == TextEncoder(text_models[1]).content # the first one is in memory still

def test_two_processes_fill_one_cache(text_models, tmp_path):
    code = f"""from flowfm_tsai.text import TextEncoder
enc = TextEncoder({str(text_models[0])!r}, cache={str(tmp_path)!r}, bs=1)
for i in range(3): enc([f'a man walks {{"dog "*j}}' for j in range(40)], progress=False)"""
    runs = [subprocess.Popen([sys.executable, '-W', 'error::flowfm_tsai.core.FlowFMWarning', '-c', code], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for r in runs: assert r.wait(120) == 0, r.stderr.read()[-2000:]
    with closing(sqlite3.connect(TextEncoder(text_models[0], cache=tmp_path).file)) as db: assert db.execute('SELECT count(*) FROM vectors').fetchone() == (40,)

def test_a_table_of_another_kind(text_models, tmp_path):
    enc = TextEncoder(text_models[0], cache=tmp_path)
    with closing(sqlite3.connect(enc.file)) as db, db: db.execute('CREATE TABLE vectors (a INT)')
    with pytest.warns(FlowFMWarning): z = enc('a dog')
    assert torch.equal(enc('a dog'), z)
    enc = TextEncoder(text_models[0], 'last', cache=tmp_path)
    enc.file.mkdir()
    with pytest.warns(FlowFMWarning, match="aren't kept"): enc('a dog')

@pytest.mark.parametrize('args', [dict(cache='there'), dict(device='cuda'), dict(dtype='x'), dict(bs=1), dict(trust_remote_code=True)], ids=str)
def test_a_config_says_no_more_than_it_writes(args, text_models, tmp_path):
    if 'cache' in args: args = dict(cache=str(tmp_path/'there'))
    said = dict(condition='y', encoder='flowfm_tsai.text.TextEncoder', args=dict(name=str(text_models[0]), pooling='mean', max_length=None, n_features=16))
    m = FlowFM(2, conditions=dict(y=16), inputs=dict(text=said), **SMALL)
    assert m.encoder_of('text').name == str(text_models[0])
    said['args'].update(args)
    with pytest.raises(ValueError, match=f'the argument {list(args)[0]}'): FlowFM(2, conditions=dict(y=16), inputs=dict(text=said), **SMALL).encoder_of('text')
    said.update(encoder='flowfm_tsai.data.storage.WindowWriter', args=dict(out=str(tmp_path/'there/w')))
    with pytest.raises(ValueError, match='is unknown'): FlowFM(2, conditions=dict(y=16), inputs=dict(text=said), **SMALL).encoder_of('text')
    assert not (tmp_path/'there').exists()

OWN = [('config.json', dict(auto_map=dict(AutoConfig='own.C', AutoModel='own.M'), model_type='own')), ('config.json', dict(auto_map=dict(AutoModel='own.M'))),
       ('tokenizer_config.json', dict(auto_map=dict(AutoTokenizer=['own.T', None]), tokenizer_class='T'))]

def test_no_code_of_a_model_is_run(text_models, tmp_path):
    for i, (file, said) in enumerate(OWN):
        folder = shutil.copytree(text_models[0], tmp_path/f'm{i}')
        (folder/file).write_text(json.dumps({**json.loads((folder/file).read_text()), **said}))
        (folder/'own.py').write_text(f"open({str(tmp_path/'ran')!r}, 'w')\n")
    code = f"""from flowfm_tsai.text import TextEncoder
for i in range({len(OWN)}):
    try: print(TextEncoder(f'm{{i}}', cache='c')('a dog').shape)
    except ValueError as e: print(e)"""
    r = subprocess.run([sys.executable, '-c', code], input='y\n'*9, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert r.returncode == 0 and not (tmp_path/'ran').exists() and 'Do you wish' not in r.stdout + r.stderr, r.stderr
    assert r.stdout.count('is never run') == 1 and r.stdout.count('torch.Size([1, 16])') == 2
