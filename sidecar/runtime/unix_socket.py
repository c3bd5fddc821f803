"""Sockets with a path in the file system."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from pathlib import Path
from typing import NamedTuple

# A process has one umask for all its threads.
_UMASK_LOCK = threading.Lock()
# SIOCUNIXFILE (linux/un.h): a descriptor of the file that a socket is bound to. Needs CAP_NET_ADMIN.
_SIOCUNIXFILE = 0x89E0


class FileIdentity(NamedTuple):
    """What distinguishes a file from one that took its path."""

    device: int
    inode: int


def bind(sock: socket.socket, path: Path, mode: int) -> FileIdentity:
    """Bind a socket to a path that does not exist, with these permissions from its first moment.

    Not by a chmod() afterwards: where others may write to the folder, they could have put a link in its place, and the
    permissions of another file would change. Raises OSError.
    """
    with _UMASK_LOCK:
        umask = os.umask(0o777 & ~mode)
        try:
            sock.bind(str(path))
        finally:
            os.umask(umask)
    return _identity_of_bound(sock) or identity(path) or FileIdentity(0, 0)


def identity(path: Path) -> FileIdentity | None:
    """Return which file is at this path, not following a link; None: there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return FileIdentity(found.st_dev, found.st_ino)


def _identity_of_bound(sock: socket.socket) -> FileIdentity | None:
    """Ask the socket itself: between bind() and lstat() another file may take the path."""
    try:
        descriptor = fcntl.ioctl(sock, _SIOCUNIXFILE)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        return FileIdentity(found.st_dev, found.st_ino)
    finally:
        os.close(descriptor)
