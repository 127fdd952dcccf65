"""The queries of infra/queries. The workbook is generated from them, and alert rules load theirs."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "infra/queries/workbook"


@dataclass(frozen=True, slots=True)
class Query:
    """A query. The first two lines of its file are its title and its description, as comments."""

    file: Path
    title: str
    description: str
    text: str


def read(file: Path) -> Query:
    """Return the query in a file.

    Raises:
        ValueError: its title or its description is missing.
    """
    title, description, text = file.read_text(encoding="utf-8").split("\n", 2)
    if not (title.startswith("// ") and description.startswith("// ")) or text.startswith("//"):
        raise ValueError(f"{file.name} must begin with a title and a description, each as a comment.")
    return Query(file, title.removeprefix("// "), description.removeprefix("// "), text.rstrip("\n"))


def queries(folder: Path = FOLDER) -> list[Query]:
    """Return the queries of a folder, ordered by file name."""
    return [read(file) for file in sorted(folder.glob("*.kql"))]
