import subprocess
from contextlib import closing

import pytest

from sidecar.filters.worker_process import Child


def test_what_is_sent_is_answered_and_closing_ends_it():
    with closing(Child("sidecar.filters.redos")) as child:
        child.pipe.send([])
        assert child.process.wait(30) == 0

    with closing(Child("sidecar.filters.redos_sandbox")) as child:
        child.pipe.send({})
        assert child.pipe.poll(30)
        assert child.pipe.recv() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.process.wait(0)

    assert child.process.returncode < 0
