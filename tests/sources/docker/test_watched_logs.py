"""Each log goes on where its cursor was stored."""

from tests.sources.docker.running import following, opened
from tests.sources.docker.standin import Container


def test_a_new_container_of_the_same_name_is_another_log(engine, recorder):
    with following(engine, recorder):
        for key in "abc":
            site = engine.run(Container(key, "site"))
            engine.write(site, key.encode())
            recorder.wait(lambda key=key: recorder.lines[-1:] == [("site", "stdout", key.encode())])
            engine.stop_container(site)
            engine.remove(site)
            recorder.wait(
                lambda: (
                    recorder.events[-1:] == [("removed", "site")] or ("removed", "site") in recorder.events
                )
            )
            recorder.events.clear()

    assert [text for _, _, text in recorder.lines] == [b"a", b"b", b"c"]


def test_a_source_that_is_killed_goes_on_where_its_last_cursor_was_stored(engine, recorder):
    site = engine.run(Container("a", "site"))
    for number in range(5):
        for line in range(10):
            engine.write(site, b"%d" % (10 * number + line), stream=1 + line % 2)
        with following(engine, recorder):
            recorder.wait_lines(10 * number + 10)

    assert sorted((text for _, _, text in recorder.lines), key=int) == [
        b"%d" % number for number in range(50)
    ]


def test_the_last_lines_of_a_container_that_stopped_while_we_were_down_are_read(engine, recorder):
    """It is read though it never runs again."""
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one")
    with following(engine, recorder):
        recorder.wait_lines(1)
    engine.write(site, b"two")
    engine.stop_container(site)
    with following(engine, recorder):
        assert recorder.wait_lines(2) == [b"one", b"two"]


def test_a_log_with_a_broken_cursor_is_read_as_a_new_one(engine, recorder, caplog):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"1")
    recorder.cursors[f"docker:{site.id}"] = b"what is this"

    with following(engine, recorder):
        assert recorder.wait_lines(1) == [b"1"]
    assert "a cursor is not understood" in caplog.text


def test_a_log_never_read_begins_where_its_lines_may_count(engine, recorder):
    engine.run(Container("a", "site"))
    with following(engine, recorder, since=12345.6):
        opened(engine, 1)

    assert engine.opened[0] == ("site", 12345)
