"""Paths of the project and its pages."""

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "git_refresh"
RECORDED = ROOT / "tests/recorded"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "infra/README.md",
]


def series(names: Iterable[str]) -> str:
    """Return names as pages list them: "`a`, `b` and `c`"."""
    *others, last = (f"`{name}`" for name in names)
    return f"{', '.join(others)} and {last}"
