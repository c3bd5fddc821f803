"""Which containers are watched, as they come and go, and what is published about the host."""

from sidecar.core.events import Topology
from sidecar.core.jail import Jail
from sidecar.sources.docker.inventory import container_of
from tests.sources.docker.running import AT, JAILS, following, opened
from tests.sources.docker.standin import NETWORK, Container, StandIn


def test_only_what_is_watched_is_read(engine, counted):
    for key, name, image, labels in [
        ("a", "site", "wordpress:6", {}),
        ("b", "shop-1", "nginx", {}),
        ("c", "database", "mariadb", {}),
        ("d", "hidden", "wordpress", {"wp-sidecar.enable": "false"}),
        ("e", "retagged", f"sha256:{'e' * 64}", {}),  # inspected, it is wordpress:old
    ]:
        engine.write(engine.run(Container(key, name, image, labels=labels)), name.encode())

    with following(engine, counted):
        counted.wait_lines(3)

    assert {batch.origin.name: batch.origin.jails for batch in counted.batches} == {
        "site": ("wordpress",),
        "shop-1": ("shop",),
        "retagged": ("wordpress",),
    }


def test_a_container_that_starts_later_is_followed(engine, counted):
    with following(engine, counted, list_period_s=60):
        counted.wait(lambda: counted.around)
        site = engine.run(Container("a", "site"))
        opened(engine, 1)
        engine.write(site, b"hello")

        assert counted.wait_lines(1) == [b"hello"]


def test_one_that_no_event_told_of_is_found(engine, counted):
    with following(engine, counted, list_period_s=0.05):
        counted.wait(lambda: counted.around)
        site = Container("a", "site")
        engine.containers[site.id] = site
        engine.write(site, b"hello")

        assert counted.wait_lines(1) == [b"hello"]


def test_renamed_so_that_nobody_looks_it_is_left_and_taken_up_again(engine, counted):
    jails = (Jail("shop", containers=("shop",)),)
    with following(engine, counted, jails):
        shop = engine.run(Container("a", "shop"))
        engine.write(shop, b"1")
        counted.wait_lines(1)
        shop.name = "other"
        engine.run(shop)
        counted.wait(lambda: counted.told[-1] == ("removed", "shop"))
        engine.write(shop, b"2")
        shop.name = "shop"
        engine.run(shop)

        assert counted.wait_lines(2) == [b"1", b"2"]


def test_surroundings_are_told_when_they_change(engine, counted):
    with following(engine, counted):
        counted.wait(lambda: counted.around)
        engine.run(Container("a", "database", "mariadb", ports=[3306]))
        site = engine.run(Container("b", "site", ports=[8080, 8443]))
        counted.wait(lambda: counted.around[-1:] and counted.around[-1].published)
        engine.networks = [
            NETWORK,
            {"IPAM": {"Config": [{"Subnet": "2001:db8:1::/64", "Gateway": "2001:db8:1::1"}]}},
        ]
        engine.run(site)
        counted.wait(lambda: len(counted.around[-1].networks) > 2)
        engine.stop_container(site)
        counted.wait(lambda: not counted.around[-1].published)

    bridge = ("172.17.0.0/16", "172.17.0.1/32")
    both = (*bridge, "2001:db8:1::/64", "2001:db8:1::1/128")
    watched = (container_of(site.entry(), "wordpress:6"),)
    changes = [Topology(bridge, watched), Topology(both, watched), Topology(both)]
    assert counted.around == [Topology(bridge), *changes]
    assert Topology(bridge, watched).published == {8080, 8443}


def test_that_docker_is_away_for_long_is_told(tmp_path, counted, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.source.MAX_QUIET_OUTAGE_S", 0.01)
    engine = StandIn(tmp_path / "docker.sock")
    with following(engine, counted):
        counted.wait(lambda: counted.around)
        engine.stop()
        counted.wait(lambda: counted.problems[-1:] and counted.problems[-1][1])
        engine.start()
        counted.wait(lambda: counted.problems[-1] == ("docker", None))
    engine.close()

    told = [sentence for _, sentence in counted.problems if sentence]
    assert told[0].startswith(f"Docker at {engine.url} is away (")


def test_we_do_not_watch_ourselves(engine, counted, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.source.own_container_id", lambda: "a" * 64)
    engine.write(engine.run(Container("a", "wordpress-sidecar")), b"mine")
    engine.write(engine.run(Container("b", "site")), b"its")

    with following(engine, counted):
        assert counted.wait_lines(1) == [b"its"]


def test_other_jails_choose_anew_and_no_line_is_lost_or_doubled(engine, counted):
    site, shop = engine.run(Container("a", "site")), engine.run(Container("b", "shop", image="nginx"))
    with following(engine, counted, list_period_s=60) as source:
        engine.write(site, b"1")
        counted.wait_lines(1)
        source.reconfigure((Jail("shop", containers=("shop",)),), since=0)
        counted.wait(lambda: ("removed", "site") in counted.told)
        engine.write(site, b"2")
        engine.write(shop, b"3")
        counted.wait_lines(2)
        source.reconfigure(JAILS, since=0)
        counted.wait_lines(3)
        engine.write(site, b"4")

        assert counted.wait_lines(4) == [b"1", b"3", b"2", b"4"]
    assert [batch.origin.jails for batch in counted.batches] == [
        ("wordpress",),
        ("shop",),
        ("wordpress",),
        ("wordpress",),
    ]
    assert [sentence for _, sentence in counted.problems if sentence] == []  # Docker was never away


def test_who_is_still_watched_is_read_on_by_the_new_jails(engine, counted):
    site = engine.run(Container("a", "site"))
    with following(engine, counted, list_period_s=60) as source:
        engine.write(site, b"0")
        counted.wait_lines(1)
        source.reconfigure((Jail("one"), Jail("two")), since=0)
        for number in range(1, 200):
            engine.write(site, b"%d" % number)
            counted.wait_lines(number + 1)
            if counted.batches[-1].origin.jails == ("one", "two"):
                break

    assert counted.batches[-1].origin.jails == ("one", "two")
    assert [text for _, _, text in counted.lines] == [b"%d" % each for each in range(number + 1)]
    assert len(engine.opened) == 1


def test_a_container_that_is_chosen_late_is_read_from_where_its_lines_may_count(engine, counted):
    shop = engine.run(Container("b", "shop", image="nginx"))
    engine.write(shop, b"old", at=AT)
    engine.write(shop, b"new", at=AT + 100 * 10**9)
    with following(engine, counted, (Jail("wordpress"),), list_period_s=60) as source:
        counted.wait(lambda: counted.around)
        source.reconfigure((Jail("shop", containers=("shop",)),), since=AT / 10**9 + 50)

        assert counted.wait_lines(1) == [b"new"]
