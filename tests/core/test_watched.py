"""Which containers are watched: those that labels and images choose, and their front ends."""

from dataclasses import replace

from sidecar.core.containers import Container, LabelTrust, with_image
from sidecar.core.jail import Jail
from sidecar.core.watched import choose

PLUGIN, ACCESS, XMLRPC = (
    Jail("plugin"),
    Jail("access", reads_requests=True),
    Jail("xmlrpc", reads_requests=True),
)
JAILS = (PLUGIN, ACCESS, XMLRPC)
NET = frozenset({"net"})
BLOG = Container("blog", "blog", "wordpress:fpm", networks=NET)
SHOP = replace(BLOG, id="shop", name="shop")
NGINX = Container("nginx", "nginx", "nginx", published=frozenset({80}), networks=NET)
DB = Container("db", "db", "mariadb", networks=NET)


def labelled(container, **labels):
    return replace(
        container, labels={f"wp-sidecar.{key.replace('_', '-')}": value for key, value in labels.items()}
    )


def chosen(*containers, jails=JAILS):
    return choose(containers, jails).jails


def test_a_front_end_is_read_by_the_jails_on_requests_of_its_site():
    watched = choose([DB, BLOG, NGINX], JAILS)

    assert watched.jails == {"blog": ("plugin", "access", "xmlrpc"), "nginx": ("access", "xmlrpc")}
    assert watched.front_ends == {"nginx"}
    assert [(each.name, [one.name for one in each.front_ends]) for each in watched.containers] == [
        ("blog", ["nginx"]),
        ("nginx", []),
    ]
    assert watched.unwatched == ()


def test_it_is_read_by_the_jails_of_all_sites_behind_it():
    assert chosen(labelled(BLOG, jails="xmlrpc"), labelled(SHOP, jails="access"), NGINX) == {
        "blog": ("xmlrpc",),
        "shop": ("access",),
        "nginx": ("access", "xmlrpc"),
    }
    assert chosen(labelled(BLOG, jails="plugin"), NGINX) == {"blog": ("plugin",)}


def test_labels_of_the_front_end_decide_about_it():
    assert "nginx" not in chosen(BLOG, labelled(NGINX, enable="false"))
    assert chosen(BLOG, labelled(NGINX, jails="plugin"))["nginx"] == ("plugin",)


def test_a_front_end_that_is_left_out_still_leads_to_the_site():
    [blog] = choose([BLOG, labelled(NGINX, enable="false")], JAILS).containers

    assert [each.name for each in blog.front_ends] == ["nginx"]


def test_a_jail_that_names_containers_looks_at_those_and_at_no_front_end_of_them():
    named = Jail("named", containers=("blog",), reads_requests=True)
    both = Jail("both", containers=("nginx",))

    assert chosen(BLOG, NGINX, jails=[named]) == {"blog": ("named",)}
    watched = choose([BLOG, NGINX], [both, ACCESS])
    assert watched.jails == {"blog": ("access",), "nginx": ("both", "access")}
    # A person named it.
    assert watched.front_ends == frozenset()


def test_a_site_may_be_chosen_by_its_label():
    site = labelled(replace(DB, id="own", name="own", image="registry.example/site"), enable="true")

    assert choose([site, NGINX], JAILS).jails == {
        "own": ("plugin", "access", "xmlrpc"),
        "nginx": ("access", "xmlrpc"),
    }


def test_labels_that_all_sites_share_hold_for_their_front_end():
    blog = labelled(BLOG, mode="observe", maxretry="9", log_format="%h", jails="access", enable="true")
    shop = labelled(SHOP, mode="observe", maxretry="8", enable="true")

    def labels(*containers):
        [nginx] = [each for each in choose(containers, JAILS).containers if each.id == "nginx"]
        return nginx.labels

    assert labels(blog, NGINX) == {"wp-sidecar.mode": "observe", "wp-sidecar.maxretry": "9"}
    assert labels(blog, shop, NGINX) == {"wp-sidecar.mode": "observe"}
    assert labels(blog, shop, labelled(NGINX, mode="enforce")) == {"wp-sidecar.mode": "enforce"}
    assert labels(BLOG, shop, NGINX) == {}
    assert labels(labelled(BLOG, enable="false"), shop, NGINX) == {
        "wp-sidecar.mode": "observe",
        "wp-sidecar.maxretry": "8",
    }


def unwatched(*containers, jails=JAILS, discovered=None):
    return choose(containers, jails, discovered).unwatched


def test_no_label_of_another_and_no_slip_leaves_a_wordpress_out():
    assert unwatched(BLOG, labelled(NGINX, enable="true")) == ()
    assert unwatched(labelled(BLOG, jails="acess"), labelled(SHOP, jails="")) == ()


def test_a_wordpress_that_its_own_label_leaves_out_is_known():
    containers = [labelled(BLOG, enable="false"), labelled(DB, enable="false"), SHOP]

    assert choose(containers, JAILS).excluded == ("blog",)
    assert choose(containers, JAILS).unwatched == ()
    assert choose(containers, JAILS, labels=LabelTrust.NONE).excluded == ()
    assert set(choose(containers, JAILS, labels=LabelTrust.NONE).jails) == {BLOG.id, SHOP.id}


def test_a_wordpress_that_no_jail_looks_at_is_reported():
    elsewhere = [Jail("file", logpath=("/var/log/access.log",)), Jail("shops", containers=("shop",))]

    assert unwatched(BLOG, SHOP, jails=elsewhere) == ("blog",)
    assert unwatched(BLOG, SHOP, labelled(DB, enable="true"), jails=elsewhere) == ("blog",)


def test_what_a_layout_leaves_out_on_purpose_is_not_reported():
    assert unwatched(BLOG, labelled(SHOP, enable="true"), discovered=frozenset({"shop"})) == ()
    assert unwatched(BLOG, jails=[], discovered=frozenset({BLOG.id})) == ("blog",)


def test_a_front_end_that_a_person_chose_has_its_own_labels_alone():
    blog = labelled(BLOG, mode="observe")
    enabled = labelled(NGINX, enable="true")

    assert choose([blog, enabled], JAILS).containers[1].labels == enabled.labels
    assert choose([blog, NGINX], JAILS, labels=LabelTrust.NONE).containers[1].labels == {}


def test_a_front_end_gets_no_label_of_an_image():
    blog = labelled(BLOG, mode="observe")

    assert choose([blog, NGINX], JAILS).containers[1].labels == blog.labels
    of_image = with_image(blog, blog.labels, ())
    assert choose([of_image, NGINX], JAILS).containers[1].labels == {}


APP = Container("app", "app", "ghost", networks=NET, listening=frozenset({8080}))


def shared(*containers):
    return choose(containers, JAILS).shared


def test_a_front_end_of_several_sites_is_shared():
    assert shared(BLOG, NGINX, DB) == frozenset()
    assert shared(BLOG, SHOP, NGINX) == {"nginx"}
    # Also with a site that is not watched, and with any other web server.
    assert shared(BLOG, labelled(SHOP, enable="false"), NGINX) == {"nginx"}
    assert shared(BLOG, NGINX, APP) == {"nginx"}
    assert shared(APP, replace(APP, id="other"), NGINX) == {"nginx"}


def test_two_front_ends_of_one_site_are_its_own():
    other = replace(NGINX, id="varnish", name="varnish", listening=frozenset({80}))

    assert shared(BLOG, NGINX, other) == frozenset()
