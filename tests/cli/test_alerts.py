import pytest

from sidecar.cli import main


def test_the_help_of_a_command_in_two_words(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["alert", "test", "--help"])

    assert ended.value.code == 0
    assert "Send one message by each sender of the configuration" in capsys.readouterr().out


def test_the_family_alone_shows_its_commands(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["alert", "nothing"])

    assert ended.value.code == 2
