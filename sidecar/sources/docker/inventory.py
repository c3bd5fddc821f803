"""What the Engine's lists say about containers and networks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sidecar.core.address import parse_network
from sidecar.core.containers import Container
from sidecar.core.front_ends import HOST_MODE, joined_by, with_joined_networks
from sidecar.sources.docker.api import Engine, RequestRefusedError
from sidecar.sources.docker.images import ImageLabels

RUNNING_STATES = ("running", "paused", "restarting")
# Networks whose packets pass no hook of the host's firewall.
BYPASSING_DRIVERS = ("macvlan", "ipvlan")


@dataclass(frozen=True, slots=True)
class Listing:
    """What there is on the host at one moment."""

    running: tuple[Container, ...]
    # Entries of `GET /containers/json`: few of them are ever described.
    stopped: tuple[Mapping[str, Any], ...]
    # Subnets and gateways of all networks, canonical.
    networks: tuple[str, ...]

    @property
    def ids(self) -> frozenset[str]:
        return frozenset([each.id for each in self.running] + [entry["Id"] for entry in self.stopped])


class Inventory:
    """Lists what there is, without our own container, and remembers by which image each container was started."""

    def __init__(self, own_id: str, trusted_images: Sequence[str] = ()) -> None:
        """`trusted_images`: globs of the names of images whose labels count as their containers' own."""
        self._own_id = own_id
        self._images: dict[str, str] = {}
        self._image_labels = ImageLabels(trusted_images)

    def listing(self, engine: Engine) -> Listing:
        """Ask what there is now. Raises OSError and EngineError."""
        entries = [entry for entry in engine.containers() if entry["Id"] != self._own_id]
        running = [entry for entry in entries if entry["State"] in RUNNING_STATES]
        described = [self.describe(engine, entry) for entry in running]
        networks = engine.networks()
        bypassing = bypassing_ids(networks, running)
        for gone in self._images.keys() - {entry["Id"] for entry in entries}:
            del self._images[gone]
        self._image_labels.keep(map(_image_id, entries))
        return Listing(
            with_joined_networks(replace(each, bypasses_firewall=each.id in bypassing) for each in described),
            tuple(entry for entry in entries if entry["State"] not in RUNNING_STATES),
            network_addresses(networks),
        )

    def describe(self, engine: Engine, entry: Mapping[str, Any]) -> Container:
        """Return the container of an entry of `GET /containers/json`. Raises OSError and EngineError."""
        key, image = entry["Id"], entry["Image"]
        if image.startswith("sha256:"):
            # The name that it was started by now means a newer image.
            image = self._images.get(key) or _image_of(engine, key) or image
        self._images[key] = image
        return self._image_labels.apply_to(container_of(entry, image), _image_id(entry), engine)

    def with_image_labels(self, engine: Engine, container: Container) -> Container:
        """Return the container, as an event describes it, with the labels that may be of its image.

        Raises OSError and EngineError.
        """
        return self._image_labels.apply_to(container, container.image, engine)


def _image_of(engine: Engine, container: str) -> str:
    """Return the image's name as it was given; nothing if the container was removed since it was listed."""
    with contextlib.suppress(RequestRefusedError):
        return str(engine.inspect(container)["Config"]["Image"])
    return ""


def _image_id(entry: Mapping[str, Any]) -> str:
    return str(entry.get("ImageID") or entry["Image"])


def name_of(entry: Mapping[str, Any]) -> str:
    """Return the name in an entry of `GET /containers/json`. A legacy link adds names such as `/other/alias`."""
    names: list[str] = entry["Names"] or []
    name = next((name for name in names if name.count("/") == 1), str(entry["Id"])[:12])
    return name.removeprefix("/")


def container_of(entry: Mapping[str, Any], image: str) -> Container:
    """Return what an entry of `GET /containers/json` says about a container."""
    ports = [port for port in entry.get("Ports") or () if port.get("PublicPort")]
    published = frozenset(int(port["PublicPort"]) for port in ports)
    reachable = {int(port["PublicPort"]) for port in ports if not _is_loopback(port.get("IP") or "")}
    attached = list(_attached(entry))
    mode = str((entry.get("HostConfig") or {}).get("NetworkMode") or "")
    gateways = (net.get(key) for net in attached for key in ("Gateway", "IPv6Gateway"))
    return Container(
        entry["Id"], name_of(entry), image, entry["Labels"] or {},
        published=published,
        loopback=published - reachable,
        gateways=tuple(dict.fromkeys(text for text in gateways if text)),
        ipv6_proxied=any(":" in (port.get("IP") or "") for port in ports)
        and not any(net.get("GlobalIPv6Address") for net in attached),
        target_ports=frozenset(int(port["PrivatePort"]) for port in ports if port.get("PrivatePort")),
        networks=frozenset(key for net in attached if (key := net.get("NetworkID"))),
        listening=frozenset(int(port["PrivatePort"]) for port in entry.get("Ports") or () if port.get("PrivatePort")),
        joined=joined_by(mode),
        is_on_host=mode == HOST_MODE,
    )  # fmt: skip


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def bound_ports(inspected: Mapping[str, Any]) -> frozenset[int]:
    """Return the host's ports that `GET /containers/ID/json` binds to a container, whether it runs or not; 0 is any."""
    bindings = ((inspected.get("HostConfig") or {}).get("PortBindings") or {}).values()
    return frozenset(int(each.get("HostPort") or 0) for bound in bindings for each in bound or ())


def network_addresses(networks: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the subnets and gateways of `GET /networks`, as canonical networks, in order."""
    pools = [pool for entry in networks for pool in (entry.get("IPAM") or {}).get("Config") or ()]
    gateways = (pool.get("Gateway") or "" for pool in pools)
    # Old Engines give an IPv6 gateway the prefix of its network.
    texts = [*(pool.get("Subnet") or "" for pool in pools), *(text.partition("/")[0] for text in gateways)]
    return tuple(sorted({str(found) for text in texts if (found := parse_network(text))}))


def bypassing_ids(
    networks: Iterable[Mapping[str, Any]], containers: Iterable[Mapping[str, Any]]
) -> frozenset[str]:
    """Return the ids of containers on a network that goes past the host's firewall."""
    bypassing = {entry.get("Id") for entry in networks if entry.get("Driver") in BYPASSING_DRIVERS}
    return frozenset(
        entry["Id"] for entry in containers for net in _attached(entry) if net.get("NetworkID") in bypassing
    )


def _attached(entry: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    networks: Mapping[str, Mapping[str, Any]] = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    return networks.values()
