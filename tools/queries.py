"""The queries of infra/queries: what pages and the workbook show is made from these files, and the alerts load them."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "infra/queries/workbook"


@dataclass(frozen=True, slots=True)
class Query:
    """A query with its heading and its sentence, which are the first two lines of its file, as comments."""

    file: Path
    title: str
    sentence: str
    text: str


def read(file: Path) -> Query:
    """The query in a file.

    Raises:
        ValueError: its heading or its sentence is missing.
    """
    title, sentence, text = file.read_text(encoding="utf-8").split("\n", 2)
    if not (title.startswith("// ") and sentence.startswith("// ")) or text.startswith("//"):
        raise ValueError(f"{file.name} must begin with its heading and its sentence, each a comment.")
    return Query(file, title.removeprefix("// "), sentence.removeprefix("// "), text.rstrip("\n"))


def queries(folder: Path = FOLDER) -> list[Query]:
    """All queries of the workbook, in the order of their files."""
    return [read(file) for file in sorted(folder.glob("*.kql"))]
