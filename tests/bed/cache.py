"""Where slow things are kept: a folder per user, keyed by what each thing was made from."""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def home() -> Path:
    """The cache folder, made if absent."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "wp-sidecar"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def key(*parts: str | Path) -> str:
    """A short name for these texts and the contents of these files and folders."""
    digest = hashlib.sha256()
    for part in parts:
        for name, data in _contents(part):
            digest.update(f"{len(name)} {name} {len(data)} ".encode())
            digest.update(data)
    return digest.hexdigest()[:16]


def _contents(part: str | Path) -> Iterator[tuple[str, bytes]]:
    if isinstance(part, str):
        yield "", part.encode()
    elif part.is_dir():
        for path in sorted(p for p in part.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            yield str(path.relative_to(part)), path.read_bytes()
    else:
        yield part.name, part.read_bytes()


def made(name: str, made_from: str, make: Callable[[Path], None]) -> Path:
    """The folder `name-KEY`, filled by `make` if it is not there; never seen half filled. Older keys go."""
    folder = home() / f"{name}-{made_from}"
    if folder.exists():
        return folder
    scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=home()))
    try:
        make(scratch)
        scratch.rename(folder)
    except OSError:
        # Another process may have been quicker.
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _forget(p for p in home().glob(f"{name}-*") if p != folder)
    return folder


def _forget(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def tell(what: str) -> None:
    """Says what takes long."""
    print(f"bed: {what}", file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def lock(path: Path, patience: float) -> Iterator[IO[str]]:
    """Holds the file's lock; waits for it, saying for whom. A child that inherits the file holds it on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        _acquire(file, patience)
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()}, since {time.strftime('%H:%M:%S')}\n")
        file.flush()
        yield file


def _acquire(file: IO[str], patience: float) -> None:
    deadline, told = time.monotonic() + patience, False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"another bed is up ({holder}); if it was kept, `python -m tests.bed down` removes it"
                ) from None
            if not told:
                tell(f"waiting for another bed to go ({holder})")
                told = True
            time.sleep(0.2)
        else:
            return
