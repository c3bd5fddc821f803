"""New lines become batches, each with the cursor that holds once it counts."""

import time

from sidecar.core.events import Batch, Framing, Origin
from tests.sources.docker.running import AT, following
from tests.sources.docker.standin import Container, stamp


def test_lines_become_batches(engine, recorder):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"out", at=AT)
    engine.write(site, b"err", stream=2, at=AT + 1)

    with following(engine, recorder):
        recorder.wait_lines(2)

    assert sorted(recorder.batches, key=lambda batch: batch.origin.stream, reverse=True) == [
        Batch(Origin("docker", "site", "stdout", ("wordpress",)), stamp(AT) + b" out\n", Framing.DOCKER),
        Batch(Origin("docker", "site", "stderr", ("wordpress",)), stamp(AT + 1) + b" err\n", Framing.DOCKER),
    ]
    assert [each for each in recorder.events if each[:2] != ("read", "site")] == [
        ("opened", "site"),
        ("closed", "site"),
    ]
    assert ("read", "site", "stdout", 1, 35, AT / 10**9) in recorder.events


def test_a_truncated_line_is_counted(engine, recorder):
    with following(engine, recorder):
        site = engine.run(Container("a", "site"))
        engine.write(site, [b"x" * 16_384] * 9)
        recorder.wait(lambda: ("truncated", "site", 1) in recorder.events)


def test_a_clock_that_was_set_back_while_we_were_away(engine, recorder):
    """Docker before 24 leaves out what is older than the time it is asked for."""
    now, ahead = time.time_ns(), time.time_ns() + 7200 * 10**9
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one", at=ahead)
    with following(engine, recorder):
        recorder.wait_lines(1)
    engine.write(site, b"two", at=now)
    with following(engine, recorder):
        assert recorder.wait_lines(2) == [b"one", b"two"]
        engine.write(site, b"three", at=now + 10**9)

        assert recorder.wait_lines(3) == [b"one", b"two", b"three"]
    assert ("gap", "site") not in recorder.events


def test_lines_are_read_when_our_clock_is_ahead(engine, recorder):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one")
    with following(engine, recorder, since=time.time() + 7200):
        assert recorder.wait_lines(1) == [b"one"]


def test_a_log_that_was_rotated_meanwhile_is_a_gap(engine, recorder):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"1", at=AT)
    with following(engine, recorder):
        recorder.wait_lines(1)
    site.frames.clear()
    engine.write(site, b"2", at=AT + 10**9)
    with following(engine, recorder):
        assert recorder.wait_lines(2) == [b"1", b"2"]
        recorder.wait(lambda: ("gap", "site") in recorder.events)
