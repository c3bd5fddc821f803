from pathlib import Path

import pytest

from sidecar.config.jail_values import JailValues
from sidecar.config.units import whole_number
from sidecar.filters.ini import Ini


@pytest.fixture
def values(tmp_path):
    """Reads the values of a jails file of this text."""

    def values(text: str) -> JailValues:
        path = tmp_path / "jails.conf"
        path.write_text(text)
        ini = Ini()
        ini.add(path, lambda including, name: None)
        return JailValues(ini, path, [path])

    return values


def test_a_value_comes_from_the_section_or_from_default(values):
    read = values("[DEFAULT]\nmaxretry = 1\nfindtime = 2\n[mail]\nmaxretry = 3 # remark\n")

    assert [read.get("mail", key, whole_number, 0) for key in ("maxretry", "findtime", "bantime")] == [
        3,
        2,
        0,
    ]
    assert (read.jails, read.errors) == (["mail"], [])


def test_a_wrong_value_gives_the_default_and_an_error_where_it_stands(values):
    read = values("[DEFAULT]\nmaxretry = many\n[mail]\nfindtime = long\n")

    assert [read.get("mail", key, whole_number, 0) for key in ("maxretry", "findtime")] == [0, 0]
    assert [(Path(each.file).name, each.line, each.section, each.key) for each in read.errors] == [
        ("jails.conf", 2, "DEFAULT", "maxretry"),
        ("jails.conf", 4, "mail", "findtime"),
    ]


def test_an_error_about_a_key_that_is_not_set_is_at_the_section(values):
    read = values("[mail]\nport = 80\n")
    read.error("mail", "filter", "is missing")

    assert [(each.line, each.key) for each in read.errors] == [(2, "filter")]


def test_a_note_names_its_place(values, tmp_path):
    read = values("[mail]\n")
    read.note("mail", "port", "is odd")
    read.note("mail", "", "is odd too")

    assert read.notes == [
        f"{tmp_path}/jails.conf: mail.port: is odd",
        f"{tmp_path}/jails.conf: [mail]: is odd too",
    ]
