from sidecar.runtime.problems import Problems


def test_a_change_is_told_once():
    told = []
    problems = Problems(lambda *change: told.append(change))
    for sentence in (None, "nft is gone", "nft is still gone", None, None):
        problems.report("firewall", sentence)

    assert told == [("firewall", "nft is gone"), ("firewall", None)]


def test_what_is_not_grave_is_told_like_the_rest():
    told = []
    problems = Problems(lambda *change: told.append(change))
    problems.report("container blog", "its log cannot be read", critical=False)
    assert (problems.sentences, problems.critical) == (("its log cannot be read",), False)

    problems.report("firewall", "nft is gone")
    assert problems.critical
    problems.report("firewall", None)
    assert not problems.critical
    problems.report("container blog", "now it is")
    assert problems.critical
    problems.report("container blog", None)

    assert not problems.critical
    assert [name for name, _ in told] == ["container blog", "firewall", "firewall", "container blog"]


def test_what_is_wrong_now():
    problems = Problems(lambda *_: None)
    problems.report("firewall", "nft is gone")
    problems.report("docker", "no daemon")
    problems.report("firewall", "nft is still gone")

    assert problems.sentences == ("nft is still gone", "no daemon")
