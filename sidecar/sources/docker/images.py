"""Which labels containers have from their images: each image is inspected once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sidecar.core.containers import LABEL_PREFIX, Container, has_our_labels, with_image
from sidecar.core.text import printable
from sidecar.sources.docker.api import Engine, RequestRefusedError, reason
from sidecar.sources.docker.wire import ProtocolError

# How long a failure is remembered: under a flood of events there are five lists a second.
RETRY_AFTER_S = 60.0
MAX_ERROR_CHARS = 120


class _Image(NamedTuple):
    """The labels of ours that an image has; None: it could not be inspected, for this reason, at this time."""

    labels: Mapping[str, str] | None
    error: str
    asked_at: float


class ImageLabels:
    """Tells the labels of containers from those of their images. Called by one thread."""

    def __init__(self, trusted: Sequence[str]) -> None:
        """`trusted`: globs of the names of images whose labels count as their containers' own."""
        self._trusted = tuple(trusted)
        # By id. An image that has an id does not change.
        self._images: dict[str, _Image] = {}

    def apply_to(self, container: Container, image_id: str, engine: Engine) -> Container:
        """Return the container with the names of the labels that may be of its image. Raises OSError and EngineError.

        Where an image cannot be inspected, all labels may be of it: otherwise it could be a stranger's that decides.
        """
        if not has_our_labels(container):
            return container
        image = self._images.get(image_id)
        if image is None or (image.labels is None and time.monotonic() - image.asked_at > RETRY_AFTER_S):
            self._images[image_id] = image = _inspected(image_id, engine)
        return with_image(container, image.labels, self._trusted, image.error)

    def keep(self, image_ids: Iterable[str]) -> None:
        """Forget all images but these."""
        for gone in self._images.keys() - set(image_ids):
            del self._images[gone]


def _inspected(image_id: str, engine: Engine) -> _Image:
    now = time.monotonic()
    try:
        found = (engine.inspect_image(image_id).get("Config") or {}).get("Labels") or {}
        ours = {name: text for name, text in found.items() if name.startswith(LABEL_PREFIX)}
    except RequestRefusedError as err:
        hint = "; a socket proxy has to allow IMAGES" if err.status in (401, 403) else ""
        return _Image(None, f"{printable(reason(err), MAX_ERROR_CHARS)}{hint}", now)
    except (ProtocolError, ValueError, AttributeError) as err:
        # It is too large, no JSON, or of another shape.
        return _Image(None, printable(reason(err), MAX_ERROR_CHARS), now)
    return _Image(ours, "", now)
