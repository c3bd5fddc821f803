"""Reads a file of `action.d`: the requests of its curl lines, and a sentence for each line that is not carried over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sidecar.config import curl_lines
from sidecar.config.action_names import FIREWALL_PROGRAMS, MAIL_PROGRAMS
from sidecar.config.shell_words import ShellCommand, commands
from sidecar.core.actions import AlertEvent, RequestTemplate
from sidecar.core.request_text import is_only_address, is_slack_like, names_address, texts_of
from sidecar.core.text import redacted
from sidecar.filters.ini import FilterErrors, Ini, interpolated
from sidecar.filters.tags import substituted

DEFINITION, INIT = "Definition", "Init"
# Words before a command that a shell reads as its own.
SHELL_WORDS: Final = frozenset(
    {"then", "else", "do", "!", "{", "(", "exec", "nohup", "time", "command", "sudo"}
)
SHELLS: Final = frozenset({"sh", "bash", "dash", "ash"})
# Commands that only decide, end or show something.
WITHOUT_EFFECT: Final = frozenset(
    {"fi", "done", "}", ")", "true", ":", "sleep", "echo", "printf", "exit", "elif"}
)
CONDITIONS: Final = frozenset({"if", "[", "[[", "test", "while", "case", "for"})
# Bans of an earlier run are not alerted here, so this condition always holds.
ON_RESTORED: Final = re.compile(r"<restored>")
MAX_SHOWN: Final = 60
# Files of fail2ban's package that people include and do not bring along.
STOCK_INCLUDE: Final = re.compile(
    r"(?:helpers-common|iptables|iptables-common|mail-whois-common|sendmail-common|nftables)\.conf"
)
ACTION_KEY: Final = re.compile(r"^\s*action\w+\s*[=:]", re.MULTILINE)


@dataclass(slots=True)
class ActionFile:
    """What can be sent of one file, and what cannot, in sentences with the place."""

    requests: list[tuple[AlertEvent, RequestTemplate]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Lines that change the firewall, which is done here in any case.
    firewall: list[str] = field(default_factory=list)


def find(name: str, folders: Iterable[Path]) -> Path | None:
    """Return the file of this action; None where there is none in these folders."""
    if not re.fullmatch(r"[\w.\-]+", name):
        return None
    for folder in folders:
        for suffix in (".conf", ".local"):
            path = folder / f"{name}{suffix}"
            if _is_action(path):
                return path
    return None


def read(path: Path, given: Mapping[str, str]) -> ActionFile:
    """Return what the file has for each event. `given` are the options of the jail's `action` line."""
    ini = Ini()
    ini.add(path, _beside)
    if path.suffix == ".conf" and (local := path.with_suffix(".local")).is_file():
        ini.add(local, _beside)
    # What fail2ban's own files define is for its own commands.
    errors = [error for error in ini.errors if not STOCK_INCLUDE.fullmatch(error.text)]
    found = ActionFile(notes=[str(error) for error in errors])
    reader = _ActionReader(ini, given, found, path)
    for event in AlertEvent:
        reader.take(event)
    return found


