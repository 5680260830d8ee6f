#!/usr/bin/env python
"Build the documentation site from the notebooks, offline: run them, let nbdev process them, write Markdown, let MkDocs make pages of it."
import argparse, hashlib, logging, os, re, shutil, sys, time
from pathlib import Path

os.environ.update(IN_TEST='1', NO_MKDOCS_2_WARNING='1') # IN_TEST: an `nbdev_export()` in a notebook exports nothing
os.environ.pop('MPLBACKEND', None) # figures go into the notebook

import nbformat
from execnb.nbio import read_nb
from mkdocs.commands.build import build as make_site
from mkdocs.config import load_config
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbdev.config import get_config
from nbdev.doclinks import _nbpath2html
from nb2md import markdown, nb2md, plain
from processors import SiteFilter, prepare

docs = Path(__file__).resolve().parent
root, work = docs.parent, docs/'_build'
nbs, pages, cfg = root/'nbs', work/'pages', get_config(path=root)
package = sorted((root/cfg.lib_name).glob('**/*.py'))

setup = f"""%config InlineBackend.figure_formats = ['retina']
import sys; sys.path.append({str(docs)!r})
import nbdev.showdoc, showdoc
nbdev.showdoc.BasicMarkdownRenderer = showdoc.TableRenderer
from nbdev.showdoc import show_doc
sys.path.pop();"""

def execute(src, dst, full, key):
    "Run a copy of the notebook `src` in its own kernel and folder and save it as `dst`; return what went wrong, if anything did."
    nb = prepare(src, full)
    nb.metadata['key'] = key
    nb.cells.insert(0, nbformat.v4.new_code_cell(setup))
    dst.parent.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(nb, timeout=None, kernel_name='python3', coalesce_streams=True, skip_cells_with_tag='skip-execution',
                            extra_arguments=['--IPKernelApp.log_level=40'], # no word on how it talks to us
                            resources={'metadata': {'path': dst.parent}})
    try: client.execute()
    except (CellControlSignal, DeadKernelError) as e:
        bad = next((c for c in nb.cells if any(o.output_type == 'error' for o in c.get('outputs', []))), None)
        return f'{src.relative_to(root)}, cell {bad.metadata.get("place", "added by the build") if bad else "unknown"}:\n{plain(str(e))}'
    nb.cells.pop(0)
    nbformat.write(nb, dst)

def page_of(src):
    "Give the address of a page below the site's root: that which nbdev's index of symbols has for a notebook."
    return _nbpath2html(src.relative_to(nbs)).with_suffix('.md') if nbs in src.parents else Path(src.parent.name)/src.name

def relink(md, src, page, sources):
    "Make links to notebooks, to our own symbols, and to other files of the repository right for `page`."
    site, blob = f'{cfg.doc_host}{cfg.doc_baseurl}/', f'{cfg.git_url}/blob/{cfg.branch}/'
    def new(m):
        url, hash, anchor = m[2].partition('#')
        if url.startswith(site): to = Path(url.removeprefix(site)).with_suffix('.md')
        elif not url or ':' in url: return m[0]
        else:
            path = (src.parent/url).resolve()
            if path in sources: to = sources[path]
            elif nbs in path.parents: to = path.relative_to(nbs)
            elif docs/'results' in path.parents: to = path.relative_to(docs)
            elif root in path.parents and path.exists(): return f'{m[1]}{blob}{path.relative_to(root).as_posix()}{hash}{anchor}{m[3]}'
            else: return m[0]
        return f'{m[1]}{Path(os.path.relpath(to, page.parent)).as_posix()}{hash}{anchor.lower()}{m[3]}'
    return re.sub(r'(\]\()([^)\s]+)(\))', new, md)

def write_readme():
    "Write README.md: the text of the home page, with links that work from the repository's root."
    cells = [''.join(c.source) for c in read_nb(nbs/'index.ipynb').cells if c.cell_type == 'markdown']
    (root/'README.md').write_text('\n\n'.join(cells).replace('](../', '](') + '\n', encoding='utf-8')

