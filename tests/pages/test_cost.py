"""docs/cost.md: the table against arithmetic of its own, and against the measured runs."""

import re

import pytest

from tests.support.paths import ROOT
from tests.support.templates import PLAIN, QUEUED, rules
from tools.costs import FLEETS, RUNS, SCHEDULED

PAGE = (ROOT / "docs/cost.md").read_text()


def row(title: str) -> list[float]:
    (found,) = re.findall(rf"^\| {re.escape(title)} \|(.*)\|$", PAGE, re.MULTILINE)
    return [float(cell.strip(" $")) for cell in found.split("|")]


def test_the_seconds_billed_are_those_measured_on_a_quarter_of_a_core() -> None:
    assert {size: round(run.billed, 1) for size, run in RUNS.items()} == {1: 2.9, 50: 6.0, 1000: 60.7}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        (
            "Execution",
            [
                2_920 * (0.40e-6 + 2.9 * 0.5 * 0.000026),
                2_920 * (0.40e-6 + 6.0 * 0.5 * 0.000026),
                43_800 * (0.40e-6 + 6.0 * 0.5 * 0.000026),
                2_920 * (0.40e-6 + 60.7 * 0.5 * 0.000026),
                2_920 * (21 * 0.40e-6 + (2.9 + 20 * 6.0) * 0.5 * 0.000026),
            ],
        ),
        (
            "Logs",
            [
                2_920 * (170_000 + 650 + 288 + 2 * 1_000) * 2.30e-9,
                2_920 * (170_000 + 657 + 50 * 288 + 51 * 1_000) * 2.30e-9,
                43_800 * (30_000 + 657 + 50 * 288 + 51 * 1_000) * 2.30e-9,
                2_920 * (170_000 + 666 + 1_000 * 288 + 1_001 * 1_000) * 2.30e-9,
                2_920 * (170_000 + 666 + 1_000 * 288 + 1_001 * 1_000 + 20 * 28_000) * 2.30e-9,
            ],
        ),
        ("Alert rules", [0.5 * len(rules(PLAIN))] * 4 + [0.5 * len(rules(QUEUED))]),
        ("Key Vault", [2 * runs * 3e-6 for runs in (2_920, 2_920, 43_800, 2_920, 20 * 2_920)]),
        ("Storage", [43_800 * 10 * 5e-6] * 4 + [(43_800 * 10 + 2_920 * 20 * 10) * 5e-6]),
    ],
)
def test_a_row_is_quantity_times_price(title: str, expected: list[float]) -> None:
    assert row(title) == pytest.approx(expected, abs=0.006)


def test_the_total_is_the_sum_of_the_rows() -> None:
    parts = [row(title) for title in ("Execution", "Logs", "Alert rules", "Key Vault", "Storage")]
    assert row("**Total**") == pytest.approx([sum(column) for column in zip(*parts, strict=True)], abs=0.03)


def test_what_is_free_is_never_more_than_what_is_used() -> None:
    assert all(free <= whole for free, whole in zip(row("With free grants"), row("**Total**"), strict=True))
    assert [fleet.runs for fleet in FLEETS] == [SCHEDULED, SCHEDULED, 15 * SCHEDULED, SCHEDULED, SCHEDULED]
