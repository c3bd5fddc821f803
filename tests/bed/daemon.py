"""Which dockerd a bed runs: this machine's own, or the one of the other Debian release.

Debian 12 has Docker 20.10, Debian 13 has 26.1, and their logs have different faults. The other one's programs are
unpacked into the cache; they need no newer libc than Debian 12's. The runtime (runc) is this machine's own for both.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

from tests.bed import cache, debian

# The distribution's own first: a client from elsewhere may lack what fits this daemon.
PATH = f"/usr/sbin:/usr/bin:/sbin:/bin:{os.environ.get('PATH', '')}"

PACKAGES = ("docker.io", "containerd")
PROGRAMS = ("dockerd", "docker-proxy", "containerd", "containerd-shim-runc-v2")


def program(name: str) -> str:
    """The full path of a program that setup.sh installs."""
    if path := shutil.which(name, path=PATH):
        return path
    raise RuntimeError(f"{name} is missing: run tests/bed/setup.sh as root")


@dataclass(frozen=True)
class Daemon:
    """A dockerd and what it starts."""

    dockerd: str
    # Where it finds its programs.
    path: str
    # The name of its data root in the cache.
    home: str

    @property
    def version(self) -> int:
        """The first number of its version."""
        argv = [self.dockerd, "--version"]
        said = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout
        found = re.search(r"version (\d+)", said)
        return int(found[1]) if found else 0

    @property
    def ip6tables(self) -> list[str]:
        """What it has to be told to publish ports over IPv6 as it does over IPv4."""
        return ["--experimental", "--ip6tables"] if 0 < self.version < 27 else []


def own() -> Daemon:
    """This machine's own."""
    return Daemon(program("dockerd"), PATH, "engine")


def bare() -> Daemon:
    """The same with a data root in which there is the base image alone, so that it can be up beside the other bed."""
    return replace(own(), home="engine-bare")


def other() -> Daemon:
    """The other Debian release's: the one of Debian 13 where this machine's is older than Docker 23, else Debian 12's."""
    suite = "trixie" if own().version < 23 else "bookworm"

    def make(folder: Path) -> None:
        cache.tell(f"fetching Docker of {suite}")
        # The suite is no parameter there: images are keyed by that file, and by what it makes.
        with patch.object(debian, "SUITE", suite):
            root = debian.unpack(PACKAGES, folder / "apt")
        for name in PROGRAMS:
            found = next(path for path in root.glob(f"usr/*bin/{name}") if not path.is_symlink())
            shutil.copy2(found, folder)
        shutil.rmtree(folder / "apt")

    folder = cache.made("dockerd", cache.key(suite, *PACKAGES, *PROGRAMS), make)
    return Daemon(str(folder / "dockerd"), f"{folder}:{PATH}", "engine-other")
