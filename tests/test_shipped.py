"The package as a user gets it, with its weights: in the wheel, without a network, and worth having."
import os, shutil, subprocess, sys, sysconfig, tarfile, zipfile
from pathlib import Path
from types import SimpleNamespace
import numpy as np
import pytest
from tsai.data.core import get_ts_dls, TSClassification
from flowfm_tsai.all import *
from flowfm_tsai.bench.baselines import forest, minirocket

root = Path(__file__).parent.parent

@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """The package as a user gets it: a source distribution of this tree, a wheel made from that alone, and that wheel in an
    environment of its own. What the package needs is taken from the environment that the tests run in, which has it already."""
    tmp = tmp_path_factory.mktemp('package')
    run = lambda *args, **kw: subprocess.run(list(map(str, args)), check=True, capture_output=True, text=True, **kw).stdout
    tree = shutil.copytree(root, tmp/'tree', ignore=shutil.ignore_patterns('.*', '_build', '_site', 'build', 'dist', '*.egg-info', '__pycache__'))
    run(sys.executable, '-c', f"from setuptools.build_meta import build_sdist; build_sdist({str(tmp)!r})", cwd=tree)
    shutil.rmtree(tree)
    sdist, = tmp.glob('*.tar.gz')
    run(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-index', '--no-deps', '--no-build-isolation', '-w', tmp, sdist)
    wheel, = tmp.glob('*.whl')
    run(sys.executable, '-m', 'venv', '--without-pip', tmp/'env')
    python = tmp/'env'/('Scripts' if os.name == 'nt' else 'bin')/'python'
    site, theirs = Path(run(python, '-c', "import sysconfig; print(sysconfig.get_path('purelib'))").strip()), sysconfig.get_path('purelib')
    (site/'a_theirs.pth').write_text(theirs) # a folder named in a .pth file is searched, and its own .pth files, by which this tree is found, aren't read; they are read in the order of their names
    for f in Path(theirs).glob('distutils-precedence.pth'): shutil.copy(f, site) # distutils, which tsai imports and Python 3.12 no longer has
    run(sys.executable, '-m', 'pip', '--python', python, 'install', '-q', '--no-index', '--no-deps', wheel)
    return SimpleNamespace(sdist=sdist, wheel=wheel, python=python, site=site, cwd=tmp)

def test_sdist_and_wheel(installed):
    "Both hold what they are for; neither holds a build, a cache or the tests of another."
    with tarfile.open(installed.sdist) as f: inside = {n.partition('/')[2] for n in f.getnames()}
    tracked = {n for n in subprocess.run(['git', 'ls-files'], cwd=root, capture_output=True, text=True).stdout.split() if not n.startswith('.')}
    assert not tracked - inside and {'setup.py', 'settings.ini', 'pyproject.toml', 'README.md'} <= inside
    assert not [n for n in inside if '__pycache__' in n or n.startswith(('docs/_', '.'))]
    wheel = {n for n in zipfile.ZipFile(installed.wheel).namelist() if '.dist-info/' not in n}
    assert wheel == {n for n in inside if n.startswith('flowfm_tsai/') and Path(n).suffix}
    assert installed.wheel.stat().st_size < 40e6

def test_fresh_environment(installed):
    "Sdist, wheel, fresh environment: the weights generate and a learner starts from them, in a process that can't open a connection."
    code = """
import socket
def refuse(*args, **kwargs): raise OSError('no network')
socket.socket.connect = socket.create_connection = refuse
import sys, numpy as np
from tsai.basics import *
from flowfm_tsai.all import *
import flowfm_tsai.bench.runner, flowfm_tsai.wearables.har
for name, m in list(sys.modules.items()):
    if name.partition('.')[0] == 'flowfm_tsai': assert SITE in m.__file__, m.__file__
gen = from_pretrained('wrist-tiny')
x = gen.generate(2)
assert np.isfinite(np.asarray(x)).all()
X = np.stack([.2*np.random.randn(90, 300), .2*np.random.randn(90, 300), np.ones((90, 300))], 1).astype('float32')
learn = flowfm_learner(get_ts_dls(X, np.repeat(['a', 'b', 'c'], 30), tfms=[None, TSClassification()], bs=30))
print(tuple(x.shape), tuple(learn.get_embeddings(X[:4]).shape), learn.pretrained)
"""
    env = {k: v for k, v in os.environ.items() if not k.startswith('PYTHON')}
    run = lambda *args: subprocess.run([*map(str, args)], cwd=installed.cwd, env=env, capture_output=True, text=True, timeout=300)
    r = run(installed.python, '-c', f'SITE = {str(installed.site)!r}\n{code}')
    assert r.returncode == 0, r.stderr[-3000:]
    assert r.stdout.splitlines()[-1] == '(2, 3, 300) (4, 1352) True'
    r = run(installed.python.with_name('flowfm'), 'generate', '--weights', 'wrist-tiny', '--n', 2, '--seed', 0, '--out', 'two.npz')
    assert r.returncode == 0, r.stderr[-3000:]
    assert np.load(installed.cwd/'two.npz')['X'].shape == (2, 3, 300)

def test_every_module_imports(installed):
    "In the fresh environment each module of the package can be imported, and each page template is there."
    code = """
import importlib, pkgutil, flowfm_tsai
from pathlib import Path
for m in pkgutil.walk_packages(flowfm_tsai.__path__, 'flowfm_tsai.'): importlib.import_module(m.name)
print(*sorted(p.relative_to(flowfm_tsai.__path__[0]).as_posix() for o in ('bench/pages', 'weights') for p in Path(flowfm_tsai.__path__[0], o).rglob('*.*')), sep='\\n')
"""
    r = subprocess.run([installed.python, '-I', '-c', code], cwd=installed.cwd, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr[-3000:]
    here = sorted(p.relative_to(root/'flowfm_tsai').as_posix() for o in ('bench/pages', 'weights') for p in (root/'flowfm_tsai'/o).rglob('*.*'))
    assert r.stdout.split() == here and any(o.endswith('.safetensors') for o in here)

def test_card_and_size():
    folder = root/'flowfm_tsai'/'weights'/'wrist-tiny'
    card = (folder/'README.md').read_text()
    for word in ('WISDM', 'selfBACK', 'stress_predict', 'spsw_watch', 'CC BY 4.0', 'MIT', 'flowfm pretrain', 'seed', 'Limits'): assert word.lower() in card.lower(), word
    assert 'adl.npz' not in card.split('## What')[0] and 'weda' not in card.split('## What')[0].lower() # evaluation only
    assert sum(f.stat().st_size for f in (root/'flowfm_tsai'/'weights').rglob('*') if f.is_file()) < 40e6

def test_worth_having(real_data):
    "The representations of the weights that ship tell the activities of unseen people apart better than hand-made features do, in both evaluation sets."
    for name in ('adl', 'weda_fall'):
        data = har.load(name, real_data)
        f1 = {'probe': [], 'forest': []}
        for split in subject_folds(data.pid, 5, y=data.y):
            dls = get_ts_dls(data.X, data.y, splits=split, tfms=[None, TSClassification()], bs=64, inplace=False)
            f1['probe'].append(linear_probe(dls, 'wrist-tiny').metrics['macro_f1'])
            f1['forest'].append(forest(dls).metrics['macro_f1'])
        assert np.mean(f1['probe']) > np.mean(f1['forest']), (name, f1)

def test_minirocket_agrees(real_data):
    "MiniRocket with a ridge classifier, as measured elsewhere on this file: .984 accuracy on a random fifth of ADL."
    data = har.load('adl', real_data)
    acc = [minirocket(get_ts_dls(data.X, data.y, splits=random_split(len(data), .2, k), tfms=[None, TSClassification()], bs=64, inplace=False), seed=k).metrics['accuracy'] for k in range(2)]
    assert np.mean(acc) > .96, acc
