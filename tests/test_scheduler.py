"Workers of a Dask scheduler: one of them is killed, and nothing is lost."
import os, signal, time, zipfile
import numpy as np
import pytest
from flowfm_tsai.scheduler import in_order
from conftest import flowfm

def slowly(i):
    time.sleep(.3)
    return i, os.getpid()

def test_a_killed_worker():
    distributed = pytest.importorskip('distributed', reason="Dask comes with pip install 'flowfm_tsai[scale]'")
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster:
        found, killed = [], None
        for result, why in in_order(slowly, range(12), cluster.scheduler_address):
            assert why is None
            found.append(result)
            if len(found) == 2: os.kill(killed := result[1], signal.SIGKILL)
        assert [i for i, _ in found] == list(range(12)) # all of them, in order, though one of two workers died on the way
        assert killed not in [pid for _, pid in found[-4:]] # what it had not finished was done by others

def test_no_more_than_needed_is_handed_out(tmp_path):
    "Of items that are made when they are asked for, two for each worker are under way."
    distributed = pytest.importorskip('distributed', reason="Dask comes with pip install 'flowfm_tsai[scale]'")
    taken = []
    with distributed.LocalCluster(2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        results = in_order(slowly, (taken.append(i) or i for i in range(100)), cluster.scheduler_address)
        assert next(results)[0][0] == 0 and len(taken) <= 5
        results.close()

READERS = '''
import os, signal
from pathlib import Path
from flowfm_tsai.wearables.archives import read_table
from flowfm_tsai.wearables.sources import block, register_source

@register_source('gym', title='Gym', rate=50, classes=('row',), pattern=r'(?P<pid>[a-z]+)\\.csv(?:\\.gz)?$', files='ann.csv', zips=r'gym\\.zip$')
def read_gym(member, match, source, known):
    if match['pid'] == 'fay' and 'KILL' in os.environ and not (mark := Path(os.environ['KILL'])).exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL) # a worker dies in the middle of it
    for d in read_table(member, dict(t='t', x='x', y='y', z='z')): yield block(d['t'], d, 0)
'''

@pytest.fixture
def gym(tmp_path):
    "A folder with a reader of one's own and recordings, one of them in a zip."
    (tmp_path/'my_gym.py').write_text(READERS)
    rng, t = np.random.default_rng(0), np.arange(3000)/50
    (tmp_path/'raw').mkdir()
    def text(): return '\n'.join(['t,x,y,z', *(f'{u:.2f},{a:.4f},{b:.4f},{1+c:.4f}' for u, (a, b, c) in zip(t, rng.normal(0, .1, (len(t), 3))))]) + '\n'
    for pid in ('ann', 'ben', 'cat', 'dan', 'eve', 'fay'): (tmp_path/f'raw/{pid}.csv').write_text(text())
    with zipfile.ZipFile(tmp_path/'raw/gym.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('more/gus.csv', text())
    return tmp_path

def same_files(a, b):
    "Whether two folders have the same files, to the byte."
    names = [sorted(p.name for p in d.iterdir()) for d in (a, b)]
    return names[0] == names[1] and all((a/n).read_bytes() == (b/n).read_bytes() for n in names[0])

def test_windows_of_many_recordings(gym, monkeypatch):
    "`flowfm data --scheduler` writes what one process writes, to the byte, also where a worker was killed."
    pytest.importorskip('distributed', reason="Dask comes with pip install 'flowfm_tsai[scale]'")
    flowfm('data', 'my_gym:gym', '--root', 'raw', '--out', 'one', cwd=gym)
    monkeypatch.setenv('KILL', str(gym/'killed'))
    flowfm('data', 'my_gym:gym', '--root', 'raw', '--out', 'many', '--scheduler', 'local:2', cwd=gym)
    assert (gym/'killed').exists() and same_files(gym/'one', gym/'many')
    assert not list(gym.glob('.*.parts'))

def test_a_recording_that_cannot_be_read(gym):
    "It is named, the others are finished, and the same command goes on with them when it was mended."
    pytest.importorskip('distributed', reason="Dask comes with pip install 'flowfm_tsai[scale]'")
    command, good = ['data', 'my_gym:gym', '--root', 'raw', '--out', 'many', '--scheduler', 'local:2'], (gym/'raw/cat.csv').read_text()
    (gym/'raw/cat.csv').write_text('nothing,of,the,kind\n1,2,3,4\n')
    said = flowfm(*command, cwd=gym, ok=False)
    assert '1 of 7 recordings couldn\'t be read' in said and 'raw/cat.csv: ValueError' in said and 'expected the columns t, x, y, z' in said
    assert not (gym/'many').exists() and len(list((gym/'.many.parts').glob('*.json'))) == 6
    (gym/'raw/cat.csv').write_text(good)
    flowfm(*command, cwd=gym), flowfm('data', 'my_gym:gym', '--root', 'raw', '--out', 'one', cwd=gym)
    assert same_files(gym/'one', gym/'many')

def test_a_scheduler_that_does_not_answer(gym):
    "It is an error, and what was to be done can be done later."
    pytest.importorskip('distributed', reason="Dask comes with pip install 'flowfm_tsai[scale]'")
    said = flowfm('data', 'my_gym:gym', '--root', 'raw', '--out', 'many', '--scheduler', 'tcp://127.0.0.1:9', cwd=gym, ok=False)
    assert "--scheduler 'tcp://127.0.0.1:9' doesn't answer" in said and not (gym/'many').exists()
