from pathlib import Path

import pytest

from sidecar.config import variable_values as values
from sidecar.config.redis_url import parse_redis_url


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.absolute_path, "/srv/state", Path("/srv/state")),
        (values.listen_address, "[::1]:9734", ("::1", 9734)),
        (values.docker_host, "tcp://proxy:2375", "tcp://proxy:2375"),
        (values.host_names, "Sidecar.example.net., node1", ("sidecar.example.net", "node1")),
        (values.host_names, "*", ("*",)),
        (values.pod_globs, "blog/*/wordpress, !*/*/db", ("blog/*/wordpress", "!*/*/db")),
        (values.log_as_json, "JSON", True),
        (values.node_name, "host-1.example", "host-1.example"),
        (values.key_prefix, "shops:eu", "shops:eu"),
        (values.webhook, "https://hooks.example/x", "https://hooks.example/x"),
        (values.web_token, "x" * 16, "x" * 16),
    ],
)
def test_a_value_is_parsed(parse, text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "sentence"),
    [
        (values.absolute_path, "state", "expected a path that starts with /"),
        (values.listen_address, "9734", "expected an address and a port"),
        (values.docker_host, "proxy:2375", "expected unix:///var/run/docker.sock or tcp://host:port"),
        (values.host_names, "sidecar:9734", "expected names of hosts without a port"),
        (values.pod_globs, "blog", "expected namespace/pod/container"),
        (values.log_as_json, "xml", "expected text or json"),
        (values.node_name, "host 1", "expected a name of letters"),
        (values.key_prefix, "{shops}", "expected letters, digits"),
        (values.webhook, "hooks.example", r"expected one http\(s\) URL"),
        (
            values.web_token,
            "x" * 15,
            "expected 16 or more printable characters, got 15: openssl rand -hex 16",
        ),
        (values.web_token, "x" * 201, "expected 200 characters at most, got 201"),
        (values.web_token, "one\ttoken-of-two-words", "expected 16 or more printable characters"),
        (values.web_token, "/run/secrets/token", "name a file with WP_SIDECAR_WEB_TOKEN_FILE"),
    ],
)
def test_an_error_says_what_is_expected(parse, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse(text)


def test_a_secret_is_the_content_of_a_file(tmp_path):
    (tmp_path / "key").write_text("k" * 40 + "\n")
    (tmp_path / "short").write_text("k")

    assert values.fleet_keys(f"{tmp_path}/key") == (b"k" * 40,)
    with pytest.raises(ValueError, match="holds 1 characters; a key has 32 or more"):
        values.fleet_keys(f"{tmp_path}/short")
    with pytest.raises(ValueError, match="/none cannot be read: No such file"):
        values.content_of(f"{tmp_path}/none", "the fleet's key")


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (values.docker_host, "tcp://root:hunter2@"),
        (values.docker_host, "ftp://root:hunter2@host:2375"),
        (values.docker_host, "tcp://root:hunt er2@host:2375"),
        (values.docker_host, "tcp://host:port?hunter2"),
        (values.docker_host, "root:hunter2@host:2375"),
        (values.webhook, "hooks.example/services/hunter2"),
        (values.fleet_keys, "hunter2" * 6),
        (values.certificates_file, "redis://:hunter2@host"),
        (lambda path: values.content_of(path, "the webhook's URL"), "https://hooks.example/services/hunter2"),
        *(
            (parse_redis_url, url)
            for url in (
                "redis://:hunter2?@host", "redis://:x?hunter2@host", "redis://:x?hunter2=1@host", "redis://:x/hunter2@host",
                "redis://:x#hunter2@host", "redis://host?password=hunter2", "hunter2",
                "unix:///x?hunter2=3", "unix:///x?db=hunter2", "redis+sentinel://:x/hunter2@host/master",
                "redis+cluster://host/hunter2", "redis://host/1/hunter2", "redis://:hunter2@host:99999",
            )
        ),
    ],
)  # fmt: skip
def test_no_error_quotes_a_secret(parse, text):
    with pytest.raises(ValueError) as raised:
        parse(text)

    assert "hunt" not in str(raised.value) and "er2" not in str(raised.value)


def test_a_fleet_that_changes_its_key_has_two(tmp_path):
    (tmp_path / "keys").write_text("n" * 40 + "\n\n" + "o" * 32 + "\n")
    assert values.fleet_keys(f"{tmp_path}/keys") == (b"n" * 40, b"o" * 32)

    (tmp_path / "keys").write_text("\n".join(letter * 40 for letter in "abc"))
    with pytest.raises(ValueError, match="holds 3 lines; a key is one line"):
        values.fleet_keys(f"{tmp_path}/keys")
    (tmp_path / "keys").write_text("n" * 40 + "\nold")
    with pytest.raises(ValueError, match="holds 3 characters"):
        values.fleet_keys(f"{tmp_path}/keys")
    (tmp_path / "keys").write_text("")
    with pytest.raises(ValueError, match="holds 0 characters"):
        values.fleet_keys(f"{tmp_path}/keys")
