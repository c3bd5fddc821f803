"""Writes logs as a container runtime does, and rotates them as kubelet does: rename, compress, remove the oldest."""

import gzip
import json
import os
import random
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

POD = "blog_web-0_6a1f0e52-9c0d-4b8e-8f43-0d7c1f6b2a11"


def stamp(at):
    """Return containerd's timestamp of this unix time in nanoseconds, which has no trailing zeros."""
    second, rest = divmod(at, 10**9)
    digits = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}{digits}Z"


class Kubelet:
    """The folder of one container. `at`: the unix time of its first line in nanoseconds; each line is one later."""

    def __init__(self, root, pod=POD, container="wordpress", *, keep=5, at=1_795_336_804_000_000_000):
        self.folder = Path(root) / pod / container
        self.folder.mkdir(parents=True, exist_ok=True)
        self.life, self._keep, self._at, self._rotations = 0, keep, at, 0
        self._open()

    @property
    def path(self):
        return self.folder / f"{self.life}.log"

    def write(self, *texts, stream="stdout", part=16_384):
        """Write lines. Text longer than a part is cut into several, all but the last with the tag P."""
        made = []
        for text in texts:
            cuts = [text[at : at + part] for at in range(0, len(text), part)] or [""]
            made += [self._line(cut, stream, "P") for cut in cuts[:-1]] + [self._line(cuts[-1], stream, "F")]
        self.put("".join(made))

    def begin(self, text, stream="stdout"):
        """Write the first part of a line."""
        self.put(self._line(text, stream, "P"))

    def put(self, data):
        os.write(self._fd, data.encode())

    def rename(self):
        """Do the first half of a rotation, after which the runtime still writes to the old file."""
        self._rotations += 1
        renamed = (
            self.folder
            / f"{self.path.name}.{datetime.fromtimestamp(1_795_336_804 + self._rotations, UTC):%Y%m%d-%H%M%S}"
        )
        self.path.rename(renamed)
        return renamed

    def reopen(self):
        """Do the second half of a rotation. Return the descriptor of the old file for late lines."""
        before, self._fd = self._fd, None
        self._open()
        return before

    def rotate(self, *, late=False):
        """Rotate as kubelet does: remove the oldest, compress all but the last, then rename the current file.

        `late`: the old file is returned, still open.
        """
        rotated = sorted(self.folder.glob(f"{self.life}.log.*"))
        for path in rotated[: max(0, len(rotated) - (self._keep - 2))]:
            path.unlink()
        for path in rotated:
            if path.exists() and path.suffix != ".gz":
                pack(path)
        self.rename()
        old = self.reopen()
        if late:
            return old
        os.close(old)
        return None

    def restart(self):
        """Restart the container."""
        os.close(self._fd)
        self.life += 1
        self._open()

    def remove(self):
        """Delete the pod."""
        shutil.rmtree(self.folder.parent)

    def close(self):
        os.close(self._fd)

    def _open(self):
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    def _line(self, text, stream, kind):
        self._at += 1
        return f"{stamp(self._at)} {stream} {kind} {text}\n"


def pack(path):
    """Compress as kubelet does: into a temporary file that is then renamed."""
    made = path.with_name(f"{path.name}.tmp")
    with path.open("rb") as source, gzip.open(made, "wb") as packed:
        shutil.copyfileobj(source, packed)
    made.rename(path.with_name(f"{path.name}.gz"))
    path.unlink()


FORGED = "line forged from 203.0.113.9 "


def text(name, number, rnd):
    """Return a numbered line. Some are so long that they are cut, with a forged line after each cut."""
    line = f"line {name}-{number} from 198.51.{number // 250 % 100}.{number % 250} "
    if rnd.random() < 0.004:
        head = len(line)
        return (
            line
            + "x" * (16_384 - head)
            + (FORGED + "y" * (16_384 - len(FORGED))) * rnd.randrange(1, 3)
            + FORGED
        )
    return line + "z" * rnd.randrange(120)


def main(root, lines, seed, rate, size, every=4):  # noqa: PLR0917
    """Write so many lines to three containers, so many a second. Files of this size are rotated, each log's every so many
    seconds at most (kubelet looks every 10).
    """
    rnd = random.Random(seed)
    pods = [f"blog_web-{n}_6a1f0e52-9c0d-4b8e-8f43-0d7c1f6b2a1{n}" for n in range(3)]
    writers = {str(n): Kubelet(root, pod) for n, pod in enumerate(pods[:2])}
    rested, written = dict.fromkeys("012", 0.0), dict.fromkeys("012", 0)
    began = time.monotonic()
    for number in range(lines):
        if number == lines // 3:
            writers["2"] = Kubelet(root, pods[2])  # a pod that comes later
        name = rnd.choice(sorted(writers))
        writer = writers[name]
        stream = rnd.choice(["stdout", "stdout", "stderr"])
        writer.write(text(name, written[name], rnd), stream=stream)
        written[name] += 1
        now = time.monotonic()
        if now - rested[name] > every and writer.path.stat().st_size > size:
            rested[name] = now
            if rnd.random() < 0.2:
                writer.restart()
                for path in writer.folder.glob(f"{writer.life - 3}.log*"):
                    path.unlink()  # of the dead, only the last are kept
            else:
                old = writer.rotate(late=True)
                os.write(old, writer._line(text(name, written[name], rnd)[:16_000], "stderr", "F").encode())
                written[name] += 1
                os.close(old)
        if number % 50 == 0:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
    sys.stdout.write(json.dumps(written))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
