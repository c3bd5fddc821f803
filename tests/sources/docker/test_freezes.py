"""Whether the process was frozen."""

from sidecar.sources.docker.freezes import MAX_FREEZE_S, FreezeDetector


def test_a_freeze_is_counted_once_even_when_a_reader_wakes_first():
    detector = FreezeDetector(now=0)
    detector.beat(now=1)
    assert detector.count(now=1 + MAX_FREEZE_S) == 0
    assert detector.count(now=10) == 1

    detector.beat(now=10)
    assert (detector.count(now=10), detector.count(now=11), detector.count(now=20)) == (1, 1, 2)
