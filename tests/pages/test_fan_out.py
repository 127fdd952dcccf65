"""docs/fan-out.md: what it says of host.json, of the template and of the price."""

import json
import re
from collections.abc import Callable

import pytest

from tests.support.paths import ROOT
from tests.support.reference_page import BILLED, RUNS
from tests.support.templates import PLAIN, QUEUED, rules

PAGE = (ROOT / "docs/fan-out.md").read_text()
SIZES = (1000, 2400)
SLICES = [-(-size // 50) for size in SIZES]
QUANTITIES: dict[str, tuple[list[float], float, Callable[[float], str], float]] = {
    "executions": ([RUNS * (1 + each) for each in SLICES], 0.40 / 1e6, "{:,.0f}".format, 250_000),
    "execution time": (
        [RUNS * (BILLED[0] + each * BILLED[1]) * 0.5 for each in SLICES],
        0.000026,
        "{:,.0f} GB-s".format,
        100_000,
    ),
    "more logs than in one piece": (
        [RUNS * each * 28_000 / 1e9 for each in SLICES],
        2.30,
        "{:.2f} GB".format,
        0,
    ),
    "more storage transactions": ([RUNS * each * 10 for each in SLICES], 0.05 / 1e4, "{:,.0f}".format, 0),
    "more alert rules": (
        [len(rules(QUEUED)) - len(rules(PLAIN))] * len(SIZES),
        0.50,
        "{:.0f}".format,
        0,
    ),
}
"""What is billed: how much for each fleet, what one costs, how it is written, and how much is free."""


def row(name: str) -> list[str]:
    (found,) = re.findall(rf"^\| {re.escape(name)} \|.*", PAGE, re.MULTILINE)
    return [cell.strip(" *") for cell in found.strip("|").split("|")[-len(SIZES) :]]


def test_the_slices_are_as_many_as_the_fleets_have() -> None:
    assert row("slices a run") == [str(each) for each in SLICES]


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_row_of_the_price_is_quantity_times_price(name: str) -> None:
    quantities, price, shown, _ = QUANTITIES[name]
    assert row(name) == [f"{shown(each)}: ${each * price:.2f}" for each in quantities]


@pytest.mark.parametrize(("name", "granted"), [("**all of it**", False), ("with the free grants", True)])
def test_the_price_is_the_sum_of_its_rows(name: str, *, granted: bool) -> None:
    totals = [
        sum(max(0, each[fleet] - granted * free) * price for each, price, _, free in QUANTITIES.values())
        for fleet in range(len(SIZES))
    ]
    assert row(name) == [f"${total:.2f}" for total in totals]


def test_the_queue_s_settings_are_those_of_host_json() -> None:
    given = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]
    told = dict(re.findall(r"^\| `(\w+)` \| (\d+(?: s)?) \|", PAGE, re.MULTILINE))
    seconds = {name: f"{int(str(value)[-2:])} s" for name, value in given.items() if ":" in str(value)}
    assert told == {**{name: str(value) for name, value in given.items()}, **seconds}


def test_the_role_and_the_names_are_those_of_the_template() -> None:
    added = [each for each in QUEUED.resources if each not in PLAIN.resources]
    storage = [each["name"] for each in added if each["type"].startswith("Microsoft.Storage/")]
    names = {name.rpartition("/")[2] for name in storage}
    assert names - {"default"} == {"git-refresh-slices"}
    assert "git-refresh-slices" in PAGE
    assert '"Storage Queue Data Contributor"' in PAGE
    assert "--maximum-instance-count 10\n" in PAGE
    alerts = rules(QUEUED).keys() - rules(PLAIN).keys()
    assert all(f"`{name}`" in PAGE for name in alerts - {"poison-queue"})
