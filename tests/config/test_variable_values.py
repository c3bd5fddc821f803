from pathlib import Path

import pytest

from sidecar.config import variable_values as values
from sidecar.config.settings import SourceKind


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.absolute_path, "/srv/state", Path("/srv/state")),
        (values.listen_address, "[::1]:9734", ("::1", 9734)),
        (values.docker_host, "tcp://proxy:2375", "tcp://proxy:2375"),
        (values.source_kind, "CRI", SourceKind.CRI),
        (values.pod_globs, "blog/*/wordpress, !*/*/db", ("blog/*/wordpress", "!*/*/db")),
        (values.log_level, "debug", "DEBUG"),
        (values.log_as_json, "JSON", True),
        (values.node_name, "host-1.example", "host-1.example"),
        (values.key_prefix, "shops:eu", "shops:eu"),
        (values.webhook, "https://hooks.example/x", "https://hooks.example/x"),
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
        (values.source_kind, "k8s", "expected one of docker, cri, docker-files"),
        (values.pod_globs, "blog", "expected namespace/pod/container"),
        (values.log_level, "loud", "expected one of DEBUG"),
        (values.log_as_json, "xml", "expected text or json"),
        (values.node_name, "host 1", "expected a name of letters"),
        (values.key_prefix, "{shops}", "expected letters, digits"),
        (values.webhook, "hooks.example", r"expected one http\(s\) URL"),
    ],
)
def test_an_error_says_what_is_expected(parse, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse(text)


def test_a_secret_is_the_content_of_a_file(tmp_path):
    (tmp_path / "key").write_text("k" * 40 + "\n")
    (tmp_path / "short").write_text("k")

    assert values.fleet_key(f"{tmp_path}/key") == b"k" * 40
    with pytest.raises(ValueError, match="holds 1 characters; a key has 32 or more"):
        values.fleet_key(f"{tmp_path}/short")
    with pytest.raises(ValueError, match="/none cannot be read: No such file"):
        values.content_of(f"{tmp_path}/none", "the fleet's key")
