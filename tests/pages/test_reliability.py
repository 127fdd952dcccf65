"""docs/reliability.md tells the limits that the code has."""

import re
from importlib import import_module

import pytest

from git_refresh.run.pool import MAX_THREADS
from git_refresh.settings.load import Settings
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/reliability.md").read_text()
WAITS, TAKEN = PAGE.split("## What is taken of an answer")
ROWS = re.findall(r"^\| .+ \| (\d+) \| `([\w.]+)\.(\w+)` \|$", WAITS, re.MULTILINE)
LIMITS = {
    (module, name)
    for module in (
        "clients.identity",
        "clients.key_vault",
        "clients.devops",
        "clients.databricks",
        "clients.oauth",
        "clients.session",
        "clients.retry",
        "clients.slice_claims",
        "run.pool",
        "run.probe",
        "run.walk",
        "run.listing",
        "fan_out",
    )
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


def test_how_many_threads_there_are_is_what_the_page_says() -> None:
    assert f"{MAX_THREADS} threads" in PAGE


SIZES = re.findall(r"^\| .+ \| ([\d,]+)(?: \w+)? \| `([\w.]+)\.(\w+)` \|$", TAKEN, re.MULTILINE)
BOUNDS = {
    (module, name)
    for module in (
        "clients.session",
        "clients.devops",
        "clients.rest",
        "clients.databricks",
        "run.probe",
        "output.log",
        "run.errors",
        "run.context",
        "run.slices",
        "run.report",
        "cli.jobs",
    )
    for name, value in vars(import_module(f"git_refresh.{module}")).items()
    if isinstance(value, int) and name.isupper() and not name.startswith("_")
} | {
    ("admin.jobs", "MAX_JOBS_PAGES"),
    ("admin.jobs", "MAX_LISTED_JOBS"),
    ("run.listing", "MAX_LOOKED_AT"),
    ("run.walk", "MAX_REQUESTS"),
    ("run.walk", "MAX_DEPTH"),
    ("run.walk", "MAX_OBJECTS"),
    ("run.walk", "LOOK_AFTER"),
    ("run.walk", "WIDE"),
}


@pytest.mark.parametrize(("size", "module", "name"), SIZES)
def test_a_bound_is_what_the_page_says(size: str, module: str, name: str) -> None:
    assert getattr(import_module(f"git_refresh.{module}"), name) == int(size.replace(",", ""))


def test_every_bound_is_on_the_page() -> None:
    assert {(module, name) for _, module, name in SIZES} == BOUNDS - {
        ("run.fleet", "MAX_PARALLEL_FOLDERS"),
        ("run.slices", "VERSION"),
    }
