"""The `action` of a jail, as fail2ban's users write it -> what people are notified by.

    action = %(action_)s                    bans are dropped in any case
             slack[name=%(__name__)s]       the curl lines of action.d/slack.conf, sent without a shell
             sendmail-whois[dest=a@b.c]     a mail

Nothing here leaves a jail out. What is wrong or cannot be carried over is a note that says what to use instead, as a
jail without alerts is better than none.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from sidecar.config.action_names import FIREWALL, MAILS, NOT_CARRIED, OWN_KINDS, SHORTCUTS
from sidecar.config.errors import unknown
from sidecar.config.jail_values import DEFAULT, REMARK, JailValues
from sidecar.config.units import duration, one_of, words
from sidecar.config.variable_values import mail_addresses, smtp_url, webhook, webhook_secret
from sidecar.core.actions import DEFAULT_EVENTS, Action, AlertEvent, completed, lacking
from sidecar.core.jail import Jail
from sidecar.filters.ini import FilterErrors, Ini, Value, interpolated
from sidecar.filters.tags import reference

if TYPE_CHECKING:
    from sidecar.config import action_file

ACTION: Final = "action"
# Where the names of the table below are said to be defined, in errors.
BUILT_IN: Final = "(built in)"
# How an error about a name that nothing defines begins.
UNDEFINED: Final = re.compile(r"`%\(([^)]+)\)s` is defined nowhere")
# Options of every action.
COMMON: Final = ("events", "sites")
# Options of fail2ban's own actions that mean nothing here.
MEANINGLESS: Final = frozenset(
    {
        "name", "port", "protocol", "chain", "blocktype", "logpath", "bantime", "actname", "actionname", "mailcmd",
        "mta", "grepmax", "grepopts", "lines", "whois", "matches", "type", "returntype", "lockingopt", "iptables",
    }
)  # fmt: skip
SLACK_FORMATS: Final = ("blocks", "attachments", "text")
OPTIONS: Final = {
    "slack": ("url", "channel", "username", "icon_emoji", "format"),
    "webhook": ("url", "secret"),
    "apprise": ("url", "config"),
    "mail": ("dest", "sender", "sendername", "host", "user", "password", "ssl", "server", "whois", "lines"),
    "exec": ("command", "timeout"),
}


class JailActions:
    """Reads the actions of all jails. Notes go to the values of the jails file."""

    def __init__(self, values: JailValues, folders: Sequence[Path]) -> None:
        """`folders` are where action files are, in the order in which they are searched."""
        self._values, self._folders = values, folders
        self._ini = _with_shortcuts(values.ini)
        self._noted_firewall = False

    def read(self, jail: str) -> tuple[Action, ...]:
        """Return the actions of this jail that notify people."""
        value = self._ini.get(jail, ACTION)
        lines = [self._line(jail, value.file, line) for line in value.lines] if value else []
        text = REMARK.sub("", "\n".join(lines))
        return tuple(action for part in _parts(text) for action in self._actions(jail, part))

    def _line(self, jail: str, file: str, line: tuple[int, str]) -> str:
        """Return one line with its names replaced. One that is not defined is empty: the rest of the line goes on."""
        own = {**self._ini.sections.get(jail, {}), ACTION: Value(file, (line,))}
        ini, empty = Ini({**self._ini.sections, jail: own}), dict[str, str]()
        while True:
            try:
                lines = interpolated(ini, jail, ACTION, empty)
            except FilterErrors as err:
                message = err.errors[0].message
                self._note(jail, f"`{line[1].partition('[')[0].strip()}`: {message}")
                unknown_name = UNDEFINED.match(message)
                if not unknown_name or unknown_name[1] in empty:
                    return ""
                empty[unknown_name[1]] = ""
            else:
                return "\n".join(text for _, text in lines or ())

    def _actions(self, jail: str, text: str) -> Iterator[Action]:
        # Options may be secrets, so no note quotes them.
        named = text.partition("[")[0].strip()
        try:
            name, options = reference(text)
        except ValueError:
            self._note(
                jail,
                f"{named} is not carried over: expected {named}[option=value], quoted if it has `,` or `]`",
            )
            return
        try:
            yield from self._actions_named(jail, name, options)
        except ValueError as err:
            self._note(jail, f"{named} is not carried over: {err}")

    def _actions_named(self, jail: str, name: str, options: Mapping[str, str]) -> Iterator[Action]:
        """Yield what this action means here. Raises ValueError with a sentence."""
        # Most jails have no action of their own.
        from sidecar.config import action_file  # noqa: PLC0415

        path = action_file.find(name, self._folders)
        if path and not FIREWALL.fullmatch(name):
            found = action_file.read(path, {"name": jail, **options})
            if found.requests:
                self._values.notes += found.notes
                if found.firewall:
                    self._note_firewall(f"`{found.firewall[0].rpartition(': ')[2]}`")
                yield from self._of_file(name, path, found, options)
                return
            if name not in MAILS and name not in OWN_KINDS:
                self._values.notes += found.notes
                self._note_file(jail, name, path, found)
                return
        if FIREWALL.fullmatch(name):
            self._note_firewall(name)
        elif name in MAILS:
            yield self._built_in_action(jail, "mail", name, {**MAILS[name], **options})
        elif name in OWN_KINDS:
            yield self._built_in_action(jail, name, name, options)
        elif sentence := NOT_CARRIED.get(name):
            raise ValueError(sentence)
        else:
            raise ValueError(f"{unknown(name, (*OWN_KINDS, *MAILS))}; there is no file action.d/{name}.conf")

    def _of_file(
        self, name: str, path: Path, found: action_file.ActionFile, options: Mapping[str, str]
    ) -> Iterator[Action]:
        from sidecar.config import action_file  # noqa: PLC0415

        for requests in action_file.by_destination(found.requests):
            # What the file has no line for is sent in the style of what it has, as far as it protects.
            usual = {*(event for event, _ in requests), AlertEvent.BYPASS, AlertEvent.PROBLEM}
            events = _events(options.get("events", "")) or frozenset(usual)
            yield Action("http", name, (), requests, events, _sites(options), str(path))

    def _built_in_action(self, jail: str, kind: str, name: str, options: Mapping[str, str]) -> Action:
        known = OPTIONS[kind]
        for option in options:
            if option not in (*known, *COMMON, *MEANINGLESS):
                self._note(
                    jail, f"{name}: the option {option} has no effect: {unknown(option, (*known, *COMMON))}"
                )
        given = {
            option: value.strip() for option, value in options.items() if option in known and value.strip()
        }
        _check_values(kind, given)
        if kind == "mail":
            given = _mail_options(given)
        elif kind == "exec":
            given = _command_options(given)
        # A command is for an address, and a start has none.
        usual = frozenset({AlertEvent.BAN}) if kind == "exec" else DEFAULT_EVENTS
        events = _events(options.get("events", "")) or usual
        where = f"`action` of [{jail}]"
        return Action(kind, name, tuple(given.items()), (), events, _sites(options), where)

    def _note_file(self, jail: str, name: str, path: Path, found: action_file.ActionFile) -> None:
        if found.firewall:
            self._note_firewall(f"`{found.firewall[0].rpartition(': ')[2]}`")
        elif not found.notes:
            self._note(jail, f"{name} does nothing here: {path} has nothing to send")

    def _note_firewall(self, what: str) -> None:
        """Note once that what drops packets is not run: the stock shortcuts name it in every jail."""
        if not self._noted_firewall and what != SHORTCUTS["banaction"]:
            self._note(DEFAULT, f"{what} is not run: wp-sidecar's own nftables table drops what is banned")
            self._noted_firewall = True

    def _note(self, section: str, sentence: str) -> None:
        """Add a note at the place where the action is written."""
        written = section if self._values.ini.own(section, ACTION) else DEFAULT
        self._values.note(written, ACTION, sentence)


def _with_shortcuts(ini: Ini) -> Ini:
    """Return the file with the names of fail2ban's jail.conf beneath it."""
    built_in = {
        name: Value(BUILT_IN, tuple((0, line) for line in text.split("\n")))
        for name, text in SHORTCUTS.items()
    }
    default = ini.sections.get(DEFAULT, {})
    # fail2ban's own file defines these with names that nothing here fills.
    defined = {name: value for name, value in default.items() if "<known/" not in value.text}
    return Ini({**ini.sections, DEFAULT: {**built_in, **defined}})


