import subprocess
import sys
from pathlib import Path

import pytest

from sidecar import exits
from sidecar.cli.failures import said
from sidecar.config.mistakes import Mistake, Mistakes
from sidecar.control import NoSocket
from sidecar.exits import Failed


@pytest.mark.parametrize(
    ("failure", "code", "sentences"),
    [
        (Failed(exits.NO_INPUT, "no log"), 66, "wp-sidecar: no log\n"),
        (NoSocket("another one runs"), 69, "wp-sidecar: another one runs\n"),
        (PermissionError("ask as root"), 77, "wp-sidecar: ask as root\n"),
        (
            Mistakes([Mistake("a", "b", "c", "d"), Mistake("e", "", "", "f\x1b")]),
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
        exits.NO,
        "wp-sidecar: the answer cannot be written: No space left on device\n",
    )
