"Workers of a Dask scheduler: one of them is killed, and nothing is lost."
import os, signal, time
import pytest
from flowfm_tsai.scheduler import in_order

def slowly(i):
    time.sleep(.3)
    return i, os.getpid()

def test_a_killed_worker():
    distributed = pytest.importorskip('distributed', reason="Dask comes with pip install 'flowfm_tsai[scale]'")
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster:
        found = []
        for result, why in in_order(slowly, range(12), cluster.scheduler_address):
            assert why is None
            found.append(result)
            if len(found) == 2: os.kill(result[1], signal.SIGKILL)
        assert [i for i, _ in found] == list(range(12)) # all of them, in order, though one of two workers died on the way
        assert len({pid for _, pid in found}) == 3 # the third is who came in its place

def test_no_more_than_needed_is_handed_out(tmp_path):
    "Of items that are made when they are asked for, two for each worker are under way."
    distributed = pytest.importorskip('distributed', reason="Dask comes with pip install 'flowfm_tsai[scale]'")
    taken = []
    with distributed.LocalCluster(2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        results = in_order(slowly, (taken.append(i) or i for i in range(100)), cluster.scheduler_address)
        assert next(results)[0][0] == 0 and len(taken) <= 5
        results.close()
