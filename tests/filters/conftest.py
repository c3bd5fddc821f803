"""What the tests of filters share."""

import pytest

from sidecar.filters import database
from sidecar.filters.loader import load


@pytest.fixture
def filters(tmp_path):
    """A function that loads a filter with these failregexes and other options."""

    def filters(name, *failregexes, options=""):
        lines = "\n  ".join(failregexes)
        (tmp_path / f"{name}.conf").write_text(f"[Definition]\nfailregex = {lines}\n{options}\n")
        return load(name, [tmp_path])

    return filters


@pytest.fixture
def nothing_distrusted(monkeypatch):
    """No search has lost a line so far."""
    monkeypatch.setattr(database, "_distrusted", set())
    database._checked.cache_clear()
    yield
    database._checked.cache_clear()
