"""A log as a runtime writes it and kubelet rotates it: renamed, the one before gzipped, the oldest removed."""

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
    """containerd's, of so many nanoseconds: zeros at the end are left out."""
    second, rest = divmod(at, 10**9)
    digits = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}{digits}Z"


class Kubelet:
    """One container's folder. `at`: the time of its first line, in nanoseconds; each is one later."""

    def __init__(self, root, pod=POD, container="wordpress", *, keep=5, at=1_795_336_804_000_000_000):
        self.folder = Path(root) / pod / container
        self.folder.mkdir(parents=True, exist_ok=True)
        self.life, self._keep, self._at, self._rotations = 0, keep, at, 0
        self._open()

    @property
    def path(self):
        return self.folder / f"{self.life}.log"

    def write(self, *texts, stream="stdout", part=16_384):
        """Lines; what is longer than a part is several, all but the last of them with a P."""
        made = []
        for text in texts:
            cuts = [text[at : at + part] for at in range(0, len(text), part)] or [""]
            made += [self._line(cut, stream, "P") for cut in cuts[:-1]] + [self._line(cuts[-1], stream, "F")]
        self.put("".join(made))

    def begin(self, text, stream="stdout"):
        """A part whose rest is yet to come."""
        self.put(self._line(text, stream, "P"))

    def put(self, data):
        os.write(self._fd, data.encode())

    def rename(self):
        """The first half of a rotation: the runtime still writes to the old file."""
        self._rotations += 1
        renamed = (
            self.folder
            / f"{self.path.name}.{datetime.fromtimestamp(1_795_336_804 + self._rotations, UTC):%Y%m%d-%H%M%S}"
        )
        self.path.rename(renamed)
        return renamed

    def reopen(self):
        """The second half. What was open before is returned, for late words."""
        before, self._fd = self._fd, None
        self._open()
        return before

    def rotate(self, *, late=False):
        """As kubelet does it: the oldest go, all but the last are packed, then the current is renamed.

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
        """The container died, and lives again."""
        os.close(self._fd)
        self.life += 1
        self._open()

    def remove(self):
        """The pod is gone."""
        shutil.rmtree(self.folder.parent)

    def close(self):
        os.close(self._fd)

    def _open(self):
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    def _line(self, text, stream, kind):
        self._at += 1
        return f"{stamp(self._at)} {stream} {kind} {text}\n"


def pack(path):
    """gzip, as kubelet does: beside it under another name, then in its place."""
    made = path.with_name(f"{path.name}.tmp")
    with path.open("rb") as source, gzip.open(made, "wb") as packed:
        shutil.copyfileobj(source, packed)
    made.rename(path.with_name(f"{path.name}.gz"))
    path.unlink()


FORGED = "line forged from 203.0.113.9 "


def text(name, number, rnd):
    """A line to be counted; now and then one of several parts, at whose cuts another line seems to begin."""
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
    """So many lines to three containers, so many a second; files of this size are rotated, each log's every so many
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
