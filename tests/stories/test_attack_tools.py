"""Attack tools get nothing after their ban, and those who do no harm are not banned (`make attacks` runs all the tools)."""

import pytest

from tests.attacks import tools
from tests.attacks.arena import Arena
from tests.bed import Bed

# Answers that were on their way while the kernel put the ban in force.
ON_THE_WIRE = 1
GUESSES = 5
PROBES = 10


@pytest.fixture(scope="module")
def arena(tmp_path_factory):
    with Bed.up(sidecar=True) as bed:
        arena = Arena(bed, tmp_path_factory.mktemp("arena"))
        yield arena
        arena.sidecar.remove()


@pytest.mark.parametrize(
    ("attack", "jail", "failures"),
    [
        (tools.NMAP_BRUTE, "wordpress-access", GUESSES),
        (tools.NMAP_USERS, "wordpress-probes", PROBES),
        (tools.NMAP_ENUM, "wordpress-probes", PROBES),
        (tools.NCRACK, "wordpress-access", GUESSES),
        (tools.MEDUSA, "wordpress-access", GUESSES),
        (tools.SPRAYING, "wordpress-access", GUESSES),
        (tools.FUZZING, "wordpress-probes", PROBES),
        (tools.PIPELINING, "wordpress-access", GUESSES),
        (tools.BURST_100, "wordpress-access", GUESSES),
        (tools.MULTICALL_PLUGIN, "wordpress-auth", 3),
        (tools.REST, "wordpress-access", GUESSES),
        (tools.REST_PLUGIN, "wordpress-auth", 3),
    ],
    ids=lambda value: value.name if isinstance(value, tools.Attack) else "",
)
def test_a_tool_is_banned_and_gets_nothing_more(arena, attack, jail, failures):
    outcome = arena.run(attack)

    assert outcome.ban is not None
    assert (outcome.ban["jail"], outcome.ban["failures"]) == (jail, failures)
    assert outcome.answers_after <= ON_THE_WIRE
    assert b"wordpress_logged_in" not in outcome.received


def test_who_does_no_harm_is_not_banned(arena):
    """Pages with five missing pictures each, a feed that is polled, a monitor, a site's own scripts that are refused."""
    visitor, site = arena.bed.visitor, arena.site
    for page in range(1, 9):
        visitor.get(site, f"/?p={page}")
        for picture in range(5):
            visitor.get(site, f"/wp-content/uploads/2026/11/{page}-{picture}.jpg")
            visitor.get(site, f"/wp-content/themes/gone/images/{page}-{picture}.png")
    for _ in range(30):
        visitor.get(site, "/?feed=rss2", source=visitor.v4[1])
        visitor.get(site, "/wp-login.php", source=visitor.v4[2])
        visitor.get(site, "/wp-content/plugins/gone/style.css?ver=1", source=visitor.v4[2])
        # Nobody is logged in, and no password was sent.
        assert visitor.get(site, "/?rest_route=/wp/v2/users/me", source=visitor.v4[3]) == 401
    # A guess of somebody else shows that all of this was read.
    arena.run(tools.REST)

    assert {ban["ip"] for ban in arena.sidecar.bans()}.isdisjoint(visitor.v4)
