"""What a check of `doctor` found, as a value. The status page shows findings without loading the checks."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

# The subject of what concerns the whole host.
HOST: Final = "host"


class Finding(NamedTuple):
    """`subject`: the host, or a site. `change`: what to change, also where nothing is wrong; "": nothing."""

    subject: str
    ok: bool
    sentence: str
    change: str = ""

    @classmethod
    def well(cls, subject: str, sentence: str, change: str = "") -> Self:
        return cls(subject, ok=True, sentence=sentence, change=change)

    @classmethod
    def wrong(cls, subject: str, sentence: str, change: str) -> Self:
        return cls(subject, ok=False, sentence=sentence, change=change)

    @classmethod
    def of_advice(cls, subject: str, text: str) -> Self:
        """Return what the first sentence of a text says is wrong; the others say what to change."""
        sentence, _, change = text.partition(". ")
        return cls.wrong(subject, sentence, change)
