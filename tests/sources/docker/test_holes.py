"""What Docker before 23 leaves out of an answer is found, wherever it is, also while the log grows."""

from contextlib import closing

import pytest

from sidecar.sources.docker.api import DockerHost
from sidecar.sources.docker.connection import Interrupt
from sidecar.sources.docker.edges import MAX_DAMAGED_LINES
from sidecar.sources.docker.holes import EntryList, Holes
from sidecar.sources.docker.tails import Answer
from tests.sources.docker import asking as questions
from tests.sources.docker.asking import UnreadLog, at, counted, growing, write
from tests.sources.docker.standin import Container, StandIn


@pytest.fixture
def engine(tmp_path):
    engine = StandIn(tmp_path / "docker.sock", modern=False)
    yield engine
    engine.close()


@pytest.fixture
def asking(engine):
    with closing(DockerHost(engine.url).open(Interrupt())) as asking:
        yield asking


def damaged(engine, before, behind):
    """As these Engines read it: without an error."""
    site = questions.damaged(engine, before, behind)
    site.damage_ends = False
    return site


def numbers(part, first=0, end=None):
    """The lines of these entries of a list."""
    body = b"".join(part.bodies(first, part.count if end is None else end))
    return [int(line.rpartition(b" ")[2]) for line in body.split(b"\n")[:-1]]


def listed(asking, log, count):
    with closing(Answer(asking, log, count)) as answer:
        return EntryList(answer)


def test_a_list_has_the_entries_of_an_answer(engine, asking):
    site = engine.run(Container("a", "site"))
    write(engine, site, [*range(40), 40, 40, 41])
    part = listed(asking, UnreadLog(site), 20)

    assert (part.count, part.asked, part.stamp(1), part.highest) == (20, 20, at(24), at(41))
    assert [*part.indexes(at(40))] == [17, 18]
    assert not part.indexes(at(5))
    assert not part.indexes(b"")
    assert numbers(part, 3, 6) == [26, 27, 28]
    with closing(Answer(asking, UnreadLog(site), 20)) as answer:
        assert numbers(EntryList(answer, at(30))) == [*range(23, 30)]


@pytest.mark.parametrize("left_out", [0, 1, 30, 85])
@pytest.mark.parametrize(("before", "behind"), [(20, 400), (400, 100), (1, 86), (0, 200)])
def test_what_was_left_out_is_found(engine, asking, left_out, before, behind):
    log, site = UnreadLog(damaged(engine, before, behind)), engine.containers["a" * 64]
    site.left_out = left_out
    part = listed(asking, log, before + 1 + behind)
    with counted() as cost:
        holes = Holes(asking, log, part, newest=at(before + behind), is_all=True)
        found = holes.find()

    lost = [*range(before + 1, before + 1 + left_out)]
    assert [(place, numbers(entries) if entries else []) for place, entries in found.items()] == (
        [(before, lost)] if lost or before else []
    )
    assert holes.is_exact
    assert cost.answers < 150
    # What comes at once is read, and it may be the rest of the log.
    assert cost.entries <= (MAX_DAMAGED_LINES + 1) * (left_out + 1) + part.count


@pytest.mark.parametrize("behind", [1, 5, 60])
def test_what_was_left_out_up_to_the_end_is_found(engine, asking, behind):
    log = UnreadLog(damaged(engine, 300, behind))
    part = listed(asking, log, 200)
    [(place, entries)] = Holes(asking, log, part, newest=at(300 + behind), is_all=False).find().items()

    assert place == part.count
    assert numbers(entries) == [*range(301, 301 + behind)]


def test_several_damaged_parts_are_found(engine, asking):
    log, site = UnreadLog(damaged(engine, 300, 300)), engine.containers["a" * 64]
    site.left_out, site.earlier_damage = 20, 100
    part = listed(asking, log, 550)
    found = Holes(asking, log, part, newest=at(600), is_all=False).find()

    assert {place: numbers(entries) for place, entries in found.items()} == {
        # The list begins with line 51.
        49: [*range(101, 121)],
        49 + 179: [*range(301, 321)],
    }


def test_where_two_damaged_parts_are_close_together_it_is_said_that_more_may_be_left_out(engine, asking):
    log, site = UnreadLog(damaged(engine, 300, 300)), engine.containers["a" * 64]
    site.left_out, site.earlier_damage = 40, 280
    holes = Holes(asking, log, listed(asking, log, 550), newest=at(600), is_all=False)

    assert holes.find()
    assert not holes.is_exact


def test_what_was_left_out_is_found_while_the_log_grows(engine, asking):
    site = damaged(engine, 200, 400)
    site.left_out, log = 30, UnreadLog(site)
    with growing(engine, site, 1000, 0.02):
        part = listed(asking, log, 550)
        holes = Holes(asking, log, part, newest=at(600), is_all=False)
        [(place, entries)] = holes.find().items()

    assert (part.stamp(place), numbers(entries)) == (at(231), [*range(201, 231)])
    assert holes.is_exact


def test_a_log_without_damage_has_no_holes(engine, asking):
    site = engine.run(Container("a", "site"))
    write(engine, site, range(200))
    with growing(engine, site, 1000, 0.02):
        part = listed(asking, UnreadLog(site), 1024)
        assert Holes(asking, UnreadLog(site), part, newest=at(199), is_all=True).find() == {}
