import math
from dataclasses import replace

import pytest

from sidecar.config import jail_keys, jails, labels
from sidecar.config.jail_keys import JAIL_KEYS, JailKey, Shown, default_jail, known_keys, shown
from sidecar.core.bantime_increment import Escalation
from sidecar.core.containers import Container
from sidecar.core.jail import Jail, Success
from sidecar.core.overrides import Overrides
from tests.support.paths import ROOT


def test_the_status_shows_these_keys():
    jail = Jail("mail", bantime=math.inf, observe=True, bangroup=8, escalation=Escalation())

    assert shown(jail, Shown.STATUS) == {
        "maxretry": 5,
        "findtime": 10_800.0,
        "bantime": None,
        "increment": True,
        "window": "sliding",
        "mode": "observe",
        "bangroup": 8,
        "aggregate": True,
        "witness": True,
    }


def test_check_config_shows_these_keys():
    jail = Jail("mail", "mail", ports=frozenset({443, 80}), ignoreip=("::1",), ignore_names=("a.example",))

    assert shown(jail, Shown.CHECK_CONFIG) == {
        "logpath": (),
        "ignoreip": ["::1", "a.example"],
        "filter": "mail",
        "maxretry": 5,
        "findtime": 10_800.0,
        "bantime": 86_400.0,
        "ports": [80, 443],
        "published": True,
        "scope": "host",
        "containers": (),
        "logformat": None,
        "logtimezone": None,
    }


def test_check_config_does_not_show_the_secret_of_the_mu_plugin():
    for options in ("key=SECRET", "lost_password=yes, key = SECRET", 'key="SECRET",lost_password=yes'):
        jail = replace(default_jail("a"), filter=f"wordpress-auth[{options}]")

        assert "SECRET" not in shown(jail, Shown.CHECK_CONFIG)["filter"]
        assert shown(jail, Shown.CHECK_CONFIG)["filter"].startswith("wordpress-auth[")


def test_a_jail_begins_with_the_defaults():
    assert default_jail("mail") == Jail("mail", "mail")
    assert default_jail("wordpress") == Jail("wordpress", "wordpress", maxretry=3, success=Success.PROOF)


def test_the_documentation_has_every_key():
    text = (ROOT / "docs" / "configuration.md").read_text()
    missing = [key for key in known_keys() if f"`{key}`" not in text]

    # These are fail2ban's own settings, which the page does not list one by one.
    assert set(missing) <= set(jail_keys.IGNORED_KEYS)


@pytest.fixture
def patience(monkeypatch):
    """A new jail key, in the one place that a key needs."""
    key = JailKey("patience", float, "findtime", label=True, shown=Shown.EVERYWHERE)
    monkeypatch.setattr(jail_keys, "JAIL_KEYS", (*JAIL_KEYS, key))


def test_a_new_key_is_one_row(patience, tmp_path):
    (tmp_path / "mail.conf").write_text("[Definition]\nfailregex = ^fail <HOST>$\n")
    (tmp_path / "jails.conf").write_text("[mail]\npatience = 7\n")

    (jail,) = jails.read(tmp_path / "jails.conf", [tmp_path]).jails
    assert jail == Jail("mail", "mail", findtime=7.0)
    assert [shown(jail, where)["patience"] for where in (Shown.STATUS, Shown.CHECK_CONFIG)] == [7.0, 7.0]

    blog = Container("1", "blog", "wordpress", {"wp-sidecar.patience": "8"})
    assert labels.read([blog], [jail]).overrides == {"blog": Overrides({"findtime": 8.0})}


def test_an_error_in_a_new_key_has_its_place(patience, tmp_path):
    (tmp_path / "jails.conf").write_text("[wordpress]\npatience = long\n[wordpress-access]\npatienc = 1\n")

    with pytest.raises(jails.ConfigErrors) as caught:
        jails.read(tmp_path / "jails.conf", [])

    assert [str(error).removeprefix(f"{tmp_path}/") for error in caught.value.errors] == [
        "jails.conf:2: wordpress.patience: could not convert string to float: 'long'",
        "jails.conf:4: wordpress-access.patienc: unknown. Did you mean patience?",
    ]
