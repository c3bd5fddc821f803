import re
from itertools import chain

from sidecar.advice.bypass import BypassKind
from sidecar.core.events import BanCause, IgnoredReason, UnbanCause
from sidecar.core.refused_bans import RefusalReason
from sidecar.firewall.backend import RepairKind
from sidecar.fleet.protocol import Rejection
from sidecar.sources.base import ReopenReason
from sidecar.telemetry.metrics.documentation import table
from sidecar.telemetry.metrics.fleet import RESULTS
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "metrics.md"


def test_the_documentation_has_every_metric_and_no_other():
    documented = re.search(r"^\| name \| type \|.*?\n\n", PAGE.read_text(), re.MULTILINE | re.DOTALL)

    assert documented
    assert documented[0].rstrip() == table().rstrip(), (
        "put the output of `python -m sidecar.telemetry.metrics` into docs/metrics.md"
    )


def test_names_follow_the_conventions_of_prometheus():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", table(), re.MULTILINE)

    assert len(rows) > 40
    assert all(name.startswith("wp_sidecar_") for name, _ in rows)
    assert [name for name, kind in rows if (kind == "counter") != name.endswith("_total")] == []


def test_each_word_that_a_label_may_have_is_explained():
    words = {
        word
        for kind in (
            BanCause, UnbanCause, IgnoredReason, RefusalReason, ReopenReason, RepairKind, BypassKind, Rejection,
            chain.from_iterable(RESULTS.values()),
        )
        for word in kind
    }  # fmt: skip
    explained = PAGE.read_text().partition("## What do the label values mean?")[2]

    assert len(words) > 40
    assert sorted(word for word in words if f"`{word}`" not in explained) == []
