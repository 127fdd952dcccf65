"""The page of tasks and the README's picture have what the commands show today. (Made anew by `make docs`.)"""

import re
import shlex

from git_refresh.cli.main import main
from tools import examples
from tools.queries import ROOT


def test_the_page_of_tasks_has_what_the_commands_print() -> None:
    assert (ROOT / examples.PAGE).read_text(encoding="utf-8") == examples.page(), "make docs"


def test_the_page_of_tasks_has_a_short_example_of_every_command() -> None:
    page = (ROOT / examples.PAGE).read_text(encoding="utf-8")
    shown = re.findall(r"^\$ (.*)\n((?:(?!```).*\n)*)", page, re.MULTILINE)
    used = {shlex.split(command)[1] for command, _ in shown}
    assert used == set(main.commands) - {"schema"}
    assert all(len(output.splitlines()) <= examples.MAX_LINES + 1 for _, output in shown)


def test_the_picture_is_what_the_command_prints_and_needs_nothing_else() -> None:
    picture = examples.picture()
    assert (ROOT / examples.PICTURE).read_text(encoding="utf-8") == picture, "make docs"
    assert len(set(re.findall(r"terminal-line-\d+", picture))) <= examples.MAX_PICTURE_LINES
    assert not re.search(r"(?:url\(|href=)[\"']?http|<script|file:", picture)


def test_the_pages_show_no_other_picture() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = [path for page in pages for path in re.findall(r"!\[[^\]]+\]\((.*?)\)", page.read_text("utf-8"))]
    files = [file.relative_to(ROOT).as_posix() for file in (ROOT / "docs/images").iterdir()]
    assert shown == files == [examples.PICTURE]
