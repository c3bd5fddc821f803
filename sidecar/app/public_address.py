"""Public addresses of this host, where a cloud translates them one to one.

Such a host has only a private address on its interfaces. When a site calls itself by its public name, as WordPress does
for wp-cron.php, the request comes back with the public address as its client, and a ban would cut the site off from
itself. The cloud's metadata service knows the address. It is link-local, and asked by a thread of its own, only on a
machine that says that it is that cloud's.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from sidecar.core.address import Address, parse_host
from sidecar.core.allowlist import Allowlist
from sidecar.runtime.problems import Problem

log = logging.getLogger(__name__)

# What the machine's firmware says it is. Everyone may read these two.
FIRMWARE: Final = Path("/sys/class/dmi/id")
INTERVAL_S: Final = 600.0
TIMEOUT_S: Final = 2.0
MAX_ANSWER_BYTES: Final = 64 * 1024
# A machine has a few interfaces. What the service says must not put many addresses on the allowlist.
MAX_ADDRESSES: Final = 16

# (method, path, headers) -> the text of the answer; "" where there is no such thing. Raises OSError, HTTPException.
Ask: TypeAlias = Callable[[str, str, Mapping[str, str]], str]


class Cloud(NamedTuple):
    """How one cloud is known, and how its metadata service is asked."""

    name: str
    # What the firmware's `sys_vendor` or `chassis_asset_tag` begins with.
    firmware: str
    # Returns texts that may be addresses. Raises OSError, HTTPException and ValueError.
    addresses: Callable[[Ask], Iterable[str]]
    host: str = "169.254.169.254"


def amazon(ask: Ask) -> Iterator[str]:
    """Ask with a token (IMDSv2). Each interface may have several addresses."""
    token = ask("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    headers = {"X-aws-ec2-metadata-token": token}
    macs = "/latest/meta-data/network/interfaces/macs/"
    for mac in ask("GET", macs, headers).split()[:MAX_ADDRESSES]:
        yield from ask("GET", f"{macs}{mac.rstrip('/')}/public-ipv4s", headers).split()


def google(ask: Ask) -> Iterator[str]:
    path = "/computeMetadata/v1/instance/network-interfaces/?recursive=true"
    yield from _values(json.loads(ask("GET", path, {"Metadata-Flavor": "Google"})), "externalIp")


def microsoft(ask: Ask) -> Iterator[str]:
    """A standard load balancer in front of the machine has its address in a document of its own."""
    for path, key in (
        ("/metadata/instance/network?api-version=2021-02-01", "publicIpAddress"),
        ("/metadata/loadbalancer?api-version=2020-10-01", "frontendIpAddress"),
    ):
        yield from _values(json.loads(ask("GET", path, {"Metadata": "true"}) or "{}"), key)


def alibaba(ask: Ask) -> Iterator[str]:
    yield from ask("GET", "/latest/meta-data/eipv4", {}).split()


def openstack(ask: Ask) -> Iterator[str]:
    yield from ask("GET", "/latest/meta-data/public-ipv4", {}).split()


CLOUDS: Final = (
    Cloud("Amazon EC2", "Amazon EC2", amazon),
    Cloud("Google Compute Engine", "Google", google),
    # The asset tag of every Azure machine; other machines of Microsoft's have another.
    Cloud("Azure", "7783-7084-3265-9085-8269-3286-77", microsoft),
    Cloud("Alibaba Cloud", "Alibaba Cloud", alibaba, "100.100.100.200"),
    Cloud("OpenStack", "OpenStack", openstack),
)


class PublicAddresses:
    """A service. `current` are the addresses as of the last answer; any thread may read it."""

    name = "public addresses"

    def __init__(self, cloud: Cloud | None, problem: Problem, ask: Ask | None = None) -> None:
        """`cloud` is the one that this machine is in; None: there is nobody to ask."""
        self.current: tuple[Address, ...] = ()
        self._cloud = cloud
        self._problem = problem
        self._ask = ask or asking(cloud.host if cloud else "")
        self._closed = threading.Event()

    def run(self) -> None:
        while not self._closed.is_set():
            self.update()
            self._closed.wait(INTERVAL_S)

    def close(self) -> None:
        self._closed.set()

    def update(self) -> None:
        """Ask now. Without an answer the last one is kept."""
        if self._cloud is None:
            return
        try:
            found = public(self._cloud.addresses(self._ask))
        except (OSError, HTTPException, ValueError) as err:
            self._problem.set(unanswered(self._cloud, err))
            return
        self._problem.clear()
        if found != self.current:
            log.info(
                "%s says that this host's public addresses are %s",
                self._cloud.name,
                ", ".join(found) or "none",
            )
            self.current = found


def cloud_of(firmware: Path = FIRMWARE) -> Cloud | None:
    """Return the cloud that this machine is in, as far as its firmware says so."""
    texts = [_line(firmware / name) for name in ("sys_vendor", "chassis_asset_tag")]
    return next((cloud for cloud in CLOUDS if any(text.startswith(cloud.firmware) for text in texts)), None)


def public(texts: Iterable[str]) -> tuple[Address, ...]:
    """Return the texts that are single public IPv4 addresses, in order."""
    nobody = Allowlist()
    hosts = sorted({host for text in texts if (host := parse_host(text)) and host.version == 4})
    addresses = (Address(str(host)) for host in hosts)
    return tuple(address for address in addresses if not nobody.reason(address))[:MAX_ADDRESSES]


def asking(host: str, port: int = 80) -> Ask:
    """Return what asks the metadata service at this address."""

    def ask(method: str, path: str, headers: Mapping[str, str]) -> str:
        connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, headers=dict(headers))
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
        finally:
            connection.close()
        if response.status == 404:
            return ""
        if response.status != 200:
            raise OSError(f"{path} answers {response.status} {response.reason}")
        return answer

    return ask


def unanswered(cloud: Cloud, err: Exception) -> str:
    """Return what follows from a metadata service that does not answer, and what to change."""
    return (
        f"the metadata service of {cloud.name} does not say which public addresses this host has ({err}). If it has "
        "one that the cloud translates, a site that calls itself could be banned: put the address into ignoreip, and "
        "set WP_SIDECAR_CLOUD_METADATA=false"
    )


def _values(document: Any, key: str) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Yield the text of each field with this name, at any depth."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name == key and isinstance(value, str):
                yield value
            else:
                yield from _values(value, key)
    elif isinstance(document, list):
        for each in document:
            yield from _values(each, key)


def _line(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
