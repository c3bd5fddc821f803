"""Questions about the end of a log: what they are asked of, and what they cost."""

import threading
from contextlib import contextmanager
from itertools import count
from unittest.mock import patch

from sidecar.sources.docker.cursor import DockerCursor
from sidecar.sources.docker.tails import Answer
from tests.sources.docker.running import AT
from tests.sources.docker.standin import Container, stamp

SECOND = 10**9


class UnreadLog:
    """What is asked about a log whose last line that was read is this one."""

    def __init__(self, container, mark=b""):
        self.container, self.cursor = container.id, DockerCursor(0, mark)


def at(number):
    return stamp(AT + number * SECOND)


def write(engine, container, numbers):
    for number in numbers:
        engine.write(container, b"%d" % number, at=AT + number * SECOND)


def damaged(engine, before, behind):
    """A container with so many lines before the damage, which takes one, and behind it."""
    site = engine.run(Container("a", "site"))
    site.damage_ends = True
    write(engine, site, range(before))
    site.damage = len(site.frames)
    write(engine, site, range(before, before + 1 + behind))
    return site


@contextmanager
def growing(engine, site, first, pause_s):
    """Lines are written to the log, numbered from `first` on, as long as the `with` lasts."""
    over = threading.Event()

    def grow():
        for number in count(first):
            if over.wait(pause_s):
                return
            write(engine, site, [number])

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


class Cost:
    """How many answers were begun, and how many entries were read behind what came with the first one."""

    def __init__(self):
        self.answers = self.entries = 0


@contextmanager
def counted():
    cost, make, read = Cost(), Answer.__init__, Answer._read

    def counted_make(self, *args):
        cost.answers += 1
        make(self, *args)

    def counted_read(self):
        is_begun, found = bool(self.first), read(self)
        cost.entries += len(found or ()) if is_begun else 0
        return found

    with patch.object(Answer, "__init__", counted_make), patch.object(Answer, "_read", counted_read):
        yield cost
