"""Which container we are in: it is never watched."""

from __future__ import annotations

import re
from pathlib import Path


def own_container_id() -> str:
    """Return the id of the Docker container that this process runs in; "" outside of one."""
    return container_id_in(Path("/proc/self/mountinfo").read_text())


def container_id_in(mountinfo: str) -> str:
    """Return the id of the container with these mounts, by what Docker mounts into each; "" outside of one.

    The host name says nothing in the host's network, and cgroups hide the id in a namespace of their own.
    """
    found = _OWN_MOUNT.search(mountinfo)
    return found[1] if found else ""


_OWN_MOUNT = re.compile(r"/containers/([0-9a-f]{64})/\S+ /etc/(?:hostname|hosts|resolv\.conf) ")
