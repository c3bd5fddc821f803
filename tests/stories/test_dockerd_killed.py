"""dockerd is killed and started again: which containers come back, and what `doctor` is told about ours."""

from contextlib import closing

import pytest

from sidecar.cli.doctor_sites import _stays_stopped
from sidecar.sources.docker.api import DockerHost
from sidecar.sources.docker.connection import Interrupt
from tests.bed import Bed, base
from tests.bed.daemon import bare, other
from tests.support.waiting import wait_until

POLICIES = ("unless-stopped", "always")


@pytest.mark.parametrize("docker", [bare, other], ids=["own", "other Docker"])
@pytest.mark.parametrize("live_restore", [False, True], ids=["plain", "live-restore"])
def test_without_live_restore_only_what_is_always_restarted_comes_back(docker, live_restore):
    with Bed.up(live_restore=live_restore, daemon=docker()) as bed:
        for policy in POLICIES:
            run = ["run", "--detach", "--init", f"--name={policy}", f"--restart={policy}", "--network=none"]
            bed.engine.cli(*run, base.TAG, "sleep", "infinity")
        ids = {
            policy: bed.engine.cli("ps", "-q", f"--filter=name=^{policy}$").stdout.strip()
            for policy in POLICIES
        }
        host = DockerHost(bed.engine.base_url)
        with closing(host.open(Interrupt())) as engine:
            stay = {policy: _stays_stopped(engine, key) for policy, key in ids.items()}
        bed.engine.kill()
        bed.engine.start()

        assert stay == {"unless-stopped": not live_restore, "always": False}
        wait_until(lambda: states(bed)["always"] == "running", 60)
        assert states(bed)["unless-stopped"] == ("running" if live_restore else "exited")


def states(bed):
    said = bed.engine.cli("ps", "--all", "--format={{.Names}} {{.State}}").stdout
    return dict(line.split() for line in said.splitlines())
