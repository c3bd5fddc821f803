"""The filters of our own pack, and the samples beside them."""

from __future__ import annotations

from sidecar.filters.loader import pack
from sidecar.filters.samples import samples

# 2026-11-22 09:00 UTC, shortly after the samples.
NOW = 1_795_338_000.0


def ours() -> list[str]:
    """Return the names of the pack's filters, without the files that are only included."""
    return sorted(path.stem for path in pack().glob("*.conf") if not path.stem.endswith("common"))


def all_samples() -> list[tuple[str, str, str]]:
    """Return a filter's name, a line and the address that it counts against (`-`: none), for each sample."""
    return [
        (path.stem, sample.line, sample.address or "-")
        for path in sorted(pack().glob("*.samples"))
        for sample in samples(path)
    ]
