"Pages that show the package's modules, with a place to link to for each line: the site needs no repository elsewhere."
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

def source_page(py, name):
    "Write a page that shows the module `py` under its `name`: outside the navigation and the search."
    html = highlight(py.read_text(encoding='utf-8'), PythonLexer(), HtmlFormatter(linenos='inline', linespans='L', wrapcode=True))
    return '\n'.join(['---', 'search: {exclude: true}', 'hide: [toc]', '---', '', f'# {name.name}', '',
                      f'`{name.as_posix()}`, as nbdev makes it from its notebook.', '', html.replace('<span id="L-', '<span id="L'), ''])
