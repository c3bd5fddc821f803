"""The logs that `doctor` reads, as files. Those of containers are read from a real engine in tests/stories."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from sidecar.advice.facts import LogFacts
from sidecar.cli import doctor_sites
from sidecar.cli.doctor_sites import FileSites, LogExcerpt, RawLog
from sidecar.config import reader
from sidecar.core.containers import Container
from sidecar.core.events import Framing, Origin
from sidecar.sources.docker.wire import EngineError

JAILS = """
[DEFAULT]
trusted_proxies = 198.51.100.9
[wordpress]
logpath = {folder}/*.log
[wordpress-access]
logpath = {folder}/*.log
"""


@pytest.fixture
def sites(tmp_path):
    """Returns what is found of files with these texts, by their names."""

    def sites(**texts: str) -> dict[str, doctor_sites.SiteFacts]:
        for name, text in texts.items():
            (tmp_path / f"{name}.log").write_text(text)
        jails = tmp_path / "jails.conf"
        jails.write_text(JAILS.format(folder=tmp_path))
        settings = reader.read({"WP_SIDECAR_JAILS": str(jails)}, look=False)
        return {site.log.name.rpartition("/")[2]: site for site in FileSites(settings, time.time()).sites()}

    return sites


def request(client: str, method: str = "GET", path: str = "/", ago_s: float = 60.0, status: int = 200) -> str:
    stamp = datetime.fromtimestamp(time.time() - ago_s, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{client} - - [{stamp}] "{method} {path} HTTP/1.1" {status} 12 "-" "Mozilla/5.0"\n'


def test_an_access_log_shows_its_format_and_where_its_clients_are(sites):
    lines = [request("203.0.113.7")] * 3 + [
        request("10.0.0.1"),
        request("127.0.0.1"),
        request("198.51.100.9"),
    ]

    # WordPress asks itself.
    lines.append(request("10.0.0.1", "POST", "/wp-cron.php"))

    (site,) = sites(access="".join(lines)).values()

    assert site.log == LogFacts(
        site.log.name, lines=7, understood=7, format="combined",
        clients={"": 3, "a private address": 1, "loopback": 1, "a trusted proxy": 1},
    )  # fmt: skip
    assert [jail.name for jail in site.jails] == ["wordpress", "wordpress-access"]
    assert site.would_ban == ()


def test_the_addresses_that_would_be_banned_now_are_found(sites):
    guesses = [request("203.0.113.7", "POST", "/wp-login.php")] * 20
    old = [request("203.0.113.8", "POST", "/wp-login.php", ago_s=90 * 86_400)] * 20
    never = [request("10.0.0.1", "POST", "/wp-login.php")] * 20

    (site,) = sites(access="".join([*old, *guesses, *never])).values()

    assert site.would_ban == (("203.0.113.7", "wordpress-access"),)


def test_a_log_of_another_kind_is_not_understood(sites):
    found = sites(
        other="something else\n" * 30, plugin="wp-sidecar: ip=203.0.113.7 login-failed\n" * 2, empty=""
    )

    assert found["other.log"].log.understood == 0
    assert found["other.log"].log.examples[-1] == "something else"
    assert found["plugin.log"].log.understood == 1
    assert found["empty.log"].log == LogFacts(found["empty.log"].log.name)


def test_of_a_long_log_the_newest_whole_lines_are_read(sites, monkeypatch):
    line = request("203.0.113.7")
    monkeypatch.setattr(doctor_sites, "MAX_BYTES", len("half") + 4 * len(line) + 7)

    (site,) = sites(access=line * 500 + "half").values()

    assert site.log.lines == site.log.understood == 4


def test_a_file_that_is_not_there_is_an_error(sites, tmp_path):
    (tmp_path / "folder.log").mkdir()

    found = sites(access="")

    assert found["folder.log"].log.error == "Is a directory"


def test_of_a_stream_the_newest_whole_lines_are_kept(monkeypatch):
    monkeypatch.setattr(doctor_sites, "MAX_BYTES", 20)

    framed, terminal, short = doctor_sites.Newest(), doctor_sites.Newest(), doctor_sites.Newest()
    framed.add(f"line {number}\n".encode() for number in range(9))
    terminal.add([b"a b c d e f g h i\r\nj\r", b"\nk l\r\nm", b"n\r\no"])
    short.add([b"a\n", b"b\n", b"c"])

    assert framed.lines() == b"line 8\n"
    assert terminal.lines() == b"k l\nmn\n"
    assert short.lines() == b"a\nb\n"


def test_the_labels_of_a_container_count():
    labels = {"wp-sidecar.log-format": '$status "$request" of $remote_addr', "wp-sidecar.maxretry": "50"}
    settings = reader.read({})
    origin = Origin("docker", "blog", jails=tuple(jail.name for jail in settings.jails))
    guess = b'200 "POST /wp-login.php HTTP/1.1" of 203.0.113.7\n'
    raw = RawLog(origin, guess * 30, Framing.NONE)

    bare = LogExcerpt(settings, time.time(), containers=[Container("1", "blog", "wordpress")])
    labelled = LogExcerpt(settings, time.time(), containers=[Container("1", "blog", "wordpress", labels)])

    assert labelled.facts(raw).format == "label wp-sidecar.log-format"
    assert bare.facts(raw).format != "label wp-sidecar.log-format"
    assert labelled.bans(raw) == ()
    assert labelled.bans(raw._replace(data=guess * 60)) == (("203.0.113.7", "wordpress-access"),)


class ScriptedEngine:
    """Answers about one container, or refuses."""

    def __init__(self, policy: str, *, live_restore: bool, error: Exception | None = None) -> None:
        self.policy, self.live_restore, self.error = policy, live_restore, error

    def restart_policy(self, container: str) -> str:
        assert container == "own"
        if self.error:
            raise self.error
        return self.policy

    def has_live_restore(self) -> bool:
        return self.live_restore


@pytest.mark.parametrize(
    ("engine", "own", "stays"),
    [
        (ScriptedEngine("unless-stopped", live_restore=False), "own", True),
        (ScriptedEngine("unless-stopped", live_restore=True), "own", False),
        (ScriptedEngine("always", live_restore=False), "own", False),
        # As by `docker compose run`.
        (ScriptedEngine("no", live_restore=False), "own", False),
        (ScriptedEngine("no", live_restore=False), "", None),
        (ScriptedEngine("", live_restore=False, error=EngineError("a proxy refuses it")), "own", None),
    ],
)
def test_whether_our_own_container_stays_stopped_after_dockerd_was_killed(engine, own, stays):
    assert doctor_sites._stays_stopped(engine, own) is stays
