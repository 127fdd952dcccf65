"""The valid command lines of vendors, from `vendors.json` (see `tests/support/vendors_table.py`)."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "vendors.json").read_text())
_OPTION = re.compile(r"--?[a-zA-Z]")
_JSON = ("--json", "--body", "--parameters", "--logs", "--role-definition")
_FILLED_IN = re.compile(r"[A-Z][A-Z_-]*|standins|WORD|\$.*")
"""A value that the reader, the shell or a pipeline fills in."""


class RefusedError(Exception):
    """The vendor's program refuses the command."""


def command_of(words: Sequence[str]) -> tuple[str, int]:
    """Return the command of a command line, and its number of words with the program's name.

    Raises:
        RefusedError: the command is unknown.
    """
    known = TABLE[words[0]]["commands"]
    for end in range(len(words), 1, -1):
        if (name := " ".join(words[1:end])) in known:
            return name, end
    raise RefusedError(f"no such command: {' '.join(words)}")


def check(words: Sequence[str]) -> None:
    """Parse a command line like its program.

    Raises:
        RefusedError: the program would refuse it.
    """
    program = TABLE[words[0]]
    name, begin = command_of(words)
    command = program["commands"][name]
    options: dict[str, str] = {**program["options"], **command["options"]}
    given, positional, rest = set[str](), list[str](), list(words[begin:])
    while rest:
        word = rest.pop(0)
        if not _OPTION.match(word):
            positional.append(word)
            continue
        option, joined, value = word.partition("=")
        if option not in options:
            raise RefusedError(f"{name} has no option {option}")
        given.add(option)
        kind, *choices = options[option].split()
        values = [value] if joined else []
        most = {"0": 0, "1": 1, "?": 1}.get(kind, math.inf)
        while len(values) < most and rest and not _OPTION.match(rest[0]):
            values.append(rest.pop(0))
        if kind in {"1", "+"} and not values:
            raise RefusedError(f"{name} {option} needs a value")
        for each in values:
            _check_value(f"{name} {option}", each, choices)
    least, most = command["positional"]
    if "--json" in given and "with_json" in command:
        least = most = command["with_json"]
    if not least <= len(positional) <= most:
        raise RefusedError(f"{name} takes {least} to {most} arguments, not {positional}")
    missing = [option for option in command["required"] if given.isdisjoint(option)]
    if missing and "--ids" not in given:
        raise RefusedError(f"{name} needs {missing}")


def _check_value(where: str, value: str, choices: Sequence[str]) -> None:
    known = {each.lower() for each in choices}
    if known and not _FILLED_IN.fullmatch(value) and value.lower() not in known:
        raise RefusedError(f"{where} takes {choices}, not {value}")
    if value[:1] in {"[", "{"} and where.endswith(_JSON):
        json.loads(value)
