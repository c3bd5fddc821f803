"""What may stand at the end of a command line: commands, options and their values, and what the daemon knows.

    a shell's script ── `wp-sidecar completion --line "wp-sidecar unban 203."` ─▶ a candidate a line, a tab, its help

A container or a file may have any name, and a shell reads what is printed here, so only candidates of harmless
characters are. Without a daemon there are fewer of them and no error.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer.main

from sidecar.cli.options import socket_path
from sidecar.control.client import NoDaemon, ask, stream
from sidecar.control.protocol import AllowedRequest, BansRequest, Refused, StatusRequest

# A person waits for it.
TIMEOUT_S: Final = 2.0
MAX_CANDIDATES: Final = 200
HARMLESS: Final = re.compile(r"[\w.:/@%+,=-]+", re.ASCII)


class Candidate(NamedTuple):
    """What may be written, and what it is."""

    value: str
    help: str = ""


class DaemonNames:
    """What the daemon knows; nothing, where none answers."""

    def __init__(self, socket: Path | None) -> None:
        self._socket = socket

    def jails(self) -> Iterator[Candidate]:
        for jail in self._status().get("jails", ()):
            yield Candidate(jail["name"], "jail")

    def sites(self) -> Iterator[Candidate]:
        for log in self._status().get("streams", ()):
            yield Candidate(log["container"], log["state"])

    def banned(self) -> Iterator[Candidate]:
        for ban in self._streamed(BansRequest(evidence=False)):
            yield Candidate(ban["ip"], f"banned in {ban['jail']}")

    def allowed(self) -> Iterator[Candidate]:
        for entry in self._streamed(AllowedRequest()):
            yield Candidate(entry["ip"], "allowed")

    def _status(self) -> Mapping[str, Any]:
        try:
            return ask(socket_path(self._socket), StatusRequest(), TIMEOUT_S)
        except (NoDaemon, Refused, OSError):
            return {}

    def _streamed(self, request: BansRequest | AllowedRequest) -> Iterator[Mapping[str, Any]]:
        try:
            for value in stream(socket_path(self._socket), request, TIMEOUT_S):
                yield json.loads(value)
        except (NoDaemon, Refused, OSError):
            return


# Who knows the values of an option, and of the arguments of a command.
OPTIONS: Final[Mapping[str, Callable[[DaemonNames], Iterator[Candidate]]]] = {
    "--jail": DaemonNames.jails, "--site": DaemonNames.sites, "--container": DaemonNames.sites,
}  # fmt: skip
ARGUMENTS: Final[Mapping[str, Callable[[DaemonNames], Iterator[Candidate]]]] = {
    "unban": DaemonNames.banned,
    "explain": DaemonNames.banned,
    "history": DaemonNames.banned,
    "disallow": DaemonNames.allowed,
}


def candidates(app: typer.Typer, line: str) -> list[Candidate]:
    """Return what the last word of this line may be, as far as it is written."""
    words = _words(line)
    begun = words.pop() if words and not line[-1:].isspace() else ""
    found = _of_command(typer.main.get_command(app), words[1:], begun)
    wanted = (each for each in found if each.value.startswith(begun) and HARMLESS.fullmatch(each.value))
    return list(islice(dict.fromkeys(wanted), MAX_CANDIDATES))


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        # A quote is still open.
        return line.split()


# A command and its parameters are Click's, of which Typer carries a copy of its own.
def _of_command(command: Any, words: Sequence[str], begun: str) -> Iterator[Candidate]:  # noqa: ANN401
    socket: Path | None = None
    arguments, waiting = 0, ""
    for word in words:
        if waiting:
            socket = Path(word) if waiting == "--socket" else socket
            waiting = ""
        elif word.startswith("-") and word != "-":
            option, has_value, _ = word.partition("=")
            waiting = option if not has_value and _takes_value(command, option) else ""
        elif commands := getattr(command, "commands", None):
            if word not in commands:
                return
            command = commands[word]
        else:
            arguments += 1
    known = DaemonNames(socket)
    if waiting:
        yield from _values(command, waiting, known)
    elif begun.startswith("-"):
        yield from _options(command)
    elif commands := getattr(command, "commands", None):
        yield from (
            Candidate(name, each.get_short_help_str(60)) for name, each in commands.items() if not each.hidden
        )
    else:
        yield from _argument_values(command, arguments, known)


def _options(command: Any) -> Iterator[Candidate]:  # noqa: ANN401
    for param in command.params:
        if param.param_type_name == "option" and not param.hidden:
            yield from (Candidate(name, param.help or "") for name in param.opts if name.startswith("--"))
    yield Candidate("--help", "Show this message and exit.")


def _values(command: Any, option: str, known: DaemonNames) -> Iterator[Candidate]:  # noqa: ANN401
    for param in command.params:
        if option in param.opts:
            yield from _choices(param)
    if option in OPTIONS:
        yield from OPTIONS[option](known)


def _argument_values(command: Any, given: int, known: DaemonNames) -> Iterator[Candidate]:  # noqa: ANN401
    params = [param for param in command.params if param.param_type_name == "argument"]
    if not params or (given >= len(params) and params[-1].nargs != -1):
        return
    yield from _choices(params[min(given, len(params) - 1)])
    if command.name in ARGUMENTS:
        yield from ARGUMENTS[command.name](known)


def _choices(param: Any) -> Iterator[Candidate]:  # noqa: ANN401
    for choice in getattr(param.type, "choices", ()):
        yield Candidate(str(getattr(choice, "value", choice)))


def _takes_value(command: Any, option: str) -> bool:  # noqa: ANN401
    return any(option in param.opts and not getattr(param, "is_flag", False) for param in command.params)


class Shell(NamedTuple):
    """A shell's script. `CALL` stands for what runs the command line."""

    # Defines a command of this name that runs it in a container.
    wrapper: str
    script: str


