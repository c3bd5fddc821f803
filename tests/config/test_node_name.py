import pytest

from sidecar.config.node_name import NODE_NAME, from_hostname


@pytest.mark.parametrize(
    ("hostname", "node"),
    [
        ("web-1.example", "web-1.example"),
        ("_my host!", "my-host-"),
        ("", "node"),
        ("x" * 300, "x" * 253),
    ],
)
def test_a_hostname_becomes_a_valid_node_name(hostname, node):
    assert from_hostname(hostname) == node
    assert NODE_NAME.fullmatch(node)
