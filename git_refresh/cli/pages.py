"""Where each code is explained: the page on failures, beside the code that this command line runs from."""

from pathlib import Path

from rich.console import Console
from rich.style import Style
from rich.text import Text

PAGE = Path(__file__).parents[2] / "docs/troubleshooting.md"


def place_of(code: str) -> str:
    """The page and its section, from the top of the checkout."""
    return f"docs/{PAGE.name}#{code}"


def code_style(code: str, out: Console) -> Style:
    """How a code is shown: dim, and where the terminal can follow links, as one to its section.

    The command line runs from a checkout, so the link leads to the very page that was made from its table, without a network.
    """
    follows = out.is_terminal and not out.is_dumb_terminal and not out.no_color and PAGE.exists()
    return Style(dim=True, link=f"{PAGE.as_uri()}#{code}" if follows else None)


def code_text(code: str, out: Console) -> Text:
    """A code behind what happened."""
    return Text.assemble("  ", (f"({code})", code_style(code, out)))
