import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.cli.errors import exit_on_error
from sidecar.config.errors import ConfigError, ConfigErrors
from sidecar.control.client import NoDaemon
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.control.protocol import Refused


@pytest.mark.parametrize(
    ("failure", "code", "sentences"),
    [
        (Failed(ExitCode.NO_INPUT, "no log"), 66, "wp-sidecar: no log\n"),
        (Refused("it is a gateway"), 1, "wp-sidecar: it is a gateway\n"),
        (NoDaemon("no daemon"), 69, "wp-sidecar: no daemon\n"),
        (PermissionError("ask as root"), 77, "wp-sidecar: ask as root\n"),
        (
            ConfigErrors([ConfigError("a", "b", "c", "d"), ConfigError("e", "", "", "f\x1b")]),
            78,
            "wp-sidecar: a: b.c: d\nwp-sidecar: e: f\\x1b\n",
        ),
    ],
)
def test_a_failure_is_a_sentence_and_a_code(failure, code, sentences, capsys):
    with pytest.raises(SystemExit) as end, exit_on_error():
        raise failure

    assert (end.value.code, capsys.readouterr().err) == (code, sentences)


def test_a_full_disk_is_a_sentence():
    command = [sys.executable, "-m", "sidecar", "--version"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert (done.returncode, done.stderr) == (
        ExitCode.NO,
        "wp-sidecar: the answer cannot be written: No space left on device\n",
    )
