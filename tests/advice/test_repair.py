import pytest

from sidecar.advice.repair import describe_repair, describe_repairs
from sidecar.alerts.compose import MAX_SENTENCE_LENGTH
from sidecar.firewall import Repair, RepairKind


def test_it_says_what_was_changed_that_it_is_repaired_and_what_to_do():
    assert describe_repair(Repair(RepairKind.BANS, restored=1_234, removed=5)) == (
        "Another program changed the bans in the nftables table inet wp_sidecar. It was repaired (1,234 bans restored, 5 "
        "removed). Find the program with `nft monitor`, and configure it to leave this table alone; to ban and unban by "
        "hand, use `wp-sidecar ban` and `wp-sidecar unban`."
    )


@pytest.mark.parametrize("kind", RepairKind)
def test_each_kind_of_change_is_described_and_fits_into_an_alert(kind):
    repair = Repair(kind, restored=100_000, removed=1_000)

    for sentence in (describe_repair(repair), describe_repairs(repair, 100_000, 600.0)):
        assert "the nftables table inet wp_sidecar" in sentence
        assert len(sentence) <= MAX_SENTENCE_LENGTH
