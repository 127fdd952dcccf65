"""App settings in files: from a repository, from a laptop, or as Azure prints them.

A file is data. This app's settings are taken from it and nothing else, whatever it contains and whatever kind of file it is.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from git_refresh.model.values import Problem
from git_refresh.output.redact import escape_unprintable, redact
from git_refresh.settings.functions_host import CONNECTION, overrides_timeout
from git_refresh.settings.json_text import JsonError, JsonObject, parse
from git_refresh.settings.load import SettingsError
from git_refresh.settings.names import SETTINGS, TIME_ZONES, disables, near_misses
from git_refresh.settings.problems import kind_of

MAX_MB = 4
"""Of a file. All settings of an app fit into a small part of it."""
_MAX_BYTES = MAX_MB * 2**20
MAX_NAMES = 1_000

_PRINT = "az functionapp config appsettings list --output json"
_FORMS = (
    'must contain an array of workspaces, app settings by name ({"WORKSPACES": […]}), a local.settings.json ({"Values": {…}}), '
    f"or what {_PRINT} prints"
)


@dataclass(frozen=True, slots=True)
class FileSettings:
    """What a file says.

    Attributes:
        values: this app's settings by name, as text, and those of the Functions host that it is judged by. Only these are ever used.
        names: all that it names.
    """

    values: dict[str, str]
    names: tuple[str, ...]


def read_settings(file: Path) -> FileSettings:
    """The app settings in a file, or on stdin where it is `-`.

    It may contain an array of workspaces (`WORKSPACES` alone), settings by name with their JSON as text or written out, a
    `local.settings.json`, or the array of `name` and `value` that the portal's advanced edit and `az` show.

    Raises:
        SettingsError: it cannot be read, or contains something else.
    """
    where, text = read_text(file)
    if where == "stdin" and not text.strip():
        message = f"is empty; pipe into it what {_PRINT} prints, or name a file in its place"
        raise SettingsError([Problem(where, message, commands=(_PRINT,))])
    content = _parsed(where, text)
    values = _by_name(where, content, text)
    if len(values) > MAX_NAMES:
        message = f"contains {len(values):,} settings; keep those of this app alone, or at most {MAX_NAMES:,}"
        raise SettingsError([Problem(where, message)])
    problems = [
        problem
        for name, value in values.items()
        if name in SETTINGS
        for problem in _twice(f"{where}: {name}", value)
    ]
    problems += _names_twice(where, content)
    if problems:
        raise SettingsError(problems)
    return FileSettings(
        {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
            if is_read(name)
        },
        tuple(values),
    )


def is_read(name: str) -> bool:
    """Whether the value of this app setting is looked at: it is this app's, or one of the Functions host that it is judged by."""
    of_host = name in TIME_ZONES or disables(name) is not None or overrides_timeout(name)
    return name in SETTINGS or of_host or name.lower().startswith(CONNECTION.lower())


def read_text(file: Path) -> tuple[str, str]:
    """How a file is called in messages, and its text; of stdin where it is `-`.

    Raises:
        SettingsError: it cannot be read.
    """
    where = "stdin" if str(file) == "-" else escape_unprintable(str(file))
    try:
        content = _content(file)
        if len(content) > _MAX_BYTES:
            raise SettingsError([Problem(where, f"is too large: it has more than {MAX_MB} MB")])
        return where, content.decode("utf-8-sig")
    except UnicodeDecodeError:
        message = "is not valid JSON: it is not UTF-8 text; save it as UTF-8"
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        message = f"cannot be read: {getattr(error, 'strerror', None) or 'no file has this name'}"
    raise SettingsError([Problem(where, message)])


def _content(file: Path) -> bytes:
    """As much as may be read, and a byte more if there is more."""
    if str(file) != "-":
        with file.open("rb") as opened:
            return opened.read(_MAX_BYTES + 1)
    if sys.stdin is None:
        raise OSError(None, "it is closed")
    return sys.stdin.buffer.read(_MAX_BYTES + 1)


