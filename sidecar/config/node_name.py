"""What a host may be called in a fleet."""

from __future__ import annotations

import re

# Kubernetes and DNS allow names of up to 253 characters.
NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")
