"""What `import` sends to the daemon: a piece of a list of bans and of what is allowed.

    {"do": "import", "entries": [{"kind": "ban", "ip": "203.0.113.7", "until": 1795963204.0, …}, …], "dry_run": false}

An entry has the fields of a line that `export` writes. The daemon alone judges them, so that a list is read in one way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypedDict

from sidecar.control.protocol import ControlRequest, Refused


class RefusedEntry(TypedDict):
    """The entry at this place of the list, from 0, and a sentence."""

    index: int
    why: str


class ImportAnswer(TypedDict):
    """What became of the entries.

    `banned` and `allowed` are new, `longer` are bans that end later now, `known` were in force already, and `over` have
    ended by what they say themselves. `unbanned`: bans that ended because an address is allowed now.
    """

    banned: int
    longer: int
    allowed: int
    known: int
    over: int
    unbanned: int
    refused: list[RefusedEntry]


@dataclass(frozen=True, slots=True)
class ImportRequest(ControlRequest[ImportAnswer]):
    """`jail`: bans are put into this one, whatever their entries say. `dry_run`: only say what would become of it.

    `draft`: a word that the requests of one dry run have in common, so that they are judged together; "" ends that.
    """

    command = "import"
    entries: Sequence[Any]
    jail: str = ""
    dry_run: bool = False
    draft: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "do": self.command, "entries": list(self.entries), "jail": self.jail, "dry_run": self.dry_run,
            "draft": self.draft,
        }  # fmt: skip

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        entries = fields.get("entries")
        if not isinstance(entries, list):
            raise Refused("entries has to be a list")
        return cls(
            entries,
            str(fields.get("jail") or ""),
            bool(fields.get("dry_run")),
            str(fields.get("draft") or ""),
        )
