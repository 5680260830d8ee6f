"A data set from outside the package: a reader in a file of one's own, from Python and from a shell, in fresh processes."
import os, subprocess, sys
from pathlib import Path
import numpy as np
import pytest

READER = '''
from flowfm_tsai.wearables.archives import read_table
from flowfm_tsai.wearables.sources import block, register_source

@register_source('mine', title='Mine', pattern=r'(?P<activity>[a-z]+)_(?P<pid>[a-z]+)[.]csv$', rate=25, classes=('still', 'wave'))
def read_mine(member, match, source, known):
    for d in read_table(member, dict(t='t', x='x', y='y', z='z')): yield block(d['t'], d, source.code_of(match))
'''

@pytest.fixture
def mine(tmp_path):
    "A folder with `my_readers.py`, and with the files of two people in `raw`."
    rng, t = np.random.default_rng(0), np.arange(25*25)/25
    (tmp_path/'my_readers.py').write_text(READER)
    (tmp_path/'raw').mkdir()
    for who in ('ann', 'ben'):
        for what in ('still', 'wave'):
            x = np.stack([(what == 'wave')*np.sin(2*np.pi*t), 0*t, 1 + 0*t], 1) + rng.normal(0, .01, (len(t), 3))
            np.savetxt(tmp_path/f'raw/{what}_{who}.csv', np.c_[t, x], delimiter=',', header='t,x,y,z', comments='')
    return tmp_path

def flowfm(*args, cwd):
    r = subprocess.run([Path(sys.executable).with_name('flowfm'), *args], cwd=cwd, capture_output=True, text=True, timeout=300)
    return r.returncode, r.stdout + r.stderr

def test_from_python(mine, fresh):
    said = fresh("from flowfm_tsai.all import *\nimport my_readers\nfrom flowfm_tsai.recipes import open_data\n"
                 "d = har.load('mine', 'raw')\nprint(d, d.X.shape, *sorted(set(d.y)), open_data('raw').X.shape)", cwd=mine)
    assert "(16, 3, 300) still wave (16, 3, 300)" in said

def test_from_a_shell(mine):
    code, said = flowfm('data', 'my_readers:mine', '--root', 'raw', '--out', 'mine.npz', cwd=mine)
    assert code == 0 and '8 still' in said and '8 wave' in said, said
    z = np.load(mine/'mine.npz')
    assert z['X'].shape == (16, 3, 300) and sorted(set(z['pid'])) == ['ann', 'ben'] and not list(mine.glob('.*.parts'))
    code, said = flowfm('data', 'no_readers:mine', '--root', 'raw', '--out', 'b.npz', cwd=mine)
    assert code == 2 and "there is no module 'no_readers'" in said and 'Traceback' not in said

def test_of_an_installed_package(mine, monkeypatch):
    info = mine/'site/mine-1.0.dist-info'
    info.mkdir(parents=True)
    (info/'METADATA').write_text('Name: mine\nVersion: 1.0\n')
    (info/'entry_points.txt').write_text('[flowfm_tsai.sources]\nmine = my_readers\n')
    os.rename(mine/'my_readers.py', mine/'site/my_readers.py')
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(filter(None, [str(mine/'site'), os.environ.get('PYTHONPATH')])))
    code, said = flowfm('data', 'mine', '--root', 'raw', '--out', 'mine.npz', cwd=mine)
    assert code == 0 and '8 wave' in said, said
