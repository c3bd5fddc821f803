import json

JAILS = "[wordpress]\nmaxretry = 3\nfindtime = 10m\nbantime = 1h\n"


def test_a_valid_configuration_is_shown_with_its_notes(wp, here):
    (here / "jails.conf").write_text(JAILS + "logpath = /nowhere\n")

    code, out, err = wp("check-config")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith(
        f"note: {here}/jails.conf: wordpress.logpath: /nowhere does not exist yet"
    )
    assert out.splitlines()[1:] == ["jail wordpress: filter wordpress, 2 expressions", "ok"]

    shown = json.loads(wp("check-config", "--json")[1])
    assert (shown["ok"], len(shown["notes"]), shown["mistakes"]) == (True, 1, [])
    assert shown["jails"] == [
        {
            "name": "wordpress", "filter": "wordpress", "failregex": 2, "maxretry": 3, "findtime": 600,
            "bantime": 3600, "ports": [80, 443], "published": True, "scope": "host", "logpath": ["/nowhere"], "containers": [],
            "ignoreip": [], "logformat": None, "logtimezone": None, "actions": [],
        }
    ]  # fmt: skip


def test_every_error_is_shown_with_its_place(wp, here):
    (here / "jails.conf").write_text("[wordpress]\nmaxretry = five\nbantme = 1h\n")
    sentence = 'expected a whole number from 1 up, got "five"'

    code, out, err = wp("check-config")
    assert (code, out) == (78, "")
    assert err.splitlines() == [
        f"wp-sidecar: {here}/jails.conf:3: wordpress.bantme: unknown. Did you mean bantime?",
        f"wp-sidecar: {here}/jails.conf:2: wordpress.maxretry: {sentence}",
    ]
    code, out, err = wp("check-config", "--json")
    assert (code, err) == (78, "")
    assert json.loads(out)["mistakes"][1] == {
        "file": f"{here}/jails.conf",
        "line": 2,
        "section": "wordpress",
        "key": "maxretry",
        "message": sentence,
    }
    for command in ("replay", "run"):
        assert wp(command)[0] == 78


def test_a_jails_file_that_was_given_has_to_exist(wp, monkeypatch):
    assert wp("check-config", "--jails", "gone.conf")[::2] == (
        78,
        "wp-sidecar: gone.conf: cannot be read: No such file or directory\n",
    )
    monkeypatch.setenv("WP_SIDECAR_JAILS", "/gone.conf")
    code, _, err = wp("check-config")
    assert code == 78
    assert err.startswith(
        "wp-sidecar: environment: WP_SIDECAR_JAILS: /gone.conf does not exist; correct the path"
    )
