"""A daemon's alerts under a storm of bans, on a simulated clock, in a process that may be killed at any time.

    storm.py FOLDER URL SECOND BAN

Each second it publishes 84 bans, in turns of seven, writes `SECOND BAN`, waits for a line on its input, and sends what
is due. It goes on after the second and the ban that are given.
"""

import sys
from pathlib import Path

from sidecar.alerts.delivery import OutboxTiming
from sidecar.alerts.journal import Journal
from sidecar.alerts.outbox import Outbox
from sidecar.alerts.registry import make_channels
from sidecar.alerts.sink import AlertSink
from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause, Turn
from sidecar.runtime.problems import Problems
from tests.alerts.support import Clock, Kept

BANS, STORM_S, A_SECOND, A_TURN = 5_000, 60, 84, 7
# A hang is noticed at once; everything else is as in the daemon.
TIMING = OutboxTiming(longest_send_s=0.3)


def ban(number, now):
    address = Address(f"203.0.{number // 250}.{number % 250}")
    # One in five jails only observes.
    dry_run = number % 5 == 0
    return Ban(
        "wordpress", address, now, now + 60, BanCause.FAILURES, 3, "blog", dry_run=dry_run, decided_at=now
    )


def main():
    folder, url, second, done = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    clock = Clock(float(second))
    outbox = Outbox(
        Journal(folder),
        make_channels([], {"slack": url, "webhook": f"{url}/json"}, ""),
        Kept(),
        Problems(),
        timing=TIMING,
        clock=clock,
        unix_clock=clock,
    )
    outbox.open()
    sink = AlertSink(outbox)
    while True:
        clock.now += 1
        for _ in range(A_SECOND // A_TURN if clock.now <= STORM_S else 0):
            numbers = range(done, min(done + A_TURN, BANS))
            sink.apply(Turn(clock.now, tuple(ban(number, clock.now) for number in numbers)))
            outbox.commit()
            done = numbers.stop
        sys.stdout.write(f"{int(clock.now)} {done}\n")
        sys.stdout.flush()
        sys.stdin.readline()
        for delivery in outbox.deliveries:
            while (wait := delivery.step()) is not None and wait <= 0:
                pass


if __name__ == "__main__":
    main()
