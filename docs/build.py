#!/usr/bin/env python
"Build the documentation site from the notebooks, offline: run them, let nbdev process them, write Markdown, let MkDocs make pages of it."
import argparse, hashlib, itertools, logging, os, re, shutil, sys, time
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
from shell import shell_page
from sources import source_page

docs = Path(__file__).resolve().parent
root, work = docs.parent, docs/'_build'
nbs, pages, cfg = root/'nbs', work/'pages', get_config(path=root)
package = sorted((root/cfg.lib_name).glob('**/*.py'))

sections = {'Tutorials': 'tutorials', 'How-to': 'how_to', 'Concepts': 'explanations', 'Results': None, 'API': 'api'} # and their folders in nbs
# Folders of the API in the order of dependence; others go by their names
rooms = {'pretext': 'Pretext tasks', 'data': 'Data', 'wearables': 'Wearables', 'bench': 'Benchmarks'}
front_room = 30 # from this number on, a notebook of the API's own folder stands on all the rest

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

def notebooks_in(folder):
    "List the notebooks of a folder of `nbs`: its own in the order of their numbers, then those of folders in it."
    found = [p for p in (nbs/folder).rglob('*.ipynb') if p.name[0] not in '._']
    return sorted(found, key=lambda p: (len(p.parts), p))

def page_of(src):
    "Give the address of a page below the site's root: that which nbdev's index of symbols has for a notebook."
    if nbs in src.parents: return _nbpath2html(src.relative_to(nbs)).with_suffix('.md')
    if work in src.parents: return src.relative_to(work)
    if docs in src.parents: return src.relative_to(docs)
    return Path('project', (src.parent.name if src.name == 'README.md' else src.stem.lower()) + '.md')

def room_of(src):
    "Name the group of the navigation that a notebook of the API belongs to."
    folder = src.parent.relative_to(nbs/'api').as_posix()
    if folder != '.': return rooms.get(folder, folder.replace('_', ' ').capitalize())
    return 'Front rooms' if int(re.match(r'\d*', src.name)[0] or 0) >= front_room else 'Library'

def navigation(found, sources):
    "Make the navigation: a section of the site for each of `found`, the API's in groups, a room each."
    address = lambda srcs: [sources[o].as_posix() for o in srcs]
    res = [{'Home': 'index.md'}]
    for name, srcs in found.items():
        if name == 'API':
            order = ['Library', *rooms.values()]
            place = lambda room: order.index(room) if room in order else len(order) + (room == 'Front rooms') # new rooms before the front ones
            groups = itertools.groupby(sorted(srcs, key=lambda o: place(room_of(o))), room_of)
            res.append({name: [{room: address(g)} for room, g in groups]})
        elif srcs: res.append({name: address(srcs)})
    return res

def links(md, new):
    "Replace the address of each link in `md` by what `new` makes of it; links that lead elsewhere stay."
    return re.sub(r'(\]\()([^)\s]+)(?=\))', lambda m: m[1] + new(m[2]), md)

def relink(md, src, page, sources):
    "Make links to notebooks, to our own symbols and their source, and to other files of the repository right for `page`."
    site, blob = f'{cfg.doc_host}{cfg.doc_baseurl}/', f'{cfg.git_url}/blob/{cfg.branch}/'
    def target(url):
        "Find the page, below the site's root, or the address that `url` stands for; `None` if it's right as it is."
        if url.startswith(site): return Path(url.removeprefix(site)).with_suffix('.md')
        if url.startswith(blob): return None if cfg.git_url else Path('source', url.removeprefix(blob)).with_suffix('.md')
        if not url or ':' in url: return None
        path = (src.parent/url).resolve()
        if path in sources: return sources[path]
        if nbs in path.parents: return path.relative_to(nbs)
        if docs/'results' in path.parents: return path.relative_to(docs)
        if root not in path.parents or not path.is_file(): return None
        file = path.relative_to(root)
        if cfg.git_url: return blob + file.as_posix()
        if path in package: return Path('source', file).with_suffix('.md')
        (pages/'files'/file.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, pages/'files'/file)
        return Path('files', file)
    def new(url):
        url, hash, anchor = url.partition('#')
        to = target(url)
        if to is None: return url + hash + anchor
        if isinstance(to, Path): to = Path(os.path.relpath(to, page.parent)).as_posix()
        return to + hash + (anchor if url.startswith(blob) else anchor.lower())
    return links(md, new)

def only_shown(md, page):
    "Leave of the links to `page`'s own symbols those that it shows: names of hidden cells stand as plain code."
    def one(m): return m[0] if f'id="{m[2]}"' in md else m[1]
    return re.sub(rf'\[(`[^`\]]+`)\]\({re.escape(page.name)}#([\w.]+)\)', one, md)

def write_readme():
    "Write README.md: the text of the home page, with links that work from the repository's root."
    cells = [''.join(c.source) for c in read_nb(nbs/'index.ipynb').cells if c.cell_type == 'markdown']
    new = lambda url: url if ':' in url or url[0] == '#' else Path(os.path.relpath(nbs/url, root)).as_posix()
    (root/'README.md').write_text(links('\n\n'.join(cells), new) + '\n', encoding='utf-8')

def write_shell(file):
    "Write the page of the shell, and return its file."
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(shell_page(), encoding='utf-8')
    return file

def main(args):
    os.chdir(root) # where nbdev looks for settings.ini
    if args.readme: return write_readme()
    found = {o: notebooks_in(folder) if folder else [] for o, folder in sections.items()}
    found['Results'] = sorted((docs/'results').glob('*.md'), key=lambda p: (p.stem != 'index', p))
    found['Shell'] = [write_shell(work/'shell'/'index.md')]
    found['Project'] = [*(root/cfg.lib_name/'weights').glob('*/README.md'), *(o for o in (root/'CONTRIBUTING.md', root/'CHANGELOG.md') if o.exists())]
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
    for src in () if cfg.git_url else (o for o in package if o.name not in ('__init__.py', '_modidx.py')):
        page = (pages/'source'/src.relative_to(root)).with_suffix('.md')
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(source_page(src, src.relative_to(root)), encoding='utf-8')
    for src, page in sources.items():
        (pages/page).parent.mkdir(parents=True, exist_ok=True)
        if src in notebooks:
            nb = read_nb(work/src.relative_to(root))
            for c in nb.cells: c.has_sd = c.metadata.get('shows')
            SiteFilter()(nb)
            md = nb2md(nb, (pages/page).with_suffix(''))
        else: md = markdown(src.read_text(encoding='utf-8'))
        if src == home: md = f'---\nhide: [navigation]\n---\n\n{md}' # nothing else is in that section
        md = only_shown(relink(md, src, page, sources), page)
        (pages/page).write_text(md, encoding='utf-8')

    site = load_config(str(docs/'mkdocs.yml'), site_name=cfg.title, site_description=cfg.description, copyright=f'© {cfg.copyright}',
                       nav=navigation(found, sources), repo_url=cfg.git_url or None, repo_name=cfg.title, docs_dir=str(pages), site_dir=str(docs/'_site'), strict=args.strict)
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
