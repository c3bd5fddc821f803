"""CRI's lines -> whole lines of each stream, and Docker's json-file as CRI's lines.

`2026-11-22T08:40:04.123456789Z stdout F text`: with a P in place of the F, the line goes on in the stream's next. What
follows such a cut is text that an attacker chose, so a part is never a line.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import hyperscan

from sidecar.sources.base import MAX_LINE_BYTES

OUT, ERR = "stdout", "stderr"
STREAMS: Final = (OUT, ERR)


class Parts:
    """Chunks of whole CRI lines -> whole lines of each stream, parts joined, each with its first part's stamp."""

    def __init__(self, torn: Iterable[str] = (), handed: Mapping[str, int] | None = None) -> None:
        """`torn`: streams whose next line may be the rest of one whose beginning is out of reach; it is left out.

        `handed`: so many whole lines of each stream were handed on before, and are left out.
        """
        self.cut = 0  # lines that were too long
        self.alien = 0  # lines that are not CRI's
        self.torn = set(torn)
        self.handed: Counter[str] = (
            Counter()
        )  # whole lines since nothing was begun, those left out among them
        self._left_out = Counter(handed or {})
        self._begun: dict[str, bytes] = {}  # what there is of lines whose end has not come yet

    @property
    def begun(self) -> frozenset[str]:
        """The streams with a line whose end has not come yet."""
        return frozenset(self._begun)

    @property
    def left_out(self) -> dict[str, int]:
        """So many lines of each stream are still to be left out."""
        return dict(self._left_out)

    def feed(self, data: bytes) -> list[tuple[str, bytes, int]]:
        """The whole lines of each stream in so many CRI lines, and their number; a stream without any is left out."""
        if not self._begun:
            self.handed.clear()
        data = self._shortened(data)
        usual = not (self._begun or self.torn or self._left_out) and _only_stream(data)
        found = [(usual, data)] if usual else self._sorted(data)
        made = [(stream, *self._rest(stream, lines)) for stream, lines in found]
        return [each for each in made if each[1]]

    def clean(self, data: bytes) -> int:
        """How many bytes of these lines end where no line is begun; all, if nothing is left of them to begin one.

        0: some line is begun all along.
        """
        if not self._begun and b" P " not in data:
            return len(data)
        begun, torn, clean = set(self._begun), set(self.torn), 0
        for run in _RUNS.finditer(data):
            stream = run.lastgroup
            if stream == "part":
                begun |= {run["of"].decode()} - torn
            elif stream:
                begun.discard(stream)
                torn.discard(stream)
            clean = clean if begun else run.end()
        return clean

    def tear(self) -> None:
        """Give up the lines that are begun; their rests are left out when they come."""
        self.torn |= self._begun.keys()
        self.cut += len(self._begun)
        self._begun.clear()

    def end(self) -> None:
        """The writer is dead: what it began is no line, and what comes next begins anew."""
        self.torn.clear()
        self._begun.clear()

    def _sorted(self, data: bytes) -> list[tuple[str, bytes]]:
        whole: dict[str, list[bytes]] = {stream: [] for stream in STREAMS}
        for run in _RUNS.finditer(data):
            stream = run.lastgroup
            if stream in whole:
                whole[stream].append(self._first_joined(stream, run[0]))
            elif stream == "part":
                self._begin(run["of"].decode(), run["stamp"], run["text"])
            else:
                self.alien += 1
        return [(stream, b"".join(runs)) for stream, runs in whole.items()]

    def _begin(self, stream: str, stamp: bytes, text: bytes) -> None:
        """A part: of a line that is begun, or its first."""
        if stream not in self.torn:
            head = self._begun.get(stream) or b"%s %s F " % (stamp, stream.encode())
            self._begun[stream] = (head + text)[
                : MAX_LINE_BYTES + 1
            ]  # one byte more tells that it is too long

    def _first_joined(self, stream: str, run: bytes) -> bytes:
        """A run of whole lines, the first of which may be the end of one that was begun."""
        if stream in self.torn:
            self.torn.discard(stream)
            return run.partition(b"\n")[2]
        if (begun := self._begun.pop(stream, None)) is None:
            return run
        last, newline, others = run.partition(b"\n")
        line = begun + _HEAD.sub(b"", last, count=1)
        if len(line) >= MAX_LINE_BYTES:
            self.cut += 1
            line = line[: MAX_LINE_BYTES - 1]
        return line + newline + others

    def _rest(self, stream: str, data: bytes) -> tuple[bytes, int]:
        """Without the lines that were handed on before; and how many there are."""
        count = lines_in(data)
        self.handed[stream] += count
        leave = min(self._left_out[stream], count) if self._left_out else 0
        if not leave:
            return data, count
        self._left_out[stream] -= leave
        self._left_out += Counter()  # those that are 0 go
        return data.split(b"\n", leave)[leave], count - leave

    def _shortened(self, data: bytes) -> bytes:
        """With lines over MAX_LINE_BYTES cut; found in strides, for there are hardly ever any."""
        at = 0
        while len(data) - at > MAX_LINE_BYTES:
            newline = data.rfind(b"\n", at, at + MAX_LINE_BYTES)
            if newline >= 0:
                at = newline + 1
                continue
            end = data.find(b"\n", at)
            data = data[: at + MAX_LINE_BYTES - 1] + data[end:]
            at += MAX_LINE_BYTES
            self.cut += 1
        return data


