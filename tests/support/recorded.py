"""Recorded responses, and what they have in common with others."""

import json
from typing import Any

from tests.support.paths import RECORDED


def shape(value: object, at: str = "") -> dict[str, set[str]]:
    """The type of every value in an answer, by its path; the elements of a list are one."""
    found = {at: {type(value).__name__}}
    elements = [("*", element) for element in value] if isinstance(value, list) else []
    for key, below in value.items() if isinstance(value, dict) else elements:
        for path, types in shape(below, f"{at}.{key}".lstrip(".")).items():
            found.setdefault(path, set()).update(types)
    return found


SCHEDULES = json.loads((RECORDED / "functions_host/schedules.json").read_text(encoding="utf-8"))
CASES: list[list[Any]] = SCHEDULES["cases"]
