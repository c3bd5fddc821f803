"""Print the table of docs/metrics.md."""

from __future__ import annotations

import sys

from sidecar.telemetry.metrics.documentation import table

sys.stdout.write(table())
