import subprocess
import sys

import pytest

from sidecar.core.events import Framing
from sidecar.filters.loader import FilterErrors, equivalent, load, pack
from sidecar.filters.verdict import explain
from tests.filters import oracle

NOW = 1_795_338_000.0


def written(tmp_path, text, name="x.conf"):
    (tmp_path / name).write_text(text)
    return tmp_path


def errors(name, where, options=None):
    with pytest.raises(FilterErrors) as caught:
        load(name, where, options)
    return [(one.line, one.text, one.message) for one in caught.value.errors]


def address(rules, line):
    return explain(rules, line, Framing.NONE, NOW).id


def test_our_own_pack_is_there():
    assert {path.name for path in pack().glob("*.conf")} >= {
        "common.conf",
        "wordpress.conf",
        "wordpress-access.conf",
    }


def test_a_filter_is_found_by_name_and_by_path(tmp_path):
    written(tmp_path, "[Definition]\nfailregex = ^no <HOST>$")

    for name in ("x", str(tmp_path / "x.conf")):
        rules = load(name, [tmp_path])
        assert (rules.name, rules.files, address(rules, "no 203.0.113.7")) == (
            "x",
            (tmp_path / "x.conf",),
            "203.0.113.7",
        )


def test_a_name_with_its_ending_is_looked_for_in_the_folders(tmp_path):
    written(tmp_path, "[Definition]\nfailregex = ^no <HOST>$")

    assert load("x.conf", [tmp_path]).files == (tmp_path / "x.conf",)


def test_a_bracket_in_brackets_is_no_reason_for_a_warning(tmp_path):
    written(tmp_path, "[Definition]\nfailregex = [[]client <HOST>[]] no$")
    script = "import sys; from sidecar.filters.loader import load; print(load(sys.argv[1]).failregex[0].text)"
    # In a process of its own, as pytest makes warnings errors.
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "x.conf")], check=True, capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("[[]client <HOST>[]] no$\n", "")


def test_the_users_folders_come_before_the_pack(tmp_path):
    written(tmp_path, "[Definition]\nfailregex = ^mine <HOST>$", "wordpress.conf")

    assert address(load("wordpress", [tmp_path]), "mine 203.0.113.7") == "203.0.113.7"


def test_a_local_file_of_the_users_changes_a_filter_of_the_pack(tmp_path):
    written(tmp_path, "[Definition]\nfailregex = %(known/failregex)s\n  ^mine <HOST>$", "wordpress.local")
    rules = load("wordpress", [tmp_path])

    assert address(rules, "mine 203.0.113.7") == "203.0.113.7"
    assert address(rules, "wordpress: Empty username from 203.0.113.7") == "203.0.113.7"


def test_drop_in_folders_are_read_in_order(tmp_path):
    written(tmp_path, "[Definition]\nword = conf\nfailregex = ^%(word)s <HOST>$")
    (tmp_path / "x.d").mkdir()
    for name in ("20.conf", "10.conf", "5.local"):
        written(tmp_path / "x.d", f"[Definition]\nword = {name}", name)

    assert load("x", [tmp_path]).failregex[0].text == "^5.local <HOST>$"


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("x", {}, "^init <HOST>$"),
        ("x[word=a]", {}, "^a <HOST>$"),
        ("x[word=a]", {"word": "b"}, "^b <HOST>$"),
        ("x[failregex='^<word> and <ADDR>']", {}, "^init and <ADDR>"),
    ],
)
def test_options_go_over_init_and_init_over_the_definition(tmp_path, name, options, expected):
    written(tmp_path, "[Definition]\nfailregex = ^<word> <HOST>$\nword = definition\n[Init]\nword = init")

    assert load(name, [tmp_path], options).failregex[0].text == expected


