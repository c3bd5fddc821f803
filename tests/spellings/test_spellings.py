"""Of all the ways to spell a request, each wrong password that WordPress checked counts once, against its client alone.

`SPELLINGS` says how many requests are sent (to all servers together), `SEED` which.
"""

import functools
import os
import time

import pytest

from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from tests.bed import Bed
from tests.spellings.generate import spellings
from tests.spellings.play import login_cookie, play, site
from tests.spellings.proxies import caddy, started, traefik
from tests.support.seed import SEED

COUNT = int(os.environ.get("SPELLINGS", "2000")) // 5
# So many requests are sent before the log is read.
ROUND = 10_000
PROXIES = {
    "caddy": caddy,
    "traefik-json": functools.partial(traefik, "json"),
    "traefik-common": functools.partial(traefik, "common"),
}
JAILS = {"access": load("wordpress-access", options={"success": "reset"}), "xmlrpc": load("wordpress-xmlrpc")}


@pytest.fixture(scope="module")
def bed():
    with Bed.up() as bed:
        yield bed


@pytest.fixture(scope="module")
def sent(bed, tmp_path_factory):
    """Return a function that sends the requests to a server, and returns what its log and WordPress said of each."""

    @functools.cache
    def send(server):
        folder = tmp_path_factory.mktemp("probe")
        folder.parent.chmod(0o755)
        target = site(bed, fpm=server == "nginx-fpm", folder=folder, name=server)
        cookie = login_cookie(bed, target)
        (folder / "probe.log").touch()
        (folder / "probe.log").chmod(0o666)
        proxy = started(PROXIES[server], bed, target, folder) if server in PROXIES else None
        found = {}
        for start in range(0, COUNT, ROUND):
            some = spellings(min(ROUND, COUNT - start), f"{SEED} {start}", cookie, first=start)
            found |= play(bed, target, folder, some, proxy)
        return list(found.values())

    return send


@pytest.fixture(scope="module", params=["apache", "nginx-fpm", *PROXIES])
def played(sent, request):
    """Requests that were sent to the server, and what its log and WordPress said of each."""
    played = sent(request.param)
    if request.param == "traefik-common":
        # It does not show that there was an Authorization header, so guesses at application passwords do not count.
        for each in played:
            each.probed = [what for what in each.probed if what != "wrong-application"]
    return played


@pytest.fixture(scope="module")
def hits(played):
    """The hits of all lines, request by request."""
    matcher, now = Matcher(JAILS), time.time()
    origin = Origin("docker", "site", jails=tuple(JAILS))

    def scan(lines):
        data = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
        return matcher.scan(Batch(origin, data, Framing.NONE), now).hits

    return {each.spelling.number: scan(each.lines) for each in played}


def shown(wrong):
    """All of it: pytest would shorten it."""
    each = (f"{one.spelling.data!r}\n{one.lines}\n{one.probed}" for one in wrong)
    return "\n".join([f"{len(wrong)} with SEED={SEED}", *each])


@pytest.mark.timeout(36_000)
def test_the_generator_reaches_what_it_is_for(played):
    assert sum(each.checked_wrong for each in played) > len(played) / 10
    assert sum(each.served_admin for each in played) > 0


def test_each_wrong_password_that_was_checked_counts_once(played, hits):
    counted = {
        each.spelling.number: sum(not hit.success for hit in hits[each.spelling.number]) for each in played
    }
    wrong = [each for each in played if each.checked_wrong and counted[each.spelling.number] != 1]

    assert not wrong, shown(wrong)
    assert max(counted.values()) == 1


def test_no_other_client_is_ever_named(played, hits):
    named = {hit.address for found in hits.values() for hit in found}

    assert named == {"203.0.113.11"}


def test_a_proof_of_login_is_only_where_a_user_was_logged_in(played, hits):
    proven = [each for each in played if any(hit.success for hit in hits[each.spelling.number])]

    false = [each for each in proven if not each.served_admin]
    assert not false, shown(false)
    assert proven
