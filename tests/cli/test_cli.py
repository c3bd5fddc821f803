"""The command as it is installed: what it loads, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar import __version__
from sidecar.cli import main
from sidecar.control.exit_codes import ExitCode

WP = Path(sys.executable).with_name("wp-sidecar")


def run(*args: str, **given) -> subprocess.CompletedProcess[bytes]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("WP_SIDECAR", "SLACK"))}
    return subprocess.run(args, capture_output=True, timeout=60, check=False, env=clean, **given)


def loaded(*args: str) -> set[str]:
    """The modules that a command has loaded when it ends."""
    script = (
        "import sys\n"
        "from sidecar.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    return set(run(sys.executable, "-c", script, *args).stderr.decode().splitlines()[-1].split())


def test_the_installed_command_shows_its_version():
    assert WP.exists(), "install the checkout into the venv (pip install -e .[dev], or make setup)"

    done = run(str(WP), "--version")
    assert (done.returncode, done.stdout.decode()) == (0, f"wp-sidecar {__version__}\n")
    assert run(sys.executable, "-m", "sidecar", "--version").stdout == done.stdout


def test_help_loads_little_and_shows_the_exit_codes():
    heavy = {"rich", "docker", "requests", "hyperscan", "prometheus_client", "nftables", "sqlite3"}
    assert loaded("--help") & heavy == set()

    text = " ".join(run(str(WP), "--help").stdout.decode().split())
    for code in ExitCode:
        assert f"{code:d} {code.meaning}" in text.partition("Exit codes:")[2]


def test_run_never_loads_rich_and_shows_errors_before_it_loads_anything():
    # The firewall is loaded on purpose: stored bans are in force before the configuration is read.
    assert loaded("run", "--jails", "/nowhere") & {"rich", "docker"} == set()
    assert "rich" not in loaded_by("sidecar.app.main")


def test_run_without_options_loads_nothing_that_the_daemon_does_not_need():
    """Each of these weighs up to some MB, and the idle daemon has 60."""
    heavy = {
        "typer",
        "click",
        "rich",
        "apprise",
        "redis",
        "smtplib",
        "multiprocessing",
        "decimal",
        "zoneinfo",
    }
    # It ends with an error: there is no such file.
    script = (
        "import os, sys\n"
        "from sidecar.cli import main\n"
        "os.environ['WP_SIDECAR_JAILS'] = '/nowhere'\n"
        "try:\n    main(['run'])\n"
        "except SystemExit as end:\n    print(end.code, *sys.modules)\n"
    )
    code, *modules = run(sys.executable, "-c", script).stdout.decode().split()
    assert (int(code), heavy & {*modules}) == (ExitCode.CONFIG, set())
    assert loaded_by("sidecar.app.main") & {*heavy, "docker", "requests", "pickle"} == set()


def loaded_by(module: str) -> set[str]:
    script = f"import sys, {module}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = run(sys.executable, "-c", script)
    assert done.stderr == b""
    return set(done.stdout.decode().split())


def test_a_health_check_compiles_no_formats_of_logs():
    """It runs every few seconds; the formats are a third of its time."""
    script = "import sys, sidecar.config.reader\nprint('sidecar.access.formats' in sys.modules)"

    assert run(sys.executable, "-c", script).stdout == b"False\n"


@pytest.mark.parametrize("args", [["dance"], ["test-filter"], ["replay", "--transport", "pigeon"], ["ban"]])
def test_wrong_usage(args, capsys):
    with pytest.raises(SystemExit) as end:
        main(args)

    assert end.value.code == ExitCode.USAGE
    assert "Usage: " in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    (tmp_path / "f.conf").write_text("[Definition]\nfailregex = ^fail <HOST>$\n")
    (tmp_path / "log").write_text("fine\n" * 200_000)

    done = run(
        "sh", "-c", f"{WP} test-filter --json {tmp_path}/f.conf {tmp_path}/log | head -n 1", cwd=tmp_path
    )
    assert done.stdout.startswith(b'{"line": 1,')
    assert done.stderr == b""