def _parsed(where: str, text: str) -> object:
    """The content of a file; of a `local.settings.json` also with the comments and trailing commas that `func` accepts.

    Raises:
        SettingsError: it is not JSON.
    """
    try:
        return parse(text)
    except JsonError as error:
        problem = Problem(where, str(error))
    try:
        content = parse(_BEYOND_JSON.sub(_blank, text))
        if isinstance(content, dict) and content.keys() & {"Values", "IsEncrypted"}:
            return content
    except JsonError as error:
        if re.search(r'"Values"\s*:', text):  # its comments are no mistake
            problem = Problem(where, str(error))
    raise SettingsError([problem])


_COMMENT = r"//[^\n]*+|/\*.*?\*/"
_BEYOND_JSON = re.compile(
    rf'"(?:[^"\\]|\\.)*+"|{_COMMENT}|,(?=(?:\s|{_COMMENT})*+[}}\]])',
    re.DOTALL,
)
"""Strings, which stay as they are; comments, and a comma before a closing bracket."""


def _blank(found: re.Match[str]) -> str:
    """The same length without what JSON does not have, so that places of mistakes stay right."""
    return found[0] if found[0].startswith('"') else re.sub(r"[^\r\n]", " ", found[0])


def _by_name(where: str, content: object, text: str) -> dict[str, object]:
    match content:
        case {"IsEncrypted": True}:
            raise SettingsError(
                [
                    Problem(
                        where,
                        "is encrypted; run func settings decrypt first",
                        commands=("func settings decrypt",),
                    )
                ]
            )
        case {"Values": dict(values)}:
            return _all_text(where, values)
        case dict() if content.keys() & SETTINGS.keys():
            return {name: value for name, value in content.items() if name != "$schema"}
        case [{"name": str(), "value": _}, *_]:
            pairs = [item for item in content if isinstance(item, dict)]
            return {str(item.get("name")): item.get("value") or "" for item in pairs}
        case list():
            return {"WORKSPACES": text}
        case {"host": _}:
            raise SettingsError([Problem(where, "contains one workspace; put [ ] around its { }")])
        case dict() if near := near_misses({str(name): "" for name in content}):
            raise SettingsError(
                [
                    Problem(f"{where}: {redact(name)}", f'is not an app setting; did you mean "{meant}"?')
                    for name, meant in near.items()
                ]
            )
        case _:
            raise SettingsError([Problem(where, f"{_FORMS}, not {kind_of(content)}", commands=(_PRINT,))])


def _all_text(where: str, values: dict[str, object]) -> dict[str, object]:
    """`func` itself takes nothing else."""
    advice = "must be a string in double quotes, with its own quotes escaped, since Values become environment variables"
    wrong = [
        Problem(f"{where}: Values.{redact(name)}", f"{advice}; this is {kind_of(value)}")
        for name, value in values.items()
        if not isinstance(value, str)
    ]
    if wrong:
        raise SettingsError(wrong)
    return values


def _names_twice(where: str, content: object) -> Iterator[Problem]:
    """Settings that are named twice; names of app settings are the same in any letter case."""
    values = content.get("Values") if isinstance(content, dict) else None
    pairs = content if isinstance(content, list) else []
    listed = Counter(
        str(item["name"]).upper()
        for item in pairs
        if isinstance(item, dict) and {"name", "value"} <= item.keys()
    )
    repeated = [name for name, times in listed.items() if times > 1]
    for item in (content, values, *pairs):
        if isinstance(item, JsonObject):
            repeated += item.twice if item is content or item is values or "value" in item else ()
            names = Counter(name.upper() for name in item if name.upper() in SETTINGS)
            repeated += [name for name, times in names.items() if times > 1]
    for name in dict.fromkeys(repeated):
        yield Problem(f"{where}: {redact(name)}", "is written more than once; keep one")


def _twice(where: str, value: object) -> Iterator[Problem]:
    match value:
        case JsonObject():
            for key in value.twice:
                yield Problem(f"{where}.{redact(key)}", "is written more than once; keep one")
            for key, item in value.items():
                yield from _twice(f"{where}.{redact(key)}", item)
        case list():
            for index, item in enumerate(value):
                yield from _twice(f"{where}[{index}]", item)
