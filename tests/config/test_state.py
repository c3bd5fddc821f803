"""The state directory is the same, whether the whole configuration is read or nothing but its name."""

import subprocess
import sys

from sidecar.config import reader
from sidecar.config.environment import variable_for
from sidecar.config.settings import PathSettings
from sidecar.config.state import STATE_VARIABLE, state_directory


def test_it_is_what_the_configuration_says(tmp_path):
    environ = {"WP_SIDECAR_JAILS": "/nowhere", "WP_SIDECAR_STATE": str(tmp_path)}

    assert variable_for("paths.state").name == STATE_VARIABLE
    assert state_directory(environ) == tmp_path == reader.read(environ | {"WP_SIDECAR_JAILS": ""}).paths.state
    assert state_directory({}) == state_directory({STATE_VARIABLE: ""}) == PathSettings().state


def test_to_restore_bans_no_configuration_and_no_filter_language_is_loaded():
    """Each module that is loaded before is a delay during which the banned are let in after a reboot."""
    code = "import sys, sidecar.cli.daemon, sidecar.app.restore, sidecar.config.state; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    unneeded = (
        "sidecar.config.reader",
        "sidecar.config.environment",
        "sidecar.filters",
        "sidecar.sources",
        "docker",
        "rich",
    )
    assert [name for name in loaded if name.startswith(unneeded)] == []
