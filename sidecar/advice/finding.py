"""What a check of `doctor` found, as a value. The status page shows findings without loading the checks."""

from __future__ import annotations

from typing import Final, NamedTuple

# The subject of what concerns the whole host.
HOST: Final = "host"


class Finding(NamedTuple):
    """`subject`: the host, or a site. `change`: what to change, also where nothing is wrong; "": nothing."""

    subject: str
    ok: bool
    sentence: str
    change: str = ""
