import pytest

from sidecar.access import logs as module
from sidecar.access.chain import Proxies
from sidecar.access.formats import known
from sidecar.access.logs import AccessLogs, Declared
from sidecar.core.events import Origin

COMBINED = '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 51 "-" "curl"'
OURS = known("ours", '$status $remote_addr "$request"')
THEIRS = known("theirs", '$remote_addr $status "$request"')


def origin(name="blog", stream="stdout", jails=("a",)):
    return Origin("docker", name, stream, jails)


def test_each_log_has_a_reader_of_its_own_which_stays():
    logs = AccessLogs()
    blog = logs.of(origin())

    assert logs.of(origin()) is blog
    assert logs.of(origin(jails=("b",))) is blog
    assert blog not in (logs.of(origin("shop")), logs.of(origin(stream="stderr")))


def test_a_snapshot_shows_each_log_with_its_format_and_how_much_was_understood():
    logs = AccessLogs()
    for line in (COMBINED, "PHP Warning: x"):
        logs.of(origin()).readings(line)
    logs.of(origin("shop"))
    snapshot = {name: (log.format, log.understood, log.read) for (_, name, _), log in logs.snapshot().items()}

    assert snapshot == {"blog": ("combined", 1, 2), "shop": ("", 0, 0)}


@pytest.mark.parametrize(
    ("by_jail", "by_log", "format_name"),
    [
        ({}, {}, ""),
        ({"b": OURS}, {}, "ours"),
        ({"other": OURS}, {"shop": OURS}, ""),
        ({"a": OURS, "b": THEIRS}, {}, "ours"),
        ({"a": OURS}, {"blog": THEIRS}, "theirs"),
    ],
)
def test_a_declared_format_is_that_of_the_log_and_else_of_its_first_jail_that_has_one(
    by_jail, by_log, format_name
):
    logs = AccessLogs(Declared(by_jail, by_log))

    assert logs.of(origin(jails=("a", "b"))).log.format == format_name


def test_formats_that_are_declared_later_hold_from_then_on_and_other_logs_keep_theirs():
    logs = AccessLogs()
    for name in ("blog", "shop"):
        logs.of(origin(name)).readings(COMBINED)
    logs.reconfigure(Declared({}, {"blog": OURS}))

    assert logs.of(origin()).log.format == "ours"
    assert (logs.of(origin("shop")).log.format, logs.of(origin("shop")).log.understood) == ("combined", 1)


def test_only_so_many_logs_are_known(monkeypatch):
    monkeypatch.setattr(module, "MAX_LOGS", 2)
    logs = AccessLogs()
    for name in ("blog", "shop", "wiki"):
        logs.of(origin(name))

    assert [name for _, name, _ in logs.snapshot()] == ["shop", "wiki"]


def test_proxies_are_those_of_the_log_and_a_log_whose_proxies_change_begins_afresh():
    chain = COMBINED.replace(" ", ", 198.51.100.9 ", 1)
    logs = AccessLogs()
    before = [logs.of(origin(name)).readings(chain)[0] for name in ("blog", "shop")]
    shop = logs.of(origin("shop"))
    logs.reconfigure(Declared({}, {}, proxies_by_log={"blog": Proxies(["198.51.100.9"])}))
    after = [logs.of(origin(name)).readings(chain)[0] for name in ("blog", "shop")]

    assert [(each.canonical.split(" ")[0], each.peer) for each in (*before, *after)] == [
        ("198.51.100.9", ""), ("198.51.100.9", ""), ("203.0.113.7", "198.51.100.9"), ("198.51.100.9", ""),
    ]  # fmt: skip
    assert logs.of(origin("shop")) is shop

    logs.reconfigure(Declared({}, {}, Proxies(["198.51.100.9"])))

    assert logs.of(origin("shop")).readings(chain)[0].peer == "198.51.100.9"
