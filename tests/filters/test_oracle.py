"""Verdict for verdict with fail2ban: the same filter, the same line, the same clock and zone."""

import os
import time

import pytest

from sidecar.filters.loader import load, pack
from sidecar.filters.sessions import SessionTracker
from sidecar.filters.verdict import canonical, split_date
from tests.filters import oracle
from tests.filters.samples import all_samples
from tests.filters.samples import ours as pack_of_ours


@pytest.fixture(autouse=True)
def zone():
    before = os.environ.get("TZ")
    os.environ["TZ"] = oracle.ZONE
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def ours(rules, line, tracker=None):
    text, date = split_date(rules, line.rstrip("\r\n"))
    at = rules.dates.seconds(date, oracle.NOW) if date else None
    failure = (tracker or SessionTracker(rules)).decide(text, oracle.NOW if at is None else at)
    return failure and (failure.rule, canonical(failure.id) or failure.id, at)


@pytest.mark.parametrize("name", oracle.stock())
def test_a_stock_filter_has_fail2bans_verdict_on_its_own_samples(name):
    engines, differences = {}, []
    for options, line in oracle.own_lines(name):
        key = tuple(sorted(options.items()))
        if key not in engines:
            given = {"mode": "normal", **options, "usedns": "raw"}
            engines[key] = (
                (rules := load(name, [oracle.CONFIG / "filter.d"], given)),
                SessionTracker(rules),
                oracle.Oracle(name, options),
            )
        rules, tracker, theirs = engines[key]
        expected = theirs.decide(line)
        verdict = ours(rules, line, tracker)
        if expected and verdict and verdict[2] is None:
            verdict = (*verdict[:2], expected[2])
        if verdict != expected:
            differences.append((line, expected, verdict))
    assert differences == []


# WP fail2ban's filters, written from its message formats: each sentence followed by ` from <HOST>`.
PLUGIN = {
    "wordpress-hard": [
        r"Spam comment \d+",
        "Blocked user enumeration attempt",
        "XML-RPC multicall authentication failure",
        "Pingback error .* generated",
        "Blocked authentication attempt for .*",
        "Akismet discarded spam comment",
        "XML-RPC request blocked",
        ".*; Bogus Pingback",
        "Blocked access from country '..'",
        "Immediately block connections",
        "Untrusted X-Forwarded-For header",
        "REST authentication attempt for unknown user .*",
        "XML-RPC authentication attempt for unknown user .*",
    ],
    "wordpress-soft": [
        "Pingback requested",
        r"Comment attempt on .* post \d+",
        "Blocked username authentication attempt for .*",
        "Empty username",
        "Authentication failure for .*",
        "REST authentication failure for .*",
        "XML-RPC authentication failure for .*",
        "Authentication attempt for unknown user .*",
    ],
    "wordpress-extra": ["Password reset requested for .*", r"Comment \d+"],
}
SHAPES = {
    "Aug 22 12:00:00 host wordpress(www.example.com)[1234]: {}": True,
    "2005-08-13T12:00:00.003123+02:00 host wordpress(www.example.com)[1234]: {}": True,
    "wordpress(www.example.com)[1234]: {}": True,
    "wordpress[1234]: {}": True,
    "wp(www.example.com): {}": True,
    "2005-08-13T12:00:00.123456Z wordpress(www.example.com)[1234]: {}": True,
    "2005-08-13T12:00:00.123456789Z wordpress(www.example.com)[1234]: {}": True,
    "[13-Aug-2005 12:00:00 UTC] wordpress(www.example.com)[1234]: {}": True,
    "{}": True,
    "foo {}": True,
    "2005-08-13T12:00:00.123456789Z stderr F wordpress(www.example.com)[1234]: {}": False,
    "<37>Aug 13 12:00:00 wordpress(www.example.com)[1234]: {}": False,
    'WARNING: [pool www] child 7 said into stderr: "wordpress(h)[1]: {}"': False,
    "[Sun Aug 13 12:00:00.852038 2005] [php:notice] [pid 9:tid 9] [client 203.0.113.7:45062] {}": False,
    "wordpress-1  | wordpress(www.example.com)[1234]: {}": False,
    "wordpress(www.example.com)[1234]: {} ": False,
}
SENTENCES = {
    "wordpress-hard": [
        "Blocked user enumeration attempt",
        "Spam comment 7",
        "REST authentication attempt for unknown user x",
    ],
    "wordpress-soft": [
        "Authentication failure for admin",
        "Authentication failure for x from 192.0.2.9",
        "Empty username",
    ],
    "wordpress-extra": ["Password reset requested for admin", "Comment 7"],
}


@pytest.fixture
def plugin(tmp_path):
    """Two folders with the plugin's filters: without a common.conf, and with fail2ban's."""
    for folder in ("bare", "theirs/filter.d"):
        (tmp_path / folder).mkdir(parents=True)
        for name, sentences in PLUGIN.items():
            failregex = "\n            ".join(
                f"^%(__prefix_line)s{sentence} from <HOST>$" for sentence in sentences
            )
            (tmp_path / folder / f"{name}.conf").write_text(
                "[INCLUDES]\n\nbefore = common.conf\n\n[Definition]\n\n_daemon = (?:wordpress|wp)\n\n"
                f"failregex = {failregex}\n\nignoreregex =\n"
            )
    common = oracle.CONFIG / "filter.d" / "common.conf"
    (tmp_path / "theirs" / "filter.d" / "common.conf").write_text(common.read_text())
    return tmp_path / "bare", tmp_path / "theirs"


@pytest.mark.parametrize("name", PLUGIN)
def test_the_plugins_filters_match_the_same_with_our_common_conf_and_fail2bans(plugin, name):
    bare, theirs = plugin
    rules, judge = load(name, [bare]), oracle.Oracle(name, {}, theirs)
    for shape, matches in SHAPES.items():
        for sentence in SENTENCES[name]:
            line = shape.format(f"{sentence} from 203.0.113.7")
            verdict, expected = ours(rules, line), judge.decide(line)
            assert (line, verdict and verdict[:2]) == (line, expected and expected[:2])
            assert bool(verdict) == matches, line


@pytest.mark.parametrize("name", pack_of_ours())
def test_fail2ban_reads_our_filters_as_we_do(tmp_path, name):
    (tmp_path / "filter.d").symlink_to(pack())
    rules, judge = load(name, options={"usedns": "raw"}), oracle.Oracle(name, {}, tmp_path)
    differences = []
    for _, line, _ in (sample for sample in all_samples() if sample[0] == name):
        verdict, expected = ours(rules, line), judge.decide(line)
        if (verdict and verdict[:2]) != (expected and expected[:2]) or (
            verdict and verdict[2] and verdict[2] != expected[2]
        ):
            differences.append((line, expected, verdict))
    assert differences == []
