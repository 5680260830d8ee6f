"Exported models: the program of the how-to page where there is no torch, and the classes of real windows."
import json, subprocess, sys
from pathlib import Path
import numpy as np
import pytest
pytest.importorskip('onnxscript'), pytest.importorskip('onnxruntime')
from tsai.data.core import get_ts_dls, TSClassification
from flowfm_tsai.bench.edge import SETS
from flowfm_tsai.all import export_onnx, flowfm_learner
from flowfm_tsai.export import graph_session, quantize_onnx
from flowfm_tsai.wearables.har import open_set

PAGE = Path(__file__).resolve().parent.parent/'nbs/how_to/14_export.ipynb'
NO_TORCH = """
import importlib.abc, sys
class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('torch', 'fastai', 'tsai', 'flowfm_tsai'): raise ImportError(f'{name} was imported')
sys.meta_path.insert(0, Nothing())
"""

def program():
    "The one of the page."
    cells = [''.join(c['source']) for c in json.loads(PAGE.read_text(encoding='utf-8'))['cells']]
    return next(c for c in cells if c.startswith('program = ')).split('"""')[1]

def classifier(X, y, **kwargs):
    "The weights that ship, or a small network, and a linear probe."
    learn = flowfm_learner(get_ts_dls(X, y, tfms=[None, TSClassification()], bs=64), seed=0, **kwargs)
    learn.start_head()
    return learn

def test_the_program_of_the_page_without_torch(tmp_path, waves):
    X, y = waves
    learn = classifier(X, y, pretrained=False, dim=16, depth=2, n_heads=2, patch_size=5)
    learn.model.card = {'fits': {'rate_hz': 20}}
    export_onnx(learn, tmp_path/'waves.onnx')
    np.save(tmp_path/'windows.npy', X[:5])
    said = program()
    assert len(said.strip().split('\n')) <= 31 and {l.split()[1] for l in said.split('\n') if l.startswith('import')} == {'json,', 'numpy', 'onnxruntime'}
    (tmp_path/'watch.py').write_text(NO_TORCH + said)
    command = [sys.executable, 'watch.py', 'waves.onnx', 'windows.npy']
    r = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    first, *rest = r.stdout.strip().split('\n')
    assert first.split() == learn.model.predict(X[:5]).y.tolist()
    labels = learn.stream().push(np.concatenate(X[:5], 1).T)
    assert [(f'{l.time:.2f}', l.label) for l in labels] == [tuple(l.split()[:2]) for l in rest]
    (tmp_path/'watch.py').write_text(NO_TORCH + 'import torch') # what was shown is shown by something that can fail
    assert 'torch was imported' in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stderr

def test_classes_of_real_windows(real_data, tmp_path):
    "The smallest of the three sets; `flowfm bench edge` compares all of them."
    d = open_set(SETS[0], real_data)
    X = d.X[:].astype(np.float32)
    learn = classifier(X, d.y)
    export_onnx(learn, tmp_path/'one.onnx')
    quantize_onnx(tmp_path/'one.onnx', tmp_path/'eight.onnx', X[::2])
    ours = learn.model.predict(X).probs.numpy().argmax(1)
    one, eight = (graph_session(tmp_path/f).run(None, {'x': X})[0].argmax(1) for f in ('one.onnx', 'eight.onnx'))
    assert (one == ours).all() and (eight != ours).mean() <= .02
