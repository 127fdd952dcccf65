"""The commands of the pages for a first deployment: their order, their variables, and the resource providers that they need."""

import json
import re
from pathlib import Path

import pytest

from tests.support.paths import PAGES, ROOT
from tests.support.setup_paths import BLOCK
from tests.support.templates import (
    INFRA,
    PLAIN,
    next_steps,
    resources_of,
    template,
    templates,
)

README = (ROOT / "README.md").read_text()
SETUP = (ROOT / "docs/setup.md").read_text()
PERMISSIONS = (ROOT / "docs/permissions.md").read_text()
INFRA_PAGE = (ROOT / "infra/README.md").read_text()
OPERATIONS = (ROOT / "docs/runbook.md").read_text()
FAN_OUT = (ROOT / "docs/fan-out.md").read_text()
PIPELINES = (ROOT / "docs/pipelines/README.md").read_text()

PUBLISH = "functionapp " + "publish"


def section(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next one of its level."""
    _, found, rest = page.partition(f"\n## {heading}\n")
    assert found, heading
    return rest.partition("\n## ")[0]


def steps(text: str) -> list[str]:
    return re.findall(r"^\d\. \*\*(.*?)\.?\*\*", text, re.MULTILINE)


def out_of_order(text: str, *parts: str) -> list[str]:
    """Return the parts that do not follow the one before them."""
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
    """Return the variables that a block uses before a block above it sets them."""
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
    """Return the namespaces that the page registers, or names for private networks."""
    (always,) = re.findall(r"^for NAMESPACE in (.*); do$", page, re.MULTILINE)
    return {*always.split(), *re.findall(r"`(Microsoft\.\w+)`", page)}


def needed() -> set[str]:
    types = [each["type"] for one in templates(template(INFRA)) for each in resources_of(one)]
    # Azure registers these for every subscription.
    always = {"Microsoft.Authorization", "Microsoft.Resources"}
    return {kind.partition("/")[0] for kind in types} - always


def test_the_readme_has_the_steps_of_the_setup_page() -> None:
    readme = section(README, "Deploy it")
    assert steps(readme) == ["Deploy the app", "Create the list", "Grant access", "Deploy the list"]
    assert not out_of_order(SETUP, *(f"\n## {step}\n" for step in steps(readme)))
    assert "--apply --wait" in readme
    assert re.findall(r"^ *(azd (?:up|provision|deploy|env set).*)$", readme, re.MULTILINE) == ["azd up"]


@pytest.mark.parametrize("page", [README, SETUP], ids=["README", "setup"])
def test_the_list_comes_before_grants_and_deployment(page: str) -> None:
    assert not out_of_order(
        page,
        "git-refresh init ",
        "git-refresh onboard --new-principal git-refresh --apply\n",
        "git-refresh onboard --apply\n",
        "git-refresh deploy --app ",
    )


def test_publishing_follows_the_deployment_and_the_wait_for_roles() -> None:
    assert not out_of_order(
        SETUP, "az deployment group create", "five minutes", PUBLISH, "## Verify the first run"
    )
    assert SETUP.count(PUBLISH) == 1
    assert PUBLISH not in README + INFRA_PAGE + PERMISSIONS


def test_one_page_says_how_long_to_wait_for_roles() -> None:
    assert [page.count("five minutes") for page in (README, SETUP, PERMISSIONS, INFRA_PAGE)] == [0, 2, 0, 0]


def test_the_output_of_the_template_names_a_section_of_the_setup_page() -> None:
    where, ids = next_steps(PLAIN)
    (heading,) = re.findall(r'"(.*)" in docs/setup\.md', where)
    assert f"\n## {heading}\n" in SETUP
    for name in ("FUNCTION_APP_NAME", "IDENTITY_CLIENT_ID", "IDENTITY_OBJECT_ID"):
        assert PLAIN.outputs[name].strip("[]") in ids


def test_manual_grants_come_in_the_order_of_their_dependencies() -> None:
    assert not out_of_order(
        PERMISSIONS,
        "## Azure DevOps",
        "## A service principal in Databricks",
        "## The federation policy",
        "## The OAuth secret",
        "## CAN MANAGE on the folders",
        "git-refresh check",
    )


def test_the_named_databricks_cli_version_has_all_commands_of_the_pages() -> None:
    for text in (SETUP, PERMISSIONS, PIPELINES):
        assert "0.205" not in text


def test_a_deployment_needs_neither_make_nor_jq() -> None:
    text = "".join(BLOCK.findall(section(README, "Deploy it") + SETUP))
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


def test_every_provider_of_a_template_is_registered_before_the_deployment() -> None:
    before, _, after = SETUP.partition("\n## Deploy the app\n")
    assert after
    assert needed() <= provided(before)
    assert "/environments" in INFRA["main.bicep"]
    assert "Microsoft.App" in provided(before), "of the subnet's delegation"
    assert "docs/setup.md#prerequisites" in README.partition("1. **Deploy the app**")[0]


@pytest.mark.parametrize("namespace", sorted(needed()))
def test_a_provider_that_is_left_out_is_noticed(namespace: str) -> None:
    assert not needed() <= provided(SETUP.replace(namespace, "Microsoft.Other"))


ONCALL = "\n```sh\n" + BLOCK.findall(OPERATIONS)[0] + "```\n"


@pytest.mark.parametrize(
    ("page", "known"),
    [
        (SETUP, ""),
        # The page says to replace this word.
        (PERMISSIONS, "WORKSPACE_ID"),
        (OPERATIONS, ""),
        (ONCALL + FAN_OUT, ""),
        # The pipeline's own, in its last step.
        (PIPELINES, "APP RESOURCE_GROUP"),
    ],
    ids=["setup", "permissions", "runbook", "fan-out", "pipelines"],
)
def test_every_variable_is_set_before_it_is_used(page: str, known: str) -> None:
    assert unset(page, frozenset(known.split())) == []


def test_a_variable_that_is_set_too_late_is_noticed() -> None:
    assert unset('```sh\necho "$GROUP" \'$STORAGE\'\nGROUP=a\necho "$GROUP"\n```\n') == ["GROUP"]


def test_deployment_errors_are_in_one_list() -> None:
    pages = (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "infra/README.md")
    assert [page for page in pages if "MissingSubscriptionRegistration" in page.read_text()] == [
        ROOT / "infra/README.md"
    ]
    errors = re.findall(r"^- (.*?): (.*)$", section(INFRA_PAGE, "Common deployment errors"), re.MULTILINE)
    assert len(errors) == section(INFRA_PAGE, "Common deployment errors").count("\n- ")
    assert "infra/README.md#common-deployment-errors" in SETUP


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_row_of_a_table_has_as_many_cells_as_its_head(page: Path) -> None:
    for table in re.findall(r"(?:^ *\|.*\n)+", page.read_text() + "\n", re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table
