"""Numbers on the reference page."""

import re

from tests.support.paths import ROOT

REFERENCE = (ROOT / "docs/reference.md").read_text()
RUNS, MINUTES = 730 * 4, 730 * 60


def row(name: str) -> list[str]:
    """The last three cells of a row: for 1, 50 and 1,000 workspaces."""
    (found,) = re.findall(rf"^\| {re.escape(name)}.*", REFERENCE, re.MULTILINE)
    return [cell.strip(" *") for cell in found.strip("|").split("|")[-3:]]


def numbers(name: str) -> list[float]:
    return [float(cell) for cell in row(name)]


SIZES = (1, 50, 1000)
BILLED = numbers("**seconds billed**")
