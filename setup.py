"Packaging: everything it says is read from settings.ini."
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=['='])
parser.read(here/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']

def requirements(name): return [r.strip() for r in cfg.get(name, '').splitlines() if r.strip()]

extras = {name: requirements(f'{name}_requirements') for name in ('demo', 'text', 'docs', 'dev')}
readme = here/'README.md'

setup(name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'],
      author=cfg['author'], url=cfg['git_url'], license='Apache-2.0',
      long_description=readme.read_text(encoding='utf-8') if readme.exists() else cfg['description'],
      long_description_content_type='text/markdown', packages=find_packages(include=['flowfm_tsai*']), package_data={cfg['lib_name']: ['weights/*/*', 'bench/pages/*']},
      python_requires=f">={cfg['min_python']},<3.13", install_requires=requirements('requirements'),
      extras_require=extras, entry_points=dict(console_scripts=requirements('console_scripts'),
      nbdev=[f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"]), zip_safe=False,
      classifiers=['Natural Language :: English',
                   *[f'Programming Language :: Python :: 3.{v}' for v in (10, 11, 12)]])
