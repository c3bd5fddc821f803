from sidecar.core.address import Address
from sidecar.core.refused_bans import RefusalReason, RefusedBans

NEVER, PROXY = RefusalReason.NEVER_SEEN, RefusalReason.PROBABLE_PROXY
ANN = Address("203.0.113.7")


def test_one_that_is_refused_again_is_the_same_ban():
    refused = RefusedBans()
    refused.refuse("login", ANN, NEVER, "blog", failures=3, now=10.0)
    refused.refuse("login", ANN, NEVER, "shop", failures=3, now=10.5)
    refused.refuse("login", ANN, NEVER, "shop", failures=3, now=20.0)

    (ban,) = refused
    assert ban == ("login", ANN, NEVER, "shop", 10.0, 20.0, 20.0, 5)
    assert refused.totals == {NEVER: 1}
    assert refused.get("login", ANN) == ban
    assert refused.get("mail", ANN) is None


def test_only_a_missing_witness_holds_for_a_moment():
    refused = RefusedBans()
    refused.refuse("login", ANN, NEVER, "blog", failures=3, now=10.0)
    assert [refused.without_witness("login", ANN, now) for now in (10.9, 11.1, 9.0)] == [NEVER, None, None]

    refused.refuse("login", ANN, PROXY, "blog", failures=3, now=12.0)
    assert refused.without_witness("login", ANN, 12.1) is None
    assert refused.totals == {NEVER: 1, PROXY: 1}


def test_they_are_forgotten_and_bounded():
    refused = RefusedBans(max_refused=32)
    for number in range(100):
        refused.refuse("login", Address(f"192.0.2.{number}"), NEVER, "blog", failures=3, now=float(number))
    assert len(list(refused)) <= 32
    refused.forget(99.0)
    assert [ban.address for ban in refused] == ["192.0.2.99"]

    refused.clear("login", Address("192.0.2.99"))
    assert list(refused) == []


def test_those_without_a_witness_are_taken_once_for_each_question():
    refused = RefusedBans(max_refused=16)
    refused.refuse("login", ANN, NEVER, "blog", failures=3, now=10.0)
    refused.refuse("mail", ANN, PROXY, "blog", failures=3, now=10.0)
    assert [(ban.jail, ban.reason) for ban in refused.take_without_witness()] == [("login", NEVER)]

    # Nobody is asked again so soon.
    refused.refuse("login", ANN, NEVER, "blog", failures=3, now=10.5)
    assert refused.take_without_witness() == ()
    refused.refuse("login", ANN, NEVER, "blog", failures=3, now=11.5)
    assert [ban.failures for ban in refused.take_without_witness()] == [5]

    # It was made, or unbanned.
    refused.refuse("login", ANN, NEVER, "blog", failures=3, now=13.0)
    refused.clear("login", ANN)
    assert refused.take_without_witness() == ()
    for number in range(100):
        refused.refuse("login", Address(f"192.0.2.{number}"), NEVER, "blog", failures=3, now=20.0)
    assert len(refused.take_without_witness()) <= 16
