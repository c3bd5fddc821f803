"""The `.samples` beside each filter: a line of a log, then `=> address` or `=> -`, and a reason in parentheses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sidecar.filters.loader import pack

NOW = 1_795_338_000.0  # 2026-11-22 09:00 UTC, soon after the samples
EXPECTED = re.compile(r"=> (\S+)(?: \(.*\))?")


def samples(path: Path) -> Iterator[tuple[str, str]]:
    lines = [line for line in path.read_text().split("\n") if line and not line.startswith("#")]
    for line, expected in zip(lines[::2], lines[1::2], strict=True):
        found = EXPECTED.fullmatch(expected)
        assert found, f"{path.name}: expected `=> address` or `=> -` after {line!r}, got {expected!r}"
        yield line, found[1]


def ours() -> list[str]:
    """The filters of the pack, but for what they include."""
    return sorted(path.stem for path in pack().glob("*.conf") if not path.stem.endswith("common"))


def all_samples() -> list[tuple[str, str, str]]:
    return [(path.stem, *sample) for path in sorted(pack().glob("*.samples")) for sample in samples(path)]
