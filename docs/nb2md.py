"Turn a notebook that has been run and processed into a Markdown page for MkDocs."
import base64, re
import yaml

ansi = re.compile(r'\x1B(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])')
noise = re.compile(r'\(?None(, ?None)*,?\)?|[\[(]*<.* at 0x[0-9a-f]+>.*', re.S) # results that say nothing: of tests, of plots
images = {'image/svg+xml': 'svg', 'image/png': 'png', 'image/jpeg': 'jpg'}
admonitions = {'note': 'note', 'tip': 'tip', 'warning': 'warning', 'important': 'danger', 'caution': 'warning'}

def joined(o): return o if isinstance(o, str) else ''.join(o)
def indent(s): return re.sub(r'^(?=.)', '    ', s, flags=re.M)

def fence(s, kind):
    "Fence `s` off with more backticks than it holds."
    ticks = '`'*max(3, 1 + max(map(len, re.findall(r'`+', s)), default=0))
    return f'{ticks}{kind}\n{s}\n{ticks}'

def front(nb):
    "Read the YAML front matter of a notebook's raw cells."
    res = {}
    for c in nb.cells:
        if c.cell_type == 'raw' and (m := re.fullmatch(r'---\n(.*?)\n---', joined(c.source).strip(), re.S)): res |= yaml.safe_load(m[1]) or {}
    return res

def plain(s):
    "Clean console text: no colours, of a progress bar only what was left."
    return re.sub(r'[^\n]*\r(?!\n)', '', ansi.sub('', s)).strip('\n').rstrip()

def rich(s):
    "Clean HTML: no styles and scripts of its own, no progress bars."
    s = re.sub(r'<(style|script)\b.*?</\1>|<div>\s*<progress\b.*?</div>|<progress\b.*?</progress>', '', s, flags=re.S)
    s = re.sub(r'(?<=<table) [^>]*|\sstyle="text-align: (left|right);"', '', s) # the site's own look
    return f'<div class="nb-html">\n{s.strip()}\n</div>' if re.search(r'<(img|svg|video|audio)\b', s) or re.sub(r'<[^>]*>|\s', '', s) else ''

def output(o, path, stem, opts):
    "Write one output; images go into a folder beside the page, at `path`."
    if o.output_type == 'stream':
        s = plain(joined(o.text)) if o.name == 'stdout' else '' # stderr: warnings and progress bars
        return fence(s, ' {.text .nb-output}') if s else ''
    data = {k: joined(v) if k in images or k.startswith('text/') else v for k, v in o.get('data', {}).items()}
    if 'application/vnd.jupyter.widget-view+json' in data: return ''
    for mime, ext in images.items():
        if mime not in data: continue
        path.mkdir(parents=True, exist_ok=True)
        file, size = path/f'{stem}.{ext}', o.get('metadata', {}).get(mime, {})
        file.write_bytes(data[mime].encode() if ext == 'svg' else base64.b64decode(data[mime]))
        alt = opts.get('fig-alt') or opts.get('fig-cap') or 'Figure'
        caption = f'\n\n*{opts["fig-cap"]}*{{.caption}}' if opts.get('fig-cap') else ''
        return f'![{alt}]({path.name}/{file.name}){{.nb-figure{" width="+str(size["width"]) if "width" in size else ""}}}{caption}'
    if 'text/html' in data: return rich(data['text/html'])
    if 'text/markdown' in data: return data['text/markdown']
    if 'text/latex' in data: return '$$' + data['text/latex'].strip().strip('$') + '$$'
    s = plain(data.get('text/plain', ''))
    return '' if noise.fullmatch(s) else fence(s, ' {.text .nb-output}') if s else ''

def code(c, path, i):
    "Write a code cell and its outputs, as its `#| key: value` lines tell Quarto to."
    opts = {k: v.strip('"\'') for k, v in re.findall(r'^#\| *([\w-]+): *(.*?) *$', c.source, re.M)}
    off = lambda k: opts.get(k) == 'false'
    if off('include'): return []
    src, res = re.sub(r'^#\|.*\n?', '', c.source, flags=re.M).strip(), []
    if src and not off('echo'):
        res = [fence(src, c.metadata.get('language', 'python'))]
        if opts.get('code-fold') in ('true', 'show'):
            res = [f'???{"+" if opts["code-fold"] == "show" else ""} abstract "{opts.get("code-summary", "Code")}"', indent(res[0])]
    if off('output'): return res
    return res + [output(o, path, f'{i}_{j}', opts) for j, o in enumerate(c.get('outputs', []))]

def markdown(s):
    "Adapt Jupyter's Markdown, and Quarto's, to Python-Markdown: callouts, no other divs, blank lines before lists and tables."
    s = re.sub(r'^(:{3,} *\{[^}\n]*callout-[^}\n]*)\}\n+#+ +(.*)', r'\1 title="\2"}', s, flags=re.M) # a heading there is its title
    res, divs, fenced = [], [], False
    for line in re.sub(r'\{\{<.*?>\}\}', '', s).splitlines():
        prev = res[-1].strip() if res else ''
        if line.lstrip().startswith(('```', '~~~')): fenced = not fenced
        elif fenced: pass
        elif m := re.fullmatch(r'\s*:{3,}\s*(.*?)\s*', line):
            if m[1]:
                kind, title = re.search(r'callout-(\w+)', m[1]), re.search(r'title="([^"]*)"', m[1])
                if kind: res += ['', '    '*sum(divs) + f'{"???" if "collapse" in m[1] else "!!!"} {admonitions.get(kind[1], "note")}' + (f' "{title[1]}"' if title else '')]
                divs.append(bool(kind))
            elif divs: divs.pop()
            line = ''
        else:
            line = re.sub(r'^ {2,3}(?=([-*+]|\d+\.) )', '    ', line)
            item, row = (re.match(o, line) for o in (r'([-*+]|1\.) ', r'\|'))
            listed = re.match(r'([-*+]|\d+\.) | {2}|#|>', res[-1] if res else '')
            if prev and (item and not listed or row and not prev.startswith('|')): res.append('')
        res.append('    '*sum(divs)*bool(line) + line)
    return '\n'.join(res)

def nb2md(nb, page):
    "Write a notebook, processed by nbdev, as Markdown; its images go into the folder `page`_files."
    path, meta, parts = page.with_name(f'{page.name}_files'), front(nb), []
    if 'title' in meta: parts = [f'# {meta["title"]}', f'> {meta["description"]}' if 'description' in meta else '']
    for i, c in enumerate(nb.cells):
        if c.cell_type == 'markdown': parts.append(markdown(c.source))
        elif c.cell_type == 'code': parts += code(c, path, i)
    return '\n\n'.join(filter(None, parts)) + '\n'
