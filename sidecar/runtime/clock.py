"""What a clock is: most objects are given one, so that tests set the time."""

from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Returns the time in seconds: unix time, or a monotonic or CPU clock where the parameter's default says so."""
