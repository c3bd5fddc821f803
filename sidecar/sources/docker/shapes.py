"""The shape of the Engine's answers, as far as they are read here: what stands at each place, and of which type.

Something else than the Engine may answer. Then it is one sentence that names the place, and no code behind this module
meets a list where it reads a mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from sidecar.sources.docker.wire import ProtocolError

# A type; a mapping of keys to shapes; a list with the shape of its items; a tuple with the shape of a mapping's values.
# What is missing or null is right, unless its key ends with an exclamation mark.
Shape: TypeAlias = "type | Mapping[str, Shape] | list[Shape] | tuple[Shape]"

_ATTACHED: Final[Shape] = {"Gateway": str, "IPv6Gateway": str, "GlobalIPv6Address": str, "NetworkID": str}
_PORT: Final[Shape] = {"PublicPort": int, "PrivatePort": int, "IP": str}
CONTAINERS: Final[Shape] = [
    {
        "Id!": str, "State!": str, "Image!": str, "ImageID": str, "Names": [str], "Labels": (str,), "Ports": [_PORT],
        "HostConfig": {"NetworkMode": str}, "NetworkSettings": {"Networks": (_ATTACHED,)},
    }
]  # fmt: skip
CONTAINER: Final[Shape] = {
    "Config": {"Image": str, "Tty": bool, "Labels": (str,)}, "State": {"StartedAt": str},
    "HostConfig!": {
        "RestartPolicy": {"Name": str}, "LogConfig!": {"Type!": str, "Config": (str,)},
        "PortBindings": ([{"HostPort": str}],),
    },
}  # fmt: skip
INFO: Final[Shape] = {"LiveRestoreEnabled": bool}
IMAGE: Final[Shape] = {"Config": {"Labels": (str,)}}
NETWORKS: Final[Shape] = [
    {"Id": str, "Driver": str, "IPAM": {"Config": [{"Subnet": str, "Gateway": str}]}},
]


def checked(answer: Any, shape: Shape, place: str) -> Any:  # noqa: ANN401  JSON has any shape
    """Return the answer, `[]` or `{}` for null. Raises ProtocolError where it has another shape.

    `place` is what it is an answer to.
    """
    _check(answer, shape, place)
    return ([] if isinstance(shape, list) else {}) if answer is None else answer


def _check(answer: Any, shape: Shape, place: str) -> None:  # noqa: ANN401
    if answer is None:
        return
    match shape:
        case type():
            if not isinstance(answer, shape):
                raise ProtocolError(f"{place} is no {shape.__name__}; is this the Docker Engine?")
        case [item]:
            kind = list if isinstance(shape, list) else dict
            _check(answer, kind, place)
            for each in answer if kind is list else answer.values():
                _check(each, item, place)
        case Mapping():
            _check(answer, dict, place)
            for key, part in shape.items():
                name = key.removesuffix("!")
                if key != name and answer.get(name) is None:
                    raise ProtocolError(f"{place} has no {name}; is this the Docker Engine?")
                _check(answer.get(name), part, f"{name} of {place}")
