"""One real Redis or Valkey, and what a connection to it does when it is not well."""

import ssl
import subprocess

import pytest

from sidecar.config.redis_url import parse_redis_url
from sidecar.fleet.connection import MAX_ERROR_CHARS, RedisConnection
from sidecar.stores.base import StoreError
from tests.support.redis_server import free_port, serving
from tests.support.waiting import wait_until

SET = "return redis.call('SET', KEYS[1], ARGV[1])"


def connect(url, ca="", **options):
    return RedisConnection(parse_redis_url(url, ca), **options)


def write(connection):
    """One script that writes, as almost everything that a fleet does."""
    return connection.script(SET, ["key"], ["value"])


def test_a_script_is_sent_again_to_a_server_that_forgot_it(redis):
    connection = connect(redis.url)
    write(connection)
    redis.client().script_flush()

    assert write(connection) == b"OK"
    connection.close()


def test_a_closed_connection_opens_again(redis):
    connection = connect(redis.url)
    write(connection)
    connection.close()

    assert write(connection) == b"OK"
    connection.close()


def test_a_server_that_is_not_there_is_one_sentence_without_the_password(tmp_path):
    with pytest.raises(StoreError) as raised:
        write(connect(f"unix://:secret@{tmp_path}/redis.sock"))

    assert str(raised.value).startswith(f"Redis at {tmp_path}/redis.sock does not answer as it should")
    assert "secret" not in str(raised.value)


def test_an_answer_is_waited_for_only_so_long(redis):
    connection = connect(redis.url, timeout_s=0.2)
    write(connection)
    redis.pause()
    with pytest.raises(StoreError, match="does not answer"):
        write(connection)
    redis.resume()
    wait_until(lambda: write(connection))
    connection.close()


def test_a_replica_is_refused(tmp_path):
    port = free_port()
    with (
        serving(tmp_path / "master", port),
        serving(tmp_path / "replica", 0, "--replicaof", "127.0.0.1", str(port)) as replica,
        pytest.raises(StoreError, match="is a replica: name the master, or its sentinels"),
    ):
        write(connect(replica.url))


def strict(monkeypatch):
    """Verify certificates as Python 3.13 does by default."""
    default = ssl.create_default_context

    def context():
        made = default()
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made

    monkeypatch.setattr(ssl, "create_default_context", context)


def test_tls_with_an_authority_that_lacks_extensions(tmp_path, monkeypatch):
    port, names = free_port(), ("ca", "ca-key", "key", "request", "cert")
    ca, ca_key, key, request, cert = (tmp_path / name for name in names)
    (tmp_path / "plain").write_text(
        "[req]\ndistinguished_name = dn\n[dn]\n[ca]\nbasicConstraints = CA:TRUE\n"
    )
    (tmp_path / "names").write_text("subjectAltName = DNS:localhost\n")
    new = ["openssl", "req", "-config", tmp_path / "plain", "-newkey", "rsa:2048", "-nodes"]
    sign = [
        "openssl",
        "x509",
        "-req",
        "-in",
        request,
        "-CA",
        ca,
        "-CAkey",
        ca_key,
        "-CAcreateserial",
        "-days",
        "1",
    ]
    for command in (
        [
            *new,
            "-x509",
            "-extensions",
            "ca",
            "-subj",
            "/CN=ours",
            "-days",
            "1",
            "-keyout",
            ca_key,
            "-out",
            ca,
        ],
        [*new, "-subj", "/CN=localhost", "-keyout", key, "-out", request],
        [*sign, "-extfile", tmp_path / "names", "-out", cert],
    ):
        subprocess.run(command, check=True, capture_output=True)
    strict(monkeypatch)
    tls = ["--tls-port", str(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca]
    with serving(tmp_path / "redis", 0, *map(str, tls), "--tls-auth-clients", "no"):
        connection = connect(f"rediss://localhost:{port}", str(ca))
        assert write(connection) == b"OK"
        connection.close()


def test_tls_with_a_private_authority(tmp_path):
    port, ca, key = free_port(), tmp_path / "ca.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", ca],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = [
        "--tls-port",
        str(port),
        "--tls-cert-file",
        str(ca),
        "--tls-key-file",
        str(key),
        "--tls-auth-clients",
        "no",
    ]
    with serving(tmp_path / "redis", 0, *tls):
        connection = connect(f"rediss://localhost:{port}", str(ca))
        assert write(connection) == b"OK"
        connection.close()
        with pytest.raises(StoreError, match="certificate verify failed"):
            write(connect(f"rediss://localhost:{port}"))
        with pytest.raises(StoreError, match="does not answer as it should"):
            write(connect(f"rediss://127.0.0.1:{port}", str(ca)))


def test_a_server_that_repeats_the_password_does_not_get_it_into_our_messages(tmp_path):
    """Redis names the arguments of a command that it does not know, here AUTH."""
    renamed = ("--rename-command", "AUTH", "XAUTH")
    with serving(tmp_path / "redis", 0, *renamed) as server, pytest.raises(StoreError) as raised:
        write(connect(f"unix://sidecar:hunter%3F2@{server.socket}"))

    assert "AUTH" in str(raised.value) and "…" in str(raised.value)
    assert "hunter" not in str(raised.value)
    assert raised.value.__cause__ is None and raised.value.__suppress_context__


def test_an_error_of_the_server_is_a_short_sentence_of_printable_text(redis):
    connection = connect(redis.url)
    with pytest.raises(StoreError) as raised:
        connection.script("return redis.error_reply('\\27[31m' .. string.rep('x', 100000))", [], [])
    connection.close()

    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < MAX_ERROR_CHARS + 200
