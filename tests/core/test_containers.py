from dataclasses import replace

import pytest

from sidecar.core.containers import (
    Container,
    LabelTrust,
    assign_jails,
    discover_in_pods,
    has_our_labels,
    is_host_network,
    requested_jails,
    selects,
    with_image,
)
from sidecar.core.jail import Jail

LOGIN, PROBE = Jail("login"), Jail("probe")
BLOG = Container("1", "blog-wordpress-1", "wordpress:6-apache", {"com.docker.compose.service": "wordpress"})
SHOP = Container("2", "shop", "registry.example/wordpress:fpm")
DB = Container("3", "blog-db-1", "mariadb:11")


def labelled(container: Container, value: str) -> Container:
    return Container(container.id, container.name, container.image, {"wp-sidecar.enable": value})


def test_without_labels_every_wordpress_image_is_watched():
    assert assign_jails([BLOG, SHOP, DB], [LOGIN, PROBE]) == {
        "1": ("login", "probe"),
        "2": ("login", "probe"),
    }


def test_a_label_selects_its_container_and_the_others_stay_watched():
    assert assign_jails([BLOG, SHOP, labelled(DB, "true")], [LOGIN]) == {
        "1": ("login",),
        "2": ("login",),
        "3": ("login",),
    }


def test_false_excludes_one_container_and_selects_no_other():
    assert assign_jails([labelled(BLOG, "false"), SHOP], [LOGIN]) == {"2": ("login",)}


@pytest.mark.parametrize("word", ["true", "yes", "On", " 1 "])
def test_the_label_accepts_every_usual_word_for_true(word):
    assert assign_jails([labelled(DB, word)], [LOGIN]) == {"3": ("login",)}


@pytest.mark.parametrize("word", ["false", "no", "Off", " 0 "])
def test_the_label_accepts_every_usual_word_for_false(word):
    assert assign_jails([labelled(BLOG, word), SHOP], [LOGIN]) == {"2": ("login",)}


@pytest.mark.parametrize("word", ["", "maybe", "ja"])
def test_a_label_with_any_other_word_has_no_effect(word):
    assert assign_jails([labelled(BLOG, word), DB], [LOGIN]) == {"1": ("login",)}


def test_false_excludes_even_what_a_jail_names():
    assert assign_jails([labelled(BLOG, "False")], [Jail("login", containers=("*",))]) == {}


def test_a_jail_that_names_containers_looks_at_those_only():
    jails = [Jail("db", containers=("blog-db-*",)), LOGIN]

    assert assign_jails([BLOG, DB], jails) == {"1": ("login",), "3": ("db",)}


def test_a_jail_with_a_logpath_looks_at_no_container():
    assert assign_jails([BLOG], [Jail("login", logpath=("/var/log/auth.log",))]) == {}


def test_a_jail_whose_logpath_is_absent_looks_at_the_discovered():
    assert assign_jails([BLOG], [Jail("login", logpath=("/var/log/auth.log",), absent=True)]) == {
        "1": ("login",)
    }


@pytest.mark.parametrize(
    ("selector", "yes"),
    [
        ("blog-*", True),
        ("blog", False),
        ("com.docker.compose.service=wordpress", True),
        ("com.docker.compose.service=word*", True),
        ("com.docker.compose.service=db", False),
        ("com.docker.compose.service", True),
        ("no.such=*", False),
    ],
)
def test_selectors(selector, yes):
    assert selects(selector, BLOG) is yes


@pytest.mark.parametrize("selector", ["blog-*", "blog-?", "blog-[a-z]", "*"])
def test_no_label_of_a_strangers_image_is_taken_for_a_name(selector):
    """A jail with `containers` may have rights that others must not have."""
    stranger = Container("9", "stranger", "x", {selector: "", "blog-*": "", "app": ""})

    assert selects(selector, stranger) is (selector == "*")
    assert selects("app", stranger)


