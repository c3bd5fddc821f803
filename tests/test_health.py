from sidecar.health import Troubles


def test_a_change_is_told_once():
    told = []
    troubles = Troubles(lambda *change: told.append(change))
    for sentence in (None, "nft is gone", "nft is still gone", None, None):
        troubles.report("firewall", sentence)

    assert told == [("firewall", "nft is gone"), ("firewall", None)]


def test_what_is_not_grave_is_told_like_the_rest():
    told = []
    troubles = Troubles(lambda *change: told.append(change))
    troubles.report("container blog", "its log cannot be read", grave=False)
    assert (troubles.sentences, troubles.grave) == (("its log cannot be read",), False)

    troubles.report("firewall", "nft is gone")
    assert troubles.grave
    troubles.report("firewall", None)
    assert not troubles.grave
    troubles.report("container blog", "now it is")
    assert troubles.grave
    troubles.report("container blog", None)

    assert not troubles.grave
    assert [name for name, _ in told] == ["container blog", "firewall", "firewall", "container blog"]


def test_what_is_wrong_now():
    troubles = Troubles(lambda *_: None)
    troubles.report("firewall", "nft is gone")
    troubles.report("docker", "no daemon")
    troubles.report("firewall", "nft is still gone")

    assert troubles.sentences == ("nft is still gone", "no daemon")
