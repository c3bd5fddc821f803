"""A log is published under the name that its container has now; a name goes from one container to the next."""

import pytest

from tests.sources.docker.running import Status, following
from tests.sources.docker.standin import Container
from tests.support.waiting import wait_until


def test_a_renamed_container_has_its_new_name_and_jails(engine, recorder):
    with following(engine, recorder):
        site = engine.run(Container("a", "site"))
        engine.write(site, b"before")
        recorder.wait_lines(1)
        site.name = "shop"
        engine.run(site)
        engine.write(site, b"between")
        recorder.wait_lines(2)
        recorder.wait(lambda: ("removed", "site") in recorder.events)
        engine.write(site, b"after")
        recorder.wait_lines(3)

    assert recorder.batches[-1].origin.name == "shop"
    assert recorder.batches[-1].origin.jails == ("wordpress", "shop")


def test_a_renamed_container_is_published_under_its_new_name_only(engine, recorder):
    status = Status()
    with following(engine, recorder, listener=status):
        site = engine.run(Container("a", "blog"))
        engine.write(site, b"1")
        recorder.wait_lines(1)
        engine.rename(site, "shop")
        wait_until(lambda: status.states == {"shop": "open"})
        engine.write(site, b"2")
        recorder.wait_lines(2)

        assert status.series("blog") == []
        assert 'wp_sidecar_log_up{container="shop"} 1.0' in status.series()
        assert 'wp_sidecar_log_lines_total{container="shop",stream="stdout"} 1.0' in status.series()


def test_a_container_removed_while_it_is_read_leaves_no_series(engine, recorder):
    """As `docker rm --force` does."""
    status = Status()
    with following(engine, recorder, listener=status):
        for number, key in enumerate("0123456789abcdefghij"):
            site = engine.run(Container(key, f"job-{number}"))
            engine.write(site, b"hello")
            recorder.wait_lines(number + 1)
            engine.remove(site)
        wait_until(lambda: not status.states)

    assert (status.states, status.series()) == ({}, [])


@pytest.mark.parametrize(("code", "state"), [(200, "open"), (501, "unreadable")])
def test_a_name_goes_from_one_container_to_the_next(engine, recorder, code, state):
    """As compose recreates: stop the old one, rename it, create the new one, remove the old one."""
    status = Status()
    with following(engine, recorder, listener=status):
        old = engine.run(Container("a", "blog"))
        engine.write(old, b"1")
        recorder.wait_lines(1)
        engine.stop_container(old)
        wait_until(lambda: status.states == {"blog": "closed"})
        engine.rename(old, "a_blog")
        wait_until(lambda: status.states == {"a_blog": "closed"})
        new = engine.run(Container("b", "blog", status=code))
        engine.write(new, b"2")
        wait_until(lambda: status.states == {"a_blog": "closed", "blog": state})
        engine.remove(old)
        wait_until(lambda: "a_blog" not in status.states)

        assert status.states == {"blog": state}
        assert status.series("a_blog") == []
        assert f'wp_sidecar_log_up{{container="blog"}} {code == 200:d}.0' in status.series()
        assert [name for name, sentence in recorder.problems if sentence is None] == []


def test_a_name_that_passed_on_between_two_lists_belongs_to_the_new_container(engine, recorder):
    """The old one was unreadable, and is gone without our seeing it go: its trouble goes with it."""
    status = Status()
    with following(engine, recorder, listener=status):
        old = engine.run(Container("a", "blog", status=501))
        wait_until(lambda: status.states == {"blog": "unreadable"})
        with engine.changed:
            del engine.containers[old.id]
            new = engine.run(Container("b", "blog"))
        engine.write(new, b"1")
        recorder.wait_lines(1)

        assert (status.states, recorder.problems[-1]) == ({"blog": "open"}, ("container blog", None))


def test_two_containers_swap_their_names(engine, recorder):
    status = Status()
    with following(engine, recorder, listener=status):
        one, two = engine.run(Container("a", "one")), engine.run(Container("b", "two", status=501))
        engine.write(one, b"1")
        wait_until(lambda: status.states == {"one": "open", "two": "unreadable"})
        with engine.changed:
            one.name = "two"
            engine.rename(two, "one")
        wait_until(lambda: status.states == {"one": "unreadable", "two": "open"})


def test_an_unreadable_log_is_reported_under_its_new_name(engine, recorder):
    status = Status()
    with following(engine, recorder, listener=status):
        site = engine.run(Container("a", "blog", status=501))
        wait_until(lambda: status.states == {"blog": "unreadable"})
        engine.rename(site, "shop")
        recorder.wait(lambda: recorder.problems[-1][0] == "container shop")

    assert [(name, bool(sentence)) for name, sentence in recorder.problems] == [
        ("container blog", True),
        ("container blog", False),
        ("container shop", True),
    ]
    assert status.states == {"shop": "unreadable"}


def test_a_container_that_is_gone_is_not_published(engine, recorder):
    status = Status()
    with following(engine, recorder, listener=status):
        blog = engine.run(Container("a", "blog", status=501))
        wait_until(lambda: status.states == {"blog": "unreadable"})
        shop = engine.run(Container("b", "shop"))
        engine.write(shop, b"1")
        engine.remove(blog)
        wait_until(lambda: status.states == {"shop": "open"})

    assert recorder.problems[-1] == ("container blog", None)
