"""The pages as a first deployer types them: in one order, with every variable set, and nothing that Azure has yet to be told of."""

import json
import re
from pathlib import Path

import pytest

from tests.support.paths import PAGES, ROOT
from tests.support.setup_paths import BLOCK
from tests.support.templates import (
    INFRA,
    PLAIN,
    ZONED,
    deployment,
    next_steps,
    resources_of,
    template,
    templates,
)

README = (ROOT / "README.md").read_text()
SETUP = (ROOT / "docs/setup.md").read_text()
BY_HAND = (ROOT / "docs/permissions.md").read_text()
INFRA_PAGE = (ROOT / "infra/README.md").read_text()
OPERATIONS = (ROOT / "docs/runbook.md").read_text()
PIPELINES = (ROOT / "docs/pipelines/README.md").read_text()
REFERENCE = (ROOT / "docs/reference.md").read_text()

STEPS = ["Azure and code", "List", "Grant access", "Deploy the list"]
PUBLISH = "functionapp " + "publish"


def section(page: str, heading: str) -> str:
    """What stands below a heading, up to the next of its kind."""
    _, found, rest = page.partition(f"\n## {heading}\n")
    assert found, heading
    return rest.partition("\n## ")[0]


def steps(text: str) -> list[str]:
    return re.findall(r"^\d\. \*\*(.*?)\.?\*\*", text, re.MULTILINE)


def out_of_order(text: str, *parts: str) -> list[str]:
    """The parts that do not follow the one before them."""
    missed: list[str] = []
    place = 0
    for part in parts:
        at = text.find(part, place)
        if at < 0:
            missed.append(part)
        else:
            place = at + len(part)
    return missed


def unset(page: str, known: frozenset[str] = frozenset()) -> list[str]:
    """Variables that a block of commands uses before one above it has set them."""
    set_so_far = set(known)
    missed: list[str] = []
    for block in BLOCK.findall(page):
        for line in re.sub(r"'[^']*'", "''", block).splitlines():
            set_here = re.findall(r"\b(?:for|read -r) ([A-Z_]+)\b", line)
            used = re.findall(r"(?<!\\)\$\{?([A-Z][A-Z_]*)", line)
            missed += [name for name in used if name not in set_so_far.union(set_here)]
            set_so_far.update(re.findall(r"\b([A-Z][A-Z_]*)=", line), set_here)
    return missed


def provided(page: str) -> set[str]:
    """The namespaces that the page has registered, or names for a closed network."""
    (always,) = re.findall(r"^for NAMESPACE in (.*); do$", page, re.MULTILINE)
    return {*always.split(), *re.findall(r"`(Microsoft\.\w+)`", page)}


def needed() -> set[str]:
    types = [each["type"] for one in templates(template(INFRA)) for each in resources_of(one)]
    # Every subscription has these: without them nobody could be given a role, and nothing could be deployed.
    always = {"Microsoft.Authorization", "Microsoft.Resources"}
    return {kind.partition("/")[0] for kind in types} - always


@pytest.mark.parametrize(
    "text",
    [section(README, "Deploy it"), section(INFRA_PAGE, "From nothing to green")],
    ids=["README", "infra"],
)
def test_the_short_ways_have_one_order(text: str) -> None:
    assert steps(text) == STEPS
    assert not out_of_order(
        text, "paused and its alerts are off until it has a list", "git-refresh deploy --app "
    )
    assert "--apply --wait" in text


def test_without_azd_publishing_waits_for_the_roles() -> None:
    text = section(INFRA_PAGE, "From nothing to green").partition("2. **List**")[0]
    assert not out_of_order(text, "az deployment group create", "Wait five minutes", PUBLISH)
    assert not out_of_order("\n".join(next_steps(PLAIN)), "Wait five minutes", PUBLISH, "git-refresh init")


def test_the_template_has_the_same_order() -> None:
    beside = {"Secret", "Trust", "Zones"}
    for deployed in (PLAIN, ZONED, deployment(INFRA, "zone-with-secret")):
        told = [re.split("[,:]", step)[0] for step in next_steps(deployed)]
        assert [step for step in told if step not in beside] == ["Wait five minutes", "Publish", *STEPS[1:]]


def test_setup_creates_the_list_and_the_principal_before_granting_access() -> None:
    template = "\n".join(next_steps(PLAIN))
    for text in (section(README, "Deploy it"), template):
        assert not out_of_order(
            text,
            "git-refresh init --identity ",
            "git-refresh onboard --new-principal git-refresh --apply",
            "git-refresh onboard --apply",
            "git-refresh deploy --app ",
        )
    assert not out_of_order(
        section(INFRA_PAGE, "From nothing to green"), "`init`", "--new-principal", "Grant access"
    )


def test_the_named_databricks_cli_version_has_all_commands_of_the_pages() -> None:
    for text in (SETUP, BY_HAND, PIPELINES):
        assert "0.205" not in text


