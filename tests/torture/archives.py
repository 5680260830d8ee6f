"""Damaged archives, made of small recordings: each gives the right windows, with a word on what is missing, or one clear error.

`cases` makes them, each another one by its number and a seed; `tried` opens one and says 'held', or what went wrong."""
import gzip, io, random, re, warnings, zipfile
from functools import cache
from pathlib import Path
import numpy as np
from flowfm_tsai.data.storage import HARData, open_windows
from flowfm_tsai.wearables.files import load

WHERE = 'wisdm-dataset/raw/watch/accel/data_{}_accel_watch.txt'
METHODS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA

@cache
def recording(pid):
    "Two activities of 22 s each, as WISDM has them."
    rng, s = np.random.default_rng(int(pid)), np.arange(440)/20
    rows = [f'{pid},{a},{10**12*(j + 1) + round(t*1e9)},{2*np.sin(6*t) + rng.normal(0, .1):.4f},{9.8 + np.sin(3*t) + rng.normal(0, .1):.4f},{rng.normal(0, .1):.4f};\n'
            for j, a in enumerate('AB') for t in s]
    return ''.join(rows).encode()

@cache
def windows():
    "Twelve windows with labels and subjects."
    rng = np.random.default_rng(0)
    return HARData(rng.normal(size=(12, 3, 50)).astype(np.float32), np.repeat(['a', 'b'], 6), np.arange(12)//3, dict(rate_hz=5))

def zipped(files, method=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings(), zipfile.ZipFile(b := io.BytesIO(), 'w', method) as z:
        warnings.simplefilter('ignore') # a name that is there twice
        for name, content in files: z.writestr(name, content)
    return b.getvalue()

def wisdm(method=zipfile.ZIP_DEFLATED, change=lambda pid, content: content):
    return zipped([(WHERE.format(pid), change(pid, recording(pid))) for pid in ('1600', '1601')], method)

def flipped(r, b, n=1, end=None):
    b = bytearray(b)
    for _ in range(n): b[r.randrange(end or len(b))] ^= r.randrange(1, 256)
    return bytes(b)

def damaged_lines(r, content):
    "Lines that nobody can take for good ones: a letter among the numbers, fields too few or too many, a label nobody knows, bytes that are no text."
    lines = content.split(b'\n')
    for i in r.sample(range(1, len(lines) - 1), r.randrange(1, 40)):
        lines[i] = r.choice([lambda l: l.replace(b'.', b'x'), lambda l: l[:len(l)//3], lambda l: l.replace(b',', b',,'), lambda l: re.sub(b',[AB],', b',Q,', l),
                             lambda l: b'\xff\0' + l.replace(b',', b'\0'), lambda l: l[:-1].replace(b',', b';'), lambda l: b'"' + l.replace(b'.', b'"'), lambda l: b''])(lines[i])
    return b'\n'.join(lines)

def npz(r):
    d = windows()
    arrays = dict(X=d.X, y=d.y, pid=d.pid, layout='NCL', meta='{}')
    arrays |= r.choice([dict(X=d.X.astype(r.choice(['c8', 'M8[s]', 'S4', 'O']))), dict(y=d.y[:-1]), dict(pid=np.zeros((12, 2))), dict(X=d.X[0]), dict(meta='[1'), dict(more=np.arange(5)), {}])
    np.savez_compressed(b := io.BytesIO(), **arrays)
    return b.getvalue()

def folder(r, path):
    "A folder of windows with one file of it cut off, emptied, longer, or with a damaged header."
    windows().save(path)
    f = r.choice(sorted(path.iterdir()))
    b = f.read_bytes()
    f.write_bytes(r.choice([lambda: b[:r.randrange(len(b))], lambda: b + b'1', lambda: b'', lambda: flipped(r, b[:9]) + b[9:], lambda: b.replace(b'(12', b'(-9') + b' '])())

def archive(r, kind):
    "The bytes of a damaged archive of WISDM."
    method, bomb = r.choice(METHODS), b'1600,A,1,2,3,4;\n' if r.random() < .5 else b'0'
    return dict(
        whole=lambda: wisdm(method),
        flip=lambda: flipped(r, wisdm(method), r.choice([1, 1, 1, 20])),
        flip_of_the_list=lambda: (b := wisdm(method))[:-400] + flipped(r, b[-400:]),
        cut=lambda: (b := wisdm(method))[:r.randrange(len(b))],
        hole=lambda: (b := wisdm(method))[:(i := r.randrange(len(b)))] + bytes(200) + b[i+200:],
        middle_lost=lambda: (b := wisdm(method))[:(i := r.randrange(len(b)))] + b[i+200:],
        encrypted=lambda: re.sub(b'(PK\x01\x02.{4})(.)', lambda m: m[1] + bytes([m[2][0] | 1]), wisdm(method), flags=re.S),
        method=lambda: re.sub(b'(PK\x01\x02.{6})..', lambda m: m[1] + bytes([r.choice([1, 9, 93, 99]), 0]), wisdm(method), flags=re.S),
        bomb=lambda: zipped([(WHERE.format(1600), bomb*(2**25//len(bomb)))], r.choice(METHODS[1:])),
        nested=lambda: nested(wisdm(method), r.randrange(1, 12)),
        names=lambda: zipped([(r.choice(['../../', '/', 'C:\\', 'ä/']) + WHERE.format(p), recording(p)) for p in ('1600', '1601')], method),
        twice=lambda: zipped([(WHERE.format(p), recording(p)) for p in ('1600', '1601', '1600')], method),
        lines=lambda: wisdm(method, lambda pid, c: damaged_lines(r, c)),
        cut_lines=lambda: wisdm(method, lambda pid, c: c[:r.randrange(len(c))]),
        no_zip=lambda: r.choice([b'', b'PK', bytes(1000), recording('1600'), gzip.compress(recording('1600'))]))[kind]()

def nested(b, n):
    for _ in range(n): b = zipped([('wisdm.zip', b)], zipfile.ZIP_STORED)
    return b

KINDS = ('whole flip flip flip flip_of_the_list flip_of_the_list cut hole middle_lost encrypted method bomb nested names twice lines lines lines cut_lines no_zip '
         'npz npz_flip npz_flip npz_cut folder folder').split()

def cases(n, seed, folder_):
    "Yields `n` damaged archives in `folder_`: a name, a path, and what reads it, 'wisdm' or 'windows'."
    for i in range(n):
        r, kind = random.Random(f'{seed} {i}'), KINDS[i % len(KINDS)]
        path = Path(folder_)/f'{kind}_{seed}_{i}'
        if kind == 'folder': folder(r, path)
        elif kind.startswith('npz'):
            b, path = npz(r), path.with_suffix('.npz')
            path.write_bytes(dict(npz=lambda: b, npz_flip=lambda: flipped(r, b, r.choice([1, 9])), npz_cut=lambda: b[:r.randrange(len(b))])[kind]())
        else:
            path = path.with_suffix('.zip')
            path.write_bytes(archive(r, kind))
        yield path.name, path, 'windows' if kind == 'folder' or kind.startswith('npz') else 'wisdm'

def opened(path, source):
    "What is in an archive, by label, subject and start; and what was said."
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        d = open_windows(path) if source == 'windows' else load(source, path, progress=False)
    start = np.arange(len(d)) if source == 'windows' else d.columns['start']
    who = zip(*(np.repeat('?', len(d)) if v is None else v for v in (d.y, d.pid)), start)
    return {tuple(map(str, k)): x for k, x in zip(who, d.X[:])}, {str(w.message) for w in said}

@cache
def right(source, folder_):
    "The same of a whole archive."
    path = Path(folder_)/f'right_{source}.{"npz" if source == "windows" else "zip"}'
    if source == 'windows' and not path.exists(): windows().save(path)
    if source == 'wisdm': path.write_bytes(wisdm())
    return opened(path, source)

def recorded(key, x):
    "Whether a window of WISDM is what was recorded then: beside a hole the filter gives other values than without one, by less than a tenth of g."
    (y, _, start), rows = key, [l.split(',') for l in recording(key[1]).decode().split(';\n')[:-1]]
    t, xyz = np.array([int(l[2]) for l in rows])*1e-9, np.array([l[3:] for l in rows], float).T/9.80665
    at = float(start) + np.arange(300)/30
    return y == ('walking' if at[0] < 1500 else 'jogging') and np.abs(np.stack([np.interp(at, t, v) for v in xyz]) - x).max() < .1

def tried(case):
    "Open one: 'held' if it gives the right windows, or some of them and says so, or one clear error with its name; else what went wrong."
    name, path, source = case
    X, said = right(source, path.parent)
    try: got, warned = opened(path, source)
    except (ValueError, FileNotFoundError, TypeError) as e:
        return 'held' if name in str(e) else f'{name}: an error without its name: {e}'
    except BaseException as e: return f'{name}: {type(e).__name__}: {e}'
    strange = [k for k, x in got.items() if not (np.array_equal(x, X.get(k)) or source == 'wisdm' and recorded(k, x))]
    if strange: return f'{name}: {len(strange)} windows that nobody recorded, such as {strange[0]}'
    if len(got) < len(X) and not warned - said: return f'{name}: {len(X) - len(got)} windows are missing without a word'
    return 'held'
