"The weights that come with the package: in the wheel, without a network, and worth having."
import shutil, subprocess, sys, zipfile
from pathlib import Path
import numpy as np
from tsai.data.core import get_ts_dls, TSClassification
from flowfm_tsai.all import *
from flowfm_tsai.bench.baselines import forest, minirocket

root = Path(__file__).parent.parent

def test_wheel(fresh, tmp_path):
    "Built, unpacked and imported elsewhere, in a process that can't open a connection."
    tree = shutil.copytree(root, tmp_path/'tree', ignore=shutil.ignore_patterns('.venv', '.git', 'docs', 'nbs', 'build', '*.egg-info', 'demo'))
    r = subprocess.run([sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', str(tmp_path), str(tree)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr[-2000:]
    wheel = next(tmp_path.glob('*.whl'))
    assert wheel.stat().st_size < 40e6
    zipfile.ZipFile(wheel).extractall(tmp_path/'site')
    out = fresh("""
import socket, sys, warnings
def refuse(*args, **kwargs): raise OSError('no network')
socket.socket.connect = refuse
sys.path.insert(0, 'site')
import flowfm_tsai, numpy as np
assert 'site' in flowfm_tsai.__file__, flowfm_tsai.__file__
from tsai.basics import *
from flowfm_tsai.all import *
X = np.stack([.2*np.random.randn(90, 300), .2*np.random.randn(90, 300), np.ones((90, 300))], 1).astype('float32')
learn = flowfm_learner(get_ts_dls(X, np.repeat(['a', 'b', 'c'], 30), tfms=[None, TSClassification()], bs=30))
gen = from_pretrained('wrist-tiny')
print(learn.pretrained, tuple(gen.generate(2, seed=0).shape), tuple(learn.get_embeddings(X[:4]).shape))
""")
    assert out.splitlines()[-1] == 'True (2, 3, 300) (4, 1352)'

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
