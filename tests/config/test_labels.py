import math

from sidecar.config import jail_keys, labels
from sidecar.config.jail_keys import JailKey
from sidecar.config.labels import Label, read
from sidecar.core.containers import Container
from sidecar.core.overrides import Overrides
from tests.support.paths import ROOT


def container(**labels):
    return Container("1", "blog", "wordpress", {f"wp-sidecar.{key}": text for key, text in labels.items()})


def test_labels_are_read_as_a_jails_file_is():
    blog = container(
        enable="true",
        maxretry="3",
        findtime="10m",
        bantime="-1",
        mode="observe",
        allow="192.0.2.7/24, ::1",
        **{"trusted-proxies": "192.0.2.32/28"},
    )

    assert read([blog], ["wordpress"]) == (
        {
            "blog": Overrides(
                {"maxretry": 3, "findtime": 600.0, "bantime": math.inf, "observe": True},
                ignoreip=("192.0.2.0/24", "::1"),
                trusted_proxies=("192.0.2.32/28",),
            )
        },
        {},
    )


def test_the_allow_label_may_name_hosts_but_no_files():
    found, errors = read([container(allow="home.example.org 192.0.2.7")], [])
    assert (found, errors) == (
        {"blog": Overrides(ignoreip=("192.0.2.7",), ignore_names=("home.example.org",))},
        {},
    )

    found, errors = read([container(allow="file:/etc/passwd")], [])
    assert found == {}
    assert errors["blog"].startswith(
        'labels of blog: wp-sidecar.allow: "file:/etc/passwd" is not an address, a network'
    )


def test_a_container_may_be_enforced_in_a_jail_that_observes():
    assert read([container(mode="enforce")], []) == ({"blog": Overrides({"observe": False})}, {})


def test_other_labels_set_nothing():
    assert read([Container("1", "blog", "wordpress", {"traefik.enable": "true"})], []) == ({}, {})


def test_a_wrong_label_is_reported_and_the_others_hold():
    blog = container(
        maxretry="five",
        bantime="1h",
        maxrety="3",
        mode="dry",
        enable="maybe",
        jails="wordpress probs",
        **{"trusted-proxies": "0.0.0.0/0"},
    )

    assert read([blog], ["wordpress", "probes"]) == (
        {"blog": Overrides({"bantime": 3600.0})},
        {
            "blog": "labels of blog: "
            'wp-sidecar.maxretry: expected a whole number from 1 up, got "five"; '
            "wp-sidecar.maxrety: unknown. Did you mean wp-sidecar.maxretry?; "
            'wp-sidecar.mode: expected observe or enforce, got "dry"; '
            'wp-sidecar.enable: expected true or false, got "maybe"; '
            "wp-sidecar.trusted-proxies: 0.0.0.0/0 is too wide for proxies: nobody in it could be banned; "
            "use narrower networks; "
            "wp-sidecar.jails: no jail is named probs; there are wordpress, probes"
        },
    )


def test_an_empty_enable_label_says_nothing():
    assert read([container(enable="")], []) == ({}, {})


def test_a_new_label_is_one_row(monkeypatch):
    monkeypatch.setattr(labels, "LABELS", (*labels.LABELS, Label("wp-sidecar.strict", bool, "resets")))

    assert read([container(strict="yes")], []) == ({"blog": Overrides({"resets": True})}, {})


def test_a_jail_key_becomes_a_label_by_its_row(monkeypatch):
    key = JailKey("patience", float, "findtime", label=True)
    monkeypatch.setattr(jail_keys, "JAIL_KEYS", (*jail_keys.JAIL_KEYS, key))

    assert read([container(patience="7")], []) == ({"blog": Overrides({"findtime": 7.0})}, {})


def test_the_documentation_has_every_label():
    text = (ROOT / "docs" / "configuration.md").read_text().partition("## Container labels")[2]
    names = [name.removeprefix("wp-sidecar") for name in labels.known_labels()]

    assert [name for name in names if f"{name}`" not in text] == []
