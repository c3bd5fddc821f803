import json

import pytest

from sidecar.cli.config import text
from sidecar.control.exit_codes import ExitCode
from tests.cli.answering import STATUS


@pytest.fixture(autouse=True)
def looked_at(daemon):
    """Two logs, each with the jails that look at it."""
    looking = {"state": "open", "format": "", "read": 0, "understood": 0, "jails": [{"name": "wordpress"}]}
    streams = [{"container": name, **looking} for name in ("blog", "shop")]
    daemon.answers["status"] = STATUS | {"streams": streams}


def test_settings_are_tables_with_the_place_of_each(daemon, wp_lines, here):
    code, lines, _ = wp_lines("config", "show")
    rows = [line.split() for line in lines]

    assert code == 0
    assert ["WP_SIDECAR_FILTERS", str(here), "environment", "WP_SIDECAR_FILTERS"] in rows
    assert ["wordpress", "findtime", "10m", f"{here}/jails.conf,", "line", "3,", "[wordpress]"] in rows
    assert ["wordpress", "port", "80,", "443", "default"] in rows
    assert ["blog", "wordpress", "mode", "observe", "label", "wp-sidecar.mode"] in rows


def test_what_has_its_default_is_left_out_where_that_is_asked_for(daemon, wp_lines):
    lines = wp_lines("config", "show", "--changed")[1]

    assert not [line for line in lines if line.endswith("default")]
    assert [line for line in lines if line.startswith("wordpress  maxretry")]


def test_one_site_alone_has_all_settings_of_the_jails_that_look_at_it(daemon, wp_lines):
    lines = wp_lines("config", "show", "--site", "blog")[1]
    rows = [line.split() for line in lines if line.startswith("wordpress")]

    assert {row[0] for row in rows} == {"wordpress"}
    assert [row[1:] for row in rows if row[-2] == "label"] == [
        ["maxretry", "10", "label", "wp-sidecar.maxretry"],
        ["mode", "observe", "label", "wp-sidecar.mode"],
    ]
    assert ["port", "80,", "443", "default"] in [row[1:] for row in rows]
    assert "WP_SIDECAR_LISTEN" not in "\n".join(lines)
    changed = wp_lines("config", "show", "--site", "blog", "--changed")[1]
    assert not [line for line in changed if line.endswith("default")]
    assert len([line for line in changed if line.startswith("wordpress")]) > 2


def test_a_site_without_labels_has_the_settings_of_its_jails(daemon, wp_lines):
    lines = wp_lines("config", "show", "--site", "shop")[1]

    assert [line.split()[:2] for line in lines if " maxretry " in line] == [["wordpress", "maxretry"]]
    assert lines[-1].startswith("no label of shop changes anything")


def test_a_site_that_is_not_watched_is_an_error_with_those_that_are(daemon, wp):
    code, _, err = wp("config", "show", "--site", "blgo")

    assert (code, err) == (ExitCode.NO_INPUT, "wp-sidecar: blgo is not watched; there are blog, shop\n")


def test_without_a_daemon_labels_are_not_known(wp_lines, here, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_SOCKET", str(here / "nowhere"))
    code, lines, _ = wp_lines("config", "show")

    assert code == 0
    assert lines[-1] == "no daemon answers, so labels of containers are not shown"
    assert json.loads(wp_lines("config", "show", "--json")[1][0])["sites"] is None


def test_json_has_the_same(daemon, wp_lines):
    answer = json.loads(wp_lines("config", "show", "--json")[1][0])

    assert {"name": "findtime", "value": 600.0, "from": answer["jails"]["wordpress"][4]["from"]} == answer[
        "jails"
    ]["wordpress"][4]
    assert {
        "site": "blog",
        "jail": "wordpress",
        "name": "mode",
        "value": "observe",
        "from": "label wp-sidecar.mode",
    } in answer["sites"]


def test_a_configuration_that_is_wrong_is_an_error(wp_lines, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_LISTEN", "everywhere")

    assert wp_lines("config", "show")[0] == ExitCode.CONFIG


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("bantime", None, "-1"),
        ("port", None, "all"),
        ("logpath", [], ""),
        ("bantime.multipliers", [1.0, 2.5], "1, 2.5"),
        ("dbpurgeage", 86_400.0, "1d"),
        ("witness", True, "true"),
        ("maxretry", 0, "0"),
    ],
)
def test_a_value_is_written_as_in_the_configuration(name, value, shown):
    assert text(name, value) == shown
