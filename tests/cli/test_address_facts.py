import socket
import threading

import netaddr
import pytest
from mmdb_writer import MMDBWriter

from sidecar.cli import address_facts
from sidecar.cli.address_facts import HostName, NetworkFacts, host_name, host_of, network_facts

ANN = "203.0.113.7"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        (ANN, ANN),
        ("203.0.113.7/32", ANN),
        ("2001:DB8::7", "2001:db8::7"),
        ("203.0.113.0/24", None),
        ("nobody", None),
    ],
)
def test_only_a_host_has_a_name(text, host):
    assert host_of(text) == host


@pytest.fixture
def dns(monkeypatch):
    """Names by address, and addresses by name, that a resolver would answer."""
    names, addresses = {}, {}

    def getnameinfo(sockaddr, flags):
        assert flags == socket.NI_NAMEREQD
        try:
            return names[sockaddr[0]], "0"
        except KeyError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None

    def getaddrinfo(name, port):
        del port
        if name not in addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in addresses[name]]

    monkeypatch.setattr(socket, "getnameinfo", getnameinfo)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names, addresses


def test_a_name_that_leads_back_is_confirmed_and_any_other_is_a_claim(dns):
    names, addresses = dns
    assert host_name(ANN) is None
    names[ANN] = "crawler.example.net"
    assert host_name(ANN) == HostName("crawler.example.net", confirmed=False)
    addresses["crawler.example.net"] = ["198.51.100.1"]
    assert host_name(ANN) == HostName("crawler.example.net", confirmed=False)
    addresses["crawler.example.net"] = ["198.51.100.1", ANN]
    assert host_name(ANN) == HostName("crawler.example.net", confirmed=True)


def test_an_ipv6_name_is_confirmed_however_its_address_is_written(dns):
    names, addresses = dns
    names["2001:db8::7"], addresses["six.example.net"] = "six.example.net", ["2001:DB8:0::7"]

    assert host_name("2001:db8::7").confirmed


def test_a_hostile_name_is_printed_safely(dns):
    dns[0][ANN] = "\x1b[2Jhealthy\n" + "x" * 999
    name = host_name(ANN).name

    assert name.startswith("\\x1b[2Jhealthy\\n") and len(name) == 253


def test_a_resolver_that_does_not_answer_is_left_behind(monkeypatch):
    asked, ended = threading.Event(), threading.Event()

    def getnameinfo(*_):
        asked.set()
        ended.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    monkeypatch.setattr(socket, "getnameinfo", getnameinfo)
    assert host_name(ANN, timeout_s=0.01) is None
    assert asked.wait(60)
    ended.set()


@pytest.fixture
def database(tmp_path):
    """Writes a database with a record of the documentation network, and returns its path."""

    def write(name, record):
        writer = MMDBWriter(4, "Test", languages=["en"])
        writer.insert_network(netaddr.IPSet(["203.0.113.0/24"]), record)
        writer.to_db_file(str(tmp_path / name))
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("records", "owner", "place"),
    [
        (
            [
                {"autonomous_system_number": 64500, "autonomous_system_organization": "Example Net"},
                {
                    "city": {"names": {"en": "Haarlem"}},
                    "country": {"iso_code": "NL", "names": {"en": "Netherlands"}},
                },
            ],
            "AS64500 Example Net",
            "Haarlem, Netherlands (NL)",
        ),
        (
            [{"asn": "AS64500", "as_name": "Example Net", "country": "Netherlands", "country_code": "NL"}],
            "AS64500 Example Net",
            "Netherlands (NL)",
        ),
        ([{"registered_country": {"iso_code": "NL"}}], "", "NL"),
        ([{"autonomous_system_organization": "\x1b[2J"}], "\\x1b[2J", ""),
        ([{"country": {"names": "odd"}, "city": 7}], "", "7"),
    ],
)
def test_the_fields_of_common_databases_are_read(database, records, owner, place):
    paths = [database(f"{number}.mmdb", record) for number, record in enumerate(records)]

    assert network_facts(ANN, paths) == NetworkFacts(owner, place, ())


def test_an_address_that_no_database_knows_has_nothing(database):
    assert network_facts("198.51.100.1", [database("a.mmdb", {"asn": "AS64500"})]) == NetworkFacts("", "", ())


def test_a_file_that_is_absent_or_broken_is_a_sentence_and_the_others_are_used(database, tmp_path):
    (tmp_path / "broken.mmdb").write_bytes(b"no database" * 100)
    (tmp_path / "cut.mmdb").write_bytes(database("a.mmdb", {"asn": "AS64500"}).read_bytes()[:-200])
    paths = [tmp_path / name for name in ("absent.mmdb", "broken.mmdb", "cut.mmdb", "", "a.mmdb")]

    found = network_facts(ANN, paths)
    assert found.owner == "AS64500"
    assert [problem.partition(" cannot be used (")[0] for problem in found.problems] == [
        f"the database {path}" for path in paths[:-1]
    ]
    assert all(problem.endswith("correct WP_SIDECAR_GEOIP, or mount the file") for problem in found.problems)


def test_the_library_is_loaded_only_for_a_database(monkeypatch):
    monkeypatch.setattr(address_facts, "_record", None)

    assert network_facts(ANN, []) == NetworkFacts("", "", ())
