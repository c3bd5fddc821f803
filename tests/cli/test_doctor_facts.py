"""What `doctor` finds out, with a real daemon and real servers."""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from sidecar.advice.facts import ClockFacts, DaemonFacts, StateFacts
from sidecar.cli import doctor_facts
from sidecar.cli.doctor_facts import Server, collect
from tests.support.paths import COMMAND
from tests.support.running import Running
from tests.support.waiting import wait_until


@pytest.fixture
def running(tmp_path):
    running = Running(tmp_path)
    yield running
    running.close()


def doctor(
    running: Running, *options: str, through: tuple[str, ...] = (), **environ: str
) -> tuple[int, dict]:
    """The exit code of `doctor` in the daemon's namespace, and what it found."""
    done = subprocess.run(
        [*running.enter, *through, COMMAND, "doctor", "--json", *options],
        env=running.environ | environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def sentences(found: dict, *, ok: bool) -> list[str]:
    return [each["sentence"] for each in found["findings"] if each["ok"] is ok]


def test_without_a_daemon_and_with_one(running):
    running.fail("203.0.113.7", 6)

    code, found = doctor(running)

    assert (code, sentences(found, ok=False)) == (
        1,
        ["no daemon answers, so nobody is banned by new failures"],
    )
    assert "by its newest lines 1 would be banned now: 203.0.113.7 (wordpress)" in sentences(found, ok=True)

    running.start()
    running.wait_until_read(running.log)
    running.fail("203.0.113.8", 6)
    wait_until(lambda: "203.0.113.8" in running.banned())

    code, found = doctor(running)

    assert (code, sentences(found, ok=False)) == (0, [])
    banned = len(running.banned())
    assert sentences(found, ok=True)[0] == f"the daemon answers: {banned} banned, 0 dry runs"
    assert any(
        each.startswith("the nftables table is in force (Linux ") for each in sentences(found, ok=True)
    )
    assert {each["subject"] for each in found["findings"]} == {"host", str(running.log)}


def test_what_is_broken_is_named_beside_a_running_daemon(running):
    running.start()
    (running.folder / "control.sock").chmod(0o666)
    with running.table_of_another_program():
        wait_until(lambda: not running.is_ready())

        code, found = doctor(
            running, "--wrong",
            WP_SIDECAR_LISTEN="0.0.0.0:9734",
            SLACK_WEBHOOK_URL="https://hooks.slack.invalid/services/T/B/secret",
            TZ="Mars/Olympus",
        )  # fmt: skip

    wrong = sentences(found, ok=False)
    assert code == 1
    assert sentences(found, ok=True) == []
    for each in ("no permission to change the firewall", "Mars/Olympus", "slack cannot reach hooks.slack.invalid:443: its name is unknown",
                 "(mode 0666)", "open to others at 0.0.0.0:9734"):  # fmt: skip
        assert any(each in sentence for sentence in wrong), (each, wrong)
    assert "secret" not in json.dumps(found)


def test_without_net_admin_it_says_what_is_missing(running):
    no_net_admin = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin")

    _, found = doctor(running, through=no_net_admin)

    (finding,) = [each for each in found["findings"] if each["sentence"] == "nftables cannot be used"]
    assert "cap_add: [NET_ADMIN]" in finding["change"]


def test_a_configuration_with_errors_does_not_hide_the_rest(running):
    running.configure("maxretry = five")

    code, found = doctor(running)

    assert code == 1
    assert any("jails.conf" in each["change"] and "maxretry" in each["change"] for each in found["findings"])
    assert f"the state directory {running.folder}/state can be written" in sentences(found, ok=True)


def test_an_engine_that_is_not_there(tmp_path):
    environ = {
        "DOCKER_HOST": f"unix://{tmp_path}/docker.sock",
        "WP_SIDECAR_STATE": str(tmp_path / "state"),
    }

    facts = collect(environ, None, None, tmp_path / "control.sock")

    assert facts.host.engine.error.startswith(f"no Docker socket at unix://{tmp_path}/docker.sock: mount it")
    assert facts.host.daemon == DaemonFacts(
        f"no wp-sidecar is running at {tmp_path}/control.sock; start it, or name its socket with --socket"
    )
    assert (facts.sites, facts.unwatched, facts.host.sockets.mode) == ((), (), None)


@contextmanager
def server(certificate=None):
    """An HTTP server on loopback; yields its port and the requests that it got."""
    got: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_one_request(self):
            if line := self.rfile.readline():
                got.append(line.decode(errors="replace"))
            self.close_connection = True

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        thread = threading.Thread(target=httpd.serve_forever, args=(0.05,))
        thread.start()
        yield httpd.server_port, got
        httpd.shutdown()
        thread.join(60)


@pytest.fixture
def certificate(tmp_path):
    """A certificate that nobody signed, with its key, in one file."""
    file = tmp_path / "pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", file, "-out", f"{file}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    with file.open("a") as joined:
        joined.write((tmp_path / "pem.crt").read_text())
    return file


def senders(tmp_path, **environ: str) -> list[tuple[str, str, str]]:
    facts = collect(environ | {"DOCKER_HOST": "unix:///nowhere"}, None, None, tmp_path / "s")
    return [(each.name, each.server, each.error) for each in facts.host.senders]


def test_a_webhook_is_connected_to_and_nothing_is_posted(tmp_path):
    with server() as (port, got):
        url = f"http://localhost:{port}/services/secret"

        assert senders(tmp_path, WP_SIDECAR_WEBHOOK_URL=url) == [("webhook", f"localhost:{port}", "")]
        assert got == []

        tls = senders(tmp_path, SLACK_WEBHOOK_URL=f"https://localhost:{port}/x")
        assert tls[0][2].startswith("it does not speak TLS (")

    refused = senders(tmp_path, WP_SIDECAR_WEBHOOK_URL=url)
    assert refused == [("webhook", f"localhost:{port}", "no connection (Connection refused)")]


def test_a_certificate_counts(tmp_path, certificate, monkeypatch):
    with server(certificate) as (port, got):
        url = f"https://localhost:{port}/x"

        ((_, _, why),) = senders(tmp_path, SLACK_WEBHOOK_URL=url)
        assert why.startswith("its certificate is not valid (")

        monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
        assert senders(tmp_path, SLACK_WEBHOOK_URL=url) == [("slack", f"localhost:{port}", "")]
        assert got == []


def test_where_a_proxy_sends_for_us_it_is_connected_to(tmp_path, monkeypatch):
    with server() as (port, got):
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@localhost:{port}")

        found = senders(tmp_path, SLACK_WEBHOOK_URL="https://hooks.slack.invalid/x")

    assert found == [("slack", f"the proxy localhost:{port} before hooks.slack.invalid", "")]
    assert got == []


@pytest.mark.parametrize("url", ["ftp://example.net/x", "https:///x", "smtp://"])
def test_a_url_that_is_none_raises_value_error(url):
    with pytest.raises(ValueError, match=r"expected smtp|begin with https"):
        doctor_facts.server_of(url)


def test_authorities_are_those_of_what_sends(monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)

    # The image has no authorities of the system.
    assert doctor_facts.server_of("https://example.net/x").authorities == DEFAULT_CA_BUNDLE_PATH
    assert doctor_facts.server_of("smtps://mail.example.net") == Server("mail.example.net", 465, is_tls=True)


def test_a_mail_server_and_services_of_apprise(tmp_path):
    with server() as (port, _):
        found = senders(
            tmp_path,
            WP_SIDECAR_SMTP_URL=f"smtp://user:secret@localhost:{port}",
            WP_SIDECAR_MAIL_TO="root@example.net",
            WP_SIDECAR_APPRISE_URL="json://example.invalid",
        )

    assert found == [("apprise", "", ""), ("mail", f"localhost:{port}", "")]


def test_a_state_directory_is_looked_at_before_it_is_made(tmp_path):
    (tmp_path / "file").touch()

    assert doctor_facts._state(tmp_path / "a" / "b").error == ""
    assert doctor_facts._state(tmp_path / "a" / "b").free_bytes > 0
    assert doctor_facts._state(tmp_path / "file" / "b") == StateFacts(
        f"{tmp_path}/file/b", f"{tmp_path}/file is no directory"
    )


def test_time_zones_are_looked_up_by_their_names():
    assert doctor_facts._clock({}, 1.0) == ClockFacts(1.0)
    assert doctor_facts._clock({"TZ": "Europe/Berlin"}, 1.0) == ClockFacts(1.0, "Europe/Berlin")
    assert doctor_facts._clock({"TZ": "CET-1CEST"}, 1.0) == ClockFacts(1.0, "CET-1CEST")
    assert "TZ=Mars/Olympus is unknown here" in doctor_facts._clock({"TZ": "Mars/Olympus"}, 1.0).zone_error


MOUNTS = f"""\
22 1 0:40 / / rw,relatime - overlay overlay rw
23 22 0:41 / /run rw - tmpfs tmpfs rw
24 22 8:1 /docker/volumes/{"a1" * 32}/_data /var/lib/nameless rw - ext4 /dev/sda1 rw
25 22 8:1 /docker/volumes/wp-sidecar-state/_data /var/lib/wp-sidecar rw - ext4 /dev/sda1 rw
26 22 8:1 /srv/state /srv rw master:1 - ext4 /dev/sda1 rw
"""


@pytest.mark.parametrize(
    ("path", "lasts"),
    [
        ("/var/lib/wp-sidecar", True),
        ("/srv/deep/er", True),
        ("/run/wp-sidecar", False),
        ("/var/lib/nameless", False),
        ("/var/lib", False),
    ],
)
def test_a_mount_may_outlive_its_container(path, lasts):
    assert doctor_facts.is_lasting(MOUNTS, Path(path)) is lasts
