"""How much work something is, in the processor time of the thread that does it."""

from __future__ import annotations

import time
from collections.abc import Callable


def takes_less_than(cpu_s: float, action: Callable[[], object], tries: int = 5) -> bool:
    """Does the action take less processor time than this, in one of some tries?

    What else runs on the machine makes a try longer and never shorter, and an action that is too much work by its
    nature is so in each of them.
    """
    for _ in range(tries):
        began = time.thread_time()
        action()
        if time.thread_time() - began < cpu_s:
            return True
    return False
