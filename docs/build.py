#!/usr/bin/env python
"Build the documentation site from the notebooks, offline: run them, let nbdev process them, write Markdown, let MkDocs make pages of it."
import argparse, hashlib, logging, multiprocessing, os, re, shutil, sys, time, traceback
from pathlib import Path

os.environ.update(IN_TEST='1', NO_MKDOCS_2_WARNING='1') # IN_TEST: an `nbdev_export()` in a notebook exports nothing
os.environ.pop('MPLBACKEND', None) # figures go into the notebook

import nbformat, yaml
from PIL import Image
from execnb.nbio import read_nb
from execnb.shell import CaptureShell
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
site, blob = f'{cfg.doc_host}{cfg.doc_baseurl}/', f'{cfg.git_url}/blob/{cfg.branch}/' # what nbdev makes links to our symbols of
package = sorted((root/cfg.lib_name).glob('**/*.py'))

# Groups of the navigation, by names of notebooks without numbers, or of folders (`data/`); what is named nowhere follows in the last but one group
how_to = {'Questions': ['diffusion_for_time_series', 'self_supervised_learning', 'embeddings', 'fine_tune_a_pretrained_model', 'few_labels'],
          'Your data': ['from_csv_to_predictions', 'ucr_or_ecg', 'uneven_series', 'fill_gaps', 'forecast_with_bands', 'long_recordings', 'export', 'add_a_data_set', 'train_in_several_processes'],
          'Extend': ['add_a_task', 'add_a_path_or_sampler', 'add_a_benchmark_row']}
api = {'For users': ['learner', 'joint', 'pretrained', 'transfer', 'export', 'streams', 'text', 'text2signal', 'zero_shot', 'metrics', 'plots', 'classifiers', 'recipes', 'cli', 'demo'],
       'Data': ['data/'], 'Wearables': ['wearables/'],
       'Building blocks': [], 'Pretext tasks': ['pretext/'], 'Benchmarks': ['bench/']}

setup = f"""%config InlineBackend.figure_formats = ['retina']
import sys; sys.path.append({str(docs)!r})
import nbdev.showdoc, showdoc
nbdev.showdoc.BasicMarkdownRenderer = showdoc.TableRenderer
from nbdev.showdoc import show_doc
sys.path.pop();"""

def execute(src, dst, full, key):
    "Run a copy of the notebook `src` in its own folder and save it as `dst`; return what went wrong, if anything did."
    nb = prepare(src, full)
    nb.metadata['key'] = key
    nb.cells.insert(0, nbformat.v4.new_code_cell(setup))
    dst.parent.mkdir(parents=True, exist_ok=True)
    return in_kernel(src, nb, dst) if full or not hasattr(os, 'fork') else in_copy(src, nb, dst)

def failed(src, cell, text): return f'{src.relative_to(root)}, cell {cell.metadata.get("place", "added by the build") if cell else "unknown"}:\n{plain(text)}'

def in_copy(src, nb, dst):
    "Run the cells that the reference needs in a copy of this process, which has imported what takes long."
    receive, send = multiprocessing.Pipe(False)
    child = multiprocessing.get_context('fork').Process(target=run_cells, args=(src, nb, dst, send))
    child.start()
    send.close()
    try: error = receive.recv()
    except EOFError: error = f'{src.relative_to(root)}: the process ended'
    child.join()
    return error

def run_cells(src, nb, dst, send):
    os.chdir(dst.parent)
    shell = CaptureShell()
    for c in nb.cells:
        if c.cell_type != 'code' or 'skip-execution' in c.metadata.get('tags', []): continue
        c.outputs = [nbformat.from_dict(o) for o in shell.run(c.source)]
        if shell.exc: return send.send(failed(src, c, ''.join(traceback.format_exception(shell.exc))))
    nb.cells.pop(0)
    nbformat.write(nb, dst)
    send.send(None)

def in_kernel(src, nb, dst):
    "Run all cells in a kernel of their own."
    client = NotebookClient(nb, timeout=None, kernel_name='python3', coalesce_streams=True, skip_cells_with_tag='skip-execution',
                            extra_arguments=['--IPKernelApp.log_level=40'], # no word on how it talks to us
                            resources={'metadata': {'path': dst.parent}})
    try: client.execute()
    except (CellControlSignal, DeadKernelError) as e:
        return failed(src, next((c for c in nb.cells if any(o.output_type == 'error' for o in c.get('outputs', []))), None), str(e))
    nb.cells.pop(0)
    nbformat.write(nb, dst)

def needs_data(src): return 'FLOWFM_DATA' in src.read_text(encoding='utf-8')

def kept_page(src): return docs/'runs'/f'{src.stem}.md'