def test_all_errors_are_reported_at_once_with_their_lines(tmp_path):
    written(
        tmp_path,
        "[Definition]\nfailregex = ^fine <HOST>$\n  ^nobody\n  ^(unclosed <HOST>\n"
        "ignoreregex = [\ndatepattern = %Q\nmaxlines = few\n",
    )

    assert [line for line, _, _ in errors("x", [tmp_path])] == [3, 4, 5, 6, 7]
    assert errors("x", [tmp_path])[0] == (
        3,
        "^nobody",
        "this names no address to ban: put <HOST> (or <ADDR>, <F-ID>) where the line has the address",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Definition]\n", "this filter has no `failregex` in [Definition], so nothing could ever match it"),
        (
            "[Definition]\nfailregex = <HOST> 100 %\n",
            "a lone `%` means nothing here; write `%%` for a percent sign, `%(name)s` for a name",
        ),
        (
            "[Definition]\na = <b>\nb = <a>\nfailregex = <HOST> <a>\n",
            "<a> stands for itself; break the circle",
        ),
        (
            "[INCLUDES]\nbefore = gone.conf\n[Definition]\nfailregex = <HOST>\n",
            "the included file does not exist; correct the name or put the file beside this one",
        ),
        ("[Definition]\nfailregex = <HOST>\nusedns = maybe\n", "`usedns` is one of no, warn, yes, raw"),
        ("[Definition]\nfailregexp = ^no <HOST>\n", "unknown option `failregexp`; did you mean `failregex`?"),
        (
            "[Definition]\nignoreregex = a\n",
            "this filter has no `failregex` in [Definition], so nothing could ever match it",
        ),
    ],
)
def test_an_error_says_what_to_change(tmp_path, text, message):
    assert [found for _, _, found in errors("x", [written(tmp_path, text)])] == [message]


def test_an_unknown_filter_names_the_likely_one(tmp_path):
    assert "did you mean `wordpress`?" in errors("wordpres", [tmp_path])[0][2]
    assert "there is no filter `zz`" in errors("zz", [tmp_path])[0][2]
    assert "expected" in errors("x[", [tmp_path])[0][2]


def test_an_unknown_filter_names_ten_of_many(tmp_path):
    for number in range(140):
        (tmp_path / f"0-{number:03}.conf").touch()
    ours = len({path.stem for path in pack().glob("*.conf") if not path.stem.endswith("common")})

    assert (
        f"; there are: {', '.join(f'0-{number:03}' for number in range(10))} and {130 + ours} more; or copy"
        in errors("zz", [tmp_path])[0][2]
    )


def test_addresses_may_stand_in_the_prefregex(tmp_path):
    written(
        tmp_path, "[Definition]\nprefregex = ^client <ADDR>: <F-CONTENT>.+</F-CONTENT>$\nfailregex = ^bad$"
    )
    rules = load("x", [tmp_path])

    assert address(rules, "client 203.0.113.7: bad") == "203.0.113.7"
    assert address(rules, "client 203.0.113.7: bad and more") is None


@pytest.mark.parametrize("name", oracle.stock())
def test_every_stock_filter_loads(name):
    assert load(name, [oracle.CONFIG / "filter.d"]).failregex


def test_filters_that_need_earlier_lines_are_known():
    needy = {name for name in oracle.stock() if load(name, [oracle.CONFIG / "filter.d"]).needs_earlier_lines}

    assert needy == {
        "ejabberd-auth",
        "guacamole",
        "mongodb-auth",
        "sendmail-auth",
        "sendmail-reject",
        "slapd",
        "sshd",
    }


MODES = """
[Definition]
failregex = ^fail(?: <words-<mode>>)? <HOST>$
words-hard = at last
prefix = <kind>
"""


@pytest.mark.parametrize(
    ("options", "unused"),
    [
        ({"mode": "hard", "kind": "x", "failregex": "^<HOST>$"}, ()),
        ({"mode": "hard", "colour": "red"}, ("colour=red",)),
        ({"mode": "soft"}, ("mode=soft",)),
    ],
)
def test_given_options_without_effect_are_known(tmp_path, options, unused):
    written(tmp_path, MODES)

    assert load("x", [tmp_path], options).unused == unused


def test_a_misspelt_option_is_known_unless_another_uses_it(tmp_path):
    written(
        tmp_path,
        "[Definition]\nfailregex = ^no <HOST>$\nignoreregexp = %(prefregexp)s\nprefregexp = x\nfailregex-old = y\n",
    )

    assert load("x", [tmp_path]).unused == ("ignoreregexp (did you mean ignoreregex?)",)


@pytest.mark.parametrize("name", oracle.stock())
def test_no_stock_filter_has_unused_options(name):
    assert load(name, [oracle.CONFIG / "filter.d"]).unused == ()


def test_filters_are_equivalent_if_nothing_but_the_object_differs(tmp_path):
    rules = load("x", [written(tmp_path, "[Definition]\nfailregex = ^no <HOST>$")])
    again = load("x", [tmp_path])
    other = load("x", [tmp_path], {"usedns": "yes"})
    dated = load("x", [tmp_path], {"datepattern": "%%Y"})

    assert equivalent({"a": rules}, {"a": again})
    assert not any(
        equivalent({"a": rules}, others) for others in ({"a": other}, {"a": dated}, {"b": rules}, {})
    )
