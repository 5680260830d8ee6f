"""Checkpoints that were edited, damaged, or made to harm: each loads as a whole model, or is one clear error, at once and in little memory."""
import hashlib, json, random, shutil, struct
from functools import cache
from pathlib import Path
import torch
from flowfm_tsai.models import DiffFM, FlowFM
from flowfm_tsai.pretrained import CONFIG, WEIGHTS, _page_sum, from_pretrained
from .forked import attempt

TINY = dict(dim=8, depth=1, n_heads=1, patch_size=5)
NASTY = (None, True, 0, -1, 1, 2, 7, 10**6, 10**9, 10**30, -10**18, .5, 1e308, float('nan'), float('inf'), '', 'x', 'linear', '../..', 'os.system', '/etc/passwd', [], [1], [[]], {}, {'name': 'x'},
         {'name': 'few_steps', 'steps': 10**12}, 'flowfm_tsai.saving.write_whole', '\ud800', 'x'*10**5)

@cache
def good(folder):
    "Whole checkpoints: a generator, its twin, a classifier."
    made = []
    for kind in ('flow', 'diffusion', 'classifier'):
        torch.manual_seed(0)
        m = DiffFM(2, **TINY) if kind == 'diffusion' else FlowFM(2, 3, **TINY)
        if kind == 'classifier': m.task = dict(kind='classes', classes=['a', 'b', 'c'])
        else: m.trained_len.fill_(20)
        made.append(m.save_pretrained(Path(folder)/f'good_{kind}'))
        from_pretrained(made[-1]) # what it imports is there for all children then
    return made

def places(v, at=()):
    "Every place in a page."
    yield at
    for k, w in v.items() if isinstance(v, dict) else enumerate(v) if isinstance(v, list) else (): yield from places(w, (*at, k))

def put(v, at, new):
    if not at: return new
    v = v.copy()
    v[at[0]] = put(v[at[0]], at[1:], new)
    return v

def sealed(d, folder):
    "A page as somebody who knows how would write it: with the checksums that fit."
    if isinstance(d, dict):
        if 'sha256' in d: d['sha256'] = hashlib.sha256((folder/WEIGHTS).read_bytes()).hexdigest()
        if 'checksum' in d: d['checksum'] = _page_sum(d)
    return json.dumps(d)

def edit_page(r, folder, seal):
    d = json.loads((folder/CONFIG).read_text())
    for _ in range(r.choice([1, 1, 1, 3])):
        if not isinstance(d, dict): break
        at = r.choice([p for p in places(d) if p and p[0] not in ('sha256', 'checksum')])
        if r.random() < .15: d = put(d, at[:-1], {'more': 1}) if r.random() < .3 else put(d, at, None)
        else: d = put(d, at, r.choice(NASTY))
    (folder/CONFIG).write_text(sealed(d, folder) if seal else json.dumps(d))

def edit_header(r, folder):
    "Names, shapes, types, places and lengths in the header of the weights."
    b = (folder/WEIGHTS).read_bytes()
    n = struct.unpack('<Q', b[:8])[0]
    head = json.loads(b[8:8+n])
    k = r.choice([k for k in head if k != '__metadata__'])
    what = r.choice(['shape', 'dtype', 'data_offsets', 'name', 'gone', 'length'])
    if what == 'name': head[k + 'x'] = head.pop(k)
    elif what == 'gone': head.pop(k)
    elif what != 'length': head[k][what] = r.choice([*NASTY, [10**9, 10**9], [0], [-1, 5], 'F16', 'I64', [0, 10**15]])
    new = json.dumps(head).encode()
    n = r.choice([0, 1, 2**40, 2**63]) if what == 'length' else len(new)
    (folder/WEIGHTS).write_bytes(struct.pack('<Q', n) + new + b[8+struct.unpack('<Q', b[:8])[0]:])
    (folder/CONFIG).write_text(sealed(json.loads((folder/CONFIG).read_text()), folder))

def damage(r, folder):
    f = folder/r.choice([WEIGHTS, CONFIG])
    b = bytearray(f.read_bytes())
    how = r.choice(['flip', 'flip', 'cut', 'zeros', 'gone', 'folder', 'more'])
    if how == 'flip': b[r.randrange(len(b))] ^= 1 << r.randrange(8)
    elif how == 'cut': b = b[:r.randrange(len(b))]
    elif how == 'zeros': b[len(b)//3:len(b)//2] = bytes(len(b)//2 - len(b)//3)
    elif how == 'more': b += b'x'*r.randrange(1, 99)
    f.unlink()
    if how == 'folder': f.mkdir()
    elif how != 'gone': f.write_bytes(b)

def older(r, folder):
    "A page of an older format, without a checksum of its own, and edited."
    d = json.loads((folder/CONFIG).read_text())
    d['format'] = 6
    del d['checksum']
    (folder/CONFIG).write_text(json.dumps(d))
    edit_page(r, folder, True)

KINDS = dict(edited=lambda r, f: edit_page(r, f, False), sealed=lambda r, f: edit_page(r, f, True), header=edit_header, damaged=damage, older=older)

def cases(n, seed, folder):
    "Yields `n` checkpoints in `folder`."
    kinds = ('edited', 'sealed', 'sealed', 'header', 'damaged', 'older')
    for i in range(n):
        r, kind = random.Random(f'{seed} {i}'), kinds[i % len(kinds)]
        path = Path(folder)/f'{kind}_{seed}_{i}'
        shutil.copytree(r.choice(good(folder)), path)
        KINDS[kind](r, path)
        yield path

def opened(path):
    "What comes of loading one."
    page = (path/CONFIG).read_bytes() if (path/CONFIG).is_file() else b''
    try: model = from_pretrained(path)
    except (ValueError, FileNotFoundError) as e: return 'held' if path.name in str(e) else f'an error without its name: {type(e).__name__}: {e}'
    if path.name.startswith('edited') and json.loads(page) != json.loads(next(g for g in good(path.parent) if page_like(g, page)).joinpath(CONFIG).read_text()): return 'an edited page was taken'
    return 'held' if all(p.isfinite().all() for p in model.parameters()) else 'weights that are no numbers'

def page_like(good, page): return json.loads((good/CONFIG).read_text())['sha256'] == json.loads(page)['sha256']

def tried(path):
    "'held', or what went wrong."
    good(path.parent)
    said = attempt(lambda: opened(path), seconds=20, memory=2**30)
    shutil.rmtree(path, ignore_errors=True)
    return said if said == 'held' else f'{path.name}: {said}'
