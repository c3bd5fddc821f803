"""The seed of what tests draw at random: one for all processes of a run, which names it above its first test.

`SEED=…` in the environment repeats a run's draws.
"""

import os
import random

SEED = int(os.environ.setdefault("SEED", str(random.randrange(10**6))))
