import pytest

from sidecar.core.events import Turn


class Store:
    """A store that is behind and fails."""

    name = "store"
    behind = True

    def apply(self, turn):
        raise OSError("the disk is full")


def test_a_turn_is_measured_from_its_beginning_to_the_last_sink(scrape):
    scrape.metrics.loop.apply(Turn(99.5))
    # The clock was set back.
    scrape.metrics.loop.apply(Turn(100.5))

    assert scrape("turn_seconds_count", "turn_seconds_sum") == {
        "turn_seconds_count": 2,
        "turn_seconds_sum": 0.5,
    }


def test_the_stores_part_is_measured_also_when_it_fails(scrape):
    timed = scrape.metrics.loop.timed(Store())
    with pytest.raises(OSError, match="the disk is full"):
        timed.apply(Turn(100.0))

    assert timed.name == "store"
    assert scrape("store_write_seconds_count") == {"store_write_seconds_count": 1}


def test_what_waits_is_shown_at_every_scrape(scrape):
    scrape.metrics.loop.observe_inbox(range(7))
    scrape.metrics.loop.observe_store(Store())

    assert scrape("inbox_batches", "store_behind") == {"inbox_batches": 7, "store_behind": 1}