def test_a_jail_with_blanks_in_its_name_is_named_in_quotes():
    requesting = replace(DB, labels={"wp-sidecar.jails": "probe 'my login',other"})

    assert requested_jails(requesting, [PROBE, Jail("my login")]) == ({"probe", "my login"}, (), ("other",))


def test_a_container_may_name_its_jails():
    requesting = replace(DB, labels={"wp-sidecar.jails": "probe, other"})

    assert assign_jails([BLOG, requesting], [LOGIN, PROBE]) == {"1": ("login", "probe"), "3": ("probe",)}
    assert (
        assign_jails(
            [replace(requesting, labels={**requesting.labels, "wp-sidecar.enable": "false"})], [PROBE]
        )
        == {}
    )


@pytest.mark.parametrize("text", ["", " , ", "logn", "logn, prob", "x" * 9_000])
def test_a_label_that_names_no_jail_leaves_the_container_watched(text):
    assert assign_jails([replace(BLOG, labels={"wp-sidecar.jails": text})], [LOGIN, PROBE]) == {
        "1": ("login", "probe")
    }


def test_a_label_that_names_no_jail_still_says_that_the_container_is_watched():
    assert assign_jails([replace(DB, labels={"wp-sidecar.jails": "logn"})], [LOGIN]) == {"3": ("login",)}
    assert assign_jails([replace(DB, labels={"wp-sidecar.jails": ""})], [LOGIN]) == {}


OTHERS = Jail("others", containers=("proxy",), witness=False)
SSH = Jail("ssh", logpath=("/var/log/auth.log",), ports=frozenset({22}))


@pytest.mark.parametrize("jail", [OTHERS, SSH])
def test_a_label_gets_no_jail_that_is_for_others(jail):
    asking = replace(BLOG, labels={"wp-sidecar.jails": f"{jail.name}, probe"})
    only = replace(BLOG, labels={"wp-sidecar.jails": jail.name})

    assert requested_jails(asking, [LOGIN, PROBE, jail]) == ({"probe"}, (jail.name,), ())
    assert assign_jails([asking], [LOGIN, PROBE, jail]) == {"1": ("probe",)}
    assert assign_jails([only], [LOGIN, PROBE, jail]) == {"1": ("login", "probe")}
    assert assign_jails([only], [LOGIN, jail], labels=LabelTrust.ALL) == {"1": (jail.name,)}
    assert assign_jails([replace(only, name="proxy")], [LOGIN, OTHERS]) == {
        "1": ("others",) if jail is OTHERS else ("login", "others")
    }


def test_which_containers_have_labels_of_ours():
    assert has_our_labels(labelled(BLOG, "no"))
    assert not has_our_labels(BLOG)
    assert not has_our_labels(SHOP)


def with_image_labels(image="wordpress:6", **labels):
    named = {f"wp-sidecar.{name}": text for name, text in labels.items()}
    return with_image(Container("1", "blog", image, named), named, ())


def test_no_image_excludes_its_containers_or_chooses_their_jails():
    assert assign_jails([with_image_labels(enable="false")], [LOGIN, PROBE]) == {"1": ("login", "probe")}
    assert assign_jails([with_image_labels(jails="probe")], [LOGIN, PROBE]) == {"1": ("login", "probe")}
    assert assign_jails([with_image_labels(jails="probe")], [LOGIN, PROBE], labels=LabelTrust.ALL) == {
        "1": ("probe",)
    }


@pytest.mark.parametrize("labels", [{"enable": "true"}, {"jails": "probe"}])
def test_an_image_may_have_its_containers_watched(labels):
    assert assign_jails([with_image_labels("shop:1", **labels)], [LOGIN, PROBE]) == {"1": ("login", "probe")}


