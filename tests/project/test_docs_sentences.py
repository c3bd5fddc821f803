"""The symptoms in docs/troubleshooting.md are sentences that the program says."""

import ast
import re

from tests.support.paths import ROOT

PAGE = (ROOT / "docs/troubleshooting.md").read_text()
# In the page, these stand for what a sentence is filled with.
FILLED = re.compile(r"…|\bN\b|\bADDR\b")


def literals(module):
    """All texts of a module; what is filled in is `…`."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"%[sdr]", "…", node.value)
        elif isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)


def symptoms():
    """The code in the first column of the page's tables, and in quotes of the log."""
    for line in PAGE.splitlines():
        if line.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", line.split("|")[1])
    yield from re.findall(r"The log says `([^`]+)`", PAGE)


def test_each_symptom_is_a_sentence_of_the_program():
    said = "\n".join(text for module in ROOT.glob("sidecar/**/*.py") for text in literals(module))
    found = list(symptoms())

    assert len(found) > 7
    pieces = [piece.strip(" ,") for symptom in found for piece in FILLED.split(symptom)]
    assert [piece for piece in pieces if piece and piece not in said] == []
