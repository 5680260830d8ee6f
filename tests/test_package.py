"What settings.ini says of the package is true: its dependencies, its versions of Python, its addresses."
import ast, email, re, shutil, subprocess, sys
from configparser import ConfigParser
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
parser = ConfigParser(delimiters=['='])
parser.read(ROOT/'settings.ini', encoding='utf-8')
CFG = parser['DEFAULT']
MODULES = [p for p in sorted((ROOT/'flowfm_tsai').rglob('*.py')) if p.name != '_modidx.py']

def normal(name): return re.sub(r'[-_.]+', '-', name).lower()
def declared(*names):
    "The packages that settings.ini asks for under `names`."
    return {normal(re.match(r'[\w.-]+', line.strip())[0]) for o in names for line in CFG[o].splitlines() if line.strip()}

def imported(node, called):
    "The top-level packages imported in `node`, without Python's own and ours; what functions import counts if they are `called`."
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not called: return set()
    found = set().union(*(imported(o, called) for o in ast.iter_child_nodes(node)))
    if isinstance(node, ast.Import): found |= {a.name.partition('.')[0] for a in node.names}
    if isinstance(node, ast.ImportFrom) and not node.level: found.add(node.module.partition('.')[0])
    return found - set(sys.stdlib_module_names) - {'flowfm_tsai'}

def test_imports_are_declared():
    "What a module needs to be imported is a requirement; what a function imports when it is called is one of an extra at least."
    providers, always = packages_distributions(), declared('requirements')
    extras = always | declared('demo_requirements', 'text_requirements', 'scale_requirements', 'onnx_requirements')
    for p in MODULES:
        tree = ast.parse(p.read_text(encoding='utf-8'))
        for called, allowed in ((False, always), (True, extras)):
            for name in imported(tree, called):
                assert {normal(d) for d in providers[name]} & allowed, f'{p.name} imports {name}, which settings.ini does not ask for'

def test_requirements_are_installed():
    "This environment has what is required, so that a misspelt or forgotten name shows."
    for name in declared('requirements', 'text_requirements', 'scale_requirements', 'onnx_requirements', 'dev_requirements'): distribution(name)

def test_no_invented_addresses():
    "No home page, documentation or repository is promised as long as there is none."
    if not CFG['git_url'] and not CFG['doc_host']:
        for f in (*ROOT.glob('*.md'), ROOT/'setup.py', ROOT/'settings.ini', ROOT/'flowfm_tsai/_modidx.py'):
            assert not re.search(r'github\.(com|io)/flowfm|flowfm-tsai\.github', f.read_text(encoding='utf-8')), f.name

@pytest.fixture(scope='module')
def metadata(tmp_path_factory):
    "What an installer reads."
    tmp = tmp_path_factory.mktemp('metadata')
    code = f'from setuptools.build_meta import prepare_metadata_for_build_wheel as f; f({str(tmp)!r})'
    tree = tmp/'tree'
    tree.mkdir()
    for f in ('setup.py', 'settings.ini', 'pyproject.toml', 'README.md', 'LICENSE'): shutil.copy(ROOT/f, tree)
    subprocess.run([sys.executable, '-c', code], cwd=tree, check=True, capture_output=True)
    return email.message_from_string(next(tmp.glob('*.dist-info/METADATA')).read_text(encoding='utf-8'))

def test_metadata(metadata):
    classifiers = metadata.get_all('Classifier')
    low, high = (int(CFG[o].split('.')[1]) for o in ('min_python', 'max_python'))
    assert [c for c in classifiers if c.startswith('Programming Language')] == [f'Programming Language :: Python :: 3.{v}' for v in range(low, high + 1)]
    assert set(metadata['Requires-Python'].split(',')) == {f'>=3.{low}', f'<3.{high + 1}'}
    assert (low, high) == (10, 14) and low <= sys.version_info[1] <= high
    assert any(c.startswith('Development Status') for c in classifiers) and any(c.startswith('Topic') for c in classifiers)
    assert metadata['License-Expression'] == 'Apache-2.0' and not any(c.startswith('License') for c in classifiers)
    assert 'Paper, https://arxiv.org/abs/2512.19729' in metadata.get_all('Project-URL')
    assert metadata['Home-page'] is None

def test_citation():
    "The version is the package's, and the paper is named."
    text = (ROOT/'CITATION.cff').read_text(encoding='utf-8')
    assert f"\nversion: {CFG['version']}\n" in text and 'arXiv:2512.19729' in text and '\nlicense: Apache-2.0\n' in text
