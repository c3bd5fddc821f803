"""Fields by their usual names; what a client can put into a record names nobody and excuses nothing."""

import pytest

from sidecar.access import named

RECORD = [("remote_addr", "203.0.113.7"), ("method", "POST"), ("uri", "/wp-login.php"), ("status", "200")]


def read(*fields):
    return [(each.client, each.method, each.path, each.status) for each in named.requests(fields)]


def test_names_are_compared_without_case_and_separators():
    fields = [
        ("Remote-Addr", "203.0.113.7"),
        ("METHOD", "POST"),
        ("Url", "/wp-login.php"),
        ("statusCode", "200"),
    ]

    assert read(*fields) == [("203.0.113.7", "POST", "/wp-login.php", 200)]


@pytest.mark.parametrize("place", ["@nginx_fields", "nginx.access", "httpRequest"])
def test_fields_may_stand_in_a_place_for_them(place):
    assert read(*((f"{place}.{name}", value) for name, value in RECORD)) == read(*RECORD)


@pytest.mark.parametrize(
    "place", ["headers", "request.headers", "cookies", "query_params", "upstream", "resp_headers"]
)
def test_a_place_whose_names_a_client_chooses_is_none(place):
    missing = [field for field in RECORD if field[0] != "remote_addr"]

    assert read(*missing, (f"{place}.remote_addr", "192.0.2.1")) == []


@pytest.mark.parametrize(
    "name", ["request_Method", "request_Remote-Addr", "request_Uri", "downstream_Status"]
)
def test_a_header_that_traefik_keeps_is_no_field(name):
    """A client may send a header that is called Method."""
    missing = [field for field in RECORD if field[0] not in ("method", "status", "uri", "remote_addr")]

    assert read(*missing, (name, "x"), *RECORD) == read(*RECORD)


@pytest.mark.parametrize("before", [True, False])
def test_a_second_client_makes_it_nobodys(before):
    forged = [("remote_addr", "192.0.2.1")]

    assert read(*(forged + RECORD if before else RECORD + forged)) == []


@pytest.mark.parametrize(("name", "forged"), [("status", "302"), ("uri", "/"), ("method", "GET")])
def test_of_other_fields_that_are_there_twice_each_is_read(name, forged):
    for fields in ([(name, forged), *RECORD], [*RECORD, (name, forged)]):
        assert ("203.0.113.7", "POST", "/wp-login.php", 200) in read(*fields)
        assert len(read(*fields)) == 2


def test_a_path_that_the_server_has_rewritten_is_read_beside_the_request_line():
    fields = [
        *RECORD[:1],
        ("request", "POST /wp-login.php HTTP/2.0"),
        ("uri", "/50x.html"),
        ("status", "503"),
    ]

    assert read(*fields) == [
        ("203.0.113.7", "POST", "/wp-login.php", 503),
        ("203.0.113.7", "POST", "/50x.html", 503),
    ]


@pytest.mark.parametrize(("status", "read_as"), [("-", 0), ("", 0), ("000", 0), ("499", 499)])
def test_a_server_may_have_no_status_to_say(status, read_as):
    assert [each[3] for each in read(*RECORD[:3], ("status", status))] == [read_as]


@pytest.mark.parametrize("status", ["ok", "2000", "-1", "1.5"])
def test_what_is_no_status_is_none(status):
    assert read(*RECORD[:3], ("status", status)) == []


def test_without_a_status_it_is_no_request_unless_the_line_was_cut():
    assert read(*RECORD[:3]) == []
    assert [each.status for each in named.requests(RECORD[:3], is_cut=True)] == [0]


def test_the_first_name_with_a_date_dates_the_request():
    (request,) = named.requests([*RECORD, ("time", "0.110"), ("ts", "yesterday"), ("msec", "1796020400.000")])

    assert request.time == 1_796_020_400.0


def test_a_host_before_the_path_is_no_folder():
    fields = [*RECORD[:2], ("requestUrl", "blog.example.com:8080/wp-login.php?a=b"), ("status", "200")]
    (request,) = named.requests(fields)

    assert (request.path, request.query) == ("/wp-login.php", "a=b")
