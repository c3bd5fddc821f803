"""debian:trixie-slim: pulled where a registry answers, else made from packages.

Where a local authority signs what comes in, builds have to know it. It goes in here, and the product's
Dockerfile stays as it is.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bed import cache, debian
from tests.bed.engine import Engine

TAG = "debian:trixie-slim"
LOCAL = Path("/usr/local/share/ca-certificates")


def made_from() -> str:
    """A key over all that the image is made from."""
    return cache.key(*_authorities(), Path(__file__), Path(debian.__file__))


def make(docker: Engine) -> None:
    """Puts the image into the engine."""
    scratch = Path(tempfile.mkdtemp(prefix=".base-", dir=cache.home()))
    try:
        if not _pull(docker):
            debian.root_filesystem(scratch, scratch / "root.tar")
            docker.cli("import", '--change=CMD ["bash"]', str(scratch / "root.tar"), TAG)
        if authorities := _authorities():
            _trust(docker, scratch, authorities)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _authorities() -> list[Path]:
    return sorted(LOCAL.glob("*.crt"))


def _pull(docker: Engine) -> bool:
    registry = docker.cli("info", "--format", "{{.IndexServerAddress}}").stdout.strip()
    probe = ["curl", "--head", "--silent", "--output", "/dev/null", "--max-time", "2", registry]
    if not registry or subprocess.run(probe, check=False, timeout=30).returncode:
        return False
    try:
        docker.cli("pull", "--quiet", TAG, timeout=120)
    except (RuntimeError, subprocess.TimeoutExpired):
        return False
    return True


def _trust(docker: Engine, scratch: Path, authorities: Sequence[Path]) -> None:
    context = scratch / "authorities"
    (context / "local").mkdir(parents=True)
    for path in authorities:
        shutil.copy(path, context / "local")
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", context / "all.crt")
    (context / "pip.conf").write_text("[global]\ncert = /etc/ssl/certs/bed.crt\n")
    (context / "Dockerfile").write_text(
        f"FROM {TAG}\n"
        f"COPY local/ {LOCAL}/\n"
        "COPY all.crt /etc/ssl/certs/bed.crt\n"
        "COPY pip.conf /etc/pip.conf\n"
    )
    docker.cli("build", "--quiet", f"--tag={TAG}", str(context))
