import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.cli.failures import said
from sidecar.config.errors import ConfigError, ConfigErrors
from sidecar.control import exit_codes
from sidecar.control.exit_codes import Failed
from sidecar.control.server import NoSocket


@pytest.mark.parametrize(
    ("failure", "code", "sentences"),
    [
        (Failed(exit_codes.NO_INPUT, "no log"), 66, "wp-sidecar: no log\n"),
        (NoSocket("another one runs"), 69, "wp-sidecar: another one runs\n"),
        (PermissionError("ask as root"), 77, "wp-sidecar: ask as root\n"),
        (
            ConfigErrors([ConfigError("a", "b", "c", "d"), ConfigError("e", "", "", "f\x1b")]),
            78,
            "wp-sidecar: a: b.c: d\nwp-sidecar: e: f\\x1b\n",
        ),
    ],
)
def test_a_failure_is_a_sentence_and_a_code(failure, code, sentences, capsys):
    with pytest.raises(SystemExit) as end, said():
        raise failure

    assert (end.value.code, capsys.readouterr().err) == (code, sentences)


def test_a_full_disk_is_a_sentence():
    command = [sys.executable, "-m", "sidecar", "--version"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert (done.returncode, done.stderr) == (
        exit_codes.NO,
        "wp-sidecar: the answer cannot be written: No space left on device\n",
    )
