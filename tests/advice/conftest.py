"""The kernel's firewall in a network namespace, as tests/firewall has it."""

from tests.firewall.conftest import cable, host

__all__ = ["cable", "host"]