def mark(src):
    "The first line of a kept page: it tells which notebook, with which cells, was run."
    cells = [[c.cell_type, ''.join(c.source)] for c in read_nb(src).cells]
    return f'<!-- {src.relative_to(root).as_posix()} {hashlib.sha256(repr(cells).encode()).hexdigest()[:16]} -->'

def is_kept(src): return kept_page(src).exists() and kept_page(src).read_text(encoding='utf-8').startswith(mark(src))

def keep_pages(srcs, sources):
    "Run notebooks that need data sets, and keep their pages with outputs, for builds where there are none."
    os.chdir(root)
    for src in srcs:
        print(src.relative_to(root), flush=True)
        if error := execute(src, work/'kept'/src.name, True, ''): sys.exit(error)
        page, figures = kept_page(src), kept_page(src).with_name(f'{src.stem}_files')
        shutil.rmtree(figures, ignore_errors=True)
        page.parent.mkdir(exist_ok=True)
        of = {o: k for k, o in sources.items()} # the notebook of a page
        def new(url):
            url, hash, anchor = url.partition('#')
            path = of.get(Path(url.removeprefix(site)).with_suffix('.md')) if url.startswith(site) else (src.parent/url).resolve()
            if not url or ':' in url or path is None or not path.exists(): return url + hash + anchor
            return Path(os.path.relpath(path, page.parent)).as_posix() + hash + anchor
        page.write_text(f'{mark(src)}\n{links(written(work/"kept"/src.name, page), new)}', encoding='utf-8')
        for o in figures.glob('*.png'): Image.open(o).convert('RGB').quantize(32, dither=Image.Dither.NONE).save(o, optimize=True)

def written(ran, page):
    "The Markdown of a notebook that was run; its figures go into a folder beside `page`."
    nb = read_nb(ran)
    for c in nb.cells: c.has_sd = c.metadata.get('shows')
    SiteFilter()(nb)
    return nb2md(nb, page.with_suffix(''))

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

def grouped(srcs, groups):
    "Put notebooks into the groups that name them, or their folder; all others, in their order, into the first group that names none, or else the last."
    rest = next((k for k, names in groups.items() if not names), list(groups)[-1])
    name = lambda o: re.sub(r'^\d+[a-z]?_', '', o.stem)
    def place(o):
        "The group, and where in it."
        for k, names in groups.items():
            for i, n in enumerate(names):
                if n == name(o) and o.parent.parent == nbs or n == f'{o.parent.name}/': return k, i
        return rest, len(groups[rest])
    return {k: sorted((o for o in srcs if place(o)[0] == k), key=lambda o: place(o)[1]) for k in groups}

def navigation(found, sources):
    "Make the navigation: a tab for each of `found`, with its pages or its groups of pages."
    def entries(o): return [sources[p].as_posix() for p in o] if isinstance(o, list) else [{k: entries(v)} for k, v in o.items() if v]
    return [{name: entries(o)} for name, o in found.items() if o]

def links(md, new):
    "Replace the address of each link in `md` by what `new` makes of it; links that lead elsewhere stay."
    return re.sub(r'(\]\()([^)\s]+)(?=\))', lambda m: m[1] + new(m[2]), md)

def relink(md, src, page, sources):
    "Make links to notebooks, to our own symbols and their source, and to other files of the repository right for `page`."
    def target(url):
        "Find the page, below the site's root, or the address that `url` stands for; `None` if it's right as it is."
        if url.startswith(site): return Path(url.removeprefix(site)).with_suffix('.md')
        if url.startswith(blob): return None if cfg.git_url else Path('source', url.removeprefix(blob)).with_suffix('.md')
        if not url or ':' in url: return None
        path = (src.parent/url).resolve()
        if path in sources: return sources[path]
        if nbs in path.parents: return path.relative_to(nbs)
        if docs/'results' in path.parents or docs/'runs' in path.parents: return path.relative_to(docs)
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

def said_of(src, home):
    "What the page's template is told: where the page is edited, and that nothing else is in the first section."
    said = dict(edit=f'{cfg.git_url}/edit/{cfg.branch}/{src.relative_to(root).as_posix()}') if cfg.git_url and work not in src.parents else {}
    return said | (dict(hide=['navigation']) if src == home else {})

