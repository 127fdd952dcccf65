"""Every use of the command line on a page or in a pipeline template is valid."""

import re
from collections.abc import Iterator

import click
import pytest

from git_refresh.cli.main import main
from tests.support.paths import PAGES, ROOT
from tests.support.printed import parse
from tools.cli_page import brief

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


def test_the_page_has_every_command_and_option() -> None:
    page = (ROOT / "docs/cli.md").read_text()
    assert re.findall(r"^### `(.+)`$", page, re.MULTILINE) == sorted(main.commands)
    options = {
        opt
        for each in main.commands.values()
        for p in each.params
        if isinstance(p, click.Option)
        for opt in p.opts
    }
    assert {word.split()[0] for word in re.findall(r"`(-[^`]+)`", page)} == options | {"--help"}


@pytest.mark.parametrize(
    ("help_", "shown"),
    [
        ("Show only runs that failed. More.", "Show only runs that failed."),
        ("How far back: 30m, 24h, 7d.", "How far back: 30m, 24h, 7d."),
        (
            "Read the app settings from this file: one of three that are long. More.",
            "Read the app settings from this file.",
        ),
        (
            "With --apply: wait until the first run with these settings ends.",
            "With --apply: wait until the first run with these settings ends.",
        ),
    ],
)
def test_a_long_help_text_is_shortened_to_a_clause(help_: str, shown: str) -> None:
    assert brief(help_) == shown
