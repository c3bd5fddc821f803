import pytest

from sidecar.access.wrappers import unwrapped

LINE = '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5100 "-" "x"'
AT = 1_796_020_400.0


@pytest.mark.parametrize(
    ("wrapped", "wrappers", "time"),
    [
        (LINE, (), None),
        (f"wordpress-1  | {LINE}", ("compose",), None),
        (f"wordpress-1  | 2026-11-30T06:33:20.000000000Z {LINE}", ("compose", "time stamp"), AT),
        (f"\x1b[36mwordpress-1  |\x1b[0m {LINE}", ("compose",), None),
        (f"\x1b[0;36;1mnginx.1     | \x1b[0m{LINE}", ("compose",), None),
        (f"<190>Nov 30 06:33:20 web nginx: {LINE}", ("syslog",), None),
        (f"Nov  3 06:33:20 web nginx[7]: {LINE}", ("syslog",), None),
        (f"<190>Nov 30 06:33:20 nginx: {LINE}", ("syslog",), None),
        (f"<190>1 2026-11-30T06:33:20Z web nginx 7 - - {LINE}", ("syslog",), AT),
        (f'<190>1 2026-11-30T06:33:20Z web nginx 7 - [a b="c\\]"] {LINE}', ("syslog",), AT),
        # Without what a source of syslog takes off.
        (f" web nginx: {LINE}", ("syslog",), None),
        (f" nginx[7]: {LINE}", ("syslog",), None),
        (f" web nginx 7 - - {LINE}", ("syslog",), None),
        (f"2026-11-30T06:33:20.123456+00:00 web nginx[7]: {LINE}", ("syslog",), AT + 0.123456),
        (f"06:33:20 web.1  | {LINE}", ("compose",), None),
        (f"[pod/blog-0/wordpress] {LINE}", ("kubectl",), None),
        (f"2026-11-30T06:33:20Z {LINE}", ("time stamp",), AT),
        (f"2026-11-30T06:33:20Z stdout F {LINE}", ("time stamp",), AT),
        (
            '{"log":"' + LINE.replace('"', '\\"') + '\\n","stream":"stdout","time":"2026-11-30T06:33:20Z"}',
            ("json-file",),
            AT,
        ),
    ],
)
def test_what_a_transport_put_around_a_line_is_taken_off(wrapped, wrappers, time):
    assert unwrapped(wrapped) == (LINE, time, wrappers)


@pytest.mark.parametrize("client", ["2001:db8::7", "203.0.113.7:28974", "::1"])
@pytest.mark.parametrize(
    "header", ["<190>Nov 30 06:33:20 nginx: ", "<190>Nov 30 06:33:20 web nginx: ", " nginx: "]
)
def test_no_part_of_an_address_is_taken_for_a_header(header, client):
    assert unwrapped(f"{header}{client} - -").text == f"{client} - -"


@pytest.mark.parametrize("client", ["203.0.113.7", "2001:db8::7"])
def test_a_date_and_a_client_are_no_header_whatever_the_user_is_called(client):
    line = f"{client} x: 192.0.2.1 - -"

    assert unwrapped(f"2026-11-30T06:33:20Z {line}").text == line


def test_wrappers_of_wrappers():
    syslog = f"<190>Nov 30 06:33:20 web nginx: {LINE}".replace('"', '\\"')
    found = unwrapped('{"log":"' + syslog + '\\n","stream":"stdout","time":"2026-11-30T06:33:20Z"}')

    assert (found.text, found.wrappers) == (LINE, ("json-file", "syslog"))


@pytest.mark.parametrize("line", ['{"log":"half', '{"log":1,"time":""}', "", "|", "a | " * 10])
def test_what_is_no_wrapper_stays(line):
    assert unwrapped(line).text.startswith(line[:1])


def test_an_offset_needs_no_colon():
    assert unwrapped(f"2026-11-30T06:33:20+0000 web nginx[7]: {LINE}") == (LINE, AT, ("syslog",))