def main(args):
    os.chdir(root) # where nbdev looks for settings.ini
    if args.readme: return write_readme()
    home = nbs/'index.ipynb'
    found = {'Get started': [home], 'Tutorials': notebooks_in('tutorials'), 'How-to': grouped(notebooks_in('how_to'), how_to), 'Concepts': notebooks_in('explanations'),
             'Results': sorted((docs/'results').glob('*.md'), key=lambda p: (p.stem != 'index', p)), 'API': grouped(notebooks_in('api'), api),
             'Shell': [write_shell(work/'shell'/'index.md')],
             'Project': [*(root/cfg.lib_name/'weights').glob('*/README.md'), root/'CONTRIBUTING.md', root/'CHANGELOG.md']}
    sources = {p: page_of(p) for o in found.values() for p in (o if isinstance(o, list) else sum(o.values(), []))}
    notebooks = [o for o in sources if o.suffix == '.ipynb']
    if args.keep: return keep_pages([o for o in notebooks_in('tutorials') if needs_data(o) and args.keep in o.name], sources)
    data = args.exec and os.environ.get('FLOWFM_DATA')
    kept = [o for o in notebooks if needs_data(o) and not data and is_kept(o)]
    notebooks = [o for o in notebooks if o not in kept]

    common = b''.join(o.read_bytes() for o in [*package, docs/'processors.py', docs/'showdoc.py']) + f'{setup} {args.exec} {os.environ.get("FLOWFM_DATA")}'.encode()
    errors = []
    if not args.exec: import flowfm_tsai.all, nbdev.showdoc # noqa: F401 for all copies of this process
    shutil.copytree(nbs, work/'nbs', ignore=shutil.ignore_patterns('*.ipynb', '.*'), dirs_exist_ok=True) # what notebooks load
    for i, src in enumerate(notebooks, 1):
        dst, key = work/src.relative_to(root), hashlib.sha256(common + src.read_bytes()).hexdigest()
        print(f'[{i:2}/{len(notebooks)}] {src.relative_to(root)}', end=' ', flush=True)
        if dst.exists() and not args.force and read_nb(dst).metadata.get('key') == key: print('unchanged'); continue
        start, full = time.time(), args.exec
        if needs_data(src) and full and not data:
            full = False
            print('(without outputs: FLOWFM_DATA names no folder of data sets, and no outputs of these cells were kept)', end=' ')
        error = execute(src, dst, full, key)
        print('FAILED' if error else f'{time.time()-start:.0f} s', flush=True)
        if error: errors.append(error)
    if errors: sys.exit('\n'.join(['', *errors, f'{len(errors)} notebook(s) failed: no site made']))

    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(nbs, pages, ignore=shutil.ignore_patterns('*.ipynb', '.*', '*.py'))
    for o in ('results', 'stylesheets', 'javascripts'): shutil.copytree(docs/o, pages/o, dirs_exist_ok=True)
    shutil.copytree(docs/'runs', pages/'runs', ignore=shutil.ignore_patterns('*.md'), dirs_exist_ok=True)
    for src in () if cfg.git_url else (o for o in package if o.name not in ('__init__.py', '_modidx.py')):
        page = (pages/'source'/src.relative_to(root)).with_suffix('.md')
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(source_page(src, src.relative_to(root)), encoding='utf-8')
    for src, page in sources.items():
        file = src # what its links are relative to
        (pages/page).parent.mkdir(parents=True, exist_ok=True)
        if src in notebooks:
            md = written(work/src.relative_to(root), pages/page)
        elif src in kept: md, file = kept_page(src).read_text(encoding='utf-8').partition('\n')[2], kept_page(src)
        else: md = markdown(src.read_text(encoding='utf-8'))
        md = only_shown(relink(md, file, page, sources), page)
        (pages/page).write_text(f'---\n{yaml.safe_dump(said_of(src, home))}---\n\n{md}', encoding='utf-8')

    conf = load_config(str(docs/'mkdocs.yml'), site_name=cfg.title, site_description=cfg.description, copyright=f'{cfg.title} {cfg.version} · © {cfg.copyright}',
                       nav=navigation(found, sources), repo_url=cfg.git_url or None, repo_name=cfg.title, docs_dir=str(pages), site_dir=str(docs/'_site'), strict=args.strict)
    logging.basicConfig(format='%(levelname)s %(message)s') # MkDocs logs what is amiss, such as a broken link
    make_site(conf)
    print(f'{len(sources)} pages: {docs.relative_to(root)}/_site/index.html')

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--no-exec', dest='exec', action='store_false', help='run only exported cells, which the API reference needs: quick, without outputs')
    p.add_argument('--force', action='store_true', help='run notebooks that have not changed too')
    p.add_argument('--readme', action='store_true', help='write README.md from nbs/index.ipynb, and nothing else')
    p.add_argument('--keep', metavar='TEXT', help='run the tutorials that need FLOWFM_DATA and have TEXT in their name, and keep their pages in docs/runs, for builds without data; nothing else')
    p.add_argument('--strict', action='store_true', help='fail at warnings of MkDocs, such as a broken link')
    main(p.parse_args())
