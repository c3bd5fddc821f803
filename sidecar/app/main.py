"""The daemon as a process: limits, signals, garbage collection, exit codes."""

from __future__ import annotations

import faulthandler
import gc
import resource
import signal
import time
from collections.abc import Sequence
from typing import Final

from sidecar.app.daemon import Daemon
from sidecar.app.reload_service import ReadSettings
from sidecar.app.restore import RestoredBans
from sidecar.app.wiring import build
from sidecar.config.settings import Settings
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.control.server import NoSocket
from sidecar.firewall import AlreadyRunning, FirewallError, NoPermission
from sidecar.runtime.clock import Clock
from sidecar.runtime.memory import give_back_free_memory
from sidecar.runtime.signals import Signals
from sidecar.sources.base import SourceUnavailable
from sidecar.stores.base import StoreError
from sidecar.telemetry.logging import configure_logging

# Each followed log is an open file, and each connection. Shells allow 1,024 by default.
MAX_OPEN_FILES: Final = 65_536


def run(
    settings: Settings,
    read: ReadSettings | None = None,
    clock: Clock = time.time,
    signals: Signals | None = None,
    arguments: Sequence[str] = (),
    *,
    restored: RestoredBans | None = None,
) -> int:
    """Watch logs and ban until SIGTERM or SIGINT. Return the exit code.

    `read()` reads the settings again when a reload is asked for; by default a reload changes nothing. `signals` are
    caught already; by default they are from now on. `arguments` are the options by which other commands read the same
    configuration. `restored` is what has been done already. Raises Failed, with a sentence for the operator, where the
    daemon cannot work at all.
    """
    if signals is None:
        signals = Signals()
        signals.catch()
    # `kill -USR1` writes the stack of every thread to stderr.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    configure_logging(settings.log.level, as_json=settings.log.as_json)
    _raise_open_files_limit()
    daemon = _build(settings, read or (lambda: settings), clock, arguments, restored)
    signals.hand_to(daemon)
    daemon.run()
    return ExitCode.OK


def _build(
    settings: Settings,
    read: ReadSettings,
    clock: Clock,
    arguments: Sequence[str],
    restored: RestoredBans | None,
) -> Daemon:
    # What loading the modules left.
    gc.collect()
    # What is made now lives as long as the process. With 100,000 bans the collector would spend a second on going
    # through it again and again, now and later (gc.freeze).
    gc.disable()
    try:
        daemon = build(settings, read, clock, arguments, restored)
    except (NoSocket, AlreadyRunning, SourceUnavailable) as err:
        raise Failed(ExitCode.UNAVAILABLE, str(err)) from err
    except NoPermission as err:
        raise Failed(ExitCode.NO_PERMISSION, str(err)) from err
    except (StoreError, FirewallError, OSError) as err:
        raise Failed(ExitCode.CONFIG, str(err)) from err
    gc.freeze()
    gc.enable()
    give_back_free_memory()
    return daemon


def _raise_open_files_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
