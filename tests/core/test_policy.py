from sidecar.core.jail import Jail
from sidecar.core.policy import Policy

LOGIN = Jail("login", maxretry=3, ignoreip=("192.0.2.1",))


def test_no_labels_leave_the_jail_as_it_is():
    assert Policy().over(LOGIN) == LOGIN


def test_labels_go_over_the_jail():
    policy = Policy(maxretry=9, findtime=60.0, bantime=120.0, observe=True, allow=("192.0.2.2",))

    assert policy.over(LOGIN) == Jail(
        "login", maxretry=9, findtime=60.0, bantime=120.0, observe=True, ignoreip=("192.0.2.1", "192.0.2.2")
    )
