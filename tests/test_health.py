from sidecar.health import Troubles


def test_a_change_is_told_once():
    told = []
    troubles = Troubles(lambda *change: told.append(change))
    for sentence in (None, "nft is gone", "nft is still gone", None, None):
        troubles.report("firewall", sentence)

    assert told == [("firewall", "nft is gone"), ("firewall", None)]


def test_what_is_wrong_now():
    troubles = Troubles(lambda *_: None)
    troubles.report("firewall", "nft is gone")
    troubles.report("docker", "no daemon")
    troubles.report("firewall", "nft is still gone")

    assert troubles.sentences == ("nft is still gone", "no daemon")
