"The site is built from the notebooks, offline: a page for each, with signatures, parameter tables and links to the source."
import re, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

def test_site():
    # --no-exec runs the exported cells alone: the reference is complete, outputs are missing
    r = subprocess.run([sys.executable, 'docs/build.py', '--no-exec', '--strict'], cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert r.returncode == 0, (r.stdout + r.stderr)[-3000:]
    site = ROOT/'docs/_site'
    pages = {p.relative_to(site).as_posix(): p.read_text(encoding='utf-8') for p in site.rglob('*.html')}
    notebooks = [*(ROOT/'nbs').rglob('*.ipynb'), ROOT/'nbs/index.ipynb']
    assert len(pages) >= len(notebooks)
    learner = pages['api/learner.html']
    assert 'flowfm_learner' in learner
    assert re.search(r'<td><code>pretrained</code></td>.*?Weights to start from', learner, re.S)  # a docment in the table
    assert re.search(r'href="[^"]*/blob/main/flowfm_tsai/learner\.py#L\d+"', learner)             # a link to the source
    assert 'nbdev_export' not in ''.join(pages.values())                                            # hidden cells are hidden
    for name, html in pages.items():                                                               # nothing is loaded from elsewhere
        assert not re.findall(r'<(?:script|img|iframe)[^>]*src="https?:|<link[^>]*rel="stylesheet"[^>]*href="https?:', html), name
    assert (site/'search/search_index.json').stat().st_size > 10_000

def test_readme_is_the_home_page():
    before = (ROOT/'README.md').read_text(encoding='utf-8')
    subprocess.run([sys.executable, 'docs/build.py', '--readme'], cwd=ROOT, check=True, capture_output=True)
    assert (ROOT/'README.md').read_text(encoding='utf-8') == before, "README.md isn't what nbs/index.ipynb says: make prepare"
