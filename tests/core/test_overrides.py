from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides

LOGIN = Jail("login", maxretry=3, ignoreip=("192.0.2.1",))


def test_no_labels_leave_the_jail_as_it_is():
    assert Overrides().apply_to(LOGIN) == LOGIN


def test_labels_override_the_jail():
    overrides = Overrides(
        {"maxretry": 9, "findtime": 60.0, "bantime": 120.0, "observe": True}, ignoreip=("192.0.2.2",)
    )

    assert overrides.apply_to(LOGIN) == Jail(
        "login", maxretry=9, findtime=60.0, bantime=120.0, observe=True, ignoreip=("192.0.2.1", "192.0.2.2")
    )