BASH_WRAPPER: Final = """\
wp-sidecar() {
    docker exec -i $([ -t 0 ] && [ -t 1 ] && echo -t) NAME wp-sidecar "$@"
}
"""
SHELLS: Final[Mapping[str, Shell]] = {
    "bash": Shell(BASH_WRAPPER, """\
_wp_sidecar() {
    local line=${COMP_LINE:0:COMP_POINT} before='' each
    local word=${line##*[[:space:]]}
    # Where bash ends words at colons, it keeps what stands before the last one.
    [[ $COMP_WORDBREAKS == *:* ]] && before=${word%"${word##*:}"}
    COMPREPLY=()
    while IFS=$'\\t' read -r each _; do
        COMPREPLY+=("${each#"$before"}")
    done < <(CALL completion --line "$line" 2>/dev/null </dev/null)
}
complete -o default -F _wp_sidecar wp-sidecar
"""),
    "zsh": Shell(BASH_WRAPPER, """\
#compdef wp-sidecar
_wp_sidecar() {
    local -a found
    local each
    for each in "${(@f)$(CALL completion --line "${(j: :)words[1,CURRENT]}" 2>/dev/null </dev/null)}"; do
        [[ -n $each ]] && found+=("${${each%%$'\\t'*}//:/\\\\:}:${each#*$'\\t'}")
    done
    if (( $#found )); then
        _describe 'wp-sidecar' found
    else
        _files
    fi
}
compdef _wp_sidecar wp-sidecar
"""),
    "fish": Shell("""\
function wp-sidecar
    set -l tty
    isatty stdin; and isatty stdout; and set tty -t
    docker exec -i $tty NAME wp-sidecar $argv
end
""", """\
function __wp_sidecar
    CALL completion --line (commandline -cp | string collect) 2>/dev/null </dev/null
end
complete --command wp-sidecar --no-files --condition 'count (__wp_sidecar) >/dev/null' --arguments '(__wp_sidecar)'
"""),
}  # fmt: skip


def script(shell: str, container: str = "") -> str:
    """Return the script for this shell. With a container, `wp-sidecar` is a command that runs it in there."""
    wrapper, body = SHELLS[shell]
    call = f"docker exec {container} wp-sidecar" if container else "wp-sidecar"
    return (wrapper.replace("NAME", container) if container else "") + body.replace("CALL", call)
