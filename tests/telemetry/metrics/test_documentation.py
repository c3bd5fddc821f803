import re

from sidecar.telemetry.metrics.documentation import table
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
