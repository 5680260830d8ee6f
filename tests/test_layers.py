"""The rules of the house, read off the source: nothing is imported, so what is asked is how the package is built, not what it does.

Which room may import from which, how long lines, functions and cells are, how much is explained, how much is public, and what `all` gives."""
import ast, builtins, json, re, statistics, subprocess, sys, symtable
from functools import cached_property
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
LIB, NBS = ROOT/'flowfm_tsai', ROOT/'nbs'

# Arrows run one way, down this list: a module imports from what stands before it, and from nothing else. A folder stands for what
# is in it, in the order of its notebooks.
ORDER = """core  layers encoder velocity  paths sampling diffusion  units  models  saving processes state  callbacks  data/  pretext/  pretrained  distributed scheduler
           plots classifiers metrics series_metrics  joint learner  completion  transfer  export streams  text  text2signal zero_shot  wearables/  bench/  recipes supervised applying  demo cli  all""".split()
WINGS = {'wearables', 'bench', 'recipes', 'supervised', 'applying', 'demo', 'cli'} # they know data sets, sensors and benchmarks; the library doesn't

class Module:
    "A module of the package, as its source has it."
    def __init__(self, path):
        self.path, self.name = path, path.relative_to(LIB).with_suffix('').as_posix()
        self.room, self.text = self.name.partition('/')[0], path.read_text(encoding='utf-8')
        self.tree = ast.parse(self.text)
    def __repr__(self): return self.name

    @cached_property
    def public(self):
        "Its `__all__`."
        for o in self.tree.body:
            if isinstance(o, ast.Assign) and getattr(o.targets[0], 'id', '') == '__all__': return ast.literal_eval(o.value)
        return []

    @cached_property
    def defined(self):
        "What is defined at its top: functions, classes, variables."
        names = {o.name for o in self.tree.body if isinstance(o, (ast.FunctionDef, ast.ClassDef))}
        return names | {n.id for o in self.tree.body if isinstance(o, (ast.Assign, ast.AnnAssign)) for n in ast.walk(o) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}

    @cached_property
    def arrows(self):
        "The modules of the package that it imports, at its top or in a function, and the names it takes from each."
        found = {}
        for o in ast.walk(self.tree):
            if isinstance(o, ast.Import): targets = [(a.name, ()) for a in o.names]
            elif isinstance(o, ast.ImportFrom):
                base = '.'.join(['flowfm_tsai', *self.name.split('/')][:-o.level]) + (f'.{o.module}' if o.module else '') if o.level else o.module
                targets = [(f'{base}.{a.name}', ()) if module_named(f'{base}.{a.name}') else (base, (a.name,)) for a in o.names]
            else: continue
            for target, names in targets:
                if m := module_named(target): found.setdefault(m, set()).update(names)
        return found

    @cached_property
    def used(self): return identifiers(self.tree)

def identifiers(tree):
    "The names in a syntax tree: variables, attributes, what is imported by name, and texts that are a name (`cli` finds its commands by them)."
    found = set()
    for o in ast.walk(tree):
        if isinstance(o, ast.Name): found.add(o.id)
        elif isinstance(o, ast.Attribute): found.add(o.attr)
        elif isinstance(o, ast.ImportFrom): found |= {a.name for a in o.names}
        elif isinstance(o, ast.Constant) and isinstance(o.value, str) and o.value.isidentifier(): found.add(o.value)
    return found

def module_named(dotted):
    "The path below the package, without ending, of the module `dotted`; `None` if that's none of ours."
    top, _, rest = (dotted or '').partition('.')
    return rest.replace('.', '/') if top == 'flowfm_tsai' and rest and (LIB/rest.replace('.', '/')).with_suffix('.py').is_file() else None

MODULES = {m.name: m for p in sorted(LIB.rglob('*.py')) if p.name not in ('__init__.py', '__main__.py', '_modidx.py') for m in [Module(p)]}
LIBRARY = [m for m in MODULES.values() if m.room not in WINGS and m.name != 'all']

def in_order():
    "The modules in the order in which they stand on each other."
    names = [(p.parent/re.sub(r'^\d+[a-z]?_', '', p.stem)).relative_to(NBS/'api').as_posix() for p in sorted((NBS/'api').rglob('*.ipynb'))]
    return [m for o in ORDER for m in ([n for n in names if n.startswith(o)] if o.endswith('/') else [o])]

def test_every_module_has_its_place(): assert not sorted(MODULES.keys() - set(in_order())), 'not in ORDER, or without a notebook'

def test_numbers_of_notebooks_are_the_order():
    "Who reads the API from its first notebook to its last meets nothing that wasn't explained."
    numbered = [re.sub(r'^\d+[a-z]?_', '', p.stem) for p in sorted((NBS/'api').glob('*.ipynb'))]
    assert numbered == [m for m in in_order() if '/' not in m and m in numbered]

@pytest.mark.parametrize('module', MODULES.values(), ids=str)
def test_arrows_run_one_way(module):
    place = {m: i for i, m in enumerate(in_order())}
    up = {m for m in module.arrows if place[m] >= place[module.name]}
    assert not up, f'{module} imports {sorted(up)}, which stand on it or beside it'

@pytest.mark.parametrize('module', LIBRARY, ids=str)
def test_the_library_knows_no_wing(module): assert not {m for m in module.arrows if MODULES[m].room in WINGS}

def test_models_know_no_text():
    assert not {'text', 'text2signal'} & MODULES['models'].arrows.keys()
    assert not {n for n in MODULES['models'].used if n.startswith('TextEncoder')}