class _ActionReader:
    """Reads the lines of one file, with one jail's options."""

    def __init__(self, ini: Ini, given: Mapping[str, str], found: ActionFile, path: Path) -> None:
        self._ini, self._given, self._found, self._path = ini, given, found, path

    def take(self, event: AlertEvent) -> None:
        key = f"action{event}"
        value = self._ini.get(DEFINITION, key)
        if value is None or not value.text.strip():
            return
        place = f"{value.file}:{value.lines[0][0]}: {key}"
        try:
            lines = interpolated(self._ini, DEFINITION, key, self._names())
            script = substituted("\n".join(line for _, line in lines or ()), self._meaning)
            for command in commands(script):
                self._take_command(event, command, place)
        except FilterErrors as err:
            self._found.notes.append(f"{place} is not carried over: {err.errors[0].message}")
        except ValueError as err:
            self._found.notes.append(f"{place} is not carried over: {err}")

    def _take_command(self, event: AlertEvent, command: ShellCommand, place: str) -> None:
        while command.words and command.words[0] in SHELL_WORDS:
            del command.words[0]
        name = command.name
        if name in SHELLS and "-c" in command.words[:-1]:
            for inner in commands(command.words[command.words.index("-c") + 1]):
                self._take_command(event, inner, place)
        elif name in ("curl", "wget"):
            self._take_request(event, command, place)
        elif name in FIREWALL_PROGRAMS or name.startswith("<iptables"):
            self._found.firewall.append(f"{place}: {_shown(command)}")
        elif sentence := _why_not_run(command):
            self._note(place, command, sentence)

    def _take_request(self, event: AlertEvent, command: ShellCommand, place: str) -> None:
        if command.name == "wget":
            self._note(place, command, "is not sent; write it as a curl line")
            return
        if command.computed:
            self._note(place, command, f"is not sent: there is no shell to compute {command.computed[0]}")
            return
        try:
            request = curl_lines.request(command.words)
        except ValueError as err:
            self._note(place, command, f"is not sent: {err}")
            return
        if event in (AlertEvent.BAN, AlertEvent.UNBAN) and _is_for_each_address(request):
            sentence = "is not sent: it is for a program, one request for each address; use webhook[url=...]"
            self._note(place, command, sentence)
            return
        self._found.requests.append((event, request))

    def _note(self, place: str, command: ShellCommand, sentence: str) -> None:
        self._found.notes.append(f"{place}: `{_shown(command)}` {sentence}")

    def _names(self) -> dict[str, str]:
        init = self._ini.sections.get(INIT, {})
        return {**{name: value.text for name, value in init.items()}, **self._given}

    def _meaning(self, tag: str) -> str | None:
        """Return what a tag stands for in all messages: an option of the jail's line, or of the file."""
        if tag in self._given:
            return self._given[tag]
        for section in (INIT, DEFINITION):
            value = self._ini.get(section, tag.lower())
            if value is not None and not tag.lower().startswith("action"):
                lines = interpolated(self._ini, section, tag.lower(), self._names())
                return "\n".join(line for _, line in lines or ())
        return None


def _is_for_each_address(request: RequestTemplate) -> bool:
    """Return whether the address is a value of its own wherever it stands, and not part of a text for people."""
    if any(is_slack_like(part.text) for part in request.parts):
        return False
    texts = [text for part in request.parts for text in texts_of(part.text)]
    named = [text for text in texts if names_address(text)]
    return all(is_only_address(text) for text in named) if named else names_address(request.url)


def _why_not_run(command: ShellCommand) -> str:
    """Return what to use instead of a command that is not run; "" where nothing is missed."""
    name = command.name
    if name in CONDITIONS:
        return "" if ON_RESTORED.search(command.text) else "is a condition, and what it guards is always done"
    if name in MAIL_PROGRAMS:
        return "is not run; use sendmail-whois[dest=...], or mail[dest=...]"
    # What stands behind a pipe works on the answer of a request, or on text for a program that was named.
    if not name or name in WITHOUT_EFFECT or command.before in ("|", "|&"):
        return ""
    return "is not run, as no command is; exec[command=...] runs one of yours"


def _shown(command: ShellCommand) -> str:
    """Return the beginning of a command. Of a request it is the host: headers, data and paths may be secrets."""
    if command.name in ("curl", "wget"):
        url = next((word for word in command.words[1:] if re.match(r"https?://", word)), "…")
        return f"{command.name} {redacted(url)}"
    text = redacted(command.text)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _is_action(path: Path) -> bool:
    """Return whether this is a file with actions, and not a filter of the same name."""
    try:
        return path.is_file() and bool(ACTION_KEY.search(path.read_text("utf-8", "replace")))
    except OSError:
        return False


def _beside(including: Path, name: str) -> Path | None:
    path = including.parent / name
    return path if path.is_file() else None


def by_destination(
    requests: Sequence[tuple[AlertEvent, RequestTemplate]],
) -> list[tuple[tuple[AlertEvent, RequestTemplate], ...]]:
    """Return the requests in groups with the same URL."""
    groups: dict[str, list[tuple[AlertEvent, RequestTemplate]]] = {}
    for event, request in requests:
        groups.setdefault(request.url, []).append((event, request))
    return [tuple(group) for group in groups.values()]
