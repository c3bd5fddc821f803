"""What other programs change is found and repaired."""

import time

import pytest

from sidecar.firewall import FirewallError, Repair, RepairKind
from sidecar.firewall.kernel import Kernel
from tests.firewall.decisions import ANN, ANN6, ANNS64, BOB, BOB6, EVE, ban, left, turn


class StubbornKernel(Kernel):
    """A kernel with answers that a test can change. It remembers the questions."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.is_broken = False
        # How often it reports only the first ten elements of a set.
        self.incomplete_answers = 0

    def shape(self):
        self.asked.append("shape")
        if self.is_broken:
            raise FirewallError("reading the firewall failed")
        return super().shape()

    def elements(self, name):
        self.asked.append(name)
        found = super().elements(name)
        if name == "ban4" and self.incomplete_answers:
            self.incomplete_answers -= 1
            return dict(list(found.items())[:10])
        return found


@pytest.fixture
def kernel():
    return StubbornKernel()


@pytest.fixture
def firewall(start, kernel):
    return start(kernel=kernel)


def test_after_the_clock_was_set_a_whole_comparison_adjusts_the_timeouts(host, firewall):
    firewall.apply(turn(ban(ANN, lasts=1000), ban("203.0.113.96/28", lasts=1000)))
    back = time.time() - 500

    assert firewall.repair(back) is None
    assert firewall.repair(back, whole=True) == Repair(RepairKind.BANS, 1)
    assert left(host, ANN) == pytest.approx(1500, abs=3)
    assert list(host.kernel.intervals("net4").values()) == [pytest.approx(1500, abs=3)]
    # No ban was missing.
    assert firewall.enforced() == (2, 2)
    assert firewall.repair(back, whole=True) is None


NO_RULES = "flush chain inet wp_sidecar prerouting\nflush chain inet wp_sidecar answers"
NO_SET = f"{NO_RULES}\ndelete set inet wp_sidecar ban4"
NO_FORWARD = "flush chain inet wp_sidecar forward\ndelete chain inet wp_sidecar forward"
STRANGE_SET = f"{NO_SET}\nadd set inet wp_sidecar ban4 {{ typeof ip saddr; flags interval; }}"


@pytest.mark.parametrize(
    ("harm", "repair"),
    [
        ("flush ruleset", Repair(RepairKind.TABLE, restored=2)),
        ("delete table inet wp_sidecar", Repair(RepairKind.TABLE, restored=2)),
        (NO_RULES, Repair(RepairKind.STRUCTURE)),
        (NO_SET, Repair(RepairKind.STRUCTURE, restored=2)),
        (STRANGE_SET, Repair(RepairKind.STRUCTURE, restored=2)),
        ("insert rule inet wp_sidecar prerouting accept", Repair(RepairKind.STRUCTURE)),
        ("add chain inet wp_sidecar prerouting { policy drop; }", Repair(RepairKind.STRUCTURE)),
        ("flush chain inet wp_sidecar answers", Repair(RepairKind.STRUCTURE)),
        ("insert rule inet wp_sidecar output accept", Repair(RepairKind.STRUCTURE)),
        ("insert rule inet wp_sidecar rejected accept", Repair(RepairKind.STRUCTURE)),
        ("add chain inet wp_sidecar forward { policy drop; }", Repair(RepairKind.STRUCTURE)),
        (NO_FORWARD, Repair(RepairKind.STRUCTURE, restored=2)),
        ("add chain inet wp_sidecar another", Repair(RepairKind.STRUCTURE, restored=2)),
        ("add table inet wp_sidecar { flags dormant; }", Repair(RepairKind.STRUCTURE, restored=2)),
        ("delete element inet wp_sidecar ban4 { 203.0.113.11 }", Repair(RepairKind.BANS, restored=1)),
        ("flush set inet wp_sidecar ban6", Repair(RepairKind.BANS, restored=1)),
        ("add element inet wp_sidecar ban4 { 203.0.113.12 }", Repair(RepairKind.BANS, removed=1)),
        ("flush set inet wp_sidecar net4", Repair(RepairKind.BANS)),
        ("flush set inet wp_sidecar ports", Repair(RepairKind.PORTS)),
        ("add element inet wp_sidecar allow4 { 203.0.113.0/24 }", Repair(RepairKind.ALLOWLIST)),
    ],
)
def test_what_another_program_changes_is_repaired_with_the_time_that_was_left(host, firewall, harm, repair):
    firewall.apply(turn(ban(ANN, lasts=5000), ban(ANNS64), ban("203.0.113.96/28")))
    assert firewall.repair(time.time()) is None
    host.nft(harm)

    assert firewall.repair(time.time()) == repair
    assert firewall.repair(time.time()) is None
    assert host.lets_in(ANN, BOB, EVE, ANN6, BOB6) == {BOB, BOB6}
    assert left(host, ANN) == pytest.approx(5000, abs=5)


def test_bans_that_the_kernel_refused_are_made_by_the_next_repair(host, firewall):
    host.nft("flush ruleset")
    with pytest.raises(FirewallError, match="No such file or directory"):
        firewall.apply(turn(ban(ANN)))
    assert firewall.repair(time.time()) == Repair(RepairKind.TABLE, restored=1)
    assert not host.answers(ANN)


def test_nothing_is_read_while_no_other_program_changes_rules(host, firewall, kernel):
    firewall.apply(turn(ban(ANN)))
    kernel.asked.clear()

    assert firewall.repair(time.time()) is None
    assert kernel.asked == []
    host.nft("add table ip another")
    assert firewall.repair(time.time()) is None
    assert kernel.asked.count("shape") == 1


def test_a_failed_comparison_is_repeated(host, firewall, kernel):
    host.nft("delete table inet wp_sidecar")
    kernel.is_broken = True
    with pytest.raises(FirewallError):
        firewall.repair(time.time())
    kernel.is_broken = False

    assert firewall.repair(time.time()) == Repair(RepairKind.TABLE)


def test_a_set_that_the_kernel_is_resizing_is_read_again(firewall, kernel):
    """It then reports some elements twice and others not at all."""
    firewall.apply(turn(*(ban(f"198.18.0.{n}") for n in range(100))))
    kernel.asked.clear()
    kernel.incomplete_answers = 1

    assert firewall.repair(time.time(), whole=True) is None
    assert kernel.asked.count("ban4") == 2
    assert firewall.enforced() == (100, 100)


def test_elements_that_the_kernel_keeps_leaving_out_are_restored_only_if_they_are_gone(
    host, firewall, kernel
):
    firewall.apply(turn(*(ban(f"198.18.0.{n}") for n in range(100))))
    kernel.incomplete_answers = 1000
    assert firewall.repair(time.time(), whole=True) is None

    kernel.asked.clear()
    host.nft("delete element inet wp_sidecar ban4 { 198.18.0.77 }")
    assert firewall.repair(time.time()) == Repair(RepairKind.BANS, restored=1)
    assert "ban4" in kernel.asked

    kernel.incomplete_answers = 0
    assert firewall.repair(time.time()) is None
    assert len(kernel.elements("ban4")) == 100
