"""What a command shows on a terminal, as a picture: run for real, read by a terminal emulator, drawn by rich."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count, groupby
from pathlib import Path

import pyte
from rich.console import (  # type: ignore[attr-defined]  # the default of `export_svg`'s code_format
    CONSOLE_SVG_FORMAT,
    Console,
)
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tools import warm
from tools.queries import ROOT

COLUMNS = 110
_WIDE = 2000

_LIGHT = TerminalTheme(
    (255, 255, 255),
    (36, 41, 47),
    [
        (36, 41, 47),
        (207, 34, 46),
        (17, 99, 41),
        (125, 78, 0),
        (9, 105, 218),
        (130, 80, 223),
        (27, 124, 131),
        (110, 119, 129),
    ],
)
_FONTS = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
_FORMAT = _FONTS.sub("", CONSOLE_SVG_FORMAT).replace(
    "font-family: Fira Code, monospace",
    "font-family: ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace",
)
"""rich's own, without fonts from elsewhere."""

_CHANGING = {
    "commit": re.compile(r"(?<![0-9A-Za-z-])[0-9a-f]{8}(?![0-9A-Za-z-])"),
    "id": re.compile(
        r"(?!5a1e0000-)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    ),  # but not that of all examples
    "date": re.compile(r"\b20\d\d-\d\d-\d\d\b"),
    "time": re.compile(r"\b\d\d:\d\d(?::\d\d)?\b"),
    "took": re.compile(r"(?<=[( ])\d+\.\d(?= s\b)"),
    "remaining": re.compile(r"\b3[5-9]\d\d(?= s\b)"),
    "minutes": re.compile(r"\b[56]\d(?= minutes\b)"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One character and how it is shown."""

    character: str
    style: Style


def show(  # noqa: PLR0913  # what a terminal is, and who sits there
    arguments: Sequence[str],
    environ: Mapping[str, str],
    code: int = 0,
    *,
    program: str = warm.SCRIPT,
    folder: Path = ROOT,
    columns: int = COLUMNS,
    wide: bool = False,
    stdin: Path | None = None,
    keys: Mapping[str, str] | None = None,
) -> list[list[Cell]]:
    """Run a command on a terminal; what is on the screen when it has ended, line by line.

    Args:
        arguments: what is typed behind the program's name.
        environ: its environment, whole.
        code: how it has to end.
        program: as `warm.start` takes it.
        folder: where it is started.
        columns: of the terminal.
        wide: let the terminal not break a line that the command has not broken, as when it is copied.
        stdin: what is piped into it.
        keys: what somebody presses as soon as this text has appeared.

    Raises:
        RuntimeError: it ended with another exit code.
    """
    environ = {name: value for name, value in environ.items() if name != "NO_COLOR"}
    done = warm.on_terminal(
        *arguments, environ=environ, columns=columns, stdin=stdin, keys=keys, folder=folder, program=program
    )
    screen = pyte.Screen(_WIDE if wide else columns, warm.LINES)
    pyte.ByteStream(screen).feed(done.stdout)
    last = max(screen.buffer, default=-1)
    lines = [
        [_cell(screen.buffer[row][column]) for column in range(columns if not wide else _width(screen, row))]
        for row in range(last + 1)
    ]
    while lines and not plain(lines[-1]):
        lines.pop()
    if done.returncode != code:
        raise RuntimeError("\n".join([f"Exit code {done.returncode}, not {code}:", *map(plain, lines)]))
    return lines


def _width(screen: pyte.Screen, row: int) -> int:
    return 1 + max(screen.buffer[row], default=-1)


def stable(lines: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """The same with commits, ids and times that are the same each time, each by the order in which they appear."""
    known: dict[tuple[str, str], str] = {}
    numbers = {kind: count() for kind in _CHANGING}
    made = []
    for line in lines:
        cells = list(line)
        for kind, pattern in _CHANGING.items():
            changing = [*pattern.finditer(plain(cells))]
            for found in changing:
                if (kind, found[0]) not in known:
                    known[kind, found[0]] = _stands_for(kind, found[0], next(numbers[kind]))
            for found in reversed(changing):
                style = cells[found.start()].style
                cells[found.start() : found.end()] = [Cell(c, style) for c in known[kind, found[0]]]
        made.append(cells)
    return made


def _stands_for(kind: str, found: str, number: int) -> str:
    match kind:
        case "commit":
            return f"{0x3FA1C07E * (2 * number + 1) % 2**32:08x}"
        case "id":
            return f"7d4c0000-0000-4000-8000-{number + 1:012}"
        case "date":
            return "2027-05-31"
        case "time":  # two of them may be in the same second or not
            return "12:05:00"[: len(found)]
        case "took":
            return "0.4"
        case "remaining":
            return "3899"
    return "64"


def svg(title: str, lines: Sequence[Sequence[Cell]]) -> str:
    """Those lines as SVG."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor", force_terminal=True
    )
    for line in lines:
        text = Text()
        for style, cells in groupby(line, key=lambda cell: cell.style):
            text.append("".join(cell.character for cell in cells), style)
        text.rstrip()
        console.print(text, no_wrap=True, crop=True)
    return console.export_svg(title=title, theme=_LIGHT, code_format=_FORMAT, unique_id="terminal")


def typed(command: str) -> list[Cell]:
    """The line on which somebody has typed a command."""
    return [
        Cell("$", Style(dim=True)),
        Cell(" ", Style()),
        *(Cell(letter, Style(bold=True)) for letter in command),
    ]


def plain(line: Sequence[Cell]) -> str:
    """A line's text."""
    return "".join(cell.character for cell in line).rstrip()


def _cell(shown: pyte.screens.Char) -> Cell:
    return Cell(shown.data, _style(shown.fg, bold=shown.bold, underline=shown.underscore))


@cache
def _style(colour: str, *, bold: bool, underline: bool) -> Style:
    named = None if colour == "default" else {"brown": "yellow"}.get(colour, colour)
    named = f"#{named}" if named and re.fullmatch("[0-9a-f]{6}", named) else named
    return Style(color=named, bold=bold, underline=underline)
