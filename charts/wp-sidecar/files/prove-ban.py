"""What `helm test` runs on a node: failed logins in a pod's log, the drop in the kernel, and all of it taken back.

Its standard output is the log that the sidecar reads, so what it has to say goes to standard error.
"""

import json
import os
import random
import sys
import time
from pathlib import Path

import nftables

from sidecar.control.client import NoDaemon, send

SOCKET = Path(os.environ["WP_SIDECAR_SOCKET"])
NODE = os.environ.get("NODE", "this node")
LINE = os.environ.get(
    "LINE", ""
)  # with ADDRESS in it; empty: ban by hand, where a pod's log is not looked at
PATIENCE = float(os.environ.get("PATIENCE", "60"))  # seconds, for the sidecar and then for the ban
PAUSE = 0.5  # seconds between lines, so that few are still on their way when the ban is there
SETTLED = 3.0  # seconds without a ban, after which what was on its way has come


def main() -> None:
    begun()
    address = stranger()
    try:
        took = banned(address)
        where = dropped(address)
        say(f"{address} was banned after {took:.1f} s, and is in the kernel's set {where}")
    finally:
        let_in(address)
    if left := dropped(address, wanted=False):
        raise SystemExit(f"{address} was let in again, and is still in the kernel's set {left} on {NODE}")
    say(f"{address} is let in again: wp-sidecar on {NODE} bans")


def begun() -> None:
    """Wait for the node's sidecar: `helm install` ends before its pods have begun."""
    deadline = time.monotonic() + PATIENCE
    while why := ailing():
        if time.monotonic() > deadline:
            raise SystemExit(why)
        time.sleep(PAUSE)


def ailing() -> str:
    """A sentence on what is wrong with the node's sidecar; "" where it is well."""
    try:
        health = send(SOCKET, {"do": "health"})
    except NoDaemon as err:
        return f"on {NODE}: {err}; is its pod there, and ready?"
    if health["live"] and health["ready"]:
        return ""
    return f"wp-sidecar on {NODE} is not well: {'; '.join(health['why']) or 'not ready yet'}"


def stranger() -> str:
    """An address of TEST-NET-1, which nobody has, that is not banned."""
    taken = {ban["ip"] for ban in asked({"do": "bans"})["bans"]}
    return random.choice([address for n in range(1, 255) if (address := f"192.0.2.{n}") not in taken])


def banned(address: str) -> float:
    """Have it banned; the seconds that it took."""
    began = time.monotonic()
    if not LINE:
        ban_by_hand(address)
    while not (ban := ban_of(address)):
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(
                f"{address} was not banned within {PATIENCE:g} s. Does a jail take `{LINE}` for a failure (test.line)? "
                f"Does wp-sidecar on {NODE} read this pod's log? `wp-sidecar status` there says which it reads"
            )
        if LINE and (jail := refusing(address)):
            # The lines were read and counted. Nobody sends packets from this address, so its ban has no witness.
            observing(jail)
            ban_by_hand(address)
            continue
        if LINE:
            print(LINE.replace("ADDRESS", address), flush=True)
        time.sleep(PAUSE)
    if ban.get("observed"):
        raise SystemExit(
            f"{address} was banned on {NODE}, and only observed: jail {ban['jail']} has mode = observe, or the budget "
            "is used up"
        )
    return time.monotonic() - began


def ban_by_hand(address: str) -> None:
    asked({"do": "ban", "who": address, "for": 300, "reason": "helm test"})


def refusing(address: str) -> str:
    """Return the jail in which a ban of this address is due, and refused for want of a witness; "": none."""
    jails = asked({"do": "explain", "who": address})["jails"]
    return next((jail["jail"] for jail in jails if jail.get("refused")), "")


def observing(name: str) -> None:
    """End with a sentence if this jail makes dry runs only."""
    jails = asked({"do": "status"})["jails"]
    if any(jail["name"] == name and jail["mode"] == "observe" for jail in jails):
        raise SystemExit(f"a ban on {NODE} would be only observed: jail {name} has mode = observe")


def let_in(address: str) -> None:
    """Unban, again if a line that was on its way has it banned anew."""
    quiet = time.monotonic()
    asked({"do": "unban", "who": address})
    while time.monotonic() - quiet < SETTLED:
        if ban_of(address):
            asked({"do": "unban", "who": address})
            quiet = time.monotonic()
        time.sleep(0.2)


def ban_of(address: str) -> dict:
    """Empty, where there is none."""
    return next((ban for ban in asked({"do": "bans"})["bans"] if ban["ip"] == address), {})


def dropped(address: str, *, wanted: bool = True) -> str:
    """The kernel's set that has it; with `wanted`, there has to be one."""
    nft = nftables.Nftables()
    nft.set_json_output(True)
    code, listing, error = nft.cmd("list table inet wp_sidecar")
    if code:
        raise SystemExit(f"the kernel of {NODE} does not show the table wp_sidecar: {error.strip()}")
    sets = [entry["set"] for entry in json.loads(listing)["nftables"] if "set" in entry]
    bans = [each for each in sets if each["name"].startswith("ban")]
    found = [each["name"] for each in bans if address in map(address_of, each.get("elem", []))]
    if wanted and not found:
        raise SystemExit(
            f"wp-sidecar says that {address} is banned, and the kernel of {NODE} does not know it"
        )
    return ", ".join(found)


def address_of(element: object) -> object:
    """Of an element of a set, with or without a timeout."""
    return element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element


def asked(request: dict[str, object]) -> dict:
    try:
        return send(SOCKET, request)
    except NoDaemon as err:
        raise SystemExit(f"on {NODE}: {err}; is its pod there, and ready?") from err


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


main()
