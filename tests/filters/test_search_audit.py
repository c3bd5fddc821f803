import itertools
import threading
import time
from dataclasses import replace

import pytest

from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters import search_audit
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.filters.search_audit import AuditedFilter, SearchAudit
from sidecar.runtime.problems import Problems
from tests.support.problems import ProblemChanges

pytestmark = pytest.mark.usefixtures("nothing_distrusted")

NOW = 1_795_338_000.0
ANN = "203.0.113.7"
LOG = Origin("docker", "wp", "stdout", ("a",))
STAMP = "2026-11-22T08:40:04.500000000Z "
ACCESS = ANN + ' - - [22/Nov/2026:08:57:49 +0000] "POST /wp-login.php HTTP/1.1" 200 2514 "-" "-"'


class Blind:
    """A search that finds nothing."""

    def matches(self, _data):
        return []


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def matcher(tmp_path, text, changes=()):
    (tmp_path / "x.conf").write_text(f"[Definition]\n{text}\n")
    return Matcher({"a": load("x", [tmp_path])}, problems=Problems(*changes))


def batch(*lines, framing=Framing.NONE):
    return Batch(LOG, "".join(f"{line}\n" for line in lines).encode(), framing)


@pytest.mark.parametrize(
    ("text", "line", "framing"),
    [
        ("failregex = ^fail <HOST>$", f"fail {ANN}", Framing.NONE),
        ("failregex = ^fail <HOST>$", f"{STAMP}fail {ANN}", Framing.DOCKER),
        ("failregex = ^ ?fail <HOST>$", f"<37>1 2026-11-22T08:40:04Z fail {ANN}", Framing.SYSLOG),
        ("failregex = ^ ?fail <HOST>$", f"2026-11-22 08:40:04 fail {ANN}\r", Framing.NONE),
        (
            "prefregex = ^x <F-CONTENT>.+</F-CONTENT>$\nfailregex = ^fail <HOST>$",
            f"x fail {ANN}",
            Framing.NONE,
        ),
        ("input = requests\nfailregex = ^<HOST> POST \\S*/wp-login\\.php", ACCESS, Framing.NONE),
        (
            'input = requests with user\nfailregex = ^<HOST> POST \\S*/wp-login\\.php .*" ann$',
            ACCESS.replace("- -", "- ann"),
            Framing.NONE,
        ),
    ],
)
def test_a_line_that_the_search_loses_is_noticed_and_its_failregex_is_tried_on_every_line(
    text, line, framing, tmp_path
):
    changes = ProblemChanges()
    blind = matcher(tmp_path, text, [changes])
    lines = batch("hello", line, "bye", framing=framing)
    if not blind.scan(lines, NOW).hits:
        pytest.fail("the line is no failure, so it shows nothing")
    blind.database._search = Blind()
    assert blind.scan(lines, NOW).hits == []

    while not blind.lost_lines:
        blind.audit(lines, NOW)

    (hit,) = blind.scan(lines, NOW).hits
    assert (hit.address, blind.lost_lines) == (ANN, 1)
    ((name, sentence),) = changes
    assert (name, "x.conf:" in sentence, "tried on every line" in sentence) == ("prefilter", True, True)


def test_a_sound_search_loses_nothing_and_the_log_learns_nothing(tmp_path):
    sound = matcher(tmp_path, "input = requests\nfailregex = ^<HOST> POST \\S*/wp-login\\.php")
    lines = batch(*(ACCESS.replace("POST", method) for method in ("GET", "POST", "PUT")), "hello")
    sound.scan(lines, NOW)
    log = sound._access_logs.of(LOG).log
    before = log.read, log.understood, [*log.examples]
    for _ in range(50):
        sound._audit._allowance = 1.0
        sound.audit(lines, NOW)

    assert sound.lost_lines == 0
    assert (log.read, log.understood, log.examples) == before


def test_logs_that_no_jail_looks_at_are_not_checked(tmp_path):
    blind = matcher(tmp_path, "failregex = ^fail <HOST>$")
    blind.database._search = Blind()
    blind._audit._allowance = 1.0
    blind.audit(replace(batch(f"fail {ANN}"), origin=replace(LOG, jails=("other",))), NOW)

    assert blind.lost_lines == 0


class Audit:
    """An audit of a search that finds nothing, with a clock that is set by hand."""

    def __init__(self, tmp_path, *, safe_length=None):
        blind = matcher(tmp_path, "failregex = ^fail <HOST>$")
        blind.database._search = Blind()
        self.clock = Clock()
        (runner,) = blind._runners
        audited = AuditedFilter(runner.filter, runner.cutter, safe_length)
        self.of = SearchAudit(blind.database, [audited], self.clock)
        self.reader = blind._access_logs.of(LOG)

    def check(self, *lines):
        self.of.check(batch(*lines), self.reader, NOW)
        return self.of.lost


@pytest.fixture
def line_takes_100_us(monkeypatch):
    """So much processor time has passed whenever it is looked at, and it is before each line."""
    looks = itertools.count()
    monkeypatch.setattr(time, "thread_time", lambda: next(looks) * 0.0001)


# What was not spent is kept, but not for ever: 5 ms at most.
@pytest.mark.parametrize(("after_s", "lines"), [(0.2, 20), (0.3, 30), (1_000.0, 50)])
def test_it_takes_a_hundredth_of_the_time_and_no_more(
    after_s, lines, tmp_path, monkeypatch, line_takes_100_us
):
    # Neither the end of the batch nor some place near it.
    monkeypatch.setattr(search_audit, "TAIL_BYTES", 10**9)

    def lost(position):
        """Is a lost line at this position of the batch noticed? If not, all was spent."""
        audit = Audit(tmp_path)
        assert audit.check(f"fail {ANN}") == 0
        audit.clock.now += after_s
        noticed = audit.check(*["hello"] * position, f"fail {ANN}")
        assert noticed or audit.check(f"fail {ANN}") == 0
        return noticed

    assert [lost(lines - 3), lost(lines + 3)] == [1, 0]


def test_lines_on_which_an_expression_may_be_slow_are_left_out(tmp_path):
    for audit in (Audit(tmp_path, safe_length=10), Audit(tmp_path)):
        audit.clock.now += 10.0
        long = "" if audit.of._filters[0].safe_length else "x" * search_audit.MAX_AUDITED_BYTES
        assert audit.check(f"fail {ANN}{long}") == 0


def test_no_thread_waits_for_another(tmp_path):
    audit = Audit(tmp_path)
    audit.clock.now += 10.0
    with audit.of._lock:
        thread = threading.Thread(target=audit.check, args=(f"fail {ANN}",))
        thread.start()
        thread.join(60)
        assert not thread.is_alive()

    assert audit.of.lost == 0
    assert audit.check(f"fail {ANN}") == 1
