"""Which containers are watched, as they come and go, and what is published about the host."""

import time

from sidecar.core.containers import LabelTrust
from sidecar.core.events import Topology
from sidecar.core.jail import Jail
from sidecar.sources.docker.inventory import container_of
from sidecar.sources.docker.list_pace import MIN_LIST_INTERVAL_S
from tests.sources.docker.running import AT, JAILS, following, opened
from tests.sources.docker.standin import NETWORK, Container, StandIn
from tests.support.waiting import wait_until


def test_only_watched_containers_are_read(engine, recorder):
    for key, name, image, labels in [
        ("a", "site", "wordpress:6", {}),
        ("b", "shop-1", "nginx", {}),
        ("c", "database", "mariadb", {}),
        ("d", "hidden", "wordpress", {"wp-sidecar.enable": "false"}),
        ("e", "retagged", f"sha256:{'e' * 64}", {}),  # inspected, it is wordpress:old
    ]:
        engine.write(engine.run(Container(key, name, image, labels=labels)), name.encode())

    with following(engine, recorder):
        recorder.wait_lines(3)

    assert {batch.origin.name: batch.origin.jails for batch in recorder.batches} == {
        "site": ("wordpress",),
        "shop-1": ("shop",),
        "retagged": ("wordpress",),
    }


def test_a_container_that_starts_later_is_followed(engine, recorder):
    with following(engine, recorder, list_period_s=60):
        recorder.wait(lambda: recorder.topologies)
        site = engine.run(Container("a", "site"))
        opened(engine, 1)
        engine.write(site, b"hello")

        assert recorder.wait_lines(1) == [b"hello"]


def test_a_container_without_an_event_is_found_by_the_next_list(engine, recorder):
    with following(engine, recorder, list_period_s=0.05):
        recorder.wait(lambda: recorder.topologies)
        site = Container("a", "site")
        engine.containers[site.id] = site
        engine.write(site, b"hello")

        assert recorder.wait_lines(1) == [b"hello"]


def test_what_an_event_tells_of_may_be_listed_a_moment_later(engine, recorder):
    """As `docker network connect`: the event comes before the list has the network."""
    site = engine.run(Container("a", "site"))
    with following(engine, recorder, list_period_s=60):
        recorder.wait(lambda: recorder.topologies)
        lists = engine.paths.count("/containers/json")
        engine.run(site)
        wait_until(lambda: engine.paths.count("/networks") > lists)
        site.networks = ("late",)

        recorder.wait(lambda: recorder.topologies[-1].containers[0].networks == {"late"})


def test_a_container_renamed_out_of_the_selection_and_back_is_read_on(engine, recorder):
    jails = (Jail("shop", containers=("shop",)),)
    with following(engine, recorder, jails):
        shop = engine.run(Container("a", "shop"))
        engine.write(shop, b"1")
        recorder.wait_lines(1)
        shop.name = "other"
        engine.run(shop)
        recorder.wait(lambda: recorder.events[-1] == ("removed", "shop"))
        engine.write(shop, b"2")
        shop.name = "shop"
        engine.run(shop)

        assert recorder.wait_lines(2) == [b"1", b"2"]


def test_the_topology_is_published_when_it_changes(engine, recorder):
    with following(engine, recorder):
        recorder.wait(lambda: recorder.topologies)
        engine.run(Container("a", "database", "mariadb", ports=[3306]))
        site = engine.run(Container("b", "site", ports=[8080, 8443]))
        watched = (container_of(site.entry(), "wordpress:6"),)
        recorder.wait(lambda: recorder.topologies[-1:] and recorder.topologies[-1].published)
        engine.networks = [
            NETWORK,
            {"IPAM": {"Config": [{"Subnet": "2001:db8:1::/64", "Gateway": "2001:db8:1::1"}]}},
        ]
        engine.run(site)
        recorder.wait(lambda: len(recorder.topologies[-1].networks) > 2)
        engine.stop_container(site)
        recorder.wait(lambda: not recorder.topologies[-1].published)

    bridge = ("172.17.0.0/16", "172.17.0.1/32")
    both = (*bridge, "2001:db8:1::/64", "2001:db8:1::1/128")
    changes = [Topology(bridge, watched), Topology(both, watched), Topology(both)]
    assert recorder.topologies == [Topology(bridge), *changes]
    assert Topology(bridge, watched).published == {8080, 8443}


