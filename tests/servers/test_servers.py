"""A guess that reached the backend counts once, against its client, whatever server logged it.

`GUESSES` says how many are sent to each server, `SEED` which.
"""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from sidecar.access.formats import declared
from sidecar.access.logs import AccessLogs, Declared
from sidecar.core.address import parse_address
from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from tests.servers.guesses import guesses
from tests.servers.kinds import KINDS
from tests.servers.play import USERS, play
from tests.support.seed import SEED

COUNT = int(os.environ.get("GUESSES", "300"))
FILTERS = {"access": load("wordpress-access", options={"success": "reset"})}


@pytest.fixture(scope="module", params=KINDS)
def played(request, tmp_path_factory):
    return play(
        KINDS[request.param], tmp_path_factory.mktemp("server"), guesses(COUNT, f"{SEED} {request.param}")
    )


@pytest.fixture(scope="module")
def readings(played):
    """What we make of each log: as it is found, and with its setting pasted."""
    found = {log.name: read(log, data) for log, data in played.logs.items() if not log.is_opaque}
    pasted = {
        f"{log.name}, pasted": read(log, data, pasted=True)
        for log, data in played.logs.items()
        if log.setting
    }
    return found | pasted


def read(log, data, *, pasted=False):
    """The hits of the log."""
    formats = {log.name: declared("pasted", log.setting)} if pasted else {}
    return scan(log, data, AccessLogs(Declared({}, formats)))


def scan(log, data, access_logs):
    matcher = Matcher(FILTERS, access_logs=access_logs)
    return matcher.scan(Batch(origin(log), data, Framing.NONE), time.time()).hits


def origin(log):
    return Origin("files", log.name, jails=tuple(FILTERS))


def test_each_guess_counts_once(played, readings):
    clients = Counter(parse_address(guess.client) for guess in played.sent.values())
    reached = Counter(
        parse_address(played.sent[number].client)
        for number in played.backend.guesses
        if number in played.sent
    )
    wrong = {}
    for name, found in readings.items():
        counted = Counter(hit.address for hit in found if not hit.success)
        wrong[name] = {
            client: (reached[client], counted[client])
            for client in clients
            if not reached[client] <= counted[client] <= clients[client]
        }

    assert len(reached) > len(clients) / 3
    assert {name: clients for name, clients in wrong.items() if clients} == {}


def test_nobody_else_is_named(played, readings):
    clients = {parse_address(guess.client) for guess in played.sent.values()} | {
        parse_address(user) for user in USERS
    }
    strangers = {
        name: [hit for hit in found if hit.address not in clients] for name, found in readings.items()
    }

    assert {name: found for name, found in strangers.items() if found} == {}


def test_a_proof_of_login_is_where_a_user_logged_in(readings):
    proofs = {name: {hit.address for hit in found if hit.success} for name, found in readings.items()}

    users = {parse_address(user) for user in USERS}
    assert {name: who for name, who in proofs.items() if who != users} == {}


def test_a_log_that_cannot_be_read_is_reported_and_names_nobody(played):
    for log, data in played.logs.items():
        if log.is_opaque:
            access_logs = AccessLogs(Declared({}, {}))

            assert scan(log, data, access_logs) == []
            assert access_logs.samples()["files", log.name, ""].is_understood is False
