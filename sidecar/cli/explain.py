"""`explain`: why an address is banned or is not, and how to change it."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from sidecar.cli import address_facts
from sidecar.cli.explanation import explanation
from sidecar.cli.options import Address, Json, Socket, socket_path
from sidecar.cli.stdio import terminal_width, write_error, write_json, write_line, write_paragraph
from sidecar.control.client import ask
from sidecar.control.protocol import ExplainRequest
from sidecar.core.text import printable

commands = typer.Typer(rich_markup_mode=None)


@commands.command()
def explain(
    address: Address,
    *,
    dns: Annotated[
        bool | None,
        typer.Option(
            "--dns/--no-dns", help="Ask DNS for the name of the address. Default: as text, not as JSON."
        ),
    ] = None,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Show why an address is banned, or is not.

    For each jail: its failures or its ban, the lines behind it, and how to change that.
    """
    answer = ask(socket_path(socket), ExplainRequest(address))
    host = address_facts.host_of(address)
    asks_dns = not as_json if dns is None else dns
    name = address_facts.host_name(host) if host and asks_dns else None
    network = _network(host or answer["ip"].partition("/")[0])
    if as_json:
        found: dict[str, Any] = {"owner": network.owner, "place": network.place} if network else {}
        found |= {"dns": name and name._asdict()} if asks_dns else {}
        write_json({**answer, **found})
    else:
        if name:
            claim = "" if name.confirmed else " (unconfirmed: the name does not lead back to the address)"
            write_line(f"name: {name.name}{claim}")
        if network and (network.owner or network.place):
            write_line(f"network: {', '.join(filter(None, (network.owner, network.place)))}")
        width = terminal_width()
        for sentence, below in explanation(answer):
            write_paragraph(sentence, width, indent="")
            for line in below:
                write_line(f"    {printable(line)}")
    for problem in network.problems if network else ():
        write_error(problem)


def _network(address: str) -> address_facts.NetworkFacts | None:
    """Return whose network the address is; None: no database is named."""
    from sidecar.config.reader import geoip_databases  # noqa: PLC0415 - it is slow to load

    try:
        databases = geoip_databases(os.environ)
    except ValueError as err:
        return address_facts.NetworkFacts("", "", (f"WP_SIDECAR_GEOIP: {err}",))
    return address_facts.network_facts(address, databases) if databases else None
