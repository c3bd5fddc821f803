import math

from sidecar.config.labels import policies
from sidecar.core.containers import Container
from sidecar.core.overrides import Overrides


def site(**labels):
    return Container("1", "blog", "wordpress", {f"wp-sidecar.{key}": text for key, text in labels.items()})


def test_labels_are_read_as_a_jails_file_is():
    blog = site(
        enable="true", maxretry="3", findtime="10m", bantime="-1", mode="observe", allow="192.0.2.7/24, ::1"
    )

    assert policies([blog], ["wordpress"]) == (
        {"blog": Overrides(3, 600.0, math.inf, observe=True, allow=("192.0.2.0/24", "::1"))},
        {},
    )


def test_whom_a_container_allows_may_be_a_name_but_no_file_of_ours():
    allowed, wrong = policies([site(allow="home.example.org 192.0.2.7")], [])
    assert (allowed, wrong) == (
        {"blog": Overrides(allow=("192.0.2.7",), allow_names=("home.example.org",))},
        {},
    )

    allowed, wrong = policies([site(allow="file:/etc/passwd")], [])
    assert allowed == {}
    assert wrong["blog"].startswith(
        'labels of blog: wp-sidecar.allow: "file:/etc/passwd" is no address, no network'
    )


def test_a_container_may_be_enforced_where_its_jail_observes():
    assert policies([site(mode="enforce")], []) == ({"blog": Overrides(observe=False)}, {})


def test_labels_of_others_and_none_at_all_say_nothing():
    assert policies([Container("1", "blog", "wordpress", {"traefik.enable": "true"})], []) == ({}, {})


def test_what_is_wrong_is_told_and_the_rest_holds():
    blog = site(
        maxretry="five", bantime="1h", maxrety="3", mode="dry", enable="maybe", jails="wordpress probs"
    )

    assert policies([blog], ["wordpress", "probes"]) == (
        {"blog": Overrides(bantime=3600.0)},
        {
            "blog": "labels of blog: "
            'wp-sidecar.maxretry: expected a whole number from 1 up, got "five"; '
            "wp-sidecar.maxrety: unknown. Did you mean wp-sidecar.maxretry?; "
            'wp-sidecar.mode: expected observe or enforce, got "dry"; '
            'wp-sidecar.enable: expected true or false, got "maybe"; '
            "wp-sidecar.jails: no jail is named probs; there are wordpress, probes"
        },
    )
