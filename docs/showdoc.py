"How `show_doc` looks on the site: heading, signature, docstring, and a table of parameters. Loaded into each notebook's kernel by build.py."
import ast, functools, inspect, re, textwrap

from fastcore.docments import ShowDocRenderer, docments
from nbdev.doclinks import NbdevLookup

def anno(o):
    "Format the annotation `o` without the names of modules."
    return '' if o is inspect._empty else re.sub(r'\b[a-zA-Z_][\w.]*\.(?=\w)|[\'"]', '', inspect.formatannotation(o))

def default(o, names=None):
    "Write a default value: a function or a class by its name, an object without one by the name that `names` has for it."
    if isinstance(o, list) and o and not isinstance(o[0], (str, int, float)): return next((k for k, v in (names or {}).items() if v is o), repr(o)).replace('\n', ' ')
    if isinstance(o, functools.partial): return next((k for k, v in (names or {}).items() if v is o), default(o.func, names))
    return getattr(o, '__name__', None) or re.sub(r' at 0x\w+', '', repr(o))

def delegatee(f):
    "Find the function that `f` hands its `**kwargs` to by `delegates`, which itself notes it only where it takes them out of the signature."
    if hasattr(f, '__delwrap__'): return f.__delwrap__
    try: decorators = ast.parse(textwrap.dedent(inspect.getsource(f))).body[0].decorator_list
    except (OSError, TypeError, SyntaxError, AttributeError, IndexError): return
    for d in decorators:
        if isinstance(d, ast.Call) and d.args and ast.unparse(d.func).split('.')[-1] == 'delegates':
            to = eval(ast.unparse(d.args[0]), f.__globals__)
            return to.__init__ if inspect.isclass(to) else to

def described(sym):
    "Read what is said of the parameters of `sym`, and, where nothing is, what the functions say to which it delegates."
    docs, f = dict(docments(sym, args_kwargs=True)), sym.__init__ if inspect.isclass(sym) else sym
    while f := delegatee(inspect.unwrap(f)):
        docs |= {k: v for k, v in docments(f, args_kwargs=True).items() if k in docs and k != 'return' and docs[k] is None}
    return docs

def cell(s): return s.replace('|', r'\|').replace('\n', ' ')
def code(s): return f'`{s}`' if s else ''

def signature(name, params, returns, names=None, width=88):
    "Write a signature on one line, or with one parameter a line where it is too long."
    stars = {inspect.Parameter.VAR_POSITIONAL: '*', inspect.Parameter.VAR_KEYWORD: '**'}
    ps = []
    for o in params:
        typ, eq = (f': {anno(o.annotation)}', ' = ') if anno(o.annotation) else ('', '=')
        if o.kind == o.KEYWORD_ONLY and '*' not in ps and not any(p.kind == o.VAR_POSITIONAL for p in params): ps.append('*')
        ps.append(stars.get(o.kind, '') + o.name + typ + ('' if o.default is o.empty else eq + default(o.default, names)))
    end = f') -> {anno(returns)}' if anno(returns) else ')'
    line = f'{name}({", ".join(ps)}{end}'
    return line if len(line) <= width else '\n'.join([f'{name}(', *(f'    {p},' for p in ps), end])

class TableRenderer(ShowDocRenderer):
    "Render a symbol as Markdown for the site; nbdev's own renderer writes parameters as comments in the signature."
    def _repr_markdown_(self):
        sym, cls, f = self.sym, inspect.isclass(self.sym), self.sym.__init__ if inspect.isclass(self.sym) else self.sym
        src, self.names = NbdevLookup().code(self.fn), getattr(inspect.unwrap(f), '__globals__', None)
        heading, h = self.nm.replace('_', r'\_'), f'h{self.title_level}'
        res = [f'[source]({src}){{.source-link}}'] if src else []
        res.append(f'<{h} id="{self.nm.lower()}" class="symbol" markdown="span">{heading}</{h}>')
        if inspect.isroutine(f) and self.sig:
            sig = inspect.signature(f)
            params = [] if f is object.__init__ else [p for p in sig.parameters.values() if p.name not in ('self', 'cls')]
            returns = inspect._empty if cls else sig.return_annotation
            res.append(f'```python\n{signature(("class " if cls else "") + self.nm, params, returns, self.names)}\n```')
        if sym.__doc__ and self.docs: res.append(self.docs) # a class without its own docstring would show its parent's
        if inspect.isroutine(f) and self.sig: res.append(self.table(described(sym), params, returns))
        return '\n\n'.join(filter(None, res))

    def table(self, docs, params, returns):
        "Write the parameters that docments describe, and what comes back, as a Markdown table."
        if not any(docs.get(k) for k in (*(p.name for p in params), 'return')): return
        rows = [(p.name, anno(p.annotation), '' if p.default is p.empty else default(p.default, self.names), docs.get(p.name)) for p in params]
        if anno(returns) or docs.get('return'): rows.append(('', anno(returns), '', docs.get('return')))
        rows = [o for o in rows if o[1] or o[3]] # the signature says the rest
        rows = [f'| {code(n) or "**returns**"} | {code(t)} | {code(d)} | {cell(doc or "")} |' for n, t, d, doc in rows]
        return '\n'.join(['<div class="parameters" markdown>', '', '| Parameter | Type | Default | Details |', '|---|---|---|---|', *rows, '', '</div>'])
