"""Every use of the command line on a page or in a pipeline template is valid."""

import re
from collections.abc import Iterator

import click
import pytest

from git_refresh.cli.main import main
from tests.support.paths import PAGES, ROOT, series
from tests.support.printed import parse

PLACES = [*PAGES, *sorted((ROOT / "docs/pipelines").glob("*.yml"))]


def uses_of_ours() -> Iterator[tuple[str, str]]:
    for page in PLACES:
        for arguments in re.findall(
            r"(?:python -m git_refresh|(?:^ *(?:\$ )?|`|\| |/)git-refresh) ([^\n`|>#;]*)",
            page.read_text(),
            re.MULTILINE,
        ):
            text = arguments.rstrip(" .")
            whole = text.removesuffix('"') if text.count('"') % 2 else text
            yield f"{page.relative_to(ROOT)}: {arguments.strip()}", whole


USES = dict(uses_of_ours())


@pytest.mark.parametrize("use", USES)
def test_every_command_and_option_of_ours_exists(use: str) -> None:
    parse(USES[use])


@pytest.mark.parametrize(
    "broken", ["chek workspaces.json", "check --ofline", "run --dry-run", "check a.json b.json"]
)
def test_a_misspelled_use_is_noticed(broken: str) -> None:
    assert USES
    with pytest.raises(click.UsageError):
        parse(broken)


def test_the_reference_has_a_line_for_each_command() -> None:
    section = (
        (ROOT / "docs/reference.md").read_text().partition("\n## The commands\n")[2].partition("\n## ")[0]
    )
    described, taking = section.split("\n| Command | Takes |")
    for table in (described, taking):
        assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == sorted(main.commands)


SHARED = {"--json", "--trust-host", "--quiet", "-q", "--verbose", "-v", "--no-color", "--only", "--folder"}
"""What the section tells before its tables, of several commands at once."""


@pytest.mark.parametrize("name", sorted(main.commands))
def test_the_reference_has_what_each_command_takes(name: str) -> None:
    rows = (ROOT / "docs/reference.md").read_text().partition("\n| Command | Takes |")[2]
    (found,) = re.findall(rf"^\| `{name}` \| (.*)\| (.*)\|$", rows.partition("\n\n")[0], re.MULTILINE)
    command = main.commands[name]
    taken = [
        each.make_metavar(click.Context(command))
        for each in command.params
        if isinstance(each, click.Argument)
    ]
    assert found[0].strip(" `") == " ".join(taken)
    options = {opt for each in command.params if isinstance(each, click.Option) for opt in each.opts}
    assert set(re.findall(r"`(-[\w-]+)`", found[1])) == options - SHARED


def test_the_reference_says_which_commands_take_the_options_of_several() -> None:
    page = (ROOT / "docs/reference.md").read_text()
    for option in ("--quiet", "--folder"):
        takes = (
            name for name, each in sorted(main.commands.items()) if any(option in p.opts for p in each.params)
        )
        assert f"\n{series(takes)} also take " in page
