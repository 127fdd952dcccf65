"""Commands that a person can paste into a shell: the one place where a value becomes a part of one.

A template is a command of ours with `{name}` where a value belongs. Each value becomes one piece of a word, quoted for a POSIX shell,
so that nothing in it is read by the shell. A value that no shell can pass on, or that leaves no room, is left in capitals.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from git_refresh.output.redact import escape_unprintable

MAX_LENGTH = 1_500
"""Characters of a command. More than `log.MAX_TEXT_CHARS`, with the sentence around it, would be cut in the middle."""

_NOT_PASSED_ON = re.compile(r"[\x00\ud800-\udfff]")
_PLACE = re.compile(r"\{(\w+)\}")
_NEXT = re.compile(r"\{\w+\}|\$\(|[()'\"]|\\.", re.DOTALL)


class Command(str):
    """A command whose values are quoted. It is put into a text, or into another command, as it is."""

    __slots__ = ()


NO_COMMAND = Command()
PROGRAM = Command("git-refresh")


def command(template: str, /, **values: str | int) -> Command:
    """Fill values into a command, as `fill` does."""
    return fill(template, values)


def fill(template: str, values: Mapping[str, str | int]) -> Command:
    """The same, with the values by name; others may be among them.

    Raises:
        KeyError: a value is missing.
        ValueError: the template has a value in quotes, where it would not be a word of its own.
    """
    quoted = {name: _piece(name, values[name]) for name in _places(template)}
    # The longest goes first, until the command has room.
    for name in sorted(quoted, key=lambda name: len(quoted[name]), reverse=True):
        filled = _PLACE.sub(lambda found: quoted[found[1]], template)
        if len(filled) <= MAX_LENGTH:
            break
        quoted[name] = name.upper()
    return Command(_PLACE.sub(lambda found: quoted[found[1]], template))


def quote(value: str) -> str:
    """One word of a shell, on one line, in characters that a terminal shows.

    Raises:
        ValueError: no program can be given this value.
    """
    if _NOT_PASSED_ON.search(value):
        raise ValueError("no argument can contain this")
    if escape_unprintable(value) == value:
        return shlex.quote(value)
    return f"$'{''.join(map(_escaped, value))}'"


def _escaped(char: str) -> str:
    """A character between `$'` and `'`, which bash, zsh and POSIX read alike; three digits each, since fewer could go on in the next."""
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
    """How a command of this product is typed. Remedies repeat it."""

    program: Command = PROGRAM
    options: Command = NO_COMMAND
    """The options with which a command reads the same settings, each after a space."""

    def of(self, template: str, **values: str | int) -> Command:
        """Return a command of this product: `onboard{options} --apply`."""
        return fill(f"{{program}} {template}", {"program": self.program, "options": self.options, **values})


UNTYPED = Invocation()
"""Where no command was typed: in the app, and on pages."""


_CLOSING = {"'": "'", '"': '"', "(": ")"}
_OPENING = {"'": (), '"': ("$(",)}
"""What begins something inside of quotes; elsewhere all of it does."""


def _places(template: str) -> Iterator[str]:
    """The names of the values, each where the shell reads a plain word."""
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
