"""The pages match the code."""

import re
from pathlib import Path

import pytest

from git_refresh.cli.files import read_settings
from git_refresh.failures.diagnosis import in_general
from git_refresh.failures.table import OWN, PAGE, SHARED, TABLE, UNKNOWN, Row
from git_refresh.settings.load import load
from git_refresh.settings.models import Folder, Workspace
from git_refresh.settings.names import SETTINGS
from tests.support.paths import PAGES, ROOT
from tools import generate

CONFIGURATION = (ROOT / "docs/configuration.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", CONFIGURATION, re.DOTALL)


@pytest.mark.parametrize("name", generate.MADE)
def test_what_is_made_from_the_code_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == generate.MADE[name](), "make docs"


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_of_the_configuration_page_is_accepted(example: str, tmp_path: Path) -> None:
    file = tmp_path / "workspaces.json"
    file.write_text(example)
    assert not load(read_settings(file).values, whole=False).problems


def test_every_setting_and_key_is_on_the_configuration_page() -> None:
    for name in (*SETTINGS, *Workspace.model_fields, *Folder.model_fields):
        assert f"| `{name}` |" in CONFIGURATION


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, target


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_code_that_a_page_links_to_is_in_the_table() -> None:
    codes = {row.code for row in (*TABLE, *OWN, UNKNOWN)}
    for page in PAGES:
        if page.name != "troubleshooting.md":
            found = set(re.findall(r"troubleshooting\.md#(\w+)\)", page.read_text()))
            assert found <= codes


def test_the_page_on_failures_has_every_section_and_row_once() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text()
    for row in (*TABLE, UNKNOWN, *OWN):
        assert page.count(f"### `{row.code}`\n") == 1
    for title in PAGE:
        assert page.count(f"\n## {title}\n") == 1


def test_a_shared_remedy_is_on_the_page_once_and_linked_from_each() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text()
    for title, remedy in SHARED.items():
        rows = {row.code for row in (*TABLE, *OWN) if remedy in row.remedy}
        assert len(rows) > 1
        assert page.count(in_general(Row("", remedy=remedy), "`").remedy) == 1
        assert page.count(f"[{title}](#{_anchor(title)})") == len(rows)


def test_the_module_map_names_every_package_and_top_level_module() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    table = page.partition("\n## Module map\n")[2].partition("\n## ")[0]
    named = {
        name.removeprefix("git_refresh/")
        for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`([\w/]+)`", cell)
    }
    package = ROOT / "git_refresh"
    there = {f"{file.parent.name}/" for file in package.glob("*/__init__.py")}
    there |= {file.stem for file in package.glob("*.py") if not file.stem.startswith("__")}
    assert named == there | {"function_app"}
    for path in re.findall(r"`((?:git_refresh|run|tests|settings|infra|localcloud|tools)/[\w/.]*)`", page):
        places = [top / f"{path}{ending}" for top in (ROOT, package) for ending in ("", ".py")]
        assert any(place.exists() for place in places), path
