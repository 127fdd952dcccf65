"""docs/reliability.md tells the limits that the code has."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from git_refresh.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
ROWS = re.findall(r"^\| .+ \| (\d+) \| `(\w+)\.(\w+)` \|$", PAGE, re.MULTILINE)
LIMITS = {
    (module, name)
    for module in ("identity", "vault", "devops", "workspace", "transport", "service", "refresh")
    for name, value in vars(import_module(f"git_refresh.{module}")).items()
    if isinstance(value, float) and name.isupper() and not name.startswith("_")
}


@pytest.mark.parametrize(("seconds", "module", "name"), ROWS)
def test_a_limit_is_what_the_page_says(seconds: str, module: str, name: str) -> None:
    assert getattr(import_module(f"git_refresh.{module}"), name) == float(seconds)


def test_every_limit_is_on_the_page() -> None:
    assert {(module, name) for _, module, name in ROWS} == LIMITS


def test_the_budget_is_what_the_page_says() -> None:
    assert f"| the whole run | {Settings(()).timeout_s:.0f} |" in PAGE
