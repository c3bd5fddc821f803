from contextlib import closing

import pytest

from sidecar.app import last_run
from sidecar.app.last_run import PendingHits
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Turn
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.runtime.memory import MemoryUse
from sidecar.stores.load_limit import HIT_BYTES, MIN_HITS
from sidecar.stores.sqlite import SqliteStore
from tests.app.world import ANN, BOB, Changes, hits

IN_KERNEL = Ban("manual", ANN, 5.0, 60.0, "adopted")
STORED = Ban("web", BOB, 5.0, 60.0, "failures", 2, "blog")


class Kernel:
    """A firewall with one ban."""

    def adoptable(self, now):
        assert now == 5.0
        return [IN_KERNEL]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


def test_a_store_that_begins_with_nothing_adopts_the_kernels_bans(path, caplog):
    for _ in range(2):
        with closing(SqliteStore(path)) as store:
            assert last_run.load(store, Kernel(), 5.0).bans == (IN_KERNEL,)

    assert caplog.messages == ["the store has no bans: the 1 in the kernel stay in force"]


def test_a_store_with_bans_is_believed(path):
    with closing(SqliteStore(path)) as store:
        store.apply(Turn(5.0, (STORED,)))
    with closing(SqliteStore(path)) as store:
        assert last_run.load(store, Kernel(), 5.0).bans == (STORED,)


class Cgroup:
    """A limit of this many bytes, none of which are used."""

    def __init__(self, limit):
        self._limit = limit

    def use(self):
        return MemoryUse(0, self._limit)


@pytest.mark.parametrize(("limit", "loaded"), [(10 * MIN_HITS * HIT_BYTES, 2 * MIN_HITS), (1, MIN_HITS)])
def test_under_a_memory_limit_the_failures_that_fit_are_loaded(path, limit, loaded):
    with closing(SqliteStore(path)) as store:
        store.apply(Turn(5.0, (STORED,), hits=hits(2 * MIN_HITS, ANN)))
    with closing(SqliteStore(path)) as store:
        remembered = last_run.load(store, Kernel(), 5.0, Cgroup(limit))

    assert (remembered.bans, len(remembered.hits)) == ((STORED,), loaded)


def test_a_store_that_cannot_be_opened_keeps_no_ban_from_being_adopted(path):
    path.mkdir()
    changes = Changes()
    with closing(SqliteStore(path)) as store:
        assert last_run.load(store, Kernel(), 5.0).bans == (IN_KERNEL,)
        last_run.report_store(store, changes.problems())

    ((name, sentence),) = changes
    assert name == "store"
    assert sentence.startswith(f"bans are not remembered: {path} cannot be opened")


def test_a_damaged_store_is_reported_as_a_problem_that_is_over(path):
    path.write_bytes(b"damaged" * 1000)
    changes = Changes()
    problems = changes.problems()
    with closing(SqliteStore(path)) as store:
        last_run.report_store(store, problems)

        assert changes == [("the store", store.repaired), ("the store", None)]
        assert problems.sentences == ()


def test_the_failures_of_the_last_run_count_once():
    jail = Jail("web", maxretry=2)
    guard = Guard([jail], Allowlist())
    pending = PendingHits(hits(2, ANN) + hits(2, BOB, jail="removed"), ["web", "manual"])
    assert pending

    assert [ban.address for ban in pending.count(guard, 5.0)] == [ANN]
    assert not pending
    assert pending.count(guard, 5.0) == []
