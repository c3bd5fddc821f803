import pytest

from sidecar.firewall.layout import FILE_NAME, Layout, LayoutFile

LAYOUT = Layout({"login": frozenset({443, 80}), "all": None}, ("10.0.0.0/8", "::1"), frozenset({8080}))


ALONE = Layout({"shop": frozenset({8081})}, own_ports_alone=frozenset({"shop"}))


@pytest.mark.parametrize("layout", [Layout(), LAYOUT, Layout({"a": None}, (), frozenset()), ALONE])
def test_what_was_written_is_read(tmp_path, layout):
    LayoutFile(tmp_path).write(layout)

    assert LayoutFile(tmp_path).read() == layout


def test_its_jails_have_the_ports():
    assert [(jail.name, jail.ports) for jail in LAYOUT.jails] == [
        ("login", frozenset({80, 443})),
        ("all", None),
    ]


def test_its_jails_say_whether_published_ports_are_closed_too():
    assert [jail.published for jail in (*LAYOUT.jails, *ALONE.jails)] == [True, True, False]


def test_the_file_of_an_earlier_version_is_read(tmp_path):
    (tmp_path / FILE_NAME).write_text('{"jails": {"a": [80]}, "allowlist": [], "published": null}')

    assert [jail.published for jail in LayoutFile(tmp_path).read().jails] == [True]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '{"jails": {}}', '{"jails": 1, "allowlist": [], "published": null}']
)
def test_a_damaged_file_is_an_empty_layout(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)

    assert LayoutFile(tmp_path).read() == Layout()


def test_without_a_file_it_is_empty(tmp_path):
    assert LayoutFile(tmp_path / "gone").read() == Layout()


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    file = LayoutFile(tmp_path / "gone")
    file.write(LAYOUT)
    (tmp_path / "gone").mkdir()
    file.write(LAYOUT)

    assert file.read() == LAYOUT


def test_the_same_layout_is_not_written_again(tmp_path):
    file = LayoutFile(tmp_path)
    file.write(LAYOUT)
    (tmp_path / FILE_NAME).unlink()
    file.write(LAYOUT)

    assert not (tmp_path / FILE_NAME).exists()
