"""App settings in files: from a repository, from a laptop, or as Azure prints them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from git_refresh.redact import shown, visible
from git_refresh.settings.json_text import JsonError, JsonObject, parse
from git_refresh.settings.load import SettingsError
from git_refresh.settings.names import SETTINGS, near_misses
from git_refresh.settings.problems import kind_of
from git_refresh.values import Problem

_FORMS = (
    'must contain an array of workspaces, app settings by name ({"WORKSPACES": […]}), a local.settings.json ({"Values": {…}}), '
    "or what az functionapp config appsettings list prints"
)


def read_settings(file: Path) -> dict[str, str]:
    """The app settings in a file, or on stdin where it is `-`, by name, as text.

    It may contain an array of workspaces (`WORKSPACES` alone), settings by name with their JSON as text or written out, a
    `local.settings.json`, or the array of `name` and `value` that the portal's advanced edit and `az` show.

    Raises:
        SettingsError: it cannot be read, or contains something else.
    """
    where = "stdin" if str(file) == "-" else visible(str(file))
    try:
        text = (sys.stdin.buffer.read() if where == "stdin" else file.read_bytes()).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(
            [Problem(where, "is not valid JSON: it is not UTF-8 text; save it as UTF-8")]
        ) from None
    except OSError as error:
        raise SettingsError([Problem(where, f"cannot be read: {error.strerror}")]) from None
    if where == "stdin" and not text.strip():
        message = "is empty; pipe into it what az functionapp config appsettings list prints, or name a file in its place"
        raise SettingsError([Problem(where, message)])
    try:
        content = parse(text)
    except JsonError as error:
        raise SettingsError([Problem(where, str(error))]) from None
    values = _by_name(where, content, text)
    problems = [
        problem
        for name, value in values.items()
        if name in SETTINGS
        for problem in _twice(f"{where}: {name}", value)
    ]
    if problems:
        raise SettingsError(problems)
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def _by_name(where: str, content: object, text: str) -> dict[str, object]:
    match content:
        case {"IsEncrypted": True}:
            raise SettingsError([Problem(where, "is encrypted; run func settings decrypt first")])
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
                    Problem(f"{where}: {shown(name)}", f'is not an app setting; did you mean "{meant}"?')
                    for name, meant in near.items()
                ]
            )
        case _:
            raise SettingsError([Problem(where, f"{_FORMS}, not {kind_of(content)}")])


def _all_text(where: str, values: dict[str, object]) -> dict[str, object]:
    """`func` itself takes nothing else."""
    advice = "must be a string in double quotes, with its own quotes escaped, since Values become environment variables"
    wrong = [
        Problem(f"{where}: Values.{shown(name)}", f"{advice}; this is {kind_of(value)}")
        for name, value in values.items()
        if not isinstance(value, str)
    ]
    if wrong:
        raise SettingsError(wrong)
    return values


def _twice(where: str, value: object) -> Iterator[Problem]:
    match value:
        case JsonObject():
            for key in value.twice:
                yield Problem(f"{where}.{shown(key)}", "is written more than once; keep one")
            for key, item in value.items():
                yield from _twice(f"{where}.{shown(key)}", item)
        case list():
            for index, item in enumerate(value):
                yield from _twice(f"{where}[{index}]", item)
