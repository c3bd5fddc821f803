"""The network that an address belongs to: RDAP, else whois. For mails that ask for it, in their sender's thread."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import requests

from sidecar.core.text import printable

# It redirects to the registry that knows: https://about.rdap.org/
RDAP: Final = "https://rdap.org/ip/"
# It names the registry that knows: https://www.iana.org/whois
WHOIS: Final = ("whois.iana.org", 43)
MAX_BYTES: Final = 64 * 1024
MAX_LINES: Final = 60
RDAP_TIMEOUT_S, WHOIS_TIMEOUT_S = 4.0, 3.0


class NetworkOwner:
    """Asks the registries. What they say is somebody else's text. Owned by one thread."""

    def __init__(self, rdap: str = RDAP, whois: tuple[str, int] = WHOIS) -> None:
        self._rdap, self._whois = rdap, whois
        # The last answer: a mail that is tried again asks nobody again.
        self._known: dict[str, list[str]] = {}

    def lines(self, address: str) -> list[str]:
        """Return what is known, in lines; one sentence where nobody answers."""
        address = address.partition("/")[0]
        if address not in self._known:
            self._known = {address: self._ask(address)}
        return self._known[address]

    def _ask(self, address: str) -> list[str]:
        try:
            return self._ask_rdap(address)
        except (requests.RequestException, ValueError):
            pass
        try:
            return self._ask_whois(address)
        except OSError as err:
            return [f"(neither RDAP nor whois answered: {err.strerror or type(err).__name__})"]

    def _ask_rdap(self, address: str) -> list[str]:
        answer = requests.get(
            self._rdap + quote(address, safe=":."),
            headers={"User-Agent": "wp-sidecar", "Accept": "application/rdap+json"},
            timeout=RDAP_TIMEOUT_S,
            stream=True,
        )
        with answer:
            answer.raise_for_status()
            text = answer.raw.read(4 * MAX_BYTES, decode_content=True)
        return describe_rdap(json.loads(text))

    def _ask_whois(self, address: str) -> list[str]:
        text = _whois(self._whois, address)
        referred = next((line.split()[-1] for line in text.splitlines() if line.startswith("refer:")), "")
        if referred and len(referred.split()) == 1:
            text = _whois((referred, 43), address)
        lines = [line.strip() for line in text.splitlines()]
        return [printable(line, 200) for line in lines if line and line[0] not in "%#"][:MAX_LINES]


def describe_rdap(answer: Mapping[str, Any]) -> list[str]:
    """Return the lines of an answer (RFC 9083). Raises ValueError where it is not one."""
    if not isinstance(answer, Mapping) or not answer.get("handle"):
        raise ValueError("no network in the answer")
    cidrs = [
        f"{each.get('v4prefix') or each.get('v6prefix')}/{each.get('length')}"
        for each in answer.get("cidr0_cidrs") or ()
    ]
    found = {
        "Network": answer.get("name"),
        "Handle": answer.get("handle"),
        "Range": ", ".join(cidrs) or f"{answer.get('startAddress')} - {answer.get('endAddress')}",
        "Country": answer.get("country"),
        **{
            f"Contact ({', '.join(map(str, each.get('roles') or ()))})": _card(each)
            for each in _entities(answer)
        },
    }
    return [printable(f"{title}: {value}", 200) for title, value in found.items() if value][:MAX_LINES]


def _entities(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the contacts, and those that stand in other contacts: abuse addresses do."""
    found = []
    for each in answer.get("entities") or ():
        if isinstance(each, Mapping):
            found += [each, *_entities(each)]
    return found


def _card(entity: Mapping[str, Any]) -> str:
    """Return name and mail address of a jCard (RFC 7095)."""
    try:
        lines = entity["vcardArray"][1]
        return " ".join(str(line[3]) for line in lines if line[0] in ("fn", "email"))
    except (KeyError, IndexError, TypeError):
        return ""


def _whois(server: tuple[str, int], address: str) -> str:
    deadline = time.monotonic() + WHOIS_TIMEOUT_S
    received = b""
    with socket.create_connection(server, WHOIS_TIMEOUT_S) as connection:
        connection.sendall(f"{address}\r\n".encode())
        while len(received) < MAX_BYTES and (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (part := connection.recv(8192)):
                break
            received += part
    return received.decode(errors="replace")
