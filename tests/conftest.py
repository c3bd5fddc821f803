"""How the suite is spread over processes (`pytest -n 2`)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import hypothesis
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


# A busy machine makes examples slow, which says nothing about them.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@cache
def needs_the_bed(file: str) -> bool:
    """Do tests of this file make a bed?"""
    return "Bed.up(" in (ROOT / file).read_text()


def file_of(test: str) -> str:
    return test.partition("::")[0]


def is_of_the_other_docker(test: str) -> bool:
    """Does it need the bed of the other Debian's Docker, which may be up beside that of the machine's own?"""
    return "[other" in test


class OneBed(LoadScopeScheduling):
    """The tests of a file stay together, and so do all that need the bed, as one can be up at a time."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        # In the order of the collection, not by the number of tests.
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        if not needs_the_bed(file_of(nodeid)):
            return file_of(nodeid)
        return "the other bed" if is_of_the_other_docker(nodeid) else "the bed"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneBed:
    return OneBed(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The bed's tests come first: they wait much, and the others fill the gaps."""
    items.sort(
        key=lambda item: (not needs_the_bed(file_of(item.nodeid)), is_of_the_other_docker(item.nodeid))
    )


def pytest_report_header() -> Sequence[str]:
    return [f"SEED={SEED}"]
