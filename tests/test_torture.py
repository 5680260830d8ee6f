"The short form of `make torture`: hostile checkpoints, killed processes, full disks."
import subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent

@pytest.mark.skipif(not hasattr(__import__('os'), 'fork'), reason='attempts run in forked processes')
@pytest.mark.parametrize('what, n', [('checkpoints', 90), ('kills', 20), ('disks', 10), ('archives', 50)])
def test_short(what, n):
    others = [a for k in ('checkpoints', 'kills', 'disks', 'archives') if k != what for a in (f'--{k}', '0')]
    r = subprocess.run([sys.executable, '-m', 'tests.torture', f'--{what}', str(n), '--seed', '1', *others], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert r.returncode == 0 and f'{what}: {n} tried, 0 failed' in r.stdout, r.stdout + r.stderr[-2000:]
