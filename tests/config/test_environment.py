import re
from pathlib import Path

from sidecar.config import environment
from sidecar.config.environment import VARIABLES, Environment, Variable, known_names
from tests.support.paths import ROOT

DOCUMENTED = ROOT / "docs" / "configuration.md"


def test_only_what_is_set_has_a_value():
    env = Environment({"WP_SIDECAR_STATE": " /srv ", "WP_SIDECAR_NODE": "", "PATH": "/usr/bin"})

    assert (env.values(), env.errors, env.notes) == ({"paths.state": Path("/srv")}, [], [])


def test_the_documentation_has_every_variable_and_no_other():
    section = DOCUMENTED.read_text().partition("## Environment variables")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}

    assert names == set(known_names())


def test_a_new_variable_is_one_row(monkeypatch):
    row = Variable("WP_SIDECAR_REGION", "node", str.upper, file_holds="the region")
    monkeypatch.setattr(environment, "VARIABLES", (*VARIABLES, row))
    env = Environment({"WP_SIDECAR_REGION": "eu", "WP_SIDECAR_REGIO": "x"})

    assert env.values() == {"node": "EU"}
    assert [str(error) for error in env.errors] == [
        "environment: WP_SIDECAR_REGIO: unknown. Did you mean WP_SIDECAR_REGION?"
    ]


def test_a_variable_may_be_in_a_file_where_its_row_says_so(monkeypatch, tmp_path):
    (tmp_path / "region").write_text("eu\n")
    row = Variable("WP_SIDECAR_REGION", "node", str.upper, file_holds="the region")
    monkeypatch.setattr(environment, "VARIABLES", (*VARIABLES, row))

    assert Environment({"WP_SIDECAR_REGION_FILE": f"{tmp_path}/region"}).values() == {"node": "EU"}
