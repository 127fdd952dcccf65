"""How much a new user types: counted in the blocks of the pages, as the table on the page says."""

import re

import pytest

from tests.support.setup_paths import (
    BLOCK,
    BY_HAND,
    BY_THE_OLD_WAY,
    GRANTED_BY_HAND,
    SETUP,
    WAYS,
    WITH_ONBOARD,
    below,
    blocks,
    commands,
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
