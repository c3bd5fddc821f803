import io
import sys

from sidecar.cli import plot


def test_the_highest_bar_fills_all_rows_and_the_lowest_is_seen():
    assert list(plot.bars([8, 4, 0, 1, 32], blocks=True)) == [
        "32     █",
        "       █",
        "       █",
        " 0 █▄ ▁█",
    ]


def test_without_blocks_a_bar_is_made_of_number_signs():
    assert list(plot.bars([8, 4, 0, 1], blocks=False, rows=2)) == ["8 #", "0 ## #"]


def test_nothing_is_no_bar():
    assert list(plot.bars([0, 0], blocks=True, rows=2)) == ["0", "0"]


def test_blocks_are_shown_where_the_output_has_them(monkeypatch):
    def encoded(encoding):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))

    monkeypatch.setenv("TERM", "xterm")
    encoded("utf-8")
    assert plot.has_blocks()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert not plot.has_blocks()
    encoded("ascii")
    assert not plot.has_blocks()
