"""What clouds say about this host's public addresses. A stand-in speaks each cloud's metadata service."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sidecar.app.public_address import CLOUDS, PublicAddresses, asking, cloud_of, public
from tests.app.world import Changes

MAC = "/latest/meta-data/network/interfaces/macs/"
# Path -> (headers that have to be there, the answer), as the clouds document them.
AMAZON = {
    "/latest/api/token": ({"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "secret=="),
    MAC: (
        {"X-aws-ec2-metadata-token": "secret=="},
        "0e:49:61:0f:c3:11/\n0e:49:61:0f:c3:12/\n0e:49:61:0f:c3:13/",
    ),
    f"{MAC}0e:49:61:0f:c3:11/public-ipv4s": (
        {"X-aws-ec2-metadata-token": "secret=="},
        "203.0.113.9\n203.0.113.8",
    ),
    f"{MAC}0e:49:61:0f:c3:12/public-ipv4s": ({"X-aws-ec2-metadata-token": "secret=="}, "198.51.100.7"),
}
GOOGLE = {
    "/computeMetadata/v1/instance/network-interfaces/?recursive=true": (
        {"Metadata-Flavor": "Google"},
        json.dumps(
            [{"ip": "10.0.0.2", "accessConfigs": [{"externalIp": "203.0.113.9", "type": "ONE_TO_ONE_NAT"}]}]
        ),
    ),
}
AZURE = {
    "/metadata/instance/network?api-version=2021-02-01": (
        {"Metadata": "true"},
        json.dumps({"interface": [{"ipv4": {"ipAddress": [
            {"privateIpAddress": "10.0.0.4", "publicIpAddress": "203.0.113.9"},
            {"privateIpAddress": "10.0.0.5", "publicIpAddress": ""},
        ]}}]}),
    ),
    "/metadata/loadbalancer?api-version=2020-10-01": (
        {"Metadata": "true"},
        json.dumps({"loadbalancer": {"publicIpAddresses": [{"frontendIpAddress": "198.51.100.7"}]}}),
    ),
}  # fmt: skip
CLOUD = {cloud.name: cloud for cloud in CLOUDS}


@contextmanager
def metadata(pages):
    """A metadata service with these pages; yield what asks it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted, answer = pages.get(self.path, ({}, None))
            missing = any(self.headers.get(name) != value for name, value in wanted.items())
            self.send_response(401 if missing else 404 if answer is None else 200)
            self.end_headers()
            self.wfile.write((answer or "").encode())

        do_PUT = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield asking("127.0.0.1", server.server_port)
    finally:
        server.shutdown()
        server.server_close()


def asked(name, pages, changes=None):
    problem = (Changes() if changes is None else changes).problems().problem("metadata")
    with metadata(pages) as ask:
        addresses = PublicAddresses(CLOUD[name], problem, ask)
        addresses.update()
    return addresses.current


@pytest.mark.parametrize(
    ("name", "pages", "found"),
    [
        ("Amazon EC2", AMAZON, ("198.51.100.7", "203.0.113.8", "203.0.113.9")),
        ("Google Compute Engine", GOOGLE, ("203.0.113.9",)),
        ("Azure", AZURE, ("198.51.100.7", "203.0.113.9")),
        ("Azure", {path: page for path, page in AZURE.items() if "instance" in path}, ("203.0.113.9",)),
        ("OpenStack", {"/latest/meta-data/public-ipv4": ({}, "203.0.113.9")}, ("203.0.113.9",)),
        ("OpenStack", {}, ()),
        ("Alibaba Cloud", {"/latest/meta-data/eipv4": ({}, "203.0.113.9")}, ("203.0.113.9",)),
    ],
)
def test_each_cloud_says_which_public_addresses_this_host_has(name, pages, found):
    assert asked(name, pages) == found


@pytest.mark.parametrize("answer", ["<html>", "[", ""])
def test_an_answer_that_is_not_understood_is_a_problem(answer):
    changes = Changes()
    pages = {path: (wanted, answer) for path, (wanted, _) in GOOGLE.items()}

    assert asked("Google Compute Engine", pages, changes) == ()
    ((name, sentence),) = changes
    assert name == "metadata"
    assert sentence.startswith(
        "the metadata service of Google Compute Engine does not say which public addresses"
    )


def test_without_an_answer_the_last_one_holds_and_that_is_a_problem_while_it_lasts():
    changes, pages = Changes(), dict(AMAZON)
    with metadata(pages) as ask:
        addresses = PublicAddresses(CLOUD["Amazon EC2"], changes.problems().problem("metadata"), ask)
        addresses.update()
        pages["/latest/api/token"] = ({"Never": "sent"}, "")
        addresses.update()
        assert len(addresses.current) == 3
        assert "answers 401" in changes[-1][1]
        pages.update(AMAZON)
        addresses.update()

    assert changes[-1] == ("metadata", None)


def test_only_a_few_single_public_addresses_count():
    texts = [
        "203.0.113.9",
        "10.0.0.1",
        "0.0.0.0/0",
        "2001:db8::1",
        "nonsense",
        "240.0.0.1",
        "127.0.0.1",
        "203.0.113.9",
    ]

    assert public(texts) == ("203.0.113.9",)
    assert len(public(f"198.51.100.{number}" for number in range(200))) == 16


@pytest.mark.parametrize(
    ("vendor", "tag", "name"),
    [
        ("Amazon EC2", "Amazon EC2", "Amazon EC2"),
        ("Google", "", "Google Compute Engine"),
        ("Microsoft Corporation", "7783-7084-3265-9085-8269-3286-77", "Azure"),
        ("Microsoft Corporation", "", None),
        ("OpenStack Foundation", "", "OpenStack"),
        ("Alibaba Cloud", "", "Alibaba Cloud"),
        ("QEMU", "", None),
        (None, None, None),
    ],
)
def test_the_firmware_says_which_cloud_it_is(tmp_path, vendor, tag, name):
    for file, text in (("sys_vendor", vendor), ("chassis_asset_tag", tag)):
        if text is not None:
            (tmp_path / file).write_text(f"{text}\n")

    found = cloud_of(tmp_path)
    assert (found and found.name) == name


def test_where_there_is_no_cloud_nobody_is_asked():
    addresses = PublicAddresses(None, Changes().problems().problem("metadata"))
    addresses.update()
    thread = threading.Thread(target=addresses.run)
    thread.start()
    addresses.close()
    thread.join(60)

    assert not thread.is_alive()
    assert addresses.current == ()
