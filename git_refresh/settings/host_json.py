"""How long the Functions host lets a run go on: `functionTimeout`, from host.json or the app setting that overrides it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from git_refresh.output.redact import redact

FILE = Path(__file__).parents[2] / "host.json"
"""Deployed beside function_app.py."""

ENDING_S = 5
"""Seconds that a run may go on after its budget, see docs/reliability.md."""

_OVERRIDE = "azurefunctionsjobhost:functiontimeout"
_TIME_SPAN = re.compile(
    r"(?:(?P<d>\d{1,8})\.)?(?P<h>\d{1,2}):(?P<m>\d{1,2})(?::(?P<s>\d{1,2})(?:\.\d{1,7})?)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class FunctionTimeout:
    """A limit, and where it is set."""

    seconds: int
    place: str


def function_timeout(environ: Mapping[str, str]) -> FunctionTimeout | None:
    """The limit in force; None where there is none, or none is known.

    Facts (azure-functions-host, `ScriptJobHostOptionsSetup`): it is a .NET `TimeSpan`, and -1 means no limit. The environment comes after
    host.json; in its names, which are read in any letter case, `__` replaces the `:` between a section and its key.
    """
    overriding = [
        (value, f"the app setting {redact(name)}")
        for name, value in environ.items()
        if overrides_timeout(name)
    ]
    limits = []
    for text, place in overriding or [(_in_file(), "host.json")]:
        seconds = _seconds(text.strip())
        limits += (
            [FunctionTimeout(seconds, f'functionTimeout of "{text.strip()}" in {place}')] if seconds else []
        )
    return min(limits, key=lambda limit: limit.seconds, default=None)


def overrides_timeout(name: str) -> bool:
    """Whether an app setting of this name takes the place of the file's limit."""
    return len(name) <= len(_OVERRIDE) + 1 and name.replace("__", ":").lower() == _OVERRIDE


def _in_file() -> str:
    try:
        content = json.loads(FILE.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return ""  # the host itself says what is wrong with it
    return str(content.get("functionTimeout", "")) if isinstance(content, dict) else ""


def _seconds(text: str) -> int | None:
    """Whole seconds of `hh:mm:ss` or `d.hh:mm:ss`; days alone are days."""
    if re.fullmatch(r"[0-9]{1,8}", text):
        return int(text) * 86_400
    found = _TIME_SPAN.fullmatch(text)
    if not found:
        return None
    days, hours, minutes, seconds = (int(found[part] or 0) for part in "dhms")
    if hours > 23 or minutes > 59 or seconds > 59:  # noqa: PLR2004  # .NET takes no others
        return None
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