def _parts(text: str) -> Iterator[str]:
    """Yield one action after another. Each begins in a line of its own; options may go on in the next lines."""
    part, quote, depth = "", "", 0
    for char in f"{text}\n":
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'" and depth:
            quote = char
        else:
            depth += (char == "[") - (char == "]")
        if char == "\n" and depth <= 0 and not quote:
            if part.strip():
                yield " ".join(part.split("\n")).strip()
            part, depth = "", 0
        else:
            part += char
    # A bracket without an end: that is the fault of one line.
    yield from (line.strip() for line in part.split("\n") if line.strip())


def _events(text: str) -> frozenset[AlertEvent]:
    event = one_of(AlertEvent, f"events ({', '.join(AlertEvent)})")
    return frozenset(event(name) for name in words(text))


def _sites(options: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(words(options.get("sites", "")))


def _check_values(kind: str, given: Mapping[str, str]) -> None:
    """Raise ValueError where a value is not valid for its option."""
    if kind in ("slack", "webhook") and "url" in given:
        webhook(given["url"])
    if kind == "webhook" and "secret" in given:
        webhook_secret(given["secret"])
    if (layout := given.get("format")) and layout not in SLACK_FORMATS:
        raise ValueError(f"format: {unknown(layout, SLACK_FORMATS)}")
    if kind == "mail":
        for option in ("dest", "sender"):
            # fail2ban writes `root@<fq-hostname>`.
            mail_addresses(re.sub(r"<[\w-]+>", "host", given.get(option, "")))
        if "server" in given:
            smtp_url(given["server"])


def _mail_options(given: Mapping[str, str]) -> dict[str, str]:
    """Return the options with the server of fail2ban's smtp action as a URL."""
    options = {
        name: value for name, value in given.items() if name not in ("host", "user", "password", "ssl")
    }
    if host := given.get("host"):
        scheme = "smtps" if given.get("ssl", "").lower() in ("true", "yes", "1", "on") else "smtp"
        user, password = (quote(given.get(name, ""), safe="") for name in ("user", "password"))
        options["server"] = smtp_url(f"{scheme}://{user}:{password}@{host}" if user else f"{scheme}://{host}")
    return options


def _command_options(given: Mapping[str, str]) -> dict[str, str]:
    """Return the options with the command as a list of arguments. Raises ValueError."""
    arguments = shlex.split(given.get("command", ""))
    if not arguments or not arguments[0].startswith("/"):
        raise ValueError('exec needs command="/path/of/the/program argument <ip>", with the whole path')
    options = {"arguments": json.dumps(arguments)}
    if timeout := given.get("timeout"):
        options["timeout"] = str(duration(timeout))
    return options


def lacking_notes(jails: Iterable[Jail], settings: Mapping[str, str]) -> list[str]:
    """Return a sentence for each action that cannot be used with these settings of the alerts."""
    return [
        f"{jail.name}.{ACTION}: {action.name} is not used, as it has {what}"
        for jail in jails
        for action in jail.actions
        if (what := lacking(completed(action, settings)))
    ]
