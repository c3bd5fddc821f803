import math
from dataclasses import replace

import pytest

from sidecar.config import jail_keys, labels
from sidecar.config.jail_keys import JailKey
from sidecar.config.labels import Label, read
from sidecar.core.bantime_increment import Escalation
from sidecar.core.containers import Container, LabelTrust, with_image
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides
from tests.support.effort import takes_less_than
from tests.support.paths import ROOT

WORDPRESS, PROBES = Jail("wordpress"), Jail("probes")
FOR_GOOD = Jail("wordpress", bantime=math.inf, findtime=7 * 86_400.0)


def container(name="blog", /, **labels):
    return Container(name, name, "wordpress", {f"wp-sidecar.{key}": text for key, text in labels.items()})


def overrides(container, *jails, trust=LabelTrust.STRENGTHEN):
    """What its labels set, where nothing is wrong with them."""
    found = read([container], jails or (FOR_GOOD,), trust)
    assert found.problems == {}
    return found.overrides.get(container.name)


def problem(container, *jails, trust=LabelTrust.STRENGTHEN):
    return read([container], jails or (FOR_GOOD,), trust).problems.get(container.name, "")


def test_labels_are_read_as_a_jails_file_is():
    blog = container(
        enable="true", maxretry="3", findtime="10d", bantime="-1", mode="observe", allow="192.0.2.7/24, ::1",
        **{"trusted-proxies": "192.0.2.32/28"},
    )  # fmt: skip
    values = {"maxretry": 3, "findtime": 864_000.0, "bantime": math.inf, "observe": True}

    assert overrides(blog, trust=LabelTrust.ALL) == Overrides(
        values, ignoreip=("192.0.2.0/24", "::1"), trusted_proxies=("192.0.2.32/28",), limited=False
    )
    assert read([blog], [FOR_GOOD]).in_force["blog"] == (
        "wp-sidecar.enable=true", "wp-sidecar.maxretry=3", "wp-sidecar.findtime=10d", "wp-sidecar.bantime=-1",
        "wp-sidecar.mode=observe", "wp-sidecar.allow=192.0.2.7/24, ::1", "wp-sidecar.trusted-proxies=192.0.2.32/28",
    )  # fmt: skip


def test_by_default_trusted_proxies_hold_for_the_containers_own_log():
    blog = container(allow="192.0.2.7", **{"trusted-proxies": "192.0.2.32/28"})

    assert overrides(blog) == Overrides(ignoreip=("192.0.2.7",), trusted_proxies=("192.0.2.32/28",))


def test_where_no_label_counts_that_is_reported():
    found = read(
        [container(mode="observe", allow="0.0.0.0/1"), container("shop")], [WORDPRESS], LabelTrust.NONE
    )

    assert (found.overrides, found.in_force) == ({}, {})
    assert found.problems == {"blog": "labels of blog: 2 labels are ignored: WP_SIDECAR_LABELS=none"}


@pytest.mark.parametrize(
    ("label", "text", "jail", "applies"),
    [
        ("bantime", "-1", WORDPRESS, "1d"),
        ("bantime", "2d", WORDPRESS, "1d"),
        ("bantime", "1s", WORDPRESS, "1d"),
        ("bantime", "-1", Jail("wordpress", bantime=600.0, escalation=Escalation(maxtime=3_600.0)), "1h"),
        ("bantime", "-1", Jail("wordpress", bantime=600.0, escalation=Escalation()), "10m"),
        ("findtime", "10y", WORDPRESS, "1d"),
        ("findtime", "1s", WORDPRESS, "3h"),
        ("findtime", "10y", FOR_GOOD, "7d"),
        ("maxretry", "10000", WORDPRESS, "100"),
        ("maxretry", "10000", Jail("wordpress", maxretry=500), "500"),
    ],
)
def test_a_value_beyond_what_a_label_may_set_does_not_apply(label, text, jail, applies):
    blog = container(**{label: text})
    (found,) = read([blog], [jail]).overrides.values()

    assert f"is not what a label may set here; {applies} applies" in problem(blog, jail)
    applied = int(applies) if label == "maxretry" else jail_keys.duration(applies)
    assert getattr(found.apply_to(jail), label) == applied

    written = getattr(overrides(blog, jail, trust=LabelTrust.ALL).apply_to(jail), label)
    assert written != applied


@pytest.mark.parametrize(
    ("label", "text"), [("bantime", "1d"), ("findtime", "12h"), ("maxretry", "1"), ("maxretry", "50")]
)
def test_a_value_that_a_label_may_set_applies(label, text):
    assert overrides(container(**{label: text}), WORDPRESS).values.keys() == {label}


@pytest.mark.parametrize("word", ["", ",", "wordpres"])
def test_a_label_that_names_no_jail_is_reported(word):
    assert "so the jails of the settings watch it" in problem(container(jails=word), WORDPRESS, PROBES)


