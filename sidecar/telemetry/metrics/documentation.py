"""The table of docs/metrics.md, made of the metrics themselves."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from sidecar.telemetry.metrics import KnownLabels, Metrics
from sidecar.telemetry.metrics.declare import Declaration


def table() -> str:
    """Return a Markdown table with one row for each metric."""
    declare = Declaration(CollectorRegistry())
    Metrics.declared(declare, "", KnownLabels(), fleet=True)
    lines = ["| name | type | labels | meaning |", "|---|---|---|---|"]
    for metric in declare.declared:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |")
    return "\n".join(lines) + "\n"
