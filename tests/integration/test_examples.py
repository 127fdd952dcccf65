"""The page of examples and the pictures of the README show what the commands print."""

import re
import shlex

import pytest

from git_refresh.cli.main import main
from tools import examples
from tools.queries import ROOT


def test_the_page_of_examples_has_what_the_commands_print() -> None:
    assert (ROOT / examples.PAGE).read_text(encoding="utf-8") == examples.page(), "make docs"


def test_the_page_has_a_short_example_of_every_command() -> None:
    page = (ROOT / examples.PAGE).read_text(encoding="utf-8")
    shown = re.findall(r"^\$ (.*)\n((?:(?!```).*\n)*)", page, re.MULTILINE)
    used = {shlex.split(command)[1] for command, _ in shown}
    assert used == set(main.commands) - {"schema"}
    assert all(len(output.splitlines()) <= examples.MAX_LINES + 1 for _, output in shown)


@pytest.mark.parametrize("name", examples.PICTURES)
def test_a_picture_is_what_the_demo_prints_and_needs_nothing_else(name: str) -> None:
    picture = examples.picture(name)
    assert (ROOT / name).read_text(encoding="utf-8") == picture, "make docs"
    assert len(set(re.findall(r"terminal-line-\d+", picture))) <= examples.MAX_PICTURE_LINES
    assert not re.search(r"(?:url\(|href=)[\"']?http|<script|file:", picture)


def test_no_text_of_a_picture_is_over_another() -> None:
    ends: dict[str, float] = {}
    texts = re.findall(
        r'<text [^>]*?x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"',
        examples.picture("docs/images/run.svg"),
    )
    for x, y, length in texts:
        assert float(x) >= ends.get(y, 0) - 0.1
        ends[y] = float(x) + float(length)
    assert 10 < len(ends) <= examples.MAX_PICTURE_LINES
    columns = examples.PICTURE_COLUMNS + 1  # rich draws the line break, too
    assert max(ends.values()) <= columns * 12.2 + 0.1


def test_the_readme_shows_each_picture_and_no_page_another() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = {
        path
        for page in pages
        for found in re.findall(r'!\[[^\]]+\]\((.*?)\)|(?:srcset|src)="(.*?)"', page.read_text("utf-8"))
        for path in found
        if path
    }
    files = {file.relative_to(ROOT).as_posix() for file in (ROOT / "docs/images").iterdir()}
    assert shown == files == set(examples.PICTURES)
