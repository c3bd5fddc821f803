import pytest

from sidecar.filters.advice import STRANGER, fooled, near
from sidecar.filters.loader import load
from tests.filters.samples import ours


@pytest.fixture
def rules(tmp_path):
    def rules(failregex):
        (tmp_path / "x.conf").write_text(f"[Definition]\nfailregex = {failregex}\n")
        return load("x", [tmp_path])

    return rules


@pytest.mark.parametrize(
    "failregex",
    [
        "login of .* failed from <HOST>",
        "^login of .* failed from <HOST>",
        "^login of .*? failed from <HOST>.*$",
        r"\(<HOST>\) failed",
    ],
)
def test_what_a_visitor_can_fool_is_shown_by_a_line_that_does(rules, failregex):
    found = list(fooled(rules(failregex)))

    assert all(STRANGER in line for _, line in found)
    assert bool(found) == (failregex != "^login of .* failed from <HOST>")


@pytest.mark.parametrize(
    "failregex", ["^login of \\S{1,60} failed from <HOST>$", "^<HOST> failed", "^no <HOST>$"]
)
def test_what_cannot_be_fooled_is_not_accused(rules, failregex):
    assert list(fooled(rules(failregex))) == []


@pytest.mark.parametrize("name", ours())
def test_ours_cannot_be_fooled(name):
    assert [line for _, line in fooled(load(name))] == []


def test_how_near_a_line_came(rules):
    found = near(
        rules("^login of \\S+ failed from <HOST>$\n            ^blocked <HOST>$"), "login of ann failed frm x"
    )

    assert found == (1, "login of ann failed fr")
    assert near(rules("^no <HOST>$"), "hello") is None
