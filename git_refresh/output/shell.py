"""Commands for the user to run in a shell.

A template has `{name}` in place of a value. Each value is quoted for a POSIX shell.
If a value cannot be quoted, or the command would be too long, the command has the name in capitals instead.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from git_refresh.output.redact import escape_unprintable

MAX_LENGTH = 1_500
"""Characters. A text with a longer command could exceed `log.MAX_TEXT_CHARS`."""

_UNQUOTABLE = re.compile(r"[\x00\ud800-\udfff]")
_PLACE = re.compile(r"\{(\w+)\}")
_NEXT = re.compile(r"\{\w+\}|\$\(|[()'\"]|\\.", re.DOTALL)


class Command(str):
    """A command with quoted values. `fill` inserts it into other commands without quoting it again."""

    __slots__ = ()


NO_COMMAND = Command()
PROGRAM = Command("git-refresh")


def command(template: str, /, **values: str | int) -> Command:
    return fill(template, values)


def fill(template: str, values: Mapping[str, str | int]) -> Command:
    """Fill a template with quoted values. Unused values are ignored.

    Raises:
        KeyError: a value is missing.
        ValueError: the template has a value inside quotes.
    """
    quoted = {name: _piece(name, values[name]) for name in _places(template)}
    # Replace the longest values by their names first, until the command is short enough.
    for name in sorted(quoted, key=lambda name: len(quoted[name]), reverse=True):
        filled = _PLACE.sub(lambda found: quoted[found[1]], template)
        if len(filled) <= MAX_LENGTH:
            break
        quoted[name] = name.upper()
    return Command(_PLACE.sub(lambda found: quoted[found[1]], template))


def quote(value: str) -> str:
    """Return a value as one word of a shell, in printable characters on one line.

    Raises:
        ValueError: no argument of a command can contain the value.
    """
    if _UNQUOTABLE.search(value):
        raise ValueError("no argument can contain this")
    if escape_unprintable(value) == value:
        return shlex.quote(value)
    return f"$'{''.join(map(_escaped, value))}'"


def _escaped(char: str) -> str:
    """Escape a character for `$'…'` in bash, zsh and POSIX. An escape has at most three digits."""
    if char not in "\\'" and escape_unprintable(char) == char:
        return char
    return "".join(f"\\{byte:03o}" for byte in char.encode())


def _piece(name: str, value: str | int) -> str:
    if isinstance(value, Command):
        return value
    try:
        return quote(str(value))
    except ValueError:
        return name.upper()


@dataclass(frozen=True, slots=True)
class Invocation:
    """Program and options of the command that the user ran. Remedies repeat them."""

    program: Command = PROGRAM
    options: Command = NO_COMMAND
    """Options that select the same settings, with a leading space."""

    def of(self, template: str, **values: str | int) -> Command:
        """Return a command of this app. The template has no program, for example `onboard{options} --apply`."""
        return fill(f"{{program}} {template}", {"program": self.program, "options": self.options, **values})


UNTYPED = Invocation()
"""For the deployed app and for pages, where the user ran no command."""


_CLOSING = {"'": "'", '"': '"', "(": ")"}
_OPENING = {"'": (), '"': ("$(",)}
"""Quotes and brackets that can open inside each kind of quotes. Outside, any can open."""


def _places(template: str) -> Iterator[str]:
    """Yield the names of the values. Raise a `ValueError` for one inside quotes."""
    inside = [""]
    for found in _NEXT.finditer(template):
        part, here = found[0], inside[-1]
        if place := _PLACE.fullmatch(part):
            if here in _OPENING:
                raise ValueError(f"{part} is in quotes: {template}")
            yield place[1]
        elif part == _CLOSING.get(here):
            inside.pop()
        elif part in _OPENING.get(here, ("'", '"', "(", "$(")):
            inside.append(part[-1])
