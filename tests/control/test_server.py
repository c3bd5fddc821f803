from __future__ import annotations

import contextlib
import logging
import os
import socket
import stat
import threading
from dataclasses import replace

import pytest

from sidecar.control.client import NoDaemon, send
from sidecar.control.protocol import Refused
from sidecar.control.server import (
    LIMITS,
    ControlApplication,
    ControlSocket,
    NoSocket,
    control_server,
)
from tests.control.answerers import Answerer
from tests.support.waiting import wait_until


def raw(path, text):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(path))
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read()


def test_a_request_has_its_answer(tmp_path, served):
    served(tmp_path / "s")

    assert send(tmp_path / "s", {"do": "status"}) == {"bans": 3}


def test_an_answer_may_hold_any_json(tmp_path, served):
    answer = {"none": None, "list": [{"a": [1, "\xe4\n"]}, "b"], "empty": [], "in": {"x": 1.5}}
    served(tmp_path / "s", lambda _: answer)

    assert send(tmp_path / "s", {}) == answer


def test_a_refusal_is_a_sentence(tmp_path, served):
    served(tmp_path / "s")

    with pytest.raises(Refused, match="there is no command dance"):
        send(tmp_path / "s", {"do": "dance"})


def test_the_socket_is_never_open_wider_than_its_owner(tmp_path, served):
    umask = os.umask(0)
    try:
        served(tmp_path / "deep" / "s")
    finally:
        os.umask(umask)

    assert stat.S_IMODE((tmp_path / "deep" / "s").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) == 0o700


def test_a_socket_that_was_removed_is_created_again(tmp_path, served, caplog):
    served(tmp_path / "s", limits=replace(LIMITS, check_s=0.01))
    (tmp_path / "s").unlink()

    def status():
        with contextlib.suppress(NoDaemon):
            return send(tmp_path / "s", {"do": "status"})

    wait_until(status)
    assert status() == {"bans": 3}
    assert caplog.messages == [f"{tmp_path}/s was removed and is created again"]


def test_what_a_dead_daemon_left_is_replaced(tmp_path, served):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "s"))
    dead.close()
    (tmp_path / "s.lock").touch()
    with pytest.raises(NoDaemon):
        send(tmp_path / "s", {"do": "status"})

    served(tmp_path / "s")

    assert send(tmp_path / "s", {"do": "status"}) == {"bans": 3}


def test_a_second_daemon_is_refused_and_the_first_goes_on(tmp_path, served):
    served(tmp_path / "s")

    with pytest.raises(NoSocket, match="another wp-sidecar is running"):
        ControlSocket(tmp_path / "s")
    assert send(tmp_path / "s", {"do": "status"}) == {"bans": 3}


def test_after_a_close_the_next_may_start(tmp_path, served):
    served(tmp_path / "s").close()
    with pytest.raises(NoDaemon):
        send(tmp_path / "s", {"do": "status"})

    served(tmp_path / "s")

    assert send(tmp_path / "s", {"do": "status"}) == {"bans": 3}


def test_a_close_without_a_run_returns(tmp_path):
    control = control_server(ControlSocket(tmp_path / "s"), ControlApplication(Answerer(dict)))
    control.close()
    control.close()
    control.run()

    assert not (tmp_path / "s").exists()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("keep me")

    with pytest.raises(NoSocket, match="no socket"):
        ControlSocket(tmp_path / "precious")
    assert (tmp_path / "precious").read_text() == "keep me"


def test_a_socket_that_cannot_be_created_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(NoSocket, match="choose another place with WP_SIDECAR_SOCKET"):
        ControlSocket(tmp_path / "file" / "s")
    with pytest.raises(NoSocket, match="choose another place with WP_SIDECAR_SOCKET"):
        ControlSocket(tmp_path / ("long" * 30))


@pytest.mark.parametrize(
    ("request_", "status", "sentence"),
    [
        (b"POST / HTTP/1.0\r\n\r\n", b"409", b"Content-Length"),
        (b"POST / HTTP/1.0\r\nContent-Length: 99999999\r\n\r\n", b"409", b"Content-Length"),
        (b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n{{{", b"409", b"not JSON"),
        (b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n[]", b"409", b"JSON object"),
        (b"GET / HTTP/1.0\r\n\r\n", b"405", b"Allow: POST"),
        (b"\xff\xfe\x00\r\n\r\n", b"400", b""),
    ],
)
def test_what_is_no_request_is_refused(tmp_path, served, request_, status, sentence):
    served(tmp_path / "s")

    reply = raw(tmp_path / "s", request_)

    assert status in reply and sentence in reply
    assert send(tmp_path / "s", {"do": "status"}) == {"bans": 3}


def test_two_hundred_silent_clients_do_not_keep_a_health_check_waiting(tmp_path, served):
    served(tmp_path / "s")
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(tmp_path / "s"))

        # The command `healthcheck` waits for 3 s; it was 81 s until these were answered.
        assert send(tmp_path / "s", {"do": "status"}, timeout=3) == {"bans": 3}


def test_a_client_that_disconnects_affects_no_other(tmp_path, served):
    served(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
        client.sendall(b"POST / HTTP/1.0\r\nContent-Len")

    assert send(tmp_path / "s", {"do": "status"}) == {"bans": 3}


def test_a_command_that_fails_is_logged_and_answered(tmp_path, served, caplog):
    served(tmp_path / "s")

    with caplog.at_level(logging.ERROR), pytest.raises(Refused, match="failed at this"):
        send(tmp_path / "s", {"do": "inf"})  # JSON has no infinity
    assert "control: a request failed" in caplog.text
    assert send(tmp_path / "s", {"do": "status"}) == {"bans": 3}


def test_many_at_once_are_all_answered_by_few_threads(tmp_path, served):
    at_once = []

    def slow(_):
        at_once.append(sum(thread.name == "control" for thread in threading.enumerate()))
        return {"ok": True}

    served(tmp_path / "s", slow)
    replies = []
    clients = [
        threading.Thread(target=lambda: replies.append(send(tmp_path / "s", {}, timeout=60)))
        for _ in range(50)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)

    assert replies == [{"ok": True}] * 50
    assert max(at_once) <= LIMITS.connections
