import os
import socket
import stat
import threading
from contextlib import closing

import pytest

from sidecar.runtime import unix_socket


@pytest.mark.parametrize("mode", [0o600, 0o666])
@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_a_socket_has_its_permissions_from_the_start(tmp_path, mode, umask):
    before = os.umask(umask)
    try:
        with closing(socket.socket(socket.AF_UNIX)) as sock:
            made = unix_socket.bind(sock, tmp_path / "s", mode)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode
    assert made == unix_socket.identity(tmp_path / "s")


def test_many_threads_leave_the_umask_as_it_was(tmp_path):
    before = os.umask(0o022)
    os.umask(before)

    def make(number):
        for turn in range(50):
            with closing(socket.socket(socket.AF_UNIX)) as sock:
                unix_socket.bind(sock, tmp_path / f"{number}-{turn}", 0o600 + number)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert os.umask(before) == before
    modes = {path.name.partition("-")[0]: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {str(number): 0o600 + number for number in range(4)}


def test_a_path_that_is_taken_is_an_error(tmp_path):
    (tmp_path / "s").symlink_to(tmp_path / "nothing")
    with closing(socket.socket(socket.AF_UNIX)) as sock, pytest.raises(OSError, match="in use"):
        unix_socket.bind(sock, tmp_path / "s", 0o600)


def test_a_file_that_took_the_path_is_another(tmp_path):
    with closing(socket.socket(socket.AF_UNIX)) as sock, closing(socket.socket(socket.AF_UNIX)) as other:
        made = unix_socket.bind(sock, tmp_path / "s", 0o600)
        (tmp_path / "s").rename(tmp_path / "moved")
        assert unix_socket.identity(tmp_path / "s") is None
        assert unix_socket.bind(other, tmp_path / "s", 0o600) != made
        assert unix_socket.identity(tmp_path / "moved") == made
