"What nbdev does to a notebook before and after it is run for the site."
import ast, re

import nbformat
from execnb.nbio import mk_cell, nb2str, read_nb
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor
from nbdev.processors import FilterDefaults, add_show_docs, exec_show_docs, insert_warning, populate_language
from nb2md import front

exported = {'export', 'exports', 'exporti', 'exec_doc'}

class add_docs(add_show_docs):
    "Add `show_doc` cells as nbdev does, in the order of the source, and for methods that have a docstring or a described parameter."
    def begin(self):
        super().begin()
        code = [c for c in self.nb.cells if c.cell_type == 'code']
        self.shown = {m for c in code for m in re.findall(r'^show_doc\(([\w.]+)', c.source, re.M)}
        self.classes = {o.name: (o, c.source.splitlines()) for c in code for o in c.parsed_() or [] if isinstance(o, ast.ClassDef)}
        cells, added = [], []
        for c in self.nb.cells:
            if getattr(c, 'has_sd', False): added.insert(0, c) # nbdev adds the symbols of one cell last to first
            else:
                cells += [*added, c]
                added = []
        cells += added
        self.nb.cells = [o for c in cells for o in (c, *self.methods(c))]

    def methods(self, cell):
        "Make cells for the methods of the class that `cell` shows."
        if not getattr(cell, 'has_sd', False) or cell.source[9:-1] not in self.classes: return
        cls, lines = self.classes[cell.source[9:-1]]
        for f in cls.body:
            if not isinstance(f, ast.FunctionDef) or f'{cls.name}.{f.name}' in self.shown: continue
            if f.name.startswith('_') and f.name != '__call__': continue
            if ast.get_docstring(f) or any('#' in o for o in lines[f.lineno-1:f.body[0].lineno-1]):
                yield mk_cell(f'show_doc({cls.name}.{f.name}, title_level=4)')

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
