"""docs/runbook.md: how soon a push arrives, and what a schedule of one minute would cost instead."""

import re
from collections.abc import Callable

import pytest

from tests.support.paths import ROOT
from tests.support.reference_page import BILLED, MINUTES, RUNS, SIZES, numbers

PAGE = (ROOT / "docs/runbook.md").read_text().partition("\n## How soon a push arrives\n")[2]
PAGE = PAGE.partition("\n## ")[0]
WORKSPACES, REPOSITORIES, MERGES = 50, 10, 20
FLEET = SIZES.index(WORKSPACES)
PACES = (RUNS, MINUTES)
"""Runs a month: every 15 minutes, and every minute."""
A_RUN = 20_000 + numbers("bytes of the run's")[FLEET] + (1 + WORKSPACES) * 1_000
A_RUN += WORKSPACES * numbers("bytes of a workspace's")[FLEET]
STORAGE = 150_000 / (MINUTES / RUNS)
"""Bytes a minute that the storage account logs, whether there is a run or not."""
QUANTITIES: dict[str, tuple[list[float], float, Callable[[float], str]]] = {
    "executions": ([*PACES], 0.40 / 1e6, "{:,.0f}".format),
    "execution time": ([runs * BILLED[FLEET] * 0.5 for runs in PACES], 0.000026, "{:,.0f} GB-s".format),
    "log volume": ([(runs * A_RUN + MINUTES * STORAGE) / 1e9 for runs in PACES], 2.30, "{:.2f} GB".format),
    "reading the OAuth secret": ([runs * 2 for runs in PACES], 0.03 / 1e4, "{:,.0f}".format),
}
"""What is billed: how much at each pace, what one costs, and how it is written. As in docs/reference.md."""


def row(name: str, cells: int) -> list[str]:
    (found,) = re.findall(rf"^\| {re.escape(name)} \|.*", PAGE, re.MULTILINE)
    return [cell.strip(" *") for cell in found.strip("|").split("|")[-cells:]]


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_row_of_the_price_is_quantity_times_price(name: str) -> None:
    quantities, price, shown = QUANTITIES[name]
    assert row(name, 2) == [f"{shown(each)}: ${each * price:.2f}" for each in quantities]


def test_the_price_is_the_sum_of_its_rows() -> None:
    totals = [sum(each[pace] * price for each, price, _ in QUANTITIES.values()) for pace in range(len(PACES))]
    assert row("**these**", 2) == [f"${total:.2f}" for total in totals]


def test_the_requests_of_a_day_are_those_of_its_runs_and_merges() -> None:
    requests, more = 6, 2  # of a workspace with one folder; more where it moves (docs/performance.md)
    a_day = [24 * 60 // 15, 24 * 60]
    told = {
        "requests to Databricks": (WORKSPACES * requests, requests + more),
        "of these, stored tokens": (WORKSPACES, 1),
        "requests to Azure DevOps": (REPOSITORIES, 1),
    }
    for name, (a_run, a_merge) in told.items():
        expected = [*(runs * a_run for runs in a_day), MERGES * a_merge]
        assert row(name, 3) == [f"{each:,}" for each in expected], name


def test_the_documented_arithmetic_is_the_one_that_was_done() -> None:
    text = PAGE.replace("\N{MULTIPLICATION SIGN}", "x")
    run, workspace = (
        f"{numbers(name)[FLEET]:.0f}" for name in ("bytes of the run's", "bytes of a workspace's")
    )
    for told in (
        f"runs x {BILLED[FLEET]} s x 0.5 GB x $0.000026 per GB-s",
        f"(runs x (20,000 + {run} + {WORKSPACES} x {workspace} + {1 + WORKSPACES} x 1,000) + {MINUTES:,} x {STORAGE:,.0f}) bytes",
        f"runs x {WORKSPACES} x 6; merges x (6 + 2)",
        f"runs x {REPOSITORIES}; merges",
    ):
        assert told in text, told
