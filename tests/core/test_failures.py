from sidecar.core.address import Address
from sidecar.core.events import Hit, Origin
from sidecar.core.evidence import Evidence
from sidecar.core.failures import Failures
from sidecar.core.jail import Jail

ANN = Address("203.0.113.7")
LOGIN = Jail("login", maxretry=3, findtime=600)


def hit(at, target=""):
    return Hit("login", ANN, at, Origin("docker", "blog"), f"line at {at}", target)


def test_the_failure_that_is_too_many_returns_the_evidence():
    failures = Failures(LOGIN, Evidence())

    assert [failures.add(LOGIN, hit(at), at, weight=1) for at in (0, 1, 2)] == [
        None,
        None,
        ("line at 0", "line at 1", "line at 2"),
    ]
    assert failures.clear(ANN) is False


def test_a_heavier_failure_fills_the_window_sooner():
    failures = Failures(LOGIN, Evidence())

    assert failures.add(LOGIN, hit(0), 0, weight=3) == ("line at 0",)


def test_a_target_is_repeated_until_its_failures_are_cleared():
    failures = Failures(LOGIN, Evidence())
    failures.add(LOGIN, hit(0, "admin"), 0, weight=1)
    assert failures.is_repeated(hit(1, "admin"))
    assert not failures.is_repeated(hit(1, "editor"))

    assert failures.clear(ANN) is True
    assert not failures.is_repeated(hit(2, "admin"))


def test_a_target_is_repeated_until_its_failures_are_forgotten():
    failures = Failures(LOGIN, Evidence())
    failures.add(LOGIN, hit(0, "admin"), 0, weight=1)

    failures.forget(before=0)
    assert failures.is_repeated(hit(1, "admin"))
    failures.forget(before=1)
    assert not failures.is_repeated(hit(1, "admin"))


def test_a_restart_counts_from_nothing_in_the_way_of_the_jail():
    failures = Failures(LOGIN, Evidence())
    failures.add(LOGIN, hit(0, "admin"), 0, weight=1)
    failures.restart(Jail("login", window="fail2ban"))

    assert (len(failures.window), failures.is_repeated(hit(1, "admin"))) == (0, False)
    assert type(failures.window).__name__ == "Fail2banWindow"
