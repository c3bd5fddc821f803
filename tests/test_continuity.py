"""Every line counts once, whatever fails: the real daemon, a real Docker Engine, three containers, faults at random.

LINES=1000000 for as many lines, SEED=… for the same faults again.
"""

import os
import random
import sys

import pytest

from tests.bed import Bed
from tests.continuity import Rig

LINES = int(os.environ.get("LINES", "60000"))
SEED = int(os.environ.get("SEED", random.randrange(10**6)))


@pytest.mark.timeout(LINES / 500 + 300)
@pytest.mark.parametrize("live_restore", [False, True], ids=["plain", "live-restore"])
def test_every_line_counts_once_whatever_fails(tmp_path, capsys, live_restore):
    with Bed.up(live_restore=live_restore) as bed:
        rig = Rig(bed, tmp_path, SEED)
        try:
            rig.play(LINES // 2, patience=LINES / 500 + 120)
        finally:
            rig.close()
            with capsys.disabled():
                sys.stdout.write(f"\nSEED={SEED}: {len(rig.done)} faults, {rig.truth.total():,} lines\n")
    counted = rig.counted()
    lost, strange = rig.truth.keys() - counted.keys(), counted.keys() - rig.truth.keys()
    doubled = [line for line, times in counted.items() if times > 1]
    assert (sorted(lost)[:9], sorted(strange)[:9], doubled[:9], rig.gaps()) == ([], [], [], []), rig.why()
    assert max(rig.truth.values()) == 1
