"The site is built from the notebooks, offline: a page for each, with signatures, parameter tables and links to the source."
import importlib, inspect, pkgutil, re, subprocess, sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
import nbformat
import pytest
import flowfm_tsai

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT/'docs'))

class Page(HTMLParser):
    "What a page of the site links to, and what can be linked to in it."
    def __init__(self, file):
        super().__init__()
        self.links, self.places = set(), set()
        self.html = file.read_text(encoding='utf-8')
        self.feed(self.html)
    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links |= {attrs[k] for k in ('href', 'src') if attrs.get(k)}
        self.places |= {attrs[k] for k in ('id', 'name') if attrs.get(k)}

@pytest.fixture(scope='module')
def site():
    "The pages by their address. --no-exec runs the exported cells alone: the reference is complete, outputs are missing."
    r = subprocess.run([sys.executable, 'docs/build.py', '--no-exec', '--strict'], cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert r.returncode == 0, (r.stdout + r.stderr)[-3000:]
    return {p.relative_to(ROOT/'docs/_site').as_posix(): Page(p) for p in (ROOT/'docs/_site').rglob('*.html')}

def test_site(site):
    assert len(site) >= len([*(ROOT/'nbs').rglob('*.ipynb')])
    assert {'index.html', 'results/index.html', 'api/learner.html', 'api/data/splits.html', 'project/wrist-tiny.html'} <= site.keys()
    learner = site['api/learner.html'].html
    section = learner[learner.index('id="flowfm_learner"'):]
    section = section[:section.index('class="symbol"', 100)]
    assert re.search(r'<td><code>pretrained</code></td>.*?Weights to start from', section, re.S)   # a docment of the function it delegates to
    source = re.search(r'href="\.\./(source/flowfm_tsai/learner\.html)#(L\d+)"', learner)         # a link to the source, and what is there
    line = re.search(rf'<span id="{source[2]}">.*', site[source[1]].html)[0]
    assert re.search(r'(def|class|@\w+)\b', re.sub('<[^>]*>', '', line)), line
    assert 'nbdev_export' not in ''.join(p.html for p in site.values())                             # hidden cells are hidden
    for name, page in site.items():                                                                # nothing is loaded from elsewhere
        assert not re.findall(r'<(?:script|img|iframe)[^>]*src="https?:|<link[^>]*rel="stylesheet"[^>]*href="https?:', page.html), name
    assert (ROOT/'docs/_site/search/search_index.json').stat().st_size > 10_000

def test_shell(site):
    "Every command of `flowfm` has its options on a page, and an example that it understands."
    from flowfm_tsai.cli import COMMANDS
    from shell import EXAMPLES, said
    page = site['shell/index.html']
    assert {f'flowfm-{name.replace(" ", "-")}' for name in COMMANDS} <= page.places and EXAMPLES.keys() <= COMMANDS.keys()
    for name, line in EXAMPLES.items():
        known = set(re.findall(r'--[\w-]+', said(*name.split(), '--help')))
        assert set(re.findall(r'--[\w-]+', line)) <= known, line

def test_every_link_leads_somewhere(site):
    "Also those that MkDocs doesn't look at: of HTML, and to lines of the source."
    for name, page in site.items():
        if name == '404.html': continue # its links start at the root of a server
        for link in page.links:
            if re.match(r'\w+:|//', link): continue
            path, _, place = unquote(link).partition('#')
            to = (ROOT/'docs/_site'/name).parent/path if path else ROOT/'docs/_site'/name
            assert to.exists(), f'{name} links to {link}'
            to = site.get(to.resolve().relative_to(ROOT/'docs/_site').as_posix())
            assert not place or not to or place in to.places or place.startswith('__'), f'{name} links to {link}'

def test_groups_of_the_navigation(site):
    "A room each, in the order in which they stand on each other."
    titles = re.findall(r'<label class="md-nav__link"[^>]*>\s*<span class="md-ellipsis">\s*(.*?)\s*<', site['api/core.html'].html, re.S)
    wanted = ['Library', 'Pretext tasks', 'Data', 'Wearables', 'Benchmarks', 'Front rooms']
    assert [o for o in dict.fromkeys(titles) if o in wanted] == wanted

def test_patched_methods_are_in_the_reference(tmp_path):
    "Like those of a class: public ones, with a docstring or a described parameter, once, and not those of private cells."
    from processors import prepare
    patch = lambda head, body='"Something."': f'@patch\ndef {head}: {body}'
    cells = ['class A:\n    "A class."\n    def one(self): "One."\n    def _two(self): "Two."', patch('three(self:A)'), patch('four(self:A)', 'pass'),
             '@patch\ndef five(self:A,\n    n, # How many\n): pass', patch('_six(self:A)'), patch('seven(self:A)')]
    cells = ['#| export\n' + c for c in cells] + ['#| exporti\n' + patch('eight(self:A)'), 'show_doc(A.seven)']
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells]), tmp_path/'00_a.ipynb')
    shown = [c.source for c in prepare(tmp_path/'00_a.ipynb', full=False).cells if c.source.startswith('show_doc')]
    assert shown == ['show_doc(A)', 'show_doc(A.one, title_level=4)', 'show_doc(A.three, title_level=4)', 'show_doc(A.five, title_level=4)', 'show_doc(A.seven)']

def test_functions_that_delegate_show_everything():
    "Each parameter that one of our functions takes over from another one of ours has a text in the table."
    from showdoc import delegatee, described
    looked_at = 0
    for m in pkgutil.walk_packages(flowfm_tsai.__path__, 'flowfm_tsai.'):
        module = importlib.import_module(m.name)
        for name in getattr(module, '__all__', ()):
            o = getattr(module, name)
            for f in [o, *(vars(o).values() if inspect.isclass(o) else ())]:
                f = f.__init__ if inspect.isclass(f) else inspect.unwrap(f) if inspect.isfunction(f) else None
                to = delegatee(f) if inspect.isfunction(f) else None
                if not to or not to.__module__.startswith('flowfm_tsai'): continue
                bare = [k for k, v in described(f).items() if not v and k not in ('self', 'return')]
                assert not bare, f'{m.name}.{name}: nothing is said of {bare}'
                looked_at += 1
    assert looked_at

def test_readme_is_the_home_page():
    before = (ROOT/'README.md').read_text(encoding='utf-8')
    subprocess.run([sys.executable, 'docs/build.py', '--readme'], cwd=ROOT, check=True, capture_output=True)
    assert (ROOT/'README.md').read_text(encoding='utf-8') == before, "README.md isn't what nbs/index.ipynb says: make prepare"

def test_readme_is_short():
    "What one types, the weights, one table of results, links; the rest is in docs/results."
    assert len((ROOT/'README.md').read_text(encoding='utf-8').split()) <= 1200
