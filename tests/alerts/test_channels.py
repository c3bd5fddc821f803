from sidecar.alerts.compose import jail_started, problem, resolved, started, trial
from sidecar.alerts.occurrences import Digest, Occurrence
from sidecar.core.actions import Action, AlertEvent, RequestTemplate
from tests.alerts.support import Scripted, ban, channel

REQUEST = RequestTemplate("https://hooks.example/x")
TEMPLATE = Action(
    "http", "slack", (), ((AlertEvent.START, REQUEST),), frozenset({AlertEvent.START, AlertEvent.PROBLEM})
)
SHOP = Action("slack", "slack", sites=("shop*",), events=frozenset({AlertEvent.BAN}))
UNBAN = Occurrence(AlertEvent.UNBAN, "wordpress", "203.0.113.7", 0.0)


def counted(*occurrences):
    digest = Digest()
    digest.add(occurrences)
    return digest


def test_a_jail_decides_what_of_it_is_sent():
    one = channel(Scripted(), actions={"wordpress": SHOP}, others=None)

    assert one.accepts(ban(1, "shop-2")) and one.accepts(counted(ban(1, "shop-2")))
    assert not one.accepts(ban(1, "blog"))
    assert not one.accepts(ban(1, "shop-2", jail="probes")) and not one.accepts(UNBAN)


def test_a_variable_is_for_all_jails_that_say_nothing():
    one = channel(Scripted(), actions={"wordpress": SHOP})

    assert one.accepts(ban(1, "blog", jail="probes"))
    assert not one.accepts(ban(1, "blog"))
    assert one.events >= {AlertEvent.BAN, AlertEvent.PROBLEM}


def test_a_jail_starts_where_its_action_file_says_so_and_else_the_daemon_does():
    template, plain = channel(Scripted(), actions={"wordpress": TEMPLATE}, others=None), channel(Scripted())
    daemon, jail = started("1", ["wordpress"], 0), jail_started("wordpress", 0.0)

    assert (template.accepts(jail), template.accepts(daemon)) == (True, False)
    assert (plain.accepts(jail), plain.accepts(daemon)) == (False, True)
    assert not template.accepts(jail_started("probes", 0.0))


def test_problems_go_where_any_action_asks_for_them():
    notices = problem("docker", "gone"), resolved("docker"), trial(0.0)

    assert all(channel(Scripted(), actions={"a": TEMPLATE}, others=None).accepts(each) for each in notices)
    assert not any(channel(Scripted(), actions={"a": SHOP}, others=None).accepts(each) for each in notices)


def test_bans_of_a_site_are_sent_as_its_jail_says():
    one = channel(Scripted(), actions={"wordpress": SHOP}, others=None)

    assert one.accepts(ban(1, "shop-2", jail="wordpress@shop-2"))
    assert not one.accepts(ban(1, "blog", jail="wordpress@blog"))