def test_a_long_outage_of_docker_is_a_problem(tmp_path, recorder, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.source.MAX_QUIET_OUTAGE_S", 0.01)
    engine = StandIn(tmp_path / "docker.sock")
    with following(engine, recorder):
        recorder.wait(lambda: recorder.topologies)
        engine.stop()
        recorder.wait(lambda: recorder.problems[-1:] and recorder.problems[-1][1])
        engine.start()
        recorder.wait(lambda: recorder.problems[-1] == ("docker", None))
    engine.close()

    sentences = [sentence for _, sentence in recorder.problems if sentence]
    assert sentences[0].startswith(f"Docker at {engine.url} is away (")
    assert sentences[0].endswith("; no container log is read until it is back")


def test_an_engine_that_accepts_and_does_not_answer_is_a_problem_long_before_it_is_given_up(
    engine, recorder, monkeypatch
):
    monkeypatch.setattr("sidecar.sources.docker.source.MAX_QUIET_OUTAGE_S", 0.3)
    site = engine.run(Container("a", "site"))
    with following(engine, recorder):
        engine.write(site, b"one")
        recorder.wait_lines(1)
        engine.silent.add("/networks")
        engine.run(site)
        recorder.wait(lambda: recorder.problems)
        lists = engine.paths.count("/networks")
        # Logs that are open are read on, and the question is not given up.
        engine.write(site, b"two")
        assert recorder.wait_lines(2) == [b"one", b"two"]
        time.sleep(1.0)
        assert (engine.paths.count("/networks"), len(recorder.problems)) == (lists, 1)
        engine.silent.clear()
        recorder.wait(lambda: recorder.problems[-1] == ("docker", None))

    assert recorder.critical
    assert recorder.problems[0][1].startswith(
        f"Docker at {engine.url} accepts connections and does not answer for more than "
    )
    assert (
        "Logs that are open (1 now) are read as far as it still sends their lines; no new container is watched until it does"
        in recorder.problems[0][1]
    )


def test_a_list_that_takes_a_while_is_no_problem(engine, recorder, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.source.SILENCE_CHECK_INTERVAL_S", 0.05)
    with following(engine, recorder):
        recorder.wait(lambda: recorder.topologies)
        engine.silent.add("/networks")
        engine.run(Container("a", "site"))
        time.sleep(0.5)
        engine.silent.clear()
        recorder.wait(lambda: recorder.topologies[-1].containers)

    assert recorder.problems == []


def test_our_own_container_is_not_watched(engine, recorder, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.source.own_container_id", lambda: "a" * 64)
    engine.write(engine.run(Container("a", "wordpress-sidecar")), b"mine")
    engine.write(engine.run(Container("b", "site")), b"its")

    with following(engine, recorder):
        assert recorder.wait_lines(1) == [b"its"]


def test_a_reload_that_chooses_other_containers_loses_and_doubles_nothing(engine, recorder):
    site, shop = engine.run(Container("a", "site")), engine.run(Container("b", "shop", image="nginx"))
    with following(engine, recorder, list_period_s=60) as source:
        engine.write(site, b"1")
        recorder.wait_lines(1)
        source.reconfigure((Jail("shop", containers=("shop",)),), since=0)
        recorder.wait(lambda: ("removed", "site") in recorder.events)
        engine.write(site, b"2")
        engine.write(shop, b"3")
        recorder.wait_lines(2)
        source.reconfigure(JAILS, since=0)
        recorder.wait_lines(3)
        engine.write(site, b"4")

        assert recorder.wait_lines(4) == [b"1", b"3", b"2", b"4"]
    assert [batch.origin.jails for batch in recorder.batches] == [
        ("wordpress",),
        ("shop",),
        ("wordpress",),
        ("wordpress",),
    ]
    assert [sentence for _, sentence in recorder.problems if sentence] == []  # Docker was never away


def test_a_reload_that_trusts_no_label_chooses_by_images(engine, recorder):
    hidden = engine.run(Container("a", "hidden", labels={"wp-sidecar.enable": "false"}))
    asking = engine.run(Container("b", "asking", "nginx", labels={"wp-sidecar.enable": "true"}))
    with following(engine, recorder, list_period_s=60) as source:
        engine.write(asking, b"1")
        recorder.wait_lines(1)
        assert recorder.topologies[-1].excluded == ("hidden",)
        source.reconfigure(JAILS, 0, LabelTrust.NONE)
        recorder.wait(lambda: ("removed", "asking") in recorder.events)
        engine.write(hidden, b"2")
        assert recorder.wait_lines(2) == [b"1", b"2"]

    assert recorder.topologies[-1].excluded == ()


def test_a_container_that_stays_watched_is_read_on_for_the_new_jails(engine, recorder):
    site = engine.run(Container("a", "site"))
    with following(engine, recorder, list_period_s=60) as source:
        engine.write(site, b"0")
        recorder.wait_lines(1)
        source.reconfigure((Jail("one"), Jail("two")), since=0)
        for number in range(1, 200):
            engine.write(site, b"%d" % number)
            recorder.wait_lines(number + 1)
            if recorder.batches[-1].origin.jails == ("one", "two"):
                break

    assert recorder.batches[-1].origin.jails == ("one", "two")
    assert [text for _, _, text in recorder.lines] == [b"%d" % each for each in range(number + 1)]
    assert len(engine.opened) == 1


def test_a_container_that_is_chosen_late_is_read_from_where_its_lines_may_count(engine, recorder):
    shop = engine.run(Container("b", "shop", image="nginx"))
    engine.write(shop, b"old", at=AT)
    engine.write(shop, b"new", at=AT + 100 * 10**9)
    with following(engine, recorder, (Jail("wordpress"),), list_period_s=60) as source:
        recorder.wait(lambda: recorder.topologies)
        source.reconfigure((Jail("shop", containers=("shop",)),), since=AT / 10**9 + 50)

        assert recorder.wait_lines(1) == [b"new"]


def test_a_flood_of_events_makes_few_lists(tmp_path, recorder):
    """1,000 events a second once took 42 % of a core."""
    engine = StandIn(tmp_path / "docker.sock")
    with following(engine, recorder, list_period_s=60):
        recorder.wait(lambda: recorder.topologies)
        before, began = engine.paths.count("/networks"), time.monotonic()
        for _ in range(100):
            engine.flood(10)
            time.sleep(0.01)
        took = time.monotonic() - began
        lists = engine.paths.count("/networks") - before
        site = engine.run(Container("a", "site"))
        engine.write(site, b"still read")
        recorder.wait_lines(1)
    engine.close()

    assert 1 <= lists <= took / MIN_LIST_INTERVAL_S + 2


def test_an_outage_says_that_open_logs_are_read_on(tmp_path, recorder, monkeypatch):
    """A socket proxy may refuse lists and events, and let the logs pass."""
    monkeypatch.setattr("sidecar.sources.docker.source.MAX_QUIET_OUTAGE_S", 0.01)
    engine = StandIn(tmp_path / "docker.sock")
    site = engine.run(Container("a", "site"))
    with following(engine, recorder, list_period_s=0.02):
        engine.write(site, b"one")
        recorder.wait_lines(1)
        engine.refused["/networks"] = 403
        recorder.wait(lambda: recorder.problems)
        engine.write(site, b"two")
        assert recorder.wait_lines(2) == [b"one", b"two"]
    engine.close()

    [sentence] = [sentence for _, sentence in recorder.problems if sentence]
    assert "no log is read" not in sentence
    assert "Logs that are open are read on (1 now)" in sentence
    assert recorder.critical


REQUESTS = (Jail("plugin"), Jail("access", reads_requests=True))


def test_a_front_end_is_read_while_its_site_is_there(engine, recorder):
    site = engine.run(Container("a", "site", "wordpress:fpm", networks=["inner"]))
    nginx = engine.run(Container("b", "nginx", "nginx", ports=[8080], networks=["inner", "edge"]))
    engine.run(Container("c", "elsewhere", "nginx", ports=[9090], networks=["edge"]))
    with following(engine, recorder, REQUESTS, list_period_s=60):
        engine.write(nginx, b"1")
        recorder.wait_lines(1)
        assert recorder.topologies[-1].published == {8080}
        engine.stop_container(site)
        recorder.wait(lambda: ("removed", "nginx") in recorder.events)
        assert recorder.topologies[-1] == Topology(recorder.topologies[-1].networks)
        engine.write(nginx, b"2")
        site.state = "running"
        engine.run(site)
        recorder.wait_lines(2)

    assert [(name, text) for name, _, text in recorder.lines] == [("nginx", b"1"), ("nginx", b"2")]
    assert {batch.origin.jails for batch in recorder.batches} == {("access",)}


def test_the_ports_of_a_joined_network_are_those_of_the_site(engine, recorder):
    engine.run(Container("a", "vpn", "gluetun", ports=[8080], networks=["lan"]))
    engine.run(Container("b", "site", mode=f"container:{'a' * 64}"))
    with following(engine, recorder, REQUESTS):
        recorder.wait(lambda: recorder.topologies)

    [topology] = recorder.topologies
    assert topology.published == {8080}
    assert topology.front_ends == {"vpn"}


def test_a_wordpress_that_is_not_watched_is_published(engine, recorder):
    engine.run(Container("a", "site"))
    engine.run(Container("b", "off", labels={"wp-sidecar.enable": "false"}))
    with following(engine, recorder, [Jail("elsewhere", containers=("shop",))]):
        recorder.wait(lambda: recorder.topologies)

    assert (recorder.topologies[0].unwatched, recorder.topologies[0].excluded) == (("site",), ())
