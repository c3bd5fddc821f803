import pytest

from sidecar.cli.replay_command import Sources
from tests.cli.logs import BURST


@pytest.mark.parametrize(
    ("logs", "containers", "since", "expected"),
    [((), (), "", False), (("a.log",), (), "7d", False), ((), (), "7d", True), ((), ("blog",), "", True)],
)
def test_containers_are_read_where_they_are_named_or_only_a_time_is(logs, containers, since, expected):
    assert Sources(logs, containers, since, None).are_containers is expected


def test_files_or_containers_but_not_both(wp):
    assert wp("replay", "a.log", "--container", "blog") == (
        2,
        "",
        "wp-sidecar: name log files, or containers by --container, but not both\n",
    )
    code, _, err = wp("replay", "--since", "soon")
    assert (code, "expected a duration such as" in err) == (2, True)


def test_without_an_engine_it_is_said_what_to_mount(wp, monkeypatch, here):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{here}/none.sock")
    code, out, err = wp("replay", "--since", "7d")

    assert (code, out) == (66, "")
    assert err.startswith(f"wp-sidecar: no Docker socket at unix://{here}/none.sock: mount it")


def test_what_is_assumed_is_said(wp, here, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_IGNOREIP", "office.example.org")
    for name in ("one.log", "two.log"):
        (here / name).write_bytes(BURST)
    _, out, _ = wp("replay", "--since", "9999d", "one.log", "two.log")

    for assumed in (
        "no witness is asked",
        "each jail looks at each line",
        "a request that two of these logs have counts twice",
        "bans and failures from before ",
        "1 host names in `ignoreip` are not looked up",
    ):
        assert assumed in out
