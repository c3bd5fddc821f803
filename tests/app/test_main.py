"""How the daemon's process starts and ends: exit codes, limits, and what it says where it cannot work."""

import socket
import subprocess
import sys

import pytest

from tests.support.running import run
from tests.support.waiting import wait_until

ANN, BOB = "203.0.113.7", "203.0.113.8"


def jails(folder, text):
    """Write a jails file; return the environment that names it."""
    (folder / "jails.conf").write_text(text)
    return {"WP_SIDECAR_JAILS": str(folder / "jails.conf")}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[wordpress]\nmaxrety = 3\n", "maxrety: unknown. Did you mean maxretry?"),
        ("[wordpress]\nmaxretry = five\nfindtime = soon\n", "five"),
        ("[wordpress]\nfilter = wordpres\n", "wordpres"),
        ("not a stanza\n", "jails.conf"),
    ],
)
def test_an_error_in_the_jails_file_is_reported(tmp_path, text, sentence):
    done = run(tmp_path, **jails(tmp_path, text))

    assert done.returncode == 78
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_all_errors_are_reported_at_once(tmp_path):
    text = "[wordpress]\nmaxretry = five\nfindtime = soon\nbantme = 3\n"
    done = run(tmp_path, **jails(tmp_path, text), WP_SIDECAR_LISTEN="everywhere")

    assert (done.returncode, len(done.stderr.splitlines())) == (78, 4)


def test_a_secret_that_cannot_be_read_is_reported(tmp_path):
    done = run(tmp_path, SLACK_WEBHOOK_URL_FILE=str(tmp_path / "none"))

    assert done.returncode == 78
    assert done.stderr == (
        f"wp-sidecar: environment: SLACK_WEBHOOK_URL_FILE: {tmp_path}/none cannot be read: No such file or directory\n"
    )


def test_missing_net_admin_is_reported(tmp_path):
    log = tmp_path / "x.log"
    log.touch()
    dropped = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--")
    done = run(
        tmp_path,
        enter=("unshare", "--net", "--", *dropped),
        **jails(tmp_path, f"[wordpress]\nlogpath = {log}\n"),
    )

    assert done.returncode == 77
    assert "NET_ADMIN" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_second_daemon_ends(daemon):
    daemon.start()
    done = run(daemon.folder, enter=daemon.enter)

    assert (done.returncode, "another wp-sidecar is running" in done.stderr) == (69, True)


def test_a_second_daemon_with_its_own_folder_and_socket_ends_too(daemon, tmp_path):
    """As in a container of its own. There is only one firewall table."""
    daemon.start()
    other = tmp_path / "other"
    other.mkdir()
    done = run(
        other,
        enter=daemon.enter,
        WP_SIDECAR_LISTEN="127.0.0.1:9735",
        **jails(other, f"[wordpress]\nlogpath = {daemon.log}\n"),
    )

    assert (done.returncode, done.stderr) == (
        69,
        "wp-sidecar: another wp-sidecar is running on this host; stop it first\n",
    )


@pytest.mark.parametrize("user", [(), ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")])
def test_a_process_in_the_hosts_network_namespace_cannot_prevent_the_start(daemon, user):
    """It holds the name by which older versions know that one runs."""
    script = (
        "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('\\0wp-sidecar'); s.listen(); "
        "print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [*daemon.enter, *user, sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "up\n"
        daemon.start()
        other.kill()

    assert daemon.is_ready()


@pytest.mark.parametrize("kind", ["file", "link", "socket"])
def test_nothing_in_a_shared_folder_of_dev_log_can_prevent_the_start(daemon, tmp_path, kind):
    """Bans are made all the same, and it is reported that syslog is not read."""
    path = tmp_path / "shared" / "log"
    path.parent.mkdir()
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if kind == "file":
        path.touch()
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        held.bind(str(path))
    with held:
        daemon.start(through=["env", f"WP_SIDECAR_SYSLOG={path}"], ready=False)
        daemon.wait_until_read(daemon.log)
        daemon.fail(ANN, 3)
        wait_until(lambda: daemon.banned() == [ANN])
        assert f"messages to syslog are not read: {path}" in daemon.stderr()
        path.unlink()
        wait_until(daemon.is_ready)


def test_a_process_that_holds_the_web_port_prevents_nothing(daemon):
    """It has no privileges, and answers probes in the daemon's place. The daemon bans, and has the port once it is free."""
    script = "import socket, time; s = socket.create_server(('127.0.0.1', 9734)); print('up', flush=True); time.sleep(600)"
    unprivileged = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "/usr/bin/python3",
        "-c",
        script,
    ]
    with subprocess.Popen([*daemon.enter, *unprivileged], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "up\n"
        daemon.start(ready=False)
        daemon.wait_until_read(daemon.log)
        daemon.fail(ANN, 3)
        wait_until(lambda: daemon.banned() == [ANN])
        health = daemon.ask("health")
        assert health["ready"]
        assert any("cannot listen on 127.0.0.1, port 9734" in sentence for sentence in health["why"])
        other.kill()
    wait_until(daemon.is_ready)


def test_it_may_open_more_files_than_a_shell_allows(daemon):
    logs = [daemon.folder / f"{number}.log" for number in range(200)]
    for log in logs:
        log.touch()
    stanza = (daemon.folder / "jails.conf").read_text().replace(str(daemon.log), f"{daemon.folder}/*.log")
    (daemon.folder / "jails.conf").write_text(stanza)
    daemon.start(through=["prlimit", "--nofile=128:"])
    for daemon.log, address in ((logs[0], ANN), (logs[-1], BOB)):
        daemon.fail(address, 3)

    wait_until(lambda: sorted(daemon.banned()) == [ANN, BOB])
    assert daemon.is_ready()


def test_its_end_is_no_error_and_leaves_no_socket(daemon):
    daemon.start()

    assert daemon.end() == 0
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(FileNotFoundError):
        client.connect(str(daemon.folder / "control.sock"))
