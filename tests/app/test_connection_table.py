"""A full table of connections is reported: by the kernel's own files, and as a file system shows them."""

import subprocess
from pathlib import Path

import pytest

from sidecar.app.connection_table import SETTINGS, ConnectionTable
from tests.app.world import Changes


@pytest.fixture
def table(tmp_path):
    changes = Changes()
    table = ConnectionTable(changes.problems().problem("connections", critical=False), tmp_path)

    def report(count, most):
        for name, value in (("count", count), ("max", most)):
            (tmp_path / f"nf_conntrack_{name}").write_text(f"{value}\n")
        table.report(0.0)
        return [sentence for _, sentence in changes]

    return report


def test_a_full_table_is_reported_until_there_is_room(table):
    assert table(940, 1_000) == []
    [sentence] = table(950, 1_000)
    assert sentence.startswith("the kernel tracks 950 connections and at most 1,000: it refuses new ones")
    # It comes and goes at the limit; one alert is enough.
    assert table(860, 1_000) == [sentence]
    assert table(849, 1_000) == [sentence, None]


def test_no_limit_is_no_problem(table):
    assert len(table(950, 1_000)) == 1
    assert table(950, 0)[1:] == [None]


def test_where_no_connections_are_tracked_nothing_is_reported(tmp_path):
    changes = Changes()
    ConnectionTable(changes.problems().problem("connections"), tmp_path / "absent").report(0.0)
    assert changes == []


def test_the_kernel_has_these_files_in_each_network_namespace():
    done = subprocess.run(
        ["unshare", "--net", "cat", SETTINGS / "nf_conntrack_count", SETTINGS / "nf_conntrack_max"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    count, most = map(int, done.stdout.split())
    assert (count, most) == (0, int(Path(SETTINGS / "nf_conntrack_max").read_text()))
