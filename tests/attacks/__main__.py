"""`make attacks`: each attack tool against WordPress in the bed, and a table of what became of it.

python -m tests.attacks [WORD...]     only attacks whose name has one of these words
"""

import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from tests.attacks.arena import Arena, table
from tests.attacks.tools import ATTACKS
from tests.bed import Bed


def main() -> None:
    words = sys.argv[1:]
    wanted = [each for each in ATTACKS if not words or any(word in each.name for word in words)]
    with Bed.up(sidecar=True) as bed, tempfile.TemporaryDirectory() as folder:
        arena = Arena(bed, Path(folder))
        outcomes = []
        for attack in wanted:
            outcome = arena.run(attack)
            outcomes.append(outcome)
            late = (
                f", the last {outcome.last_after_s * 1000:.1f} ms after it" if outcome.answers_after else ""
            )
            say(
                f"{attack.name}: {outcome.answers_before} answers before the ban, {outcome.answers_after} after{late}"
            )
        arena.sidecar.remove()
    load = os.getloadavg()[0]
    say(
        f"\nLinux {platform.release()}, {os.cpu_count()} cores, load {load:.1f}, {time.strftime('%Y-%m-%d')}\n"
    )
    say("\n".join(table(outcomes)))
    if any(each.ban is None or each.answers_after > 1 for each in outcomes):
        sys.exit("attacks: one was not banned, or got more than one answer after its ban")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
