import subprocess
import sys

PROGRAM = """
import os, sys
from sidecar.cli.streams import standard
standard()
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
print("b\xf6se \u2603")
os.write(2, b"told to nobody")
sys.stderr.write("nor this")
sys.exit(file < 3)
"""


def play(tmp_path, redirected, **environ):
    """What the program writes to its standard output, and into a file that it opens; it ends well."""
    script = f'exec "$@" {redirected}'
    command = ["sh", "-c", script, "sh", sys.executable, "-c", PROGRAM, str(tmp_path / "file")]
    done = subprocess.run(command, stdout=subprocess.PIPE, env={"PYTHONUTF8": "1", **environ}, check=False)
    assert done.returncode == 0
    return done.stdout, (tmp_path / "file").read_bytes()


def test_no_file_is_taken_for_a_stream_that_was_closed(tmp_path):
    assert play(tmp_path, "2>&-") == ("b\xf6se \u2603\n".encode(), b"")
    assert play(tmp_path, "0<&- 1>&- 2>&-") == (b"", b"")


def test_what_an_encoding_lacks_is_written_as_an_escape(tmp_path):
    assert play(tmp_path, "2>&-", PYTHONIOENCODING="ascii") == (b"b\\xf6se \\u2603\n", b"")
