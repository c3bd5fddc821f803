"""How the suite is spread over processes (`pytest -n 2`)."""

from __future__ import annotations

import re
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.support.paths import ROOT
from tests.support.seed import SEED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xdist.remote import Producer

# No test asserts a time: a busy machine takes as long as it takes.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


class Lane(IntEnum):
    """What has to be one after the other. Two beds can be up at a time: one has the base image alone."""

    BED, BARE_BED, NONE = range(3)


@cache
def lane_of(file: str) -> Lane:
    text = (ROOT / file).read_text()
    if "Bed.up(" not in text:
        return Lane.NONE
    return Lane.BARE_BED if re.search(r"Bed\.up\(.*daemon=", text) else Lane.BED


def file_of(test: str) -> str:
    return test.partition("::")[0]


class Lanes(LoadScopeScheduling):
    """The tests of a file stay together, and so do those of all files that need the same bed."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        # In the order of the collection, not by the number of tests.
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file = file_of(nodeid)
        return lane_of(file).name if lane_of(file) != Lane.NONE else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    return Lanes(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The bed's tests come first: they wait much, and the others fill the gaps."""
    items.sort(key=lambda item: lane_of(file_of(item.nodeid)))


def pytest_report_header() -> Sequence[str]:
    return [f"SEED={SEED}"]
