"""Recorded responses and their shapes."""

import json
from typing import Any

from tests.support.paths import RECORDED


def shape(value: object, at: str = "") -> dict[str, set[str]]:
    """Return the types of all values by path; the items of a list share one."""
    found = {at: {type(value).__name__}}
    elements = [("*", element) for element in value] if isinstance(value, list) else []
    for key, below in value.items() if isinstance(value, dict) else elements:
        for path, types in shape(below, f"{at}.{key}".lstrip(".")).items():
            found.setdefault(path, set()).update(types)
    return found


SCHEDULES = json.loads((RECORDED / "functions_host/schedules.json").read_text(encoding="utf-8"))
CASES: list[list[Any]] = SCHEDULES["cases"]
