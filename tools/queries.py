"""The queries of infra/queries, for pages, the workbook and the alert rules."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "infra/queries/workbook"


@dataclass(frozen=True, slots=True)
class Query:
    """A query with its heading and description, the first two comments of its file."""

    file: Path
    title: str
    sentence: str
    text: str


def read(file: Path) -> Query:
    """Read the query in a file.

    Raises:
        ValueError: the heading or the description is missing.
    """
    title, sentence, text = file.read_text(encoding="utf-8").split("\n", 2)
    if not (title.startswith("// ") and sentence.startswith("// ")) or text.startswith("//"):
        raise ValueError(f"{file.name} must begin with its heading and its sentence, each a comment.")
    return Query(file, title.removeprefix("// "), sentence.removeprefix("// "), text.rstrip("\n"))


def queries(folder: Path = FOLDER) -> list[Query]:
    """Return the queries of the workbook in the order of their files."""
    return [read(file) for file in sorted(folder.glob("*.kql"))]
