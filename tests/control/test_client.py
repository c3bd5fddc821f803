import json
import socket
import threading

import pytest

from sidecar.control.client import NoDaemon, ask, send, stream
from sidecar.control.protocol import BansRequest, Refused, StatusRequest, UnbanRequest


def test_a_request_is_sent_as_json_and_its_answer_returned(tmp_path, served):
    received = []

    def answer(fields):
        received.append(fields)
        return {"bans": []}

    served(tmp_path / "s", answer)

    assert ask(tmp_path / "s", BansRequest(evidence=False)) == {"bans": []}
    assert received == [{"do": "bans", "evidence": False}]


def test_a_refusal_has_the_daemons_own_sentence(tmp_path, served):
    served(tmp_path / "s")

    with pytest.raises(Refused, match="there is no command unban"):
        ask(tmp_path / "s", UnbanRequest(None))


def test_without_a_daemon_the_sentence_says_what_to_do(tmp_path):
    with pytest.raises(
        NoDaemon, match=r"no wp-sidecar is running at .*; start it, or name its socket with --socket"
    ):
        ask(tmp_path / "s", StatusRequest())


def test_a_daemon_that_hangs_is_given_up(tmp_path, served):
    go = threading.Event()
    served(tmp_path / "s", lambda _: {"ok": go.wait(60)})

    with pytest.raises(NoDaemon, match=r"did not answer within 0\.1 s"):
        ask(tmp_path / "s", StatusRequest(), timeout=0.1)
    go.set()


def test_a_connection_that_breaks_is_no_answer(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def hang_up():
            connection, _ = listener.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(NoDaemon, match="closed the connection; its log says why"):
            send(tmp_path / "s", {"do": "status"})
        thread.join(60)


def test_a_socket_of_another_user_is_a_matter_of_permission(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sidecar.control.client._UnixConnection.connect", refuse)

    with pytest.raises(PermissionError, match="is another user's; ask as root"):
        send(tmp_path / "s", {"do": "status"})


def many(fails_after=None):
    """A list that is made while it is sent."""
    for n in range(1_000):
        if n == fails_after:
            raise OSError("the disk is gone")
        yield {"ip": f"198.51.{n // 250}.{n % 250}", "reason": "a, [b]\n"}


def test_a_list_is_read_as_it_comes(tmp_path, served):
    served(tmp_path / "s", lambda _: {"bans": many()})

    assert [json.loads(each) for each in stream(tmp_path / "s", BansRequest())] == list(many())
    assert ask(tmp_path / "s", BansRequest()) == {"bans": list(many())}


def test_a_list_without_an_end_is_no_answer(tmp_path, served):
    served(tmp_path / "s", lambda _: {"bans": many(fails_after=700)})

    with pytest.raises(NoDaemon, match="closed the connection"):
        list(stream(tmp_path / "s", BansRequest()))


def test_an_empty_list_is_read_too(tmp_path, served):
    served(tmp_path / "s", lambda _: {"bans": iter(())})

    assert list(stream(tmp_path / "s", BansRequest())) == []
