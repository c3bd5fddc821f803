"""The daemon, with a clock that is as far off as a file says. SIGUSR2: read the file again."""

import os
import signal
import sys
import time
from pathlib import Path

from sidecar.app import main as daemon_main
from sidecar.config import reader


def main(file: Path) -> int:
    ahead = 0.0

    def set_clock(*_: object) -> None:
        nonlocal ahead
        ahead = float(file.read_text())

    set_clock()
    signal.signal(signal.SIGUSR2, set_clock)
    return daemon_main.run(reader.read(os.environ), clock=lambda: time.time() + ahead)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
