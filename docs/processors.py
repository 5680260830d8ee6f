"What nbdev does to a notebook before and after it is run for the site."
import ast, re

import nbformat
from execnb.nbio import mk_cell, nb2str, read_nb
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor
from nbdev.processors import FilterDefaults, add_show_docs, exec_show_docs, insert_warning, populate_language, showdoc_nm
from nb2md import front

exported = {'export', 'exports', 'exporti', 'exec_doc'}

def worth_showing(f, lines):
    "Say whether the reference shows a method: one that is called by its name, with a docstring or a described parameter."
    if f.name.startswith('_') and f.name != '__call__': return False
    return bool(ast.get_docstring(f)) or any('#' in o for o in lines[f.lineno-1:f.body[0].lineno-1])

class add_docs(add_show_docs):
    "Add `show_doc` cells as nbdev does, in the order of the source, and for methods: in their class, or patched into it in a cell of their own."
    def begin(self):
        self.written = {m for c in self.nb.cells for m in re.findall(r'^show_doc\(([\w.]+)', c.source, re.M)}
        super().begin()
        code = [(o, c.source.splitlines()) for c in self.nb.cells if c.cell_type == 'code' for o in c.parsed_() or []]
        self.classes = {o.name: (o, lines) for o, lines in code if isinstance(o, ast.ClassDef)}
        self.patched = {showdoc_nm(o): (o, lines) for o, lines in code if isinstance(o, ast.FunctionDef) and showdoc_nm(o) != o.name}
        cells, added = [], []
        for c in self.nb.cells:
            if getattr(c, 'has_sd', False): added.insert(0, c) # nbdev adds the symbols of one cell last to first
            else:
                cells += [*added, c]
                added = []
        cells += added
        self.nb.cells = [o for c in cells for o in self.shown(c)]

    def shown(self, cell):
        "Give the cells to put in the place of `cell`: with its methods after a class, none for a patched method that isn't to be shown."
        if not getattr(cell, 'has_sd', False): return [cell]
        name = cell.source[len('show_doc('):-1]
        if name in self.patched:
            if name in self.written or not worth_showing(*self.patched[name]): return []
            cell.source = f'show_doc({name}, title_level=4)'
        return [cell, *self.methods(name)]

    def methods(self, name):
        "Make cells for the methods of the class `name`."
        if name not in self.classes: return
        cls, lines = self.classes[name]
        for f in cls.body:
            if isinstance(f, ast.FunctionDef) and f'{name}.{f.name}' not in self.written and worth_showing(f, lines):
                yield mk_cell(f'show_doc({name}.{f.name}, title_level=4)')

class SiteFilter(FilterDefaults):
    "Use nbdev's processors but for those that add and run `show_doc` cells, which is done by now, and those that write for Quarto."
    def base_procs(self):
        return [o for o in super().base_procs() if o not in (add_show_docs, exec_show_docs, FrontmatterProc, insert_warning)]

def prepare(src, full):
    "Read a notebook, add `show_doc` cells, and mark the cells that aren't to run: without `full` only what `show_doc` needs runs."
    nb = read_nb(src)
    for i, c in enumerate(nb.cells): c.metadata['place'] = i
    NBProcessor(nb=nb, procs=[populate_language, add_docs], rm_directives=False).process()
    full = full and not front(nb).get('skip_exec')
    for c in nb.cells:
        d, shows = getattr(c, 'directives_', {}), c.source.startswith('show_doc(')
        c.metadata['shows'] = bool(c.pop('has_sd', False))
        if d.get('eval:') == ['false'] or 'nbdev_export()' in c.source or not (full or shows or exported & d.keys()):
            c.metadata['tags'] = ['skip-execution']
    return nbformat.reads(nb2str(nb), as_version=4)
