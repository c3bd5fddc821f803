"""What is loaded where memory is limited: all bans, and of the failures the last ones that fit."""

import math
from contextlib import closing

import pytest

from sidecar.core.events import Turn
from sidecar.stores.load_limit import BAN_BYTES, HIT_BYTES, MIN_HITS, hits_that_fit
from sidecar.stores.sqlite import SqliteStore
from tests.support.stored import hit


def test_without_a_limit_all_failures_fit():
    assert hits_that_fit(math.inf, 1_000_000) is None


def test_bans_come_first():
    assert hits_that_fit(10_000 * BAN_BYTES + 5_000 * HIT_BYTES, 10_000) == 5_000
    assert hits_that_fit(0, 10_000) == MIN_HITS


def test_the_last_failures_are_loaded_in_their_order(tmp_path, caplog):
    every = [hit(float(n)) for n in range(MIN_HITS + 2)]
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        store.apply(Turn(5000.0, hits=tuple(every)))
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        assert [hit.at for hit in store.load(5000.0).hits] == [hit.at for hit in every]
        assert [hit.at for hit in store.load(5000.0, room_bytes=0).hits] == [hit.at for hit in every[2:]]

    assert caplog.messages == [
        f"memory is short: of the failures before this start only the last {MIN_HITS} count. Raise the memory limit"
    ]


@pytest.mark.parametrize(
    ("line", "bytes_each"),
    [("x" * 1_000, HIT_BYTES + 1_000), ("x" * 999 + "é", HIT_BYTES + 4_000), ("", HIT_BYTES)],
    ids=["long", "wide", "empty"],
)
def test_lines_that_attackers_make_long_take_the_room_of_several(tmp_path, line, bytes_each):
    """Else a start loads more than fits, is ended by the kernel, and so is the next one."""
    every = [hit(float(n))._replace(line=line, target="") for n in range(MIN_HITS + 500)]
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        store.apply(Turn(5000.0, hits=tuple(every)))
        assert len(store.load(5000.0, room_bytes=bytes_each * (MIN_HITS + 200.5)).hits) == MIN_HITS + 200
        assert len(store.load(5000.0, room_bytes=bytes_each * 10).hits) == MIN_HITS
