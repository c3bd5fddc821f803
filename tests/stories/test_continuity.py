"""Every line counts once, whatever fails: the real daemon, a real Docker Engine, three containers, faults at random.

CONTINUITY=1000000 for as many lines, CONTINUITY_RATE=1500 for this many a second, SEED=… for the same faults again.
CONTINUITY_FILES=1: log files are damaged, truncated and deleted as well.
"""

import json
import os
import sys

import pytest

from tests.bed import Bed
from tests.bed.daemon import bare, other
from tests.continuity import FORGETFUL, Rig
from tests.support.seed import SEED
from tests.support.waiting import wait_until

LINES = int(os.environ.get("CONTINUITY", "30000"))
RATE = int(os.environ.get("CONTINUITY_RATE", "3000"))
FILES = os.environ.get("CONTINUITY_FILES") == "1"


@pytest.mark.timeout(LINES / 250 + 900)
@pytest.mark.parametrize(
    ("live_restore", "docker"),
    [(False, bare), (True, bare), (False, other)],
    ids=["plain", "live-restore", "other Docker"],
)
def test_every_line_counts_once_whatever_fails(tmp_path, capsys, live_restore, docker):
    with Bed.up(live_restore=live_restore, daemon=docker()) as bed:
        rig = Rig(bed, tmp_path, SEED, rate=RATE, tcp=live_restore, files=FILES)
        try:
            rig.play(LINES, patience=LINES / 250 + 600)
        finally:
            rig.close()
            with capsys.disabled():
                said = f"{len(rig.done)} faults, {rig.truth.total():,} lines"
                destroyed, hidden = (len(each - rig.counted().keys()) for each in (rig.destroyed, rig.hidden))
                lost = f"{destroyed} destroyed before they were read, {hidden} hidden by Docker"
                sys.stdout.write(f"\nSEED={SEED}: {said}; {lost}\n")
    counted = rig.counted()
    lost, strange = rig.missing, counted.keys() - rig.truth.keys() - rig.destroyed
    doubled = [line for line, times in counted.items() if times > 1]
    assert (sorted(lost)[:9], sorted(strange)[:9], doubled[:9], rig.unexplained_gaps()) == ([], [], [], []), (
        rig.why()
    )
    assert rig.unreported() == []
    assert max(rig.truth.values()) == 1


def test_what_docker_threw_away_while_we_were_away_is_told_each_time_and_nothing_else_is(tmp_path):
    """In the log, and in one message to people for each hole; a short absence leaves none."""
    with Bed.up(daemon=bare()) as bed:
        rig = Rig(bed, tmp_path, SEED, rate=300, containers={"writer-1": FORGETFUL}, slack=bed.webhook.url)

        def told():
            return [post for post in bed.webhook.posts if "rotated away" in json.dumps(post.body)]

        try:
            for seconds, holes in ((0, 0), (1, 0), (9, 1), (0, 1), (9, 2)):
                rig.away(seconds)
                wait_until(lambda holes=holes: len(told()) == holes, 20, rig.why)
                assert (rig.holes(), len(rig.gaps())) == (holes, holes)
            assert max(rig.counted().values()) == 1
        finally:
            rig.close()
