"""An example of each command, for its help and its man page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import typer

EXAMPLES: Final[Mapping[str, str]] = {
    "run": "wp-sidecar run --jails /etc/wp-sidecar/jails.conf",
    "restore": "wp-sidecar restore",
    "status": "wp-sidecar status --wide",
    "doctor": "wp-sidecar doctor --wrong",
    "reload": "wp-sidecar reload",
    "healthcheck": "wp-sidecar healthcheck",
    "bans": "wp-sidecar bans --jail wordpress --since 2h",
    "ban": 'wp-sidecar ban 203.0.113.7 --for 2h --reason "scraping the shop"',
    "unban": "wp-sidecar unban 203.0.113.7 2001:db8::1",
    "allow": 'wp-sidecar allow 198.51.100.0/24 --for 2h --comment "our office"',
    "disallow": "wp-sidecar disallow 198.51.100.0/24",
    "allowed": "wp-sidecar allowed",
    "export": "wp-sidecar export > bans.jsonl",
    "import": "wp-sidecar import deny.txt --for -1 --dry-run",
    "history": "wp-sidecar history 203.0.113.7",
    "explain": "wp-sidecar explain 203.0.113.7",
    "top": "wp-sidecar top",
    "check-config": "wp-sidecar check-config --jails jails.conf",
    "config show": "wp-sidecar config show --changed",
    "replay": "docker logs -t blog 2>&1 | wp-sidecar replay -",
    "test-filter": "wp-sidecar test-filter wordpress error.log",
    "alert test": "wp-sidecar alert test --sender slack",
    "completion": "source <(wp-sidecar completion bash)",
}


def add_examples(family: typer.Typer, within: str = "") -> None:
    """Have the help of each command of this family end with its example."""
    for command in family.registered_commands:
        name = command.name or (command.callback.__name__.replace("_", "-") if command.callback else "")
        if example := EXAMPLES.get(f"{within}{name}"):
            command.epilog = f"Example: {example}"
    for group in family.registered_groups:
        if group.typer_instance:
            add_examples(group.typer_instance, f"{group.typer_instance.info.name} ")
