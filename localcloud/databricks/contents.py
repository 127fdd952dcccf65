"""The contents of a Git folder's clone as a workspace shows them: notebooks have no suffix.

Facts: https://docs.databricks.com/notebooks/notebook-format
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HEADER = "Databricks notebook source"
_LANGUAGES = {".py": "PYTHON", ".sql": "SQL", ".scala": "SCALA", ".r": "R", ".ipynb": "PYTHON"}


@dataclass(frozen=True, slots=True)
class Item:
    """A directory, file or notebook; only a notebook has a language."""

    kind: Literal["DIRECTORY", "FILE", "NOTEBOOK"]
    language: str | None = None


def children(directory: Path) -> dict[str, Item]:
    """Return the items of a clone's directory by their workspace names. Unrecorded: that `.git` is hidden."""
    found = sorted(directory.iterdir()) if directory.is_dir() else []
    return dict(_shown(entry) for entry in found if entry.name != ".git")


def item(root: Path, names: Sequence[str]) -> Item | None:
    """Return the item at a path inside a clone."""
    if {"..", ".git"} & set(names):
        return None
    return children(root.joinpath(*names[:-1])).get(names[-1])


def clashes(paths: Iterable[str]) -> bool:
    """Return whether a notebook has the same name as a neighbor, apart from the suffix.

    A source file counts as a notebook only next to an `.ipynb`; its content is not read.
    """
    files = list(paths)
    stems = {path.removesuffix(".ipynb") for path in files if path.endswith(".ipynb")}
    others = [path for path in files if not path.endswith(".ipynb")]
    beside = {path.removesuffix(suffix) for path in others for suffix in ("", *_LANGUAGES)}
    above = {path[:end] for path in files for end, letter in enumerate(path) if letter == "/"}
    return bool(stems & (beside | above))


def _shown(entry: Path) -> tuple[str, Item]:
    if entry.is_dir() and not entry.is_symlink():
        return entry.name, Item("DIRECTORY")
    language = _LANGUAGES.get(entry.suffix.lower())
    if language and (entry.suffix == ".ipynb" or _has_header(entry)):
        return entry.stem, Item("NOTEBOOK", language)
    return entry.name, Item("FILE")


def _has_header(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            return HEADER.encode() in content.readline(100)
    except OSError:
        return False
