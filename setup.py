"Packaging: everything it says is read from settings.ini."
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=['='])
parser.read(here/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']

def lines(name): return [o.strip() for o in cfg.get(name, '').splitlines() if o.strip()]

statuses = ('Planning', 'Pre-Alpha', 'Alpha', 'Beta', 'Production/Stable', 'Mature', 'Inactive')
status = int(cfg['status'])
low, high = (int(cfg[o].partition('.')[2]) for o in ('min_python', 'max_python'))

classifiers = [
    f'Development Status :: {status} - {statuses[status-1]}',
    f"Intended Audience :: {cfg['audience']}", 'Intended Audience :: Science/Research',
    f"Natural Language :: {cfg['language']}", 'Operating System :: OS Independent',
    *[f'Programming Language :: Python :: 3.{v}' for v in range(low, high + 1)],
    *[f'Topic :: {o}' for o in lines('topics')]]

urls = dict([o.strip() for o in line.split('=', 1)] for line in lines('project_urls'))
if cfg['git_url']: urls['Source'] = cfg['git_url']
if cfg['doc_host']: urls['Documentation'] = cfg['doc_host'] + cfg['doc_baseurl']

setup(name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'].split(),
      author=cfg['author'], license_expression='Apache-2.0', license_files=['LICENSE'],
      long_description=(here/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
      project_urls=urls, classifiers=classifiers, python_requires=f'>=3.{low},<3.{high + 1}',
      packages=find_packages(include=['flowfm_tsai*']), package_data={cfg['lib_name']: ['weights/*/*', 'bench/pages/*']},
      install_requires=lines('requirements'), 
      extras_require={o: lines(f'{o}_requirements') for o in ('demo', 'text', 'parquet', 'scale', 'onnx', 'docs', 'dev')},
      entry_points=dict(console_scripts=lines('console_scripts'), nbdev=[f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"]),
      zip_safe=False)
