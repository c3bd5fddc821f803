import json

import pytest

from tests.cli.logs import BURST

JAILS = "[wordpress]\nmaxretry = 3\nfindtime = 10m\nbantime = 1h\n"


def test_a_jail_with_an_error_is_left_out_and_the_others_are_used(wp, here):
    (here / "jails.conf").write_text(JAILS + "[mail]\nfilter = broken\n")
    code, out, err = wp("replay", "--json", stdin=BURST)

    assert (code, json.loads(out.splitlines()[0])["jail"]) == (0, "wordpress")
    assert err.startswith(f"wp-sidecar: {here}/broken.conf:2: `failregex` is not a valid regular expression")
    code, out, err = wp("check-config")
    assert (code, out) == (78, "jail wordpress: filter wordpress, 2 expressions\n")
    assert err.startswith(f"wp-sidecar: {here}/broken.conf:2")
    shown = json.loads(wp("check-config", "--json")[1])
    assert (shown["ok"], len(shown["jails"]), len(shown["mistakes"])) == (False, 1, 1)


@pytest.mark.parametrize("command", [["test-filter", "wordpress"], ["replay"]])
def test_a_log_that_does_not_exist(wp, command):
    assert wp(*command, "gone.log") == (
        66,
        "",
        "wp-sidecar: gone.log cannot be read: No such file or directory\n",
    )
    assert wp(*command, ".")[::2] == (66, "wp-sidecar: . cannot be read: Is a directory\n")
