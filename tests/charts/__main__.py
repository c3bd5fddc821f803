"""Writes the chart's README and the golden renders: `make chart`. What has changed, `git diff` shows."""

import re
from pathlib import Path

from tests.charts import values
from tests.charts.helm import CHART, render

HOUSE = CHART.parents[1]
GOLDEN = Path(__file__).parent / "golden"
SETS = sorted((CHART / "ci").glob("*-values.yaml"))


def name(values: Path) -> str:
    """What a set of values is called."""
    return values.name.removesuffix("-values.yaml")


def golden(values: Path, major: int = 4) -> str:
    """What is kept of a render: no dashboard, and of `helm test`'s pod one copy is enough to look at."""
    text = render(values, *(() if name(values) == "default" else ["--skip-tests"]), major=major)
    text = re.sub(r'^(  fleet-key: )".*"$', r'\1"64 characters at random"', text, flags=re.MULTILINE)
    return re.sub(r'^(  [\w-]+\.json: )".*"$', r'\1"as in dashboards/boards/"', text, flags=re.MULTILINE)


def main() -> None:
    (CHART / "README.md").write_text(values.readme())
    GOLDEN.mkdir(exist_ok=True)
    for old in GOLDEN.glob("*.yaml"):
        old.unlink()
    for each in SETS:
        (GOLDEN / f"{name(each)}.yaml").write_text(golden(each))


if __name__ == "__main__":
    main()
