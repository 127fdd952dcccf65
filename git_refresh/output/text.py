"""Phrases for messages: counts, shortened lists, similar names."""

import difflib
from collections.abc import Iterable, Sequence

MAX_COMPARED_CHARS = 120
"""The time to compare two texts is proportional to the product of their lengths."""


def count(number: int, noun: str) -> str:
    """Return a number with its noun: "1 day", "2 days"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def first_of(names: Sequence[str], most: int, noun: str = "") -> str:
    """Return the first names and the number of others: "a, b and 3 more", "a and 2 more days"."""
    joint = "; " if any("," in name for name in names[:most]) else ", "
    left = len(names) - most
    more = count(left, f"more {noun}") if noun else f"{left:,} more"
    return joint.join(names[:most]) + (f" and {more}" if left > 0 else "")


def closest(text: str, choices: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the choices most similar to a text, best first. Ignores letter case."""
    folded = {choice.casefold()[:MAX_COMPARED_CHARS]: choice for choice in choices}
    near = difflib.get_close_matches(text.strip().casefold()[:MAX_COMPARED_CHARS], folded, most, cutoff)
    return [folded[each] for each in near]
