"""Small disks that a test fills. They are mounted where no other process sees them."""

import ctypes
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

CLONE_NEWNS = 0x00020000


def in_own_mounts(story):
    """Run this in a thread whose mounts, like those of what it starts, end with it."""

    def alone():
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(CLONE_NEWNS) == 0, "run the tests as root: they mount small disks"
        mount("--make-rprivate", "/")
        story()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(alone).result()


def mount_small_disk(folder):
    """Mount a disk of 2 MB."""
    mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", folder)


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True, timeout=60)


def fill(path):
    """Take all the room that is left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
