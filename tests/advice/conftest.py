"""The kernel's firewall in network namespaces, as tests/firewall has it."""

from tests.support.cable import cable, host

__all__ = ["cable", "host"]
