from sidecar.core.address import Address
from sidecar.core.evidence import Evidence

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")


def test_the_last_lines_are_kept_oldest_first():
    evidence = Evidence()
    for line in ("one", "two", "three"):
        evidence.add("login", ANN, line, most=2)

    assert evidence.take("login", ANN) == ("two", "three")
    assert evidence.take("login", ANN) == ()


def test_jails_and_addresses_are_kept_apart():
    evidence = Evidence()
    evidence.add("login", ANN, "a", most=3)
    evidence.add("probe", ANN, "b", most=3)
    evidence.add("login", BOB, "c", most=3)

    assert evidence.take("login", ANN) == ("a",)


def test_the_oldest_lines_are_dropped_when_there_are_too_many():
    evidence = Evidence(max_bytes=10)
    evidence.add("login", ANN, "x" * 6, most=3)
    evidence.add("login", BOB, "y" * 6, most=3)

    assert (evidence.take("login", ANN), evidence.take("login", BOB), evidence.dropped) == ((), ("y" * 6,), 1)


def test_replaced_lines_do_not_count_towards_the_limit():
    evidence = Evidence(max_bytes=10)
    for _ in range(100):
        evidence.add("login", ANN, "x" * 4, most=2)

    assert (evidence.take("login", ANN), evidence.dropped) == (("x" * 4, "x" * 4), 0)


def test_a_flood_in_one_jail_leaves_the_lines_of_others_alone():
    evidence = Evidence(max_bytes=100)
    evidence.add("login", ANN, "x" * 6, most=3)
    for n in range(100):
        evidence.add("probe", Address(f"198.51.100.{n}"), "y" * 6, most=3)

    assert evidence.lines("login", ANN) == ("x" * 6,)
    assert evidence.dropped > 80
