"""Runs a command that may not open netlink sockets, as under a strict seccomp profile: `python no_netlink.py COMMAND…`."""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

# seccomp(2), bpf(2): the system call's number stands at byte 0 of what a filter sees, its first argument at byte 16.
_NUMBER, _FIRST_ARGUMENT = 0, 16
_LOAD, _SKIP_UNLESS, _ANSWER = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF_0000, 0x0005_0000
_SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2

_STEPS = (
    (_LOAD, 0, 0, _NUMBER),
    (_SKIP_UNLESS, 0, 3, _SOCKET),
    (_LOAD, 0, 0, _FIRST_ARGUMENT),
    (_SKIP_UNLESS, 0, 1, socket.AF_NETLINK),
    (_ANSWER, 0, 0, _FAIL | errno.EAFNOSUPPORT),
    (_ANSWER, 0, 0, _ALLOW),
)


def forbid() -> None:
    """Forbid netlink sockets to this process and all that it starts."""
    text = b"".join(struct.pack("HBBI", *step) for step in _STEPS)
    code = ctypes.create_string_buffer(text, len(text))
    program = struct.pack("HxxxxxxP", len(_STEPS), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_NO_NEW_PRIVS, 1, 0), (_SECCOMP, _FILTER, program)):
        if libc.prctl(*arguments, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    forbid()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - it is what runs
