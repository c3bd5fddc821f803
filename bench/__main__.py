"""python -m bench [PART...]: measures, prints a table, and writes bench/results.json.

A part is a module here whose `measure(rig)` yields figures; PARTS names them all, in the order in which they run.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from contextlib import ExitStack

from bench import (
    crowd,
    figures,
    files,
    filters,
    fleet,
    flood,
    latency,
    node,
    page,
    replay,
    resting,
    restored,
    storm,
    visitors,
)
from bench.figures import Figure
from bench.rig import Rig

PARTS = (filters, replay, resting, latency, flood, storm, crowd, files, node, fleet, restored, visitors, page)


def main() -> None:
    parts = {part.__name__.rpartition(".")[2]: part for part in PARTS}
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="*", help=f"only these: {', '.join(parts)}; by default all")
    wanted = parser.parse_args().part or [*parts]
    if unknown := set(wanted) - set(parts):
        parser.error(f"no part is named {', '.join(unknown)}; there are {', '.join(parts)}")
    began = time.monotonic()
    found: list[Figure] = []
    with ExitStack() as stack:
        # Programs that are started find their modules compiled, as in the image.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = stack.enter_context(tempfile.TemporaryDirectory())
        rig = Rig(stack)
        for name in wanted:
            print(f"{name} ...", flush=True)
            found += parts[name].measure(rig)
    figures.save(found)
    print(f"\n{_machine()}\n\n{figures.report(found)}\n")
    print(f"{time.monotonic() - began:.0f} s; rows in {figures.RESULTS}")


def _machine() -> str:
    load = os.getloadavg()[0]
    return f"Linux {platform.release()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
