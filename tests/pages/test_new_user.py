"""A new user gets from nothing to a run with the commands on the pages, and with few of them."""

import re
from collections.abc import Sequence

import pytest

from tests.support.setup_paths import (
    BLOCK,
    CLEAN_UP,
    MANUAL_GRANTS,
    METHODS,
    ONBOARD,
    PERMISSIONS,
    README_PATH,
    SETUP,
    TOOLS,
    Step,
    below,
    blocks,
    commands,
    ends_of_init,
    pasted,
    setup_path,
)


def programs(steps: Sequence[Step], method: str) -> list[str]:
    """The first two words of each command, without sign-ins and without those whose output is a variable."""
    words = [line.split()[:2] for line in commands(pasted(steps, method))]
    return [
        " ".join(pair) for pair in words if "login" not in pair and "auth" not in pair and "=" not in pair[0]
    ]


def test_the_readme_deploys_with_azd_up_and_four_own_commands() -> None:
    assert programs(README_PATH[1:], "federated") == [
        "azd up",
        "git-refresh init",
        "git-refresh onboard",
        "git-refresh onboard",
        "git-refresh deploy",
    ]


@pytest.mark.parametrize("method", METHODS)
def test_both_tools_share_all_steps_but_the_deployment_of_the_template(method: str) -> None:
    by_az, by_azd = (programs(setup_path(tool, ONBOARD), method) for tool in TOOLS)
    own = [each for each in by_az if each.startswith("git-refresh ")]
    assert own == [each for each in by_azd if each.startswith("git-refresh ")]
    creates = [] if method == "managed_identity" else ["git-refresh onboard"]
    assert own == ["git-refresh init", *creates, "git-refresh onboard", "git-refresh deploy"]
    assert by_az[-1] == "func azure"
    assert "func azure" not in by_azd, "azd up publishes the code"
    assert "azd up" in by_azd


def test_every_block_of_the_pages_belongs_to_a_path_or_a_variant() -> None:
    paths = [*(step for tool in TOOLS for step in setup_path(tool, ONBOARD)), *MANUAL_GRANTS, CLEAN_UP]
    on_a_path = {(page, heading) for page, heading, _ in paths}
    left = {
        heading
        for page in (SETUP, PERMISSIONS)
        for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)
        if (page, heading) not in on_a_path and blocks(below(page, heading))
    }
    assert left == {"Variant: organizations of another tenant", "In each further workspace"}
    assert len(re.findall(r"```sh$", SETUP + PERMISSIONS, re.MULTILINE)) == len(
        BLOCK.findall(SETUP + PERMISSIONS)
    ), "no block is overlooked"


def test_a_command_over_several_lines_is_one_and_a_value_is_none() -> None:
    script = "A=b\nexport A B=c\n\nX=$(jq '{\n  a: 1\n}')\naz login\n"
    assert [*commands(script)] == ["X=$(jq '{\n  a: 1\n}')", "az login"]


def test_the_page_names_the_end_of_init_for_each_method() -> None:
    assert ends_of_init() == {
        "federated": "--auth federated",
        "oauth_secret": '--auth oauth_secret --vault "https://$VAULT.vault.azure.net"',
        "managed_identity": "--auth managed_identity",
    }
