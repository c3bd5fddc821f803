"""`run` as it is installed, in a network namespace of its own: how it ends on a machine that lacks something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

WP = Path(sys.executable).with_name("wp-sidecar")
NO_NETLINK = (sys.executable, str(ROOT / "tests/support/no_netlink.py"))
NO_NET_ADMIN = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin")


@pytest.fixture
def run(tmp_path):
    """Starts a daemon that follows one file; it is expected to end by itself."""
    assert os.getuid() == 0, "run the tests as root: they make network namespaces"
    (tmp_path / "wordpress.conf").write_text("[Definition]\nfailregex = ^fail <HOST>$\n")
    (tmp_path / "log").touch()
    (tmp_path / "jails.conf").write_text(f"[wordpress]\nlogpath = {tmp_path}/log\n")

    def run(*before: str, **environ: str) -> tuple[int, str]:
        given = {
            "WP_SIDECAR_FILTERS": str(tmp_path),
            "WP_SIDECAR_JAILS": f"{tmp_path}/jails.conf",
            "WP_SIDECAR_STATE": f"{tmp_path}/state",
            "WP_SIDECAR_SOCKET": f"{tmp_path}/s",
            "PATH": os.environ["PATH"],
        }
        done = subprocess.run(
            ["unshare", "-n", *before, str(WP), "run"],
            env=given | environ,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stderr.decode()

    return run


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ((NO_NET_ADMIN, {}), (77, "cap_add: [NET_ADMIN]")),
        ((NO_NETLINK, {}), (77, "allow AF_NETLINK in the seccomp profile")),
        (((), {"WP_SIDECAR_SOCKET": "/proc/nowhere/s"}), (69, "/proc/nowhere/s cannot be created")),
        (((), {"WP_SIDECAR_JAILS": "/nowhere"}), (78, "WP_SIDECAR_JAILS: /nowhere does not exist")),
        (((), {"SLACK_WEBHOOK_URL_FILE": "/nowhere"}), (78, "_FILE: /nowhere cannot be read")),
    ],
)
def test_what_is_missing_is_one_sentence_and_a_code(run, tmp_path, start, end):
    (tmp_path / "wordpress-access.conf").write_text("[Definition]\nfailregex = ^fail <HOST>$\n")
    (before, environ), (code, sentence) = start, end

    ended, said = run(*before, **environ)

    assert (ended, len(said.splitlines())) == (code, 1)
    assert sentence in said
    assert "Traceback" not in said


def test_doctor_says_that_no_netlink_socket_can_be_opened():
    done = subprocess.run(
        ["unshare", "-n", *NO_NETLINK, str(WP), "doctor", "--wrong"],
        env={"PATH": os.environ["PATH"], "DOCKER_HOST": "unix:///nowhere", "WP_SIDECAR_STATE": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (1, "")
    assert "allow AF_NETLINK in the seccomp profile" in done.stdout


@pytest.mark.parametrize("lines", [0, 50_000])
def test_whoever_reads_no_further_is_told_of_no_mistake(tmp_path, lines):
    """As with any other program; much output breaks off in the middle, little of it at the very end."""
    (tmp_path / "log").write_text("fail 203.0.113.7\n" * lines)
    (tmp_path / "wordpress.conf").write_text("[Definition]\nfailregex = ^fail <HOST>$\n")
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [str(WP), "replay", f"{tmp_path}/log", "--filters", str(tmp_path)],
        env={"PATH": os.environ["PATH"], "WP_SIDECAR_FILTERS": str(tmp_path)},
        stdout=writes,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writes)

    assert (done.returncode, done.stderr) == (141, b"")