def test_a_jail_that_is_for_others_is_reported():
    proxy = Jail("proxy", containers=("proxy",), witness=False)

    assert problem(container(jails="proxy, wordpress"), WORDPRESS, proxy) == (
        "labels of blog: wp-sidecar.jails: proxy is for other containers or for files; name this container in its "
        "`containers`, or set WP_SIDECAR_LABELS=all"
    )
    assert overrides(container(jails="proxy"), WORDPRESS, proxy, trust=LabelTrust.ALL) is None
    assert read([container(jails="wordpress")], [WORDPRESS]).in_force == {
        "blog": ("wp-sidecar.jails=wordpress",)
    }


def test_the_host_names_of_one_container_and_of_all_are_bounded():
    many = " ".join(f"h{number}.example.org" for number in range(200))
    found = read([container("a", allow=many), container("b", allow="home.example.org")], [WORDPRESS])

    assert {name: len(each.ignore_names) for name, each in found.overrides.items()} == {"a": 16, "b": 1}
    assert "200 host names are too many; 16 are looked up" in found.problems["a"]

    some = " ".join(f"h{number}.example.org" for number in range(16))
    found = read(
        [*(container(f"c{n}", allow=some) for n in range(40)), container("z", allow="z.example.org")],
        [WORDPRESS],
    )
    counts = {name: len(each.ignore_names) for name, each in found.overrides.items()}
    assert sum(counts.values()) == 256
    assert counts["z"] == 1


@pytest.mark.parametrize("name", ["allow", "trusted-proxies"])
def test_the_networks_of_one_container_are_bounded(name):
    wide = ", ".join(f"{number}.0.0.0/8" for number in range(1, 224))
    blog = container(**{name: wide})

    assert f"wp-sidecar.{name}: too much for one container" in problem(blog)
    # Four, and those with private addresses, which are not counted.
    found = read([blog], [WORDPRESS]).overrides["blog"]
    assert len((*found.ignoreip, *found.trusted_proxies)) == 6

    narrow = " ".join(f"9.1.{n}.1" for n in range(256)) + " 9.2.2.2"
    assert "only 256 of 257 networks count" in problem(container(**{name: narrow}))
    assert "10.0.0.0/7" in problem(container(allow="10.0.0.0/7"))


def test_a_format_that_may_take_long_is_no_setting():
    """A line that almost fits it takes 24 s, in which nothing else is read."""
    slow = container(**{"log-format": '$remote_addr "$request" $status $scheme.$scheme.$scheme.$scheme x'})

    assert "nothing certain separates" in problem(slow)
    assert read([slow], [WORDPRESS]).overrides == {}
    assert overrides(slow, trust=LabelTrust.ALL).values.keys() == {"log_format"}
    quick = container(**{"log-format": '$remote_addr [$time_local] "$request" $status'})
    assert overrides(quick).values == {"log_format": '$remote_addr [$time_local] "$request" $status'}


def test_a_long_label_is_no_setting():
    long = " ".join(f"host{number}.example.org" for number in range(20_000))

    assert read([container(allow=long)], [WORDPRESS]) == (
        {}, {"blog": "labels of blog: wp-sidecar.allow: is longer than 4096 characters; shorten it"}, {},
    )  # fmt: skip


def test_a_container_with_many_labels_is_read_fast_and_reported_in_one_line():
    others = {f"{'x' * 70}{number}": "\x1b[2J\n" for number in range(20_000)}
    blog = container(maxretry="\x1b[2J\n" + "9" * 2_000, mode="observe", **others)
    found = read([blog], [WORDPRESS])

    assert found.overrides == {"blog": Overrides({"observe": True})}
    assert "only 50 of 20002 labels are read" in found.problems["blog"]
    assert found.problems["blog"].isprintable()
    assert len(found.problems["blog"]) < 3_000


ODD = (
    "9**9**9**9", "9" * 4_000, "(" * 2_000 + "1" + ")" * 2_000, "1+" * 2_000 + "1", "1d" * 1_300, "-1", "inf", "1e999",
    "\x00", "\ud800", "'" * 4_000, '"' * 4_095, "$" * 4_000, "%h" * 2_000, "${" * 2_000, "%{" * 2_000, "\\" * 4_000,
    '$remote_addr "$request" $status ' * 100, "LogFormat " + '"' * 4_000, "log_format x " + "'a' " * 1_000,
    "::/" + "9" * 4_000, "a." * 2_000 + "com", "1y " * 1_300, "\n".join(["x"] * 2_000),
)  # fmt: skip


@pytest.mark.parametrize("label", sorted(labels.known_labels()))
def test_no_text_of_a_label_takes_long_or_is_more_than_a_sentence(label):
    def read_all():
        for text in ODD:
            found = read([Container("1", "blog", "wordpress", {label: text})], [WORDPRESS])
            assert all(each.isprintable() and len(each) < 3_000 for each in found.problems.values())

    assert takes_less_than(2, read_all)


def test_the_allow_label_may_name_hosts_but_no_files():
    assert overrides(container(allow="home.example.org 192.0.2.7")) == Overrides(
        ignoreip=("192.0.2.7",), ignore_names=("home.example.org",)
    )
    found = read([container(allow="file:/etc/passwd")], [WORDPRESS])
    assert found.overrides == {}
    assert found.problems["blog"].startswith(
        'labels of blog: wp-sidecar.allow: "file:/etc/passwd" is not an address, a network'
    )