def display_tests(module):
    "Where a part of a text as it stands in tables decides (it has a capital or a blank), or the whole of one with a blank."
    text = lambda o, pattern: isinstance(o, ast.Constant) and isinstance(o.value, str) and re.search(pattern, o.value)
    for o in ast.walk(module.tree):
        if isinstance(o, ast.Compare):
            named = re.search(r'name|label|title|row|model|method', ast.unparse(o.comparators[-1]))
            if any(text(c, r'\w,? \w') for c in [o.left, *o.comparators]): yield o
            elif isinstance(o.ops[0], (ast.In, ast.NotIn)) and named and text(o.left, '[A-Z]'): yield o
        if isinstance(o, ast.Call) and isinstance(o.func, ast.Attribute) and o.func.attr in ('startswith', 'endswith', 'match', 'search', 'fullmatch'):
            if any(text(c, r'[A-Z]|\w \w') for c in o.args): yield o

@pytest.mark.parametrize('module', [m for m in MODULES.values() if m.room == 'bench'], ids=str)
def test_names_in_tables_decide_nothing(module): assert not [ast.unparse(o) for o in display_tests(module)]

def test_one_name_one_meaning():
    "A name that is public in two modules would be whichever was imported last."
    where = {}
    for m in MODULES.values():
        for n in m.public if m.name != 'all' else (): where.setdefault(n, []).append(m.name)
    assert not {n: ms for n, ms in where.items() if len(ms) > 1}

def scopes(table):
    yield table
    for o in table.get_children(): yield from scopes(o)

@pytest.mark.parametrize('module', MODULES.values(), ids=str)
def test_names_are_defined_and_star_imports_used(module):
    "What ruff can't see through a star import: a name that nothing defines, and an import of which nothing is used."
    stars = {m: set(MODULES[m].public) for m, names in module.arrows.items() if '*' in names}
    table = symtable.symtable(module.text, str(module), 'exec')
    own = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    wanted = {s.get_name() for t in scopes(table) for s in t.get_symbols() if s.is_referenced() and (s.is_global() or t is table)} - own
    undefined = wanted - set().union(*stars.values()) - set(dir(builtins)) - {'__file__', '__class__'} # the last is what super() needs
    idle = [m for m, names in stars.items() if not names & module.used]
    assert not undefined, f'nothing defines {sorted(undefined)}'
    assert not idle, f'nothing is used of {idle}, imported with a star'

def test_ruff():
    "Lines of at most 140 characters, functions of a complexity of at most 15, nothing unused or undefined: pyproject.toml."
    pytest.importorskip('ruff')
    r = subprocess.run([sys.executable, '-m', 'ruff', 'check', '--no-cache', '--output-format', 'concise', '.'], cwd=ROOT, capture_output=True, text=True)
    assert r.returncode == 0, r.stdout[-3000:]

class Notebook:
    "A notebook of the API, as one reads it: how many lines it exports, in which cells, and how many words explain them."
    def __init__(self, path):
        self.name = path.relative_to(NBS/'api').as_posix()
        cells = [(c['cell_type'], ''.join(c['source'])) for c in json.loads(path.read_text(encoding='utf-8'))['cells']]
        exported = [[l for l in s.split('\n') if l.strip() and not l.startswith('#|')] for kind, s in cells if kind == 'code' and re.search(r'^#\| *export[is]?\s*$', s, re.M)]
        imports = re.compile(r'\s*(from|import)\b|#')
        self.lines = sum(map(len, exported))
        self.cells = [len(o) for o in exported if not all(map(imports.match, o))] # a cell of imports has no idea of its own
        self.words = sum(len(s.split()) for kind, s in cells if kind == 'markdown')

NOTEBOOKS = [Notebook(p) for p in sorted((NBS/'api').rglob('*.ipynb')) if p.name[0] not in '._']

def test_a_cell_exports_one_idea(): assert statistics.median(n for nb in NOTEBOOKS for n in nb.cells) <= 12

@pytest.mark.parametrize('nb', NOTEBOOKS, ids=lambda nb: nb.name)
def test_code_is_explained(nb): assert nb.words >= 3*nb.lines, f'{nb.words} words explain {nb.lines} lines'

def typed_in(nb):
    "The source of a notebook's code cells that is Python: without magics and what isn't finished."
    for c in json.loads(nb.read_text(encoding='utf-8'))['cells']:
        try: yield ast.parse(''.join(c['source']) if c['cell_type'] == 'code' else '')
        except SyntaxError: pass

def test_public_names_are_used():
    "Fewer than 15 % of the public names are used in no other module, no test and no page for users: what only its own module uses isn't public."
    elsewhere = [ast.parse(p.read_text(encoding='utf-8')) for p in (ROOT/'tests').glob('*.py')]
    elsewhere += [t for o in ('tutorials', 'how_to') for p in (NBS/o).glob('*.ipynb') for t in typed_in(p)]
    seen = set().union(*map(identifiers, elsewhere))
    public = [(n, m) for m in MODULES.values() if m.name != 'all' for n in m.public]
    idle = [f'{m}.{n}' for n, m in public if n not in seen and not any(n in o.used for o in MODULES.values() if o is not m)]
    assert len(idle) < .15*len(public), f'{len(idle)} of {len(public)}: {", ".join(sorted(idle))}'

def test_all_is_what_one_types():
    "`all` gives about fifty names, by name, and each is there."
    everything = MODULES['all']
    assert 40 <= len(everything.public) <= 60 and len(set(everything.public)) == len(everything.public)
    given = {n: m for m, names in everything.arrows.items() for n in names}
    rooms = {m.rpartition('/')[2] for m in everything.arrows} # a module that is handed on as such
    assert '*' not in given, 'star imports hand on whatever a module has'
    missing = set(everything.public) - given.keys() - rooms
    assert not missing, f'not imported: {sorted(missing)}'
    gone = {n: m for n, m in given.items() if n not in MODULES[m].defined}
    assert not gone, f'not defined where they are imported from: {gone}'
