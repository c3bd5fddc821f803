import json

import pytest

from sidecar.advice.finding import Finding
from sidecar.cli import doctor

FINDINGS = (
    Finding("host", ok=True, sentence="the clock is right"),
    Finding("host", ok=False, sentence=f"it is {'very ' * 20}wrong", change="Set `x = y`"),
    Finding("blog\x1b", ok=True, sentence="its log can be read"),
)


def test_findings_stand_below_their_subject_and_fit_the_terminal(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "terminal_width", lambda: 80)

    assert doctor.show(FINDINGS, only_wrong=False, as_json=False) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "host",
        "  ok     the clock is right",
        "  WRONG  it is very very very very very very very very very very very very very",
        "         very very very very very very very wrong",
        "         Set `x = y`",
        "",
        "blog\\x1b",
        "  ok     its log can be read",
        "",
        "wrong: 1 of 3",
    ]
    assert max(map(len, lines)) <= 80


def test_only_what_is_wrong(capsys):
    assert doctor.show(FINDINGS, only_wrong=True, as_json=False) == 1
    assert capsys.readouterr().out.count("ok ") == 0

    assert doctor.show(FINDINGS[:1], only_wrong=True, as_json=False) == 0
    assert capsys.readouterr().out == "all well: 1 findings\n"


@pytest.mark.parametrize(("count", "code"), [(1, 0), (2, 1)])
def test_json_has_the_same(capsys, count, code):
    assert doctor.show(FINDINGS[:count], only_wrong=False, as_json=True) == code

    found = json.loads(capsys.readouterr().out)
    assert found == {"ok": code == 0, "findings": [each._asdict() for each in FINDINGS[:count]]}