def lines_in(data: bytes) -> int:
    """How many lines end in it. `bytes.count` looks at one byte at a time: three times as long."""
    return len(data.split(b"\n")) - 1


def as_cri(data: bytes) -> bytes:
    r"""Lines of Docker's json-file as CRI's: `{"log":"text\n","stream":"stdout","time":"..."}`.

    Those without the newline are parts. What is no such line stays as it is.
    """
    found = _JSON.findall(data)
    if len(found) == lines_in(data):  # by far the usual; `sub` takes three times as long
        data = b"".join([b"%s %s F %s\n" % (time, stream, text) for text, stream, time in found])
    else:
        data = _JSON.sub(rb"\3 \2 F \1\n", data)
    if b"\\" in data:
        data = _unescaped(data)
    return _UNUSUAL.sub(_loaded, data) if data.startswith(b"{") or b"\n{" in data else data


def _unescaped(data: bytes) -> bytes:
    """Without JSON's escapes, in the lines that are CRI's by now."""
    if b"\\\\" in data or b"\n{" in data or data.startswith(b"{"):
        return _LINE.sub(lambda line: line[0] if line[0][:1] == b"{" else _ESCAPE.sub(_meant, line[0]), data)
    for escape, meant in _USUAL:
        if b"\\" in data:
            data = data.replace(escape, meant)
    return _ESCAPE.sub(_meant, data) if b"\\" in data else data


def _meant(escape: re.Match[bytes]) -> bytes:
    """What stands for a newline becomes a blank: a line is one line."""
    known = len(escape[0]) > 2 or escape[0][1:] in b'"\\/bfnrt'
    text: str = json.loads(b'"%s"' % escape[0]) if known else escape[0].decode(errors="replace")
    return text.replace("\n", " ").encode(errors="replace")


def _loaded(line: re.Match[bytes]) -> bytes:
    """A part, or whatever else JSON can say a line in."""
    try:
        entry = json.loads(line[0])
        text, stream, time = entry["log"], entry["stream"], entry["time"]
        kind = "F" if text.endswith("\n") else "P"
        made = f"{time} {stream} {kind} " + text.removesuffix("\n").replace("\n", " ")
    except (ValueError, KeyError, TypeError, AttributeError):
        return line[0]
    return bytes(made.encode(errors="replace").replace(b"\n", b" ") + b"\n")


def _only_stream(data: bytes) -> str:
    """The stream that all lines are whole lines of, as far as a runtime wrote them; "" if there is none."""
    first = _FIRST.match(data)
    if not first:
        return ""
    stream = first[1].decode()
    found: list[int] = []
    _others(stream).scan(
        data, match_event_handler=lambda number, *_: found.append(number), scratch=_scratch(stream)
    )
    return "" if found else stream


@cache
def _others(stream: str) -> Any:  # noqa: ANN401  hyperscan carries no types
    """Finds a part, a line of the other stream, or what does not begin with a stamp; eight times as fast as `re`."""
    (other,) = {*STREAMS} - {stream}
    expressions = [rf"^[^ \n]* (?:{other}|{stream} P)", r"^[^0-9]"]
    database = hyperscan.Database()
    database.compile(
        expressions=[each.encode() for each in expressions],
        ids=list(range(len(expressions))),
        elements=len(expressions),
        flags=[hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_SINGLEMATCH] * len(expressions),
    )
    return database


def _scratch(stream: str) -> Any:  # noqa: ANN401
    """Room to scan in, of which each thread needs its own."""
    name = f"of_{stream}"
    if not hasattr(_OWN, name):
        setattr(_OWN, name, hyperscan.Scratch(_others(stream)))
    return getattr(_OWN, name)


_OWN: Final = threading.local()
_WHOLE: Final = r"[^ \n]++ %s F(?:[ :][^\n]*+)?+\n"
_RUNS: Final = re.compile(
    "|".join(
        (
            *(f"(?P<{stream}>(?:{_WHOLE % stream})++)" for stream in STREAMS),
            r"(?P<part>(?P<stamp>[^ \n]++) (?P<of>stdout|stderr) P(?::[^ \n]*+)?+ ?(?P<text>[^\n]*+)\n)",
            r"[^\n]*+\n",
        )
    ).encode()
)
_HEAD: Final = re.compile(rb"[^ ]++ (?:stdout|stderr) F(?::[^ ]*+)?+ ?")
_FIRST: Final = re.compile(rb"[^ \n]++ (stdout|stderr) F[ :\n]")
# A quote in the text has a backslash before it, so `n","stream":"` ends the text. A backslash before the last `\n`
# may make it two characters of the text instead: such lines are read one by one, as are parts.
_JSON: Final = re.compile(
    rb'\{"log":"([^\n]*)\\n(?<!\\\\n)","stream":"(stdout|stderr)"(?:,"attrs":\{[^\n]*\})?,"time":"([^" \n]+)"\}\n'
)
_UNUSUAL: Final = re.compile(rb"^\{[^\n]*\n", re.MULTILINE)
_LINE: Final = re.compile(rb"[^\n]*\n")
_ESCAPE: Final = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4}|u[0-9a-fA-F]{4}|.)")
_USUAL: Final = ((rb"\"", b'"'), (rb"\u0026", b"&"), (rb"\u003c", b"<"), (rb"\u003e", b">"))
