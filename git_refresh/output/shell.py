"""Commands that a person can paste into a shell.

A template has `{name}` in place of a value. Each value becomes a part of one word, quoted for a POSIX shell.
If no shell can pass a value on, or the command has no room for it, its name in capitals remains.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from git_refresh.output.redact import escape_unprintable

MAX_LENGTH = 1_500
"""Characters of a command. With a longer one, its sentence would exceed `log.MAX_TEXT_CHARS`."""

_NOT_PASSED_ON = re.compile(r"[\x00\ud800-\udfff]")
_PLACE = re.compile(r"\{(\w+)\}")
_NEXT = re.compile(r"\{\w+\}|\$\(|[()'\"]|\\.", re.DOTALL)


class Command(str):
    """A command with quoted values. Texts and other commands include it unchanged."""

    __slots__ = ()


NO_COMMAND = Command()
PROGRAM = Command("git-refresh")


def command(template: str, /, **values: str | int) -> Command:
    return fill(template, values)


def fill(template: str, values: Mapping[str, str | int]) -> Command:
    """Fill values into a command by name. Unused values are ignored.

    Raises:
        KeyError: a value is missing.
        ValueError: the template has a value in quotes, where quoting would fail.
    """
    quoted = {name: _piece(name, values[name]) for name in _places(template)}
    # The longest values go first, until the command has room.
    for name in sorted(quoted, key=lambda name: len(quoted[name]), reverse=True):
        filled = _PLACE.sub(lambda found: quoted[found[1]], template)
        if len(filled) <= MAX_LENGTH:
            break
        quoted[name] = name.upper()
    return Command(_PLACE.sub(lambda found: quoted[found[1]], template))


def quote(value: str) -> str:
    """Return a value as one word of a shell, on one line, in printable characters.

    Raises:
        ValueError: no argument can contain the value.
    """
    if _NOT_PASSED_ON.search(value):
        raise ValueError("no argument can contain this")
    if escape_unprintable(value) == value:
        return shlex.quote(value)
    return f"$'{''.join(map(_escaped, value))}'"


def _escaped(char: str) -> str:
    """Escape a character for `$'…'` in bash, zsh and POSIX. Three digits exclude a fourth."""
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
    """The program and options of a command. Remedies repeat them."""

    program: Command = PROGRAM
    options: Command = NO_COMMAND
    """Options that select the same settings, each after a space."""

    def of(self, template: str, **values: str | int) -> Command:
        """Return a command of this app, like `onboard{options} --apply`."""
        return fill(f"{{program}} {template}", {"program": self.program, "options": self.options, **values})


UNTYPED = Invocation()
"""For the app and for pages, where no command was run."""


_CLOSING = {"'": "'", '"': '"', "(": ")"}
_OPENING = {"'": (), '"': ("$(",)}
"""Nested quotes and brackets inside each kind of quotes. Outside quotes, all of them nest."""


def _places(template: str) -> Iterator[str]:
    """Yield the names of the values. Raise a `ValueError` for one in quotes."""
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
