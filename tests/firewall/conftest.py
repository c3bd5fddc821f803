"""The kernel's firewall in network namespaces: `tests/support/cable.py`."""

from tests.support.cable import cable, host

__all__ = ["cable", "host"]
