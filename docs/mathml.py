"MkDocs hook: turn formulas into MathML while building, so that readers need neither JavaScript nor a network."
import html, re
from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

formula = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)

def mathml(tex, display):
    "Convert one formula; latex2mathml lacks two environments, and browsers the attribute that aligns its tables."
    tex = re.sub(r'\{(aligned|gathered)\}', '{split}', html.unescape(tex).strip())
    return re.sub(r'<mtd columnalign="(\w+)"', r'<mtd style="text-align: \1; text-align: -webkit-\1"', convert(tex, display=display))

def on_page_content(content, page, **kwargs):
    "Replace what pymdownx.arithmatex has marked."
    def new(m):
        try: return mathml(m[2], 'inline' if m[1] == 'span' else 'block')
        except Exception as e: raise PluginError(f'{page.file.src_uri}: cannot convert the formula {m[2]}: {e!r}') from e
    return formula.sub(new, content)
