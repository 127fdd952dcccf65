"""What a Git folder's clone holds, as a workspace shows it: directories, files, and notebooks without their suffix.

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
    """Something in a directory; only a notebook has a language."""

    kind: Literal["DIRECTORY", "FILE", "NOTEBOOK"]
    language: str | None = None


def children(directory: Path) -> dict[str, Item]:
    """What is directly in a directory of a clone, by the names that the workspace shows. Unrecorded: that `.git` is hidden."""
    found = sorted(directory.iterdir()) if directory.is_dir() else []
    return dict(_shown(entry) for entry in found if entry.name != ".git")


def item(root: Path, names: Sequence[str]) -> Item | None:
    """What is at a path inside a clone."""
    if {"..", ".git"} & set(names):
        return None
    return children(root.joinpath(*names[:-1])).get(names[-1])


def clashes(paths: Iterable[str]) -> bool:
    """Whether a notebook among a tree's files has the name of something beside it but for the suffix.

    A source file counts as a notebook here only beside an `.ipynb`: its content is not looked at.
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