def main(args):
    os.chdir(root) # where nbdev looks for settings.ini
    if args.readme: return write_readme()
    found = {o: [p for p in sorted((nbs/o.lower()).rglob('*.ipynb')) if p.name[0] not in '._'] for o in ('Tutorials', 'How-to', 'Explanations', 'API')}
    found['Results'] = sorted((docs/'results').glob('*.md'))
    home = next((o for o in (nbs/'index.ipynb', root/'README.md') if o.exists()), None)
    sources = {o: page_of(o) for o in sum(found.values(), [])} | ({home: Path('index.md')} if home else {})
    notebooks = [o for o in sources if o.suffix == '.ipynb']

    common = b''.join(o.read_bytes() for o in [*package, docs/'processors.py', docs/'showdoc.py']) + f'{setup} {args.exec} {os.environ.get("FLOWFM_DATA")}'.encode()
    errors = []
    shutil.copytree(nbs, work/'nbs', ignore=shutil.ignore_patterns('*.ipynb', '.*'), dirs_exist_ok=True) # what notebooks load
    for i, src in enumerate(notebooks, 1):
        dst, key = work/src.relative_to(root), hashlib.sha256(common + src.read_bytes()).hexdigest()
        print(f'[{i:2}/{len(notebooks)}] {src.relative_to(root)}', end=' ', flush=True)
        if dst.exists() and not args.force and read_nb(dst).metadata.get('key') == key: print('unchanged'); continue
        start, full = time.time(), args.exec
        if 'FLOWFM_DATA' in src.read_text(encoding='utf-8') and not os.environ.get('FLOWFM_DATA'):
            full = False
            print('(without outputs: FLOWFM_DATA names no folder of data sets)', end=' ')
        error = execute(src, dst, full, key)
        print('FAILED' if error else f'{time.time()-start:.0f} s', flush=True)
        if error: errors.append(error)
    if errors: sys.exit('\n'.join(['', *errors, f'{len(errors)} notebook(s) failed: no site made']))

    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(nbs, pages, ignore=shutil.ignore_patterns('*.ipynb', '.*', '*.py'))
    for o in ('results', 'stylesheets'):
        if (docs/o).exists(): shutil.copytree(docs/o, pages/o, dirs_exist_ok=True)
    if not home: (pages/'index.md').write_text(f'# {cfg.title}\n\n> {cfg.description}\n', encoding='utf-8')
    for src, page in sources.items():
        (pages/page).parent.mkdir(parents=True, exist_ok=True)
        if src in notebooks:
            nb = read_nb(work/src.relative_to(root))
            for c in nb.cells: c.has_sd = c.metadata.get('shows')
            SiteFilter()(nb)
            md = nb2md(nb, (pages/page).with_suffix(''))
        else: md = markdown(src.read_text(encoding='utf-8'))
        if src == home: md = f'---\nhide: [navigation]\n---\n\n{md}' # nothing else is in that section
        (pages/page).write_text(relink(md, src, page, sources), encoding='utf-8')

    nav = [{'Home': 'index.md'}, *({k: [sources[o].as_posix() for o in v]} for k, v in found.items() if v)]
    site = load_config(str(docs/'mkdocs.yml'), site_name=cfg.title, site_description=cfg.description, copyright=f'© {cfg.copyright}', nav=nav,
                       repo_url=cfg.git_url, repo_name=cfg.title, docs_dir=str(pages), site_dir=str(docs/'_site'), strict=args.strict)
    logging.basicConfig(format='%(levelname)s %(message)s') # MkDocs logs what is amiss, such as a broken link
    make_site(site)
    print(f'{len(sources)} pages: {docs.relative_to(root)}/_site/index.html')

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--no-exec', dest='exec', action='store_false', help='run only exported cells, which the API reference needs: quick, without outputs')
    p.add_argument('--force', action='store_true', help='run notebooks that have not changed too')
    p.add_argument('--readme', action='store_true', help='write README.md from nbs/index.ipynb, and nothing else')
    p.add_argument('--strict', action='store_true', help='fail at warnings of MkDocs, such as a broken link')
    main(p.parse_args())
