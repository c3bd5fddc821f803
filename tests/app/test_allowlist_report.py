import pytest

from sidecar.app.allowlist_report import REFUSED_PROBLEM, SHARE_PROBLEM, AllowlistReport
from sidecar.core.allowlist import CONTAINERS, IGNOREIP, Allowlist
from sidecar.core.allowlist_bounds import RefusedNetworks
from tests.app.world import Changes


@pytest.fixture
def changes():
    return Changes()


def test_refused_networks_are_a_problem_until_they_are_gone(changes):
    report = AllowlistReport(problems := changes.problems())
    report.report(Allowlist(), [RefusedNetworks(CONTAINERS, "0.0.0.0/0")])
    report.report(Allowlist(), [])

    assert [(name, sentence is None) for name, sentence in changes] == [
        (REFUSED_PROBLEM, False),
        (REFUSED_PROBLEM, True),
    ]
    assert "0.0.0.0/0 (a container network)" in changes[0][1]
    assert not problems.critical


@pytest.mark.parametrize(
    ("networks", "reported", "critical"),
    [
        (["9.0.0.0/8", "2a00::/16"], False, False),
        (["64.0.0.0/4"], True, False),
        (["2000::/7"], True, False),
        (["0.0.0.0/0"], True, True),
        (["::/0"], True, True),
    ],
)
def test_an_allowlist_that_covers_much_is_a_problem(changes, networks, reported, critical):
    problems = changes.problems()
    AllowlistReport(problems).report(Allowlist({IGNOREIP: networks}), [])

    assert [name for name, _ in changes] == [SHARE_PROBLEM] * reported
    assert problems.critical == critical
