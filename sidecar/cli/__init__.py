"""The command line: arguments in, sentences or JSON out, and an exit code of `sidecar.control.exit_codes`.

`app.py` has the table of commands, each family of them is a file, and `errors.py` turns every error that a user can
mend into one sentence and an exit code.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sidecar.cli.errors import exit_on_error
from sidecar.cli.stdio import prepare

if TYPE_CHECKING:
    import typer


def main(args: list[str] | None = None, app: typer.Typer | None = None) -> None:
    """Run the command that these arguments name (None: the process's own), and exit with its code."""
    prepare()
    with exit_on_error():
        if app is None and (sys.argv[1:] if args is None else args) == ["run"]:
            # What the image runs. There is nothing to parse, and what parses would stay in memory: 3 MB.
            from sidecar.cli.run import run  # noqa: PLC0415

            sys.exit(run())
        from sidecar.cli.app import make_app  # noqa: PLC0415

        (app or make_app())(args)
