"""The command line: arguments in, sentences or JSON out, and an exit code of `sidecar.control.exit_codes`.

`app` has the table of commands, each family of them is a file, and `errors` turns every error that a user can mend into
one sentence and an exit code.

    daemon           run (run), status, doctor, reload, healthcheck
    bans             bans, ban, unban; history; explain (explanation: its sentences); allow: allow, disallow, allowed
    transfer         export, import
    top              the live view (top_frame: one frame of it)
    alerts           alert test (alert_test)
    config           config show
    offline          check-config (check_config), replay (replay_command), test-filter (filter_trial, trial_report)
    shell            completion (completion: what may stand next)

    doctor           doctor_facts and doctor_sites find out the facts, `sidecar.advice.doctor` judges them
    replay           replay_logs and replay_host_logs read (replay_sieve: in processes of its own),
                     replay_totals counts, replay_report shows
    options, examples            what commands and their help share
    tables, layout, text, plot   answers as text for people (address_facts: whose an address is)
    meter, progress              how far a long log is read (log_lines)
    stdio                        standard input, output and error, whatever they lead to
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
