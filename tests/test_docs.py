"The site is built from the notebooks, offline: a page for each, with signatures, parameter tables and links to the source."
import importlib.util, inspect, os, pkgutil, re, subprocess, sys, time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
import nbformat
import pytest
import flowfm_tsai
from site_in_browser import chromium, served, sticks_out, wide

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
def build():
    "docs/build.py as a module, under another name than the package build; what it does to the environment is undone."
    spec, before = importlib.util.spec_from_file_location('docs_build', ROOT/'docs/build.py'), dict(os.environ)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    os.environ.clear(), os.environ.update(before)
    return module

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
    assert f'flowfm_tsai {flowfm_tsai.__version__}' in learner                                      # which version it is of
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
    "Tabs as readers look for things, and the API from what one types to what it is made of."
    tabs = re.findall(r'<a href="[^"]*" class="md-tabs__link">\s*(.*?)\s*</a>', site['index.html'].html, re.S)
    assert tabs == ['Get started', 'Tutorials', 'How-to', 'Concepts', 'Results', 'API', 'Shell', 'Project']
    titles = re.findall(r'<label class="md-nav__link"[^>]*>\s*<span class="md-ellipsis">\s*(.*?)\s*<', site['api/core.html'].html, re.S)
    wanted = ['For users', 'Data', 'Wearables', 'Building blocks', 'Pretext tasks', 'Benchmarks']
    assert [o for o in dict.fromkeys(titles) if o in wanted] == wanted

def test_every_notebook_named_in_the_navigation_is_there(build):
    for folder, groups in (('how_to', build.how_to), ('api', build.api)):
        found = build.notebooks_in(folder)
        there = {re.sub(r'^\d+[a-z]?_', '', p.stem) for p in found} | {f'{p.parent.name}/' for p in found}
        assert not {name for names in groups.values() for name in names} - there
    assert not {p.stem[3:] for p in build.notebooks_in('how_to')} - {name for names in build.how_to.values() for name in names}, 'in no group'

def test_questions_have_pages(site):
    "What tsai's users ask, in a title."
    titles = ' | '.join(re.search(r'<title>(.*?)</title>', page.html, re.S)[1] for name, page in site.items() if name.startswith('how_to/'))
    for words in ('Diffusion for time series', 'Self-supervised learning', 'Get embeddings, and plot them', 'Fine-tune a pretrained model',
                  'Few labels', 'UCR set, or an ECG', 'Recordings longer than memory', 'CSV to predictions', 'Add a task'):
        assert words in titles, words

def test_outputs_that_were_kept_are_of_the_notebooks_as_they_are(site, build):
    "The tutorials that need data sets were run, and show what came out where there are none."
    kept_page, needing = build.kept_page, [p for p in build.notebooks_in('tutorials') if build.needs_data(p)]
    assert len(needing) == 2
    for p in needing:
        assert build.is_kept(p), f'{p.name} was edited after its outputs were kept: FLOWFM_DATA=DIR python docs/build.py --keep {p.stem}'
        md = kept_page(p).read_text(encoding='utf-8')
        assert '.nb-output' in md and '.nb-figure' in md
        assert 'class="nb-figure"' in site[f'tutorials/{p.stem[3:]}.html'].html
        for url in re.findall(r'\]\(([^):#]+)[^):]*\)', md): assert (kept_page(p).parent/url).exists(), f'{kept_page(p).name} links to {url}'

@pytest.mark.parametrize('git_url', ['', 'https://example.org/somebody/flowfm_tsai'])
def test_edit_links(git_url, build, monkeypatch):
    "To the notebook, on the branch, if there is a public repository."
    monkeypatch.setattr(build, 'cfg', type('cfg', (), dict(git_url=git_url, branch='main')))
    said = build.said_of(ROOT/'nbs/api/24_learner.ipynb', ROOT/'nbs/index.ipynb')
    assert said == (dict(edit=f'{git_url}/edit/main/nbs/api/24_learner.ipynb') if git_url else {})
    assert build.said_of(ROOT/'docs/_build/shell/index.md', None) == {}

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

@pytest.fixture(scope='module')
def browser():
    with chromium() as b: yield b

@pytest.fixture(scope='module')
def base(site, tmp_path_factory):
    "The address of the site, which isn't at the root of its server."
    folder = tmp_path_factory.mktemp('server')
    (folder/'some').mkdir()
    (folder/'some/base').symlink_to(ROOT/'docs/_site')
    with served(folder) as url: yield f'{url}/some/base'

def test_pages_fit_any_screen(site, base, browser):
    "No errors, and nothing sticks out: wide tables, code and figures scroll in their own boxes."
    for name in site:
        if name.startswith('source/') or name == '404.html': continue
        browser.get(f'{base}/{name}')
        for width in (1280, 390):
            wide(browser, width)
            pixels, what = sticks_out(browser)
            assert pixels <= 0 and not what, f'{name} at {width}: {pixels} pixels too wide, {what}'
        assert not (said := [e for e in browser.get_log('browser') if e['level'] == 'SEVERE']), f'{name}: {said}'

def test_figures_are_legible_and_enlarge(base, browser):
    for width in (1280, 390):
        wide(browser, width)
        browser.get(f'{base}/results/har.html')
        figure = browser.find_element('css selector', '.md-content p > img')
        assert figure.size['width'] >= 600 # on a narrow screen in a box that scrolls
        browser.execute_script('arguments[0].scrollIntoView({block: "center"}); arguments[0].click()', figure)
        large = browser.find_element('css selector', 'dialog[open].enlarged img')
        assert large.size['width'] >= 800
        browser.find_element('css selector', 'dialog').send_keys('\ue00c') # Escape
        assert not browser.find_elements('css selector', 'dialog[open]')

@pytest.mark.parametrize('how', ['served', 'file'])
def test_search(base, browser, how):
    "Also where the pages are opened as files."
    wide(browser, 1280)
    browser.get(f'{base}/index.html' if how == 'served' else (ROOT/'docs/_site/index.html').as_uri())
    field = browser.find_element('css selector', '.md-search__input')
    browser.execute_script('arguments[0].focus()', field)
    field.send_keys('predict new windows')
    deadline, found = time.time() + 30, []
    while time.time() < deadline and not found:
        found = [o.get_attribute('href') for o in browser.find_elements('css selector', '.md-search-result__item > a')]
        time.sleep(.2)
    assert any(page in url for url in found[:3] for page in ('index.html', 'how_to/from_csv_to_predictions.html', 'shell/index.html')), found
    assert not [e for e in browser.get_log('browser') if e['level'] == 'SEVERE']
