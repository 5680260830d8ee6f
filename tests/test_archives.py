"Files of strangers, where it takes a process of its own to see: memory, pipes, two writers at once, killed writers. And a short round of damaged archives."
import gzip, io, json, os, resource, shutil, signal, socket, subprocess, sys, warnings, zipfile
from pathlib import Path
import numpy as np
import pytest
from flowfm_tsai.data.storage import HARData, open_windows
from flowfm_tsai.wearables.archives import find_files
from flowfm_tsai.wearables.files import load, open_data
sys.path.insert(0, str(Path(__file__).parent/'torture'))
import archives

WISDM, ADL = archives.WHERE.format(1600), 'HMP_Dataset/Walk/Accelerometer-2011-03-24-10-24-39-walk-f1.txt'

def in_child(f, seconds=60):
    "What `f` raises or returns, as text, in a process that ends after some seconds; and the memory that it took, in MB."
    r, w = os.pipe()
    if not (pid := os.fork()):
        signal.alarm(seconds)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try: said = str(f())
        except BaseException as e: said = f'{type(e).__name__}: {e}'
        os.write(w, json.dumps([said, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10]).encode())
        os._exit(0)
    os.close(w)
    with open(r) as f: said = f.read()
    assert os.waitpid(pid, 0)[1] == 0, 'it hung, or was killed'
    return json.loads(said)