def test_where_no_label_counts_the_settings_choose():
    asking = [
        labelled(BLOG, "false"),
        labelled(DB, "true"),
        replace(SHOP, labels={"wp-sidecar.jails": "probe"}),
    ]

    assert assign_jails(asking, [LOGIN, PROBE], labels=LabelTrust.NONE) == {
        "1": ("login", "probe"),
        "2": ("login", "probe"),
    }


def pod(name, image="", **labels):
    return Container(name, name, image, {f"wp-sidecar.{key}": value for key, value in labels.items()})


PODS = [
    pod(name)
    for name in ("blog/wordpress-0/web", "blog/web-0/my-wordpress", "wordpress/db-0/mysql", "blog/db-0/mysql")
]


@pytest.mark.parametrize(
    ("globs", "found"),
    [
        ([], [0, 1]),
        (["*/*/*"], [0, 1, 2, 3]),
        (["blog/*/mysql", "word*/*/*"], [2, 3]),
        (["blog/*/*", "!*/*/mysql"], [0, 1]),
        (["!blog/*/*"], [2]),
        (["*/mysql/*"], []),
        (["*-0/*/*"], []),  # a star does not reach over a slash
    ],
)
def test_pods_are_selected_by_namespace_pod_and_container(globs, found):
    assert discover_in_pods(PODS, globs) == {PODS[number].id for number in found}


def test_without_globs_a_pod_may_select_itself():
    asking, image = pod("blog/a/b", enable="True"), pod("blog/a/c", image="wordpress:6")

    assert discover_in_pods([asking, image]) == {asking.id, image.id}
    assert discover_in_pods([asking, image], ["shop/*/*"]) == frozenset()
    assert discover_in_pods([asking, image], labels=LabelTrust.NONE) == {image.id}


def test_jails_look_at_the_containers_that_were_discovered():
    assert assign_jails(PODS, [LOGIN], discover_in_pods(PODS)) == {
        PODS[number].id: ("login",) for number in (0, 1)
    }


def test_a_label_with_the_value_of_the_images_may_be_the_images():
    labels = {"wp-sidecar.mode": "observe", "wp-sidecar.jails": "login", "app": "blog"}
    blog = replace(BLOG, labels=labels)
    image = {"wp-sidecar.mode": "observe", "wp-sidecar.jails": "probe", "app": "blog"}

    assert with_image(blog, image, ()).image_labels == {"wp-sidecar.mode"}
    assert with_image(blog, image, ["other/*", "wordpress:*"]) == blog
    unknown = with_image(blog, None, (), "refused")
    assert (unknown.image_labels, unknown.image_error) == ({"wp-sidecar.mode", "wp-sidecar.jails"}, "refused")
    assert with_image(BLOG, None, (), "refused") == BLOG


IN_NETWORK = replace(BLOG, gateways=("172.18.0.1",))
# macvlan
ON_ROUTERS_NETWORK = replace(BLOG, gateways=("192.0.2.1",), bypasses_firewall=True)


@pytest.mark.parametrize(
    ("own", "networks", "containers", "is_host"),
    [
        (["192.0.2.7", "172.18.0.1"], [], [IN_NETWORK], True),
        (["172.18.0.3"], [], [IN_NETWORK], False),
        (["172.17.0.1"], ["172.17.0.0/16", "172.17.0.1/32"], [IN_NETWORK], True),
        (["172.17.0.1"], ["172.17.0.0/16", "172.17.0.1"], [ON_ROUTERS_NETWORK], True),
        (["172.17.0.9"], ["172.17.0.0/16", "172.17.0.1"], [ON_ROUTERS_NETWORK], False),
        (["192.0.2.7"], ["192.0.2.1"], [ON_ROUTERS_NETWORK], None),
        (["172.18.0.3"], [], [BLOG], None),
        (["172.18.0.3"], ["172.18.0.1"], [], None),
    ],
)
def test_a_gateway_that_is_ours_shows_the_hosts_network(own, networks, containers, is_host):
    assert is_host_network(own, iter(networks), containers) is is_host
