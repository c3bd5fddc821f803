import pytest

from sidecar.cli.app import make_app
from sidecar.cli.completion import MAX_CANDIDATES, candidates
from tests.cli.answering import BAN, STATUS


def found(line):
    return [each.value for each in candidates(make_app(), line)]


@pytest.fixture
def full(daemon):
    """A daemon with bans, logs and jails, one of which has a name that no shell should read."""
    nets = [f"198.51.100.{n}" for n in range(256)]
    daemon.answers["bans"] = {
        "bans": [BAN, BAN | {"ip": "2001:db8::/64"}, *(BAN | {"ip": each} for each in nets)]
    }
    daemon.answers["allowed"] = {"allowed": [{"ip": "192.0.2.0/24", "at": 1.0, "until": None, "comment": ""}]}
    streams = [
        {"container": name, "state": "open"}
        for name in ("blog", "shop-1", "/log/a$(touch x).log", "a;b", "a b")
    ]
    daemon.answers["status"] = STATUS | {"streams": streams}
    return daemon


def test_commands_and_options_are_completed_with_their_help():
    assert {"run", "bans", "ban", "unban", "config", "completion"} <= set(found("wp-sidecar "))
    assert found("wp-sidecar un") == ["unban"]
    assert found("docker-alias config ") == ["show"]
    assert found("wp-sidecar unban --y") == ["--yes"]
    assert "--help" in found("wp-sidecar bans -")
    assert "-y" not in found("wp-sidecar unban -")
    assert "--line" not in found("wp-sidecar completion --")
    assert next(each for each in candidates(make_app(), "wp-sidecar ban")).help.startswith(
        "Show the bans in force"
    )


def test_values_that_are_fixed_are_completed():
    assert found("wp-sidecar test-filter wordpress --usedns ") == ["no", "warn", "yes", "raw"]
    assert found("wp-sidecar completion z") == ["zsh"]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("wp-sidecar bans --jail wordp", ["wordpress"]),
        ("wp-sidecar bans --jail ", ["wordpress", "probes"]),
        ("wp-sidecar bans --site ", ["blog", "shop-1"]),
        ("wp-sidecar config show --site s", ["shop-1"]),
        ("wp-sidecar unban 203.", ["203.0.113.7"]),
        ("wp-sidecar unban 198.51.100.1 2001:db8:", ["2001:db8::/64"]),
        ("wp-sidecar unban --jail wordpress 203", ["203.0.113.7"]),
        ("wp-sidecar explain 203", ["203.0.113.7"]),
        ("wp-sidecar history 203", ["203.0.113.7"]),
        ("wp-sidecar disallow ", ["192.0.2.0/24"]),
        ("wp-sidecar ban 203", []),
        ("wp-sidecar ban 1.2.3.4 --reason 'an open quo", []),
        ("wp-sidecar nothing ", []),
        ("wp-sidecar bans here ", []),
        ("", ["run"]),
    ],
)
def test_what_the_daemon_knows_is_completed_as_far_as_a_shell_may_read_it(full, line, values):
    assert found(line)[: len(values)] == values
    assert bool(values) == bool(found(line))


def test_of_very_many_addresses_some_are_shown(full):
    assert len(found("wp-sidecar unban 198")) == MAX_CANDIDATES


@pytest.mark.parametrize("line", ["wp-sidecar unban ", "wp-sidecar bans --jail ", "wp-sidecar disallow "])
def test_without_a_daemon_there_is_nothing_and_no_error(line, here, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_SOCKET", str(here / "nowhere"))

    assert found(line) == []


def test_a_daemon_that_refuses_is_as_none(daemon):
    del daemon.answers["bans"]

    assert found("wp-sidecar unban ") == []


def test_the_socket_of_the_line_is_asked(full, monkeypatch, tmp_path):
    monkeypatch.setenv("WP_SIDECAR_SOCKET", str(tmp_path / "nowhere"))

    assert found("wp-sidecar unban 203") == []
    path = tmp_path / "s"
    assert found(f"wp-sidecar unban --socket {path} 203") == ["203.0.113.7"]
    assert found(f"wp-sidecar bans --socket={path} --jail pro") == []
