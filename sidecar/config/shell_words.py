"""The words of a shell command, without a shell: what an action file of fail2ban would have had run.

Only what has one fixed meaning is understood: words, quotes, escapes and the operators between commands. `<tags>` are
words like any other. What a shell would compute, such as `$NAME` or `$(command)`, is an error with its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

# As long as a tag of an action file, which is not a redirection.
TAG: Final = re.compile(r"<[A-Za-z][A-Za-z0-9_.\-/]*>")
# Between two commands. Longer ones first.
OPERATORS: Final = ("&&", "||", ";;", ";", "|&", "|", "&", "\n")
REDIRECTION: Final = re.compile(r"(?:\d?>>?|&>>?|<)\s*(?:&\d|&-|[^\s;|&<>]+)?|\d?>&\d")
# What a shell computes and we know: this host's name.
HOST_NAME: Final = re.compile(
    r"\$\(\s*(?:hostname(?:\s+-[sf])?|uname\s+-n)\s*\)|`(?:hostname(?:\s+-[sf])?|uname\s+-n)`|\$\{?HOSTNAME\}?"
)
IN_DOUBLE_QUOTES: Final = '"\\$`\n'


@dataclass(slots=True)
class ShellCommand:
    """One command: its words, the operator before it, and what of it only a shell could do."""

    words: list[str] = field(default_factory=list)
    before: str = ""
    # `$(date)`, `$NAME`: as written.
    computed: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The program, without its folder."""
        return self.words[0].rpartition("/")[2] if self.words else ""

    @property
    def text(self) -> str:
        return " ".join(self.words)


def commands(text: str) -> list[ShellCommand]:
    """Return the commands of a script. Raises ValueError where a quote does not end."""
    return [command for command in _WordReader(text).read() if command.words]


class _WordReader:
    """Reads one script from the beginning to the end."""

    def __init__(self, text: str) -> None:
        self._text, self._at = HOST_NAME.sub("<fq-hostname>", text.replace("\\\n", "")), 0
        self._command = ShellCommand()
        # None: not in a word.
        self._word: str | None = None

    def read(self) -> Iterator[ShellCommand]:
        while self._at < len(self._text):
            if operator := next((each for each in OPERATORS if self._text.startswith(each, self._at)), ""):
                if self._redirected():
                    continue
                self._at += len(operator)
                yield self._ended(operator)
            else:
                self._step(self._text[self._at])
        yield self._ended("")

    def _ended(self, operator: str) -> ShellCommand:
        self._end_word()
        done, self._command = self._command, ShellCommand(before=operator)
        return done

    def _end_word(self) -> None:
        if self._word is not None:
            self._command.words.append(self._word)
        self._word = None

    def _add(self, text: str, length: int) -> None:
        self._word = (self._word or "") + text
        self._at += length

    def _step(self, char: str) -> None:
        """Take in what is at this place."""
        if char in " \t\r":
            self._end_word()
            self._at += 1
        elif char == "#" and self._word is None:
            # To the end of the line.
            self._at = (self._text.find("\n", self._at) + 1 or len(self._text) + 1) - 1
        elif char == "'":
            end = self._closing("'")
            self._add(self._text[self._at + 1 : end], end + 1 - self._at)
        elif char == '"':
            self._double_quoted()
        elif char == "\\":
            self._add(self._text[self._at + 1 : self._at + 2], 2)
        elif char in "$`":
            self._computed()
        elif not self._redirected():
            self._add(char, 1)

    def _redirected(self) -> bool:
        """Skip a redirection at this place: nobody reads what a request answers. A tag is not one."""
        if tag := TAG.match(self._text, self._at):
            self._add(tag[0], len(tag[0]))
            return True
        if not (self._word is None or self._text[self._at] in "<>&"):
            return False
        found = REDIRECTION.match(self._text, self._at)
        if not found or not found[0].strip("0123456789"):
            return False
        self._end_word()
        self._at = found.end()
        return True

    def _double_quoted(self) -> None:
        self._add("", 1)
        while not self._text.startswith('"', self._at):
            if self._at >= len(self._text):
                raise ValueError('a " has no end')
            char = self._text[self._at]
            if char == "\\":
                escaped = self._text[self._at + 1 : self._at + 2]
                self._add(escaped if escaped in IN_DOUBLE_QUOTES else f"\\{escaped}", 2)
            elif char in "$`":
                self._computed()
            else:
                self._add(char, 1)
        self._at += 1

    def _computed(self) -> None:
        """Note what only a shell could do, and leave it out of the word. A lone `$` is itself."""
        found = re.compile(r"\$\([^)]*\)+|\$\{[^}]*\}|\$[A-Za-z_]\w*|\$[0-9?#@*$!-]|`[^`]*`").match(
            self._text, self._at
        )
        if not found:
            self._add(self._text[self._at], 1)
            return
        self._command.computed.append(found[0])
        self._add("", len(found[0]))

    def _closing(self, quote: str) -> int:
        end = self._text.find(quote, self._at + 1)
        if end < 0:
            raise ValueError(f"a {quote} has no end")
        return end
