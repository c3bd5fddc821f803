from sidecar.core.address import Address
from sidecar.core.effective_jail import EffectiveJail
from sidecar.core.events import Hit, Origin
from sidecar.core.evidence import Evidence
from sidecar.core.jail import Jail
from sidecar.core.jail_state import JailState
from sidecar.core.overrides import Overrides

ANN = Address("203.0.113.7")
LOGIN = Jail("login", findtime=600)


def failed(state, at):
    return state.failures.add(state.jail, Hit("login", ANN, at, Origin("docker", "blog"), "a line"), at, 1)


def test_the_effective_jail_of_a_container_is_made_once():
    state = JailState(LOGIN, Evidence(), {"blog": Overrides({"findtime": 80_000.0})})

    assert state.effective_at("blog") == EffectiveJail.of(LOGIN, Overrides({"findtime": 80_000.0}))
    assert state.effective_at("blog") is state.effective_at("blog")
    assert (state.effective_at("shop"), state.longest_findtime) == (state.effective, 80_000.0)


def test_other_overrides_make_another_effective_jail():
    state = JailState(LOGIN, Evidence(), {"blog": Overrides({"maxretry": 1})})
    assert state.effective_at("blog").jail.maxretry == 1

    state.set_overrides({"shop": Overrides({"maxretry": 2})})
    assert state.effective_at("blog") is state.effective
    assert state.effective_at("shop").jail.maxretry == 2


def test_failures_are_forgotten_after_the_longest_findtime():
    state = JailState(LOGIN, Evidence(), {"blog": Overrides({"findtime": 1_000.0})})
    state.effective_at("blog")
    failed(state, 0.0)

    state.forget(now=1_000.0)
    assert len(state.failures.window) == 1
    state.forget(now=1_001.0)
    assert len(state.failures.window) == 0


def test_a_removed_jail_that_returns_begins_to_count_again():
    state = JailState(LOGIN, Evidence())
    failed(state, 0.0)
    state.reconfigure(Jail("login", maxretry=9))
    assert (len(state.failures.window), state.jail.maxretry) == (1, 9)

    state.is_removed = True
    state.reconfigure(LOGIN)
    assert (len(state.failures.window), state.is_removed) == (0, False)
