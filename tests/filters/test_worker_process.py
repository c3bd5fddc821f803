import subprocess
from contextlib import closing

import pytest

from sidecar.filters.worker_process import WorkerProcess


def test_a_worker_ends_when_its_work_is_done():
    with closing(WorkerProcess("sidecar.filters.redos")) as worker:
        worker.pipe.send([])

        assert worker.process.wait(60) == 0


def test_closing_ends_a_worker_that_waits_for_more():
    with closing(WorkerProcess("sidecar.filters.redos_sandbox")) as worker:
        worker.pipe.send({})
        assert worker.pipe.poll(30)
        assert worker.pipe.recv() is None
        with pytest.raises(subprocess.TimeoutExpired):
            worker.process.wait(0)

    assert worker.process.returncode < 0
