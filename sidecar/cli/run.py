# ruff: noqa: PLC0415 - what is loaded first shows its errors first, and what is not needed is not loaded
"""`wp-sidecar run`: the daemon in the foreground. This loads nothing that parses arguments or prints tables."""

from __future__ import annotations

import gc
import os
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.app.restore import RestoredBans


def run(
    jails: Path | None = None,
    filters: Path | None = None,
    socket: Path | None = None,
    *,
    flush_on_exit: bool = False,
) -> int:
    """Read logs and ban attackers until a signal ends it. Return the exit code."""
    from sidecar.runtime.signals import Signals

    # Before anything is in the kernel: who stops a start with --flush-on-exit wants no bans to stay.
    signals = Signals()
    signals.catch()
    # Even before the modules are loaded that read the configuration.
    restored = _restore_bans()
    from sidecar.config import reader
    from sidecar.config.settings import Settings

    def read() -> Settings:
        return reader.read(
            os.environ, jails=jails, filters=filters, socket=socket, flush_on_exit=flush_on_exit
        )

    settings = read()
    # Docker, nftables and the rest are loaded after that, so that errors in the configuration show at once.
    _leave_out_charset_detection()
    from sidecar.app import main

    paths = (("--jails", jails), ("--filters", filters))
    arguments = [word for option, path in paths if path for word in (option, str(path))]
    return main.run(settings, read, signals=signals, arguments=arguments, restored=restored)


def _restore_bans() -> RestoredBans | None:
    """Have the stored bans in force before anything else is loaded. The daemon reports whatever fails here."""
    from sidecar.app.restore import restore_for_run
    from sidecar.config.state import state_directory
    from sidecar.firewall import FirewallError
    from sidecar.stores.base import StoreError

    # Nothing that is made here is part of a cycle, and with 100,000 bans the collector would go through it for long.
    # They live on, so that it need not look at them later either.
    gc.disable()
    try:
        return restore_for_run(state_directory(os.environ), time.time())
    except (FirewallError, StoreError, OSError):
        return None
    finally:
        gc.freeze()
        gc.enable()


def _leave_out_charset_detection() -> None:
    """Have requests, which docker-py needs, do without its guess at the encoding of an answer that states none.

    The guess weighs 3 MB, and nothing here asks for it. Without it requests takes UTF-8, and warns.
    """
    # Python's documentation of the import system: a module that is None is not found.
    sys.modules["charset_normalizer"] = None  # type: ignore[assignment]
    warnings.filterwarnings("ignore", "Unable to find acceptable character detection")
