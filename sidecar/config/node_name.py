"""What a host may be called in a fleet."""

from __future__ import annotations

import re

# Kubernetes and DNS allow names of up to 253 characters.
NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")


def from_hostname(hostname: str) -> str:
    """Return the host's name as a valid node name: other characters become `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", hostname).lstrip("_.-")[:253] or "node"
