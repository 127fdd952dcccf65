"""How much a new user types: counted in the blocks of the pages, as the table on the page says."""

import re
from collections.abc import Sequence

import pytest

from tests.support.setup_paths import (
    BLOCK,
    BY_HAND,
    BY_THE_OLD_WAY,
    GRANTED_BY_HAND,
    LONG_WAY,
    SETUP,
    SHORT_WAY,
    WAYS,
    WITH_ONBOARD,
    Step,
    below,
    blocks,
    commands,
    effort,
    ends_of_init,
    typed,
)


def told(row: str) -> list[int]:
    """The numbers of a row of the table."""
    (cells,) = re.findall(rf"^\| granting {row} \| (.*) \|$", SETUP, re.MULTILINE)
    return [int(cell) for cell in cells.split(" | ")]


def test_the_table_has_a_column_for_each_way() -> None:
    (head,) = re.findall(r"^\| Commands, if the app signs in with \| (.*) \|$", SETUP, re.MULTILINE)
    assert head == " | ".join(f"`{way}`" for way in WAYS)


ROWS = {r"\[by hand\]\(by-hand\.md\)": BY_THE_OLD_WAY, "with `onboard`": WITH_ONBOARD}


@pytest.mark.parametrize("row", ROWS, ids=["by hand", "with onboard"])
def test_as_many_commands_are_typed_as_the_page_says(row: str) -> None:
    assert told(row) == [len([*commands(typed(ROWS[row], way))]) for way in WAYS]


BEFORE = {"commands": 18, "edits": 4, "pages": 11, "words": 3_163}
"""Measured on the short way of version 0.1.0 before it had `deploy`: pastes, edits, hops between pages, words."""


@pytest.mark.parametrize(
    ("row", "steps"),
    [(r"the \[README\][^|]*", SHORT_WAY), (r"this page, granting [^|]*", LONG_WAY)],
    ids=["README", "by hand"],
)
def test_the_way_to_green_takes_what_the_page_says(row: str, steps: Sequence[Step]) -> None:
    (cells,) = re.findall(rf"^\| {row} \| (.*) \|$", SETUP, re.MULTILINE)
    assert tuple(int(cell.replace(",", "")) for cell in cells.split(" | ")) == effort(steps, "federated")


def test_the_short_way_takes_less_of_everything_than_before() -> None:
    short = effort(SHORT_WAY, "federated")
    assert all(now < before for now, before in zip(short, BEFORE.values(), strict=True)), short


def test_the_short_way_is_azd_up_and_four_commands_of_ours() -> None:
    own = [line for line in commands(typed(SHORT_WAY[1:], "federated")) if " login" not in line]
    assert [" ".join(line.split()[:2]) for line in own] == [
        "azd up",
        "git-refresh init",
        "git-refresh onboard",
        "git-refresh onboard",
        "git-refresh deploy",
    ]


def test_what_is_not_counted_is_what_the_page_says_is_not() -> None:
    """Steps 0, 1, 5, 7 and 8, the values, variants, further workspaces."""
    counted = [(page, heading) for page, heading, _ in (*WITH_ONBOARD, *GRANTED_BY_HAND)]
    left = [
        (heading.strip("# "), len(blocks(below(page, heading.strip("# ")))))
        for page in (SETUP, BY_HAND)
        for heading in re.findall(r"^#+ .*$", page, re.MULTILINE)
        if (page, heading.strip("# ")) not in counted
    ]
    assert {heading for heading, number in left if number} == {
        "Setup",
        "By hand",
        "0. What you need",
        "1. The function app and its identity",
        "Variant: a system-assigned identity",
        "5. Try it from a laptop",
        "8. Clean up",
        "Variant: organizations of another tenant",
        "In each further workspace",
        "Variant: workspaces that do not trust each other",
    }
    assert len(BLOCK.findall(SETUP)) == len(blocks(SETUP)), "no block is overlooked"


def test_a_command_over_several_lines_is_one_and_a_value_is_none() -> None:
    script = "A=b\nexport A B=c\n\nX=$(jq '{\n  a: 1\n}')\naz login\n"
    assert [*commands(script)] == ["X=$(jq '{\n  a: 1\n}')", "az login"]


def test_the_page_names_each_way_s_end_of_init() -> None:
    assert ends_of_init() == {
        "federated": "--auth federated",
        "oauth_secret": '--auth oauth_secret --vault "https://$VAULT.vault.azure.net"',
        "managed_identity": "--auth managed_identity",
    }
