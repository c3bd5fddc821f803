from datetime import date
from itertools import combinations

import pytest

from sidecar.config import cdn
from sidecar.config.cdn import Cdn
from sidecar.config.errors import ConfigErrors
from sidecar.core.address import parse_address, parse_network
from sidecar.core.allowlist import Allowlist

FILE = """\
# ours
[bunny]
as-of = 2026-11-01
source = https://bunny.example/list
192.0.2.7
2001:db8:5::/48 2001:db8:6::/48
all = no

[fastly]
as-of = 2026-11-02
198.51.100.0/24
"""


@pytest.fixture
def wrong(tmp_path):
    def errors(text):
        (tmp_path / "cdn.conf").write_text(text)
        with pytest.raises(ConfigErrors) as caught:
            cdn.load(tmp_path / "cdn.conf")
        return [str(error).removeprefix(f"{tmp_path}/") for error in caught.value.errors]

    return errors


def test_the_bundled_list_is_dated_and_names_its_sources():
    ours = cdn.load()

    assert sorted(ours) == [
        "akamai", "azure-front-door", "bunny", "cdn77", "cloudflare", "cloudfront", "fastly", "google", "imperva", "sucuri",
    ]  # fmt: skip
    assert {one.name for one in ours.values() if not one.in_all} == {"bunny", "cdn77"}
    for one in (*ours.values(), *monitors().values()):
        assert date(2025, 1, 1) < one.as_of <= date.today()  # noqa: DTZ011 - a day is enough
        assert one.source.startswith("https://")
        assert len(one.networks) == len(set(one.networks)) > 1


def monitors():
    return cdn.load(bundled_file=cdn.MONITORING_FILE)


def test_monitoring_services_are_bundled_with_their_single_addresses():
    services = monitors()

    assert {name: len(one.networks) for name, one in services.items()} == {
        "uptimerobot": 152, "pingdom": 203, "statuscake": 263,
    }  # fmt: skip
    for network in (parse_network(text) for one in services.values() for text in one.networks):
        assert network.prefixlen == (32 if network.version == 4 else 64)
    assert cdn.select(cdn.parse_monitors("UptimeRobot pingdom"), services) == (
        services["uptimerobot"],
        services["pingdom"],
    )
    assert cdn.select(cdn.parse_monitors("none"), services) == ()
    for text in ("", "all", "none pingdom"):
        with pytest.raises(ValueError, match="expected none or names such as uptimerobot, pingdom; got"):
            cdn.parse_monitors(text)


def test_the_bundled_networks_are_public_and_do_not_overlap():
    nobody, ours = Allowlist(), [*cdn.load().values(), *monitors().values()]
    nets = [parse_network(text) for one in ours for text in one.networks]
    assert all(nobody.reason(str(net)) is None for net in nets)

    by_default = [parse_network(text) for one in cdn.bundled() for text in one.networks]
    assert not any(a.version == b.version and a.overlaps(b) for a, b in combinations(by_default, 2))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("104.16.1.1", "cloudflare"),
        ("172.71.255.255", "cloudflare"),
        ("172.80.0.0", None),
        ("2606:4700::1", "cloudflare"),
        ("130.176.1.1", "cloudfront"),
        ("151.101.65.1", "fastly"),
        ("35.191.0.1", "google"),
        ("8.8.8.8", None),  # of the same company, and fetches no pages
        ("45.60.1.1", "imperva"),
        ("192.88.134.1", "sucuri"),
        ("23.15.255.255", "akamai"),
        ("23.16.0.0", None),
        ("23.92.16.1", None),  # a machine of Akamai's that anybody may rent
        ("147.243.1.1", "azure-front-door"),
        ("109.61.90.129", "cdn77"),
        ("109.61.83.241", "bunny"),
        ("109.61.83.240", None),
    ],
)
def test_an_address_belongs_to_its_cdn(address, name):
    ours = cdn.load()
    allowlist = Allowlist({one.name: one.networks for one in ours.values()})

    assert allowlist.reason(parse_address(address)) == name


def test_a_file_of_the_operator_adds_and_replaces(tmp_path):
    (tmp_path / "cdn.conf").write_text(FILE)
    known = cdn.load(tmp_path / "cdn.conf")

    assert known["bunny"] == Cdn(
        "bunny",
        date(2026, 11, 1),
        "https://bunny.example/list",
        ("192.0.2.7/32", "2001:db8:5::/48", "2001:db8:6::/48"),
        in_all=False,
    )
    assert known["fastly"] == Cdn("fastly", date(2026, 11, 2), "", ("198.51.100.0/24",))
    assert known["cloudflare"] == cdn.load()["cloudflare"]


def test_every_error_has_its_place(wrong):
    text = """192.0.2.0/24
[Bunny]
[bunny]
as_of = 2026-11-01
192.0.2.1/24
192.0.2.0/33
example.org
0.0.0.0/0
2000::/3
[bunny]
[all]
as-of = tomorrow
[other]
as-of = 2026-11-01
all = perhaps
"""

    assert wrong(text) == [
        "cdn.conf:1: expected [name] first, in small letters",
        "cdn.conf:2: expected [name] first, in small letters",
        "cdn.conf:4: bunny.as_of: unknown. Did you mean as-of?",
        'cdn.conf:5: bunny: expected a network such as 192.0.2.0/24, got "192.0.2.1/24"',
        'cdn.conf:6: bunny: expected a network such as 192.0.2.0/24, got "192.0.2.0/33"',
        'cdn.conf:7: bunny: expected a network such as 192.0.2.0/24, got "example.org"',
        "cdn.conf:8: bunny: 0.0.0.0/0 is too wide: nobody in it could be banned; the widest is /8",
        "cdn.conf:9: bunny: 2000::/3 is too wide: nobody in it could be banned; the widest is /16",
        "cdn.conf:10: bunny: this name is taken",
        "cdn.conf:11: all: this name is taken",
        'cdn.conf:3: bunny.as-of: expected the day of the list such as 2026-11-22, got ""',
        'cdn.conf:11: all.as-of: expected the day of the list such as 2026-11-22, got "tomorrow"',
        'cdn.conf:13: other.all: expected yes or no, got "perhaps"',
    ]


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    for path, sentence in ((tmp_path, "is a directory"), (tmp_path / "x", "cannot be read; .*No such file")):
        with pytest.raises(ConfigErrors, match=sentence):
            cdn.load(path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigErrors, match=r"binary: is not UTF-8 text \(byte 0\); save it as UTF-8"):
        cdn.load(tmp_path / "binary")


def test_cdns_are_chosen_by_name():
    known = cdn.load()

    assert cdn.select(cdn.parse_names("all"), known) == cdn.bundled()
    assert {one.name for one in known.values()} - {one.name for one in cdn.bundled()} == {"bunny", "cdn77"}
    assert cdn.select(cdn.parse_names("all bunny"), known) == (*cdn.bundled(), known["bunny"])
    assert cdn.select(cdn.parse_names("Fastly, sucuri fastly"), known) == (known["fastly"], known["sucuri"])
    assert cdn.select(cdn.parse_names("none"), known) == ()
    with pytest.raises(
        ValueError, match=r'"fastley": unknown. Did you mean fastly\?; there are cloudflare, '
    ):
        cdn.select(cdn.parse_names("fastley"), known)
    for text in ("", "none, all", "none fastly"):
        with pytest.raises(ValueError, match="expected all, none or names such as cloudflare, fastly; got"):
            cdn.parse_names(text)