def bomb(path, name, content, mb, method=zipfile.ZIP_DEFLATED, head=b''):
    "A zip of `mb` megabytes of the same bytes."
    with zipfile.ZipFile(path, 'w', method, compresslevel=6) as z, z.open(name, 'w', force_zip64=True) as f:
        f.write(head)
        for _ in range(mb): f.write(content*(2**20//len(content)))
    return path

def moving(n): return b''.join(b'%d %d %d\n' % tuple(v) for v in (np.random.default_rng(0).integers(10, 50, (n, 3))))

BOMBS = dict(
    no_line_ends=lambda d: ('wisdm', bomb(d/'wisdm.zip', WISDM, b'0', 1024)),
    no_line_ends_bzip2=lambda d: ('wisdm', bomb(d/'wisdm.zip', WISDM, b'0', 256, zipfile.ZIP_BZIP2)),
    no_line_ends_lzma=lambda d: ('wisdm', bomb(d/'wisdm.zip', WISDM, b'0', 256, zipfile.ZIP_LZMA)),
    line_ends_alone=lambda d: ('wisdm', bomb(d/'wisdm.zip', WISDM, b'\n', 256)),
    lines=lambda d: ('adl', bomb(d/'adl.zip', ADL, b'20 30 40\n', 512)),
    lines_that_move=lambda d: ('adl', bomb(d/'adl.zip', ADL, moving(64), 512)),
    short_lines=lambda d: ('opportunity', bomb(d/'opportunity.zip', 'S1-ADL1.dat', b'1\n', 256, head=b'1 '*250 + b'\n')),
    short_lines_in_the_fast_way=lambda d: ('wisdm', bomb(d/'wisdm.zip', WISDM, b'1600,A,1,,\n', 15, head=b'1600,A,1,2,3,4\n')),
    many_columns=lambda d: ('realworld', bomb(d/'realworld.zip', 'proband1/data/acc_walking_forearm.csv', b'1,2\n', 256,
                                              head=b'attr_time,attr_x,attr_y,attr_z' + b',a'*400_000 + b'\n')),
    quotes=lambda d: ('realworld', bomb(d/'realworld.zip', 'proband1/data/acc_walking_forearm.csv', b'"', 256, head=b'attr_time,attr_x,attr_y,attr_z\n')))

@pytest.mark.parametrize('kind', BOMBS)
def test_a_bomb_takes_little_memory(kind, tmp_path):
    name, path = BOMBS[kind](tmp_path)
    said, mb = in_child(lambda: load(name, path))
    assert said.startswith('ValueError') and path.name in said and mb < 300, (said[:300], mb)

def test_a_bomb_of_gzip_in_a_zip_in_a_zip(tmp_path):
    "Steps don't multiply."
    (tmp_path/'annotation-label-dictionary.csv').write_text('annotation,label:Walmsley2020\na,sleep\n')
    with gzip.open(tmp_path/'P001.csv.gz', 'wb') as f:
        f.write(b'time,x,y,z,annotation\n')
        for i in range(256): f.write(b'2016-11-13 02:18:00.00,1,2,3,a\n'*2**15)
    with zipfile.ZipFile(tmp_path/'capture24.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.write(tmp_path/'P001.csv.gz', 'P001.csv.gz')
    for root in (tmp_path, tmp_path/'capture24.zip'):
        if root != tmp_path: zipfile.ZipFile(root, 'a').write(tmp_path/'annotation-label-dictionary.csv', 'annotation-label-dictionary.csv')
        said, mb = in_child(lambda: load('capture24', root))
        assert 'P001.csv.gz unpacks to more than' in said and mb < 300, (said, mb)
    bomb(tmp_path/'capture24.zip', 'annotation-label-dictionary.csv', b'a,b\n', 256)
    os.remove(tmp_path/'annotation-label-dictionary.csv')
    said, mb = in_child(lambda: load('capture24', tmp_path))
    assert 'dictionary.csv unpacks to more than' in said and mb < 300, (said, mb)

def test_a_list_of_a_million_files(tmp_path):
    with zipfile.ZipFile(tmp_path/'wisdm.zip', 'w') as z:
        for i in range(150_000): z.writestr(f'{i:040}', b'')
    said, mb = in_child(lambda: load('wisdm', tmp_path/'wisdm.zip'))
    assert 'its list of files takes' in said and mb < 300, (said, mb)

def npz(path, n, header=None, method=zipfile.ZIP_DEFLATED):
    "A file .npz with an X of n megabytes of zeros, whose header may say something else."
    np.lib.format.write_array_header_1_0(b := io.BytesIO(), header or dict(descr='|i1', fortran_order=False, shape=(n*2**10, 2, 512)))
    return bomb(path, 'X.npy', b'\0', n, method, b.getvalue())

@pytest.mark.parametrize('shape', [None, (10**9, 3, 300), (4096, 4, 64)])
@pytest.mark.parametrize('method', [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_an_npz_that_unpacks_to_more_than_it_says_or_too_much(tmp_path, shape, method):
    path = npz(tmp_path/'x.npz', 512, shape and dict(descr='<f4', fortran_order=False, shape=shape), method)
    said, mb = in_child(lambda: open_windows(path))
    assert said.startswith('ValueError') and 'x.npz' in said and mb < 300, (said, mb)

def test_a_whole_file_of_a_hundred_megabytes_is_read(tmp_path):
    "The bounds let real data sets through: 120 MB of WISDM's lines in a zip, within 300 MB of memory."
    rng = np.random.default_rng(0)
    part = [b','.join(b'%.7f' % v for v in row) + b';\n' for row in rng.normal(0, 6, (20_000, 3))]
    with zipfile.ZipFile(tmp_path/'wisdm.zip', 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as z, z.open(WISDM, 'w', force_zip64=True) as f:
        for i in range(120): f.write(b''.join(b'1600,A,%d,' % ((i*20_000 + j)*50_000_000) + p for j, p in enumerate(part)))
    def read():
        data = load('wisdm', tmp_path/'wisdm.zip', tmp_path/'out')
        return len(data)
    said, mb = in_child(read, 200)
    assert said == '23999' and mb < 300, (said, mb)

def wisdm(folder, *pids):
    "A folder with recordings of WISDM."
    for pid in pids or (1600, 1601, 1602):
        f = folder/archives.WHERE.format(pid)
        f.parent.mkdir(parents=True, exist_ok=True)
        f.write_bytes(archives.recording(str(pid)))
    return folder

def quiet(f, *args, **kwargs):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        got = f(*args, **kwargs)
    return got, ' | '.join(str(w.message) for w in said)

def test_what_would_block_is_passed_over_or_refused(tmp_path):
    wisdm(tmp_path, 1600)
    accel = (tmp_path/archives.WHERE).parent
    os.mkfifo(accel/'data_1601_accel_watch.txt'), os.symlink('/dev/zero', accel/'data_1602_accel_watch.txt'), os.symlink('nowhere', accel/'data_1603_accel_watch.txt')
    os.mkfifo(tmp_path/'wisdm-2.zip'), os.mkfifo(tmp_path/'alone.zip'), os.mkfifo(tmp_path/'x.npz'), os.symlink('loop', tmp_path/'loop')
    cwd = os.getcwd()
    try: # the name of a socket may not be long
        os.chdir(accel), socket.socket(socket.AF_UNIX).bind('data_1604_accel_watch.txt')
    finally: os.chdir(cwd)
    said, _ = in_child(lambda: quiet(load, 'wisdm', tmp_path))
    assert '1 subjects' in said, said
    for name in ('data_1601', 'data_1602', 'data_1603', 'data_1604', 'wisdm-2.zip'): assert f'{name}' in said and 'is passed over: a pipe' in said, name
    for f in (lambda: load('wisdm', tmp_path/'alone.zip'), lambda: open_data(tmp_path/'alone.zip'), lambda: open_windows(tmp_path/'x.npz'), lambda: open_data(tmp_path/'x.npz')):
        said, _ = in_child(f)
        assert said.startswith('ValueError') and ('alone.zip' in said or 'x.npz' in said), said

def test_links_are_entered_and_circles_end(tmp_path):
    whole = wisdm(tmp_path/'far/away')
    root = tmp_path/'root'
    root.mkdir()
    os.symlink(whole, root/'wisdm'), os.symlink(root, whole/'back'), os.symlink(whole/'wisdm-dataset', whole/'wisdm-dataset/raw/round')
    found = [m['pid'] for m, _ in find_files(root, r'data_(?P<pid>\d+)_accel_watch\.txt$')]
    assert found == ['1600', '1601', '1602']
    for i in range(24): # each folder with two links to the next
        (tmp_path/f'm/{i}').mkdir(parents=True)
        if i: [os.symlink(tmp_path/f'm/{i}', tmp_path/f'm/{i-1}/{k}') for k in 'ab']
    said, _ = in_child(lambda: find_files(tmp_path/'m/0', 'x(y)'), 120)
    assert 'more than 100,000 folders' in said, said

def test_a_damaged_zip_beside_the_unpacked_folder(tmp_path):
    wisdm(tmp_path)
    whole = quiet(load, 'wisdm', tmp_path)[0]
    b = archives.wisdm()
    for bad in (b[:len(b)//2], b[:300] + bytes(300) + b[600:], b''):
        (tmp_path/'wisdm.zip').write_bytes(bad)
        data, said = quiet(load, 'wisdm', tmp_path)
        assert np.array_equal(data.X, whole.X) and ('wisdm.zip is damaged' in said or bad[-22:] == b[-22:])
    shutil.rmtree(tmp_path/'wisdm-dataset')
    with pytest.raises(ValueError, match='wisdm.zip is damaged'): load('wisdm', tmp_path)

def test_a_file_that_is_there_twice_in_a_zip(tmp_path):
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path/'wisdm.zip', 'w') as z:
        warnings.simplefilter('ignore')
        for content in (b'an older one', archives.recording('1600')): z.writestr(WISDM, content)
    data, said = quiet(load, 'wisdm', tmp_path)
    assert len(data) and 'has two different files' in said and len(set(data.pid)) == 1

SLOW = """
import sys, time, warnings
from dataclasses import replace
from flowfm_tsai.wearables.files import *
from flowfm_tsai.wearables.sources import SOURCES
warnings.simplefilter('ignore')
read = SOURCES['wisdm'].read
def slow(member, *args):
    print(member.path[-20:-16], flush=True)
    if len(sys.argv) > 1: time.sleep(float(sys.argv[1]))
    yield from read(member, *args)
SOURCES['wisdm'] = replace(SOURCES['wisdm'], read=slow)
from flowfm_tsai.wearables.sources import load
print(len(load('wisdm', 'raw', 'made', progress=False)), flush=True)
"""

def test_two_writers_and_a_killed_one(tmp_path):
    "The second one is refused; what a killed one finished is gone on with, and nothing of it is left."
    wisdm(tmp_path/'raw')
    n = len(quiet(load, 'wisdm', tmp_path/'raw')[0])
    def start(*args): return subprocess.Popen([sys.executable, '-c', SLOW, *args], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = start('30')
    assert first.stdout.readline() == '1600\n'
    second = start()
    out, err = second.communicate(timeout=120)
    assert second.returncode and 'another process works at' in err and not out, (out, err)
    first.kill(), first.communicate()
    third = start('1.5')
    assert [third.stdout.readline() for _ in range(2)] == ['1600\n', '1601\n']
    third.kill(), third.communicate()
    part = next((tmp_path/'.made.parts').glob('*.json'))
    fourth = start()
    assert fourth.communicate(timeout=120)[0] == f'1601\n1602\n{n}\n'
    assert sorted(f for f in os.listdir(tmp_path) if 'made' in f and not f.startswith('.made.') or 'parts' in f) == ['made'] and not part.exists()

def test_a_part_that_was_tidied_up_is_made_again(tmp_path):
    wisdm(tmp_path/'raw')
    code = SLOW.replace("    yield from read", "    if member.path[-20:-16] == '1602': raise KeyboardInterrupt\n    yield from read")
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, timeout=120)
    first, second = sorted(f for f in (tmp_path/'.made.parts').iterdir() if f.is_dir())
    shutil.rmtree(first)
    os.truncate(second/'X.npy', 1000)
    r = subprocess.run([sys.executable, '-c', SLOW], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert r.stdout.split()[:3] == ['1600', '1601', '1602'], r.stderr
    made, whole = open_windows(tmp_path/'made'), quiet(load, 'wisdm', tmp_path/'raw')[0]
    assert np.array_equal(made.X[:], whole.X) and np.array_equal(made.pid, whole.pid)

def test_windows_that_fill_the_memory_are_to_be_written(tmp_path, monkeypatch):
    import psutil
    monkeypatch.setattr(psutil, 'virtual_memory', lambda: type('M', (), dict(available=2*10*3600))) # room for ten windows
    wisdm(tmp_path)
    with pytest.raises(ValueError, match='windows fill half of the memory that was free.*pass out='): quiet(load, 'wisdm', tmp_path)
    HARData(np.zeros((90, 3, 300), np.float32)).save(tmp_path/'x.npz')
    with pytest.raises(ValueError, match='x.npz takes .* GiB of memory, more than is free'): open_windows(tmp_path/'x.npz')

def test_damaged_archives(tmp_path):
    failed = [said for case in archives.cases(2*len(archives.KINDS), 0, tmp_path) if (said := archives.tried(case)) != 'held']
    assert not failed, failed
