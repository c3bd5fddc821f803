"""The daemon's start, and what can be wrong with the machine it starts on."""

from __future__ import annotations

from sidecar import daemon, exits
from sidecar.cli.failures import Failed
from sidecar.config import Settings
from sidecar.firewall import FirewallError, NoPermission
from sidecar.sources.engine import NoDocker
from sidecar.stores import StoreError


def run(settings: Settings) -> int:
    """The daemon's exit code. Raises Failed where it cannot start."""
    try:
        return daemon.run(settings)
    except NoPermission as err:
        raise Failed(exits.NO_PERMISSION, str(err)) from err
    except NoDocker as err:
        raise Failed(exits.UNAVAILABLE, str(err)) from err
    except StoreError as err:
        raise Failed(exits.IO, str(err)) from err
    except FirewallError as err:
        raise Failed(exits.UNAVAILABLE, str(err)) from err
    except OSError as err:  # a port that is taken, or one that only root may have
        code = exits.NO_PERMISSION if isinstance(err, PermissionError) else exits.UNAVAILABLE
        raise Failed(code, f"{err.filename}: {err.strerror}" if err.filename else str(err)) from err
