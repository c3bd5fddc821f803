"""docker compose (version 2) and buildx, where the distribution has none."""

import shutil
import subprocess
from pathlib import Path

from tests.bed import cache, debian
from tests.bed.daemon import PATH, program

# In trixie; both only need a libc older than Debian 12's.
PACKAGES = {"compose": "docker-compose", "buildx": "docker-buildx"}


def plugins() -> Path | None:
    """A folder with the plugins that this machine's docker command lacks, if any."""
    lacking = [name for name in PACKAGES if not _has(name)]
    if not lacking:
        return None

    def make(folder: Path) -> None:
        root = debian.unpack((PACKAGES[name] for name in lacking), folder / "apt")
        for name in lacking:
            shutil.copy2(root / f"usr/libexec/docker/cli-plugins/docker-{name}", folder)
        shutil.rmtree(folder / "apt")

    return cache.made("plugins", cache.key(debian.SUITE, *lacking), make)


def _has(name: str) -> bool:
    env = {"PATH": PATH, "DOCKER_CONFIG": "/nonexistent"}
    argv = [program("docker"), name, "version"]
    return subprocess.run(argv, env=env, capture_output=True, timeout=30, check=False).returncode == 0