def test_a_container_may_be_enforced_in_a_jail_that_observes():
    assert overrides(container(mode="enforce")) == Overrides({"observe": False})


def test_other_labels_set_nothing():
    assert read([Container("1", "blog", "wordpress", {"traefik.enable": "true"})], []) == ({}, {}, {})


def test_a_wrong_label_is_reported_and_the_others_hold():
    blog = container(
        maxretry="five",
        bantime="1d",
        maxrety="3",
        mode="dry",
        enable="maybe",
        jails="wordpress probs",
        **{"trusted-proxies": "0.0.0.0/0"},
    )

    found = read([blog], [WORDPRESS, PROBES])
    assert found.overrides == {"blog": Overrides({"bantime": 86_400.0})}
    assert found.in_force == {"blog": ("wp-sidecar.bantime=1d", "wp-sidecar.jails=wordpress")}
    assert found.problems == {
        "blog": "labels of blog: "
        'wp-sidecar.maxretry: expected a whole number from 1 up, got "five"; '
        'wp-sidecar.mode: expected observe or enforce, got "dry"; '
        'wp-sidecar.enable: expected true or false, got "maybe"; '
        "wp-sidecar.trusted-proxies: 0.0.0.0/0 is too wide for proxies: nobody in it could be banned; "
        "use narrower networks; "
        "wp-sidecar.maxrety: unknown. Did you mean wp-sidecar.maxretry?; "
        "wp-sidecar.jails: no jail is named probs; there are wordpress, probes"
    }


def test_an_empty_enable_label_says_nothing():
    assert read([container(enable="")], [WORDPRESS]) == ({}, {}, {})


def test_a_new_label_is_one_row(monkeypatch):
    monkeypatch.setattr(labels, "LABELS", (*labels.LABELS, Label("wp-sidecar.strict", bool, "witness")))

    assert overrides(container(strict="yes")) == Overrides({"witness": True})


def test_a_jail_key_becomes_a_label_by_its_row(monkeypatch):
    key = JailKey("patience", float, "findtime", label=True)
    monkeypatch.setattr(jail_keys, "JAIL_KEYS", (*jail_keys.JAIL_KEYS, key))

    assert overrides(container(patience="604800")) == Overrides({"findtime": 604_800.0})


def test_the_documentation_has_every_label():
    text = (ROOT / "docs" / "configuration.md").read_text().partition("## Container labels")[2]
    names = [name.removeprefix("wp-sidecar") for name in labels.known_labels()]

    assert [name for name in names if f"{name}`" not in text] == []


def of_image(*trusted, **labels):
    """A container whose labels are all its image's."""
    own = container(**labels)
    return with_image(own, own.labels, trusted)


WEAKER = {"mode": "observe", "allow": "192.0.2.7", "maxretry": "90", "enable": "false", "jails": "probes"}


@pytest.mark.parametrize("label", [*WEAKER, "trusted-proxies", "log-format", "bantime", "findtime"])
def test_a_label_of_an_image_sets_nothing_and_is_reported(label):
    found = read([of_image(**{label: WEAKER.get(label, "1d")})], [WORDPRESS, PROBES])

    assert (found.overrides, found.in_force) == ({}, {})
    assert found.problems["blog"] == (
        f"labels of blog: wp-sidecar.{label}: set by the image wordpress, so ignored; if you trust the image, "
        "name it in WP_SIDECAR_IMAGE_LABELS"
    )


def test_an_image_may_say_that_its_container_is_watched():
    found = read([of_image(enable="true")], [WORDPRESS])

    assert (found.problems, found.in_force) == ({}, {"blog": ("wp-sidecar.enable=true",)})


def test_the_containers_own_label_counts_beside_those_of_its_image():
    both = container(mode="observe", maxretry="7")
    both = with_image(both, {"wp-sidecar.mode": "observe", "wp-sidecar.maxretry": "90"}, ())

    assert read([both], [WORDPRESS]).overrides == {"blog": Overrides({"maxretry": 7})}


def test_the_labels_of_a_trusted_image_count_as_the_containers_own():
    assert overrides(of_image("word*", mode="observe")).values == {"observe": True}
    assert overrides(of_image(mode="observe"), trust=LabelTrust.ALL).values == {"observe": True}


def test_labels_do_not_count_where_it_is_unknown_whose_they_are():
    unknown = with_image(container(mode="observe"), None, (), "a socket proxy has to allow IMAGES")

    assert "which cannot be inspected (a socket proxy has to allow IMAGES)" in problem(unknown)
    assert with_image(Container("1", "blog", "wordpress"), None, (), "why") == Container(
        "1", "blog", "wordpress"
    )


def test_many_long_labels_of_an_image_do_not_hide_the_remedy():
    image = of_image(**{f"{number}{'x' * 1_000}": "" for number in range(100)})
    image = replace(image, image="y" * 1_000)

    assert " and 96 more: set by the image" in problem(image)
    assert "WP_SIDECAR_IMAGE_LABELS" in problem(image)
    assert len(problem(image)) < 1_000
