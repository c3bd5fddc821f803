from collections import Counter

import pytest

from sidecar.core.events import Framing
from sidecar.filters.loader import load, pack
from sidecar.filters.verdict import explain
from tests.filters.samples import NOW, all_samples

FILTERS = {name: load(name) for name in ("wordpress", "wordpress-access")}


@pytest.mark.parametrize(("name", "line", "who"), all_samples())
def test_a_sample_counts_against_whom_it_says(name, line, who):
    assert explain(FILTERS[name], line, Framing.NONE, NOW).id == (None if who == "-" else who)


def test_every_filter_has_samples():
    conf, kept = ({path.stem for path in pack().glob(f"*.{kind}")} for kind in ("conf", "samples"))

    assert conf - {"common"} == kept == set(FILTERS)


def test_there_are_enough_samples_of_each_kind():
    kinds = Counter("benign" if who == "-" else "hostile" for _, _, who in all_samples())

    assert kinds["benign"] >= 40
    assert kinds["hostile"] >= 60


def test_a_stranger_is_named_in_at_least_twenty_samples_and_is_never_hit():
    naming = [who for _, line, who in all_samples() if "192.0.2." in line]

    assert len(naming) >= 20
    assert [who for who in naming if who.startswith("192.0.2.")] == []