def test_in_full_the_order_is_the_same() -> None:
    assert not out_of_order(
        SETUP,
        "## 1. The function app",
        "## 2. The list",
        "git-refresh init ",
        "--new-principal git-refresh --apply\n",
        "## 3. Let it in",
        "### The vault",
        "### Your own role",
        "git-refresh onboard --apply\n",
        "## 4. The app settings",
        "git-refresh deploy ",
        "## 5. Try it from a laptop",
        "## 6. Publish",
        "functionapp " + "publish",
        "## 7. See it green",
    )
    assert SETUP.count("functionapp " + "publish") == 1


def test_manual_grants_come_in_the_order_of_their_dependencies() -> None:
    assert not out_of_order(
        BY_HAND,
        "## Azure DevOps",
        "## A service principal in Databricks",
        "## The federation policy",
        "## The OAuth secret",
        "## Can Manage on the folders",
        "## See that it is all there",
        "git-refresh check\n",
    )
    assert "functionapp " + "publish" not in BY_HAND


def test_azd_needs_one_command_and_no_list() -> None:
    text = "".join(BLOCK.findall(section(README, "Deploy it") + section(INFRA_PAGE, "With azd")))
    assert re.findall(r"^ *(azd (?:up|provision|deploy|env set).*)$", text, re.MULTILINE) == ["azd up"]


def test_the_way_with_azd_or_az_needs_neither_make_nor_jq() -> None:
    text = "".join(BLOCK.findall(section(README, "Deploy it") + section(INFRA_PAGE, "From nothing to green")))
    assert not re.search(r"\b(jq|make|python)\b", text.replace('publish "$APP" --python', ""))


def test_no_sample_list_is_ever_deployed() -> None:
    lines = [
        line for line in INFRA["app.bicepparam"].splitlines() if line.strip() and not line.startswith("//")
    ]
    assert not [line for line in lines if "workspace" in line.lower()]
    by_azd = json.loads(INFRA["main.parameters.json"])["parameters"]
    nullable = {name for name, each in template(INFRA)["parameters"].items() if each.get("nullable")}
    assert nullable == {
        "workspaces",
        "workspaceDefaults",
        "trustedHosts",
        "refreshConcurrency",
        "refreshTimeoutSeconds",
    }
    assert [by_azd[name]["value"] for name in sorted(nullable) if "=" in by_azd[name]["value"]] == []


def test_a_step_out_of_order_is_noticed() -> None:
    assert out_of_order("publish, then wait", "wait", "publish") == ["publish"]


def test_every_provider_of_a_template_is_registered_before_the_first_step() -> None:
    before, _, after = SETUP.partition("\n## 1. ")
    assert after
    assert needed() <= provided(before)
    assert "/environments" in INFRA["main.bicep"]
    assert "Microsoft.App" in provided(before), "of the subnet's delegation"
    assert "docs/setup.md#0-what-you-need" in README.partition("1. **Azure and code.**")[0]
    assert "docs/setup.md#0-what-you-need" in INFRA_PAGE.partition("1. **Azure and code.**")[0]


@pytest.mark.parametrize("namespace", sorted(needed()))
def test_a_provider_that_is_left_out_is_noticed(namespace: str) -> None:
    assert not needed() <= provided(SETUP.replace(namespace, "Microsoft.Other"))


TOP = "\n```sh\n" + BLOCK.findall(SETUP)[0] + "```\n"
ONCALL = "\n```sh\n" + BLOCK.findall(OPERATIONS)[0] + "```\n"


@pytest.mark.parametrize(
    ("page", "known"),
    [
        (SETUP, ""),
        # It says to paste the top of the page on setup first.
        (TOP + INFRA_PAGE, ""),
        # It says where these are from.
        (TOP + BY_HAND, "OBJECT_ID"),
        (OPERATIONS, ""),
        (ONCALL + REFERENCE, ""),
        # The pipeline's own, in its last step.
        (PIPELINES, "APP RESOURCE_GROUP"),
    ],
    ids=["setup", "infra", "by hand", "operations", "reference", "pipelines"],
)
def test_every_variable_is_set_before_it_is_used(page: str, known: str) -> None:
    assert unset(page, frozenset(known.split())) == []


def test_a_variable_that_is_set_too_late_is_noticed() -> None:
    assert unset('```sh\necho "$GROUP" \'$STORAGE\'\nGROUP=a\necho "$GROUP"\n```\n') == ["GROUP"]


def test_the_mistakes_of_a_first_deployment_stand_in_one_table() -> None:
    heading = "What first deployers get wrong"
    tables = {
        path
        for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "infra/README.md")
        if "MissingSubscriptionRegistration" in path.read_text()
    }
    assert tables == {ROOT / "infra/README.md"}
    rows = re.findall(r"^\|(.*)\|(.*)\|(.*)\|$", section(INFRA_PAGE, heading), re.MULTILINE)
    assert len(rows) > 12
    assert all(cell.strip() for row in rows for cell in row)
    assert "infra/README.md#what-first-deployers-get-wrong" in SETUP


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_row_of_a_table_has_as_many_cells_as_its_head(page: Path) -> None:
    for table in re.findall(r"(?:^ *\|.*\n)+", page.read_text() + "\n", re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table
