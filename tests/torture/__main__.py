"""Hostile and damaged files, killed processes, full disks: what was tried, what held, what failed. `make torture`, or `python -m tests.torture --help`.

Exits with 1 if something failed."""
import argparse, contextlib, io, sys, tempfile, time, warnings
from pathlib import Path

GROUPS = dict( # name: module, how many by default, what it is
    checkpoints=(1000, 'checkpoints that were edited, damaged or made to harm'),
    kills=(200, 'kills while saving, training, writing windows, measuring'),
    disks=(20, 'full disks, at each writer'),
    archives=(500, 'damaged archives and files of windows'))

def run(name, n, seed, show=3):
    "Try a group: how many were tried, and what failed."
    from importlib import import_module
    group, failed = import_module(f'{__package__}.{name}'), []
    with tempfile.TemporaryDirectory() as folder:
        for i, case in enumerate(group.cases(n, seed, folder)):
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter('ignore')
                said = group.tried(case)
            if said != 'held':
                failed.append(said)
                if len(failed) <= show: print(f'  {said}', flush=True)
            if sys.stderr.isatty(): print(f'\r{name} {i+1} of {n}', end='', file=sys.stderr, flush=True)
    if sys.stderr.isatty(): print('\r', end='', file=sys.stderr)
    return n, failed

def table(results):
    rows = [f'| {GROUPS[k][1]} | {n} | {n - len(failed)} | {len(failed)} |' for k, (n, failed) in results.items()]
    return '\n'.join(['| | tried | held | failed |', '|---|---|---|---|', *rows])

def main():
    p = argparse.ArgumentParser('python -m tests.torture', description=__doc__)
    for k, (n, what) in GROUPS.items(): p.add_argument(f'--{k}', type=int, default=n, metavar='N', help=f'{what} (default: {n})')
    p.add_argument('--seed', type=int, default=0, help='other cases for another seed')
    p.add_argument('--show', type=int, default=5, help='how many failures of a group to print')
    p.add_argument('--out', help='file for the table')
    args, results = vars(p.parse_args()), {}
    for k in GROUPS:
        start = time.time()
        results[k] = run(k, args[k], args['seed'], args['show']) if args[k] else (0, [])
        print(f'{k}: {results[k][0]} tried, {len(results[k][1])} failed, {time.time()-start:.0f} s', flush=True)
    print('\n' + table(results))
    if args['out']: Path(args['out']).write_text(table(results) + '\n')
    return int(any(failed for _, failed in results.values()))

if __name__ == '__main__': sys.exit(main())
