"""App settings from files: a workspaces.json, a local.settings.json, or the output of the Azure CLI.

A file is data: only settings of this app are read, and nothing else in the file has an effect.
"""

import json
import re
import shutil
import sys
import tempfile
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
"""Maximum file size, far above the size of all settings of an app."""
_MAX_BYTES = MAX_MB * 2**20
MAX_NAMES = 1_000

_PRINT = "az functionapp config appsettings list --output json"
_FORMS = (
    'must contain an array of workspaces, app settings by name ({"WORKSPACES": […]}), a local.settings.json ({"Values": {…}}), '
    f"or the output of {_PRINT}"
)


@dataclass(frozen=True, slots=True)
class FileSettings:
    """The settings in a file.

    Attributes:
        values: texts by name: this app's settings, and those of the Functions host that `check` reads.
        names: all names in the file.
    """

    values: dict[str, str]
    names: tuple[str, ...]


def read_settings(file: Path) -> FileSettings:
    """Read the app settings in a file, or on stdin if the file is `-`.

    Accepts an array of workspaces, settings by name, a `local.settings.json`, and the portal's array of `name` and `value`.
    In settings by name, a value can be JSON or JSON as text.

    Raises:
        SettingsError: the file cannot be read, or contains something else.
    """
    where, text = read_text(file)
    if where == "stdin" and not text.strip():
        message = f"is empty; pipe the output of {_PRINT} into it, or name a file instead"
        raise SettingsError([Problem(where, message, commands=(_PRINT,))])
    content = _parsed(where, text)
    values = _by_name(where, content, text)
    if len(values) > MAX_NAMES:
        message = f"contains {len(values):,} settings; keep only those of this app, at most {MAX_NAMES:,}"
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
    """Return whether a setting is used: one of this app, or of the Functions host if `check` reads it."""
    of_host = name in TIME_ZONES or disables(name) is not None or overrides_timeout(name)
    return name in SETTINGS or of_host or name.lower().startswith(CONNECTION.lower())


def write_client_id(file: Path, client_id: str) -> bool:
    """Add a `client_id` to WORKSPACE_DEFAULTS in a file. Return False if the file has no place for it.

    The rest of the file stays unchanged, including indentation.

    Raises:
        OSError: the file cannot be read or written.
    """
    text = file.read_bytes().decode()
    try:
        content = parse(text)
    except JsonError:
        return False
    if not isinstance(content, dict) or "WORKSPACES" not in content:
        return False
    member = f'"client_id": "{client_id}"'
    if begins := re.search(r'"WORKSPACE_DEFAULTS"\s*:\s*\{', text):
        changed = _with_member(text, begins.end(), member)
    else:
        changed = _with_member(text, text.index("{") + 1, f'"WORKSPACE_DEFAULTS": {{{member}}}')
    defaults = content.get("WORKSPACE_DEFAULTS", {})
    try:
        meant = {**content, "WORKSPACE_DEFAULTS": {**defaults, "client_id": client_id}}
        if parse(changed) != meant:
            return False
    except (JsonError, TypeError):  # WORKSPACE_DEFAULTS is a string
        return False
    place = file.resolve()
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as written:
        pass
    try:
        Path(written.name).write_bytes(changed.encode())
        shutil.copymode(place, written.name)
        Path(written.name).replace(place)
    except OSError:
        Path(written.name).unlink()
        raise
    return True


def _with_member(text: str, at: int, member: str) -> str:
    """Return the text with a member inserted at the beginning of an object, indented like the others."""
    rest = text[at:].lstrip()
    space = text[at : len(text) - len(rest)]
    if rest.startswith("}"):
        return f"{text[:at]}{member}{text[at:]}"
    return f"{text[:at]}{space}{member},{space or ' '}{rest}"


def read_text(file: Path) -> tuple[str, str]:
    """Return a file's name for messages, and its text. The file `-` is stdin.

    Raises:
        SettingsError: the file cannot be read.
    """
    where = "stdin" if str(file) == "-" else escape_unprintable(str(file))
    try:
        content = _content(file)
        if len(content) > _MAX_BYTES:
            raise SettingsError([Problem(where, f"is too large: it has more than {MAX_MB} MB")])
        return where, content.decode("utf-8-sig")
    except UnicodeDecodeError:
        message = "is not valid JSON: it is not UTF-8 text; save it as UTF-8"
    except (OSError, ValueError) as error:  # ValueError: an invalid file name
        message = f"cannot be read: {getattr(error, 'strerror', None) or 'invalid file name'}"
    raise SettingsError([Problem(where, message)])


def _content(file: Path) -> bytes:
    if str(file) != "-":
        with file.open("rb") as opened:
            return opened.read(_MAX_BYTES + 1)
    if sys.stdin is None:
        raise OSError(None, "it is closed")
    return sys.stdin.buffer.read(_MAX_BYTES + 1)


def _parsed(where: str, text: str) -> object:
    """Parse JSON. In a `local.settings.json`, accept comments and trailing commas, as `func` does.

    Raises:
        SettingsError: the text is not JSON.
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
        if re.search(r'"Values"\s*:', text):  # report the error, not the comments before it
            problem = Problem(where, str(error))
    raise SettingsError([problem])


_COMMENT = r"//[^\n]*+|/\*.*?\*/"
_BEYOND_JSON = re.compile(
    rf'"(?:[^"\\]|\\.)*+"|{_COMMENT}|,(?=(?:\s|{_COMMENT})*+[}}\]])',
    re.DOTALL,
)
"""Strings, comments, and a comma before a closing bracket. Strings are matched to be kept."""


def _blank(found: re.Match[str]) -> str:
    """Replace a comment or comma by blanks of the same length, which keeps the positions of errors."""
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
    """Return the values if all are strings, as `func` requires.

    Raises:
        SettingsError: a value is not a string.
    """
    advice = "must be a string in double quotes, with its own quotes escaped, because Values become environment variables"
    wrong = [
        Problem(f"{where}: Values.{redact(name)}", f"{advice}; this is {kind_of(value)}")
        for name, value in values.items()
        if not isinstance(value, str)
    ]
    if wrong:
        raise SettingsError(wrong)
    return values


def _names_twice(where: str, content: object) -> Iterator[Problem]:
    """Yield a problem for each name that occurs twice. Names of app settings are not case-sensitive."""
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
