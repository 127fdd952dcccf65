"""docs/reference.md and the queries on pages: log fields, alerts and the arithmetic of the price."""

import re
from collections.abc import Callable

import pytest

from tests.support.log_lines import DISPATCH, RUN, SLICE, WORKSPACE, Lines, fields, log_lines
from tests.support.log_lines import QUEUED as QUEUED_LINE
from tests.support.paths import PAGES, ROOT, series
from tests.support.reference_page import BILLED, MINUTES, REFERENCE, RUNS, SIZES, numbers, row
from tests.support.templates import INFRA, PLAIN, QUEUED, deployment, rules
from tools.queries import queries


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    return log_lines(caplog)


@pytest.mark.parametrize("event", [RUN, WORKSPACE, DISPATCH, QUEUED_LINE, SLICE])
def test_every_logged_field_is_explained_and_every_explained_one_is_logged(event: str, lines: Lines) -> None:
    logged = {path for line in lines if line["event"] == event for path in fields(line)}
    table = REFERENCE.partition(f"\n**`{event}`**")[2].partition("\n|---|---|\n")[2].partition("\n\n")[0]
    explained: set[str] = set()
    for line in table.splitlines():
        _, names, meaning, _ = re.split(r"(?<!\\)\|", line)
        explained |= set(re.findall(r"`(\w+)`", names))
        for name in re.findall(r"`(\w+)`", names):
            inner = {path.partition(".")[2] for path in logged if path.startswith(f"{name}.")}
            assert inner <= set(re.findall(r"`(\w+)`", meaning)), name
    assert explained == {path for path in logged if "." not in path}


def test_the_line_of_a_run_that_could_not_begin_has_the_documented_fields(lines: Lines) -> None:
    assert f" {series(lines[-1])} alone." in REFERENCE


def test_no_page_has_a_query_of_its_own() -> None:
    known = {query.text for query in queries()}
    shown = [
        block for page in PAGES for block in re.findall(r"```kusto\n(.*?)\n```", page.read_text(), re.DOTALL)
    ]
    assert shown
    assert set(shown) <= known
    for page in PAGES:
        outside = re.sub(r"```kusto\n.*?```", "", page.read_text(), flags=re.DOTALL)
        assert not re.search(r"\b(traces|requests) *\n? *\| *(where|extend|project)", outside), page.name
        assert all(
            query.startswith('"$(sed ') for query in re.findall(r"--condition-query \w+=(.*)", outside)
        ), page.name


def test_every_alert_is_explained_with_its_severity() -> None:
    deployed = rules(QUEUED)
    told = re.findall(r"^\| `([\w-]+)` \| .+ \| (\d) \|$", REFERENCE, re.MULTILINE)
    assert {name: int(severity) for name, severity in told} == {
        name: rule[0] for name, rule in deployed.items()
    }


def test_every_alert_leads_to_an_entry_of_the_runbook() -> None:
    runbook = (ROOT / "docs/runbook.md").read_text()
    section = runbook.partition("\n## An alert fired\n")[2].partition("\n## ")[0]
    for name in rules(QUEUED):
        assert f"`{name}`" in section, name
    named = [re.findall(r'See "([^"]+)" in docs/operations\.md\.$', told) for told in descriptions("queue")]
    assert len(named) == len(rules(QUEUED))
    assert {title for titles in named for title in titles} <= set(
        re.findall(r"^### (.+)$", section, re.MULTILINE)
    )
    assert all(named)


def descriptions(variant: str) -> list[str]:
    found = deployment(INFRA, variant).of_type("Microsoft.Insights/scheduledQueryRules")
    return [each["properties"]["description"] for each in found]


@pytest.mark.parametrize(
    ("variant", "address"),
    [
        (
            "existing",
            "https://dev.azure.com/contoso/platform/_git/git-refresh?path=/docs/runbook.md&anchor=",
        ),
        ("closed-network", "https://wiki.contoso.com/git-refresh/operations#"),
        ("closed-network-queue", "https://wiki.contoso.com/git-refresh/operations#"),
    ],
)
def test_with_an_address_every_alert_links_to_its_section(variant: str, address: str) -> None:
    headings = re.findall(r"^### (.+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    for told in descriptions(variant):
        assert told.rpartition(f"Runbook: {address}")[2] in anchors, told


HERE, CORES = numbers("seconds here"), numbers("of these, seconds of a whole core")
LOGGED = [
    20_000 + 150_000 + run + size * workspace + (1 + size) * 1_000
    for size, run, workspace in zip(
        SIZES, numbers("bytes of the run's"), numbers("bytes of a workspace's"), strict=True
    )
]
QUANTITIES: dict[str, tuple[list[float], float, Callable[[float], str], float]] = {
    "executions": ([RUNS] * 3, 0.40 / 1e6, "{:,.0f}".format, 250_000),
    "execution time": ([RUNS * 0.5 * each for each in BILLED], 0.000026, "{:,.0f} GB-s".format, 100_000),
    "log volume": ([RUNS * each / 1e9 for each in LOGGED], 2.30, "{:.2f} GB".format, 5),
    "alert rules": ([len(rules(PLAIN))] * 3, 0.50, "{:.0f}".format, 0),
    "reading the OAuth secret": ([RUNS * 2] * 3, 0.03 / 1e4, "{:,.0f}".format, 0),
    "storage: the timer's locks": ([MINUTES * 10] * 3, 0.05 / 1e4, "{:,.0f}".format, 0),
}
"""What is billed: how much for each fleet, what one costs, how it is written, and how much is free."""


def test_the_seconds_billed_are_those_measured_on_a_quarter_of_a_core() -> None:
    assert [max(1, cpu / 0.25 + here - cpu) for here, cpu in zip(HERE, CORES, strict=True)] == pytest.approx(
        BILLED, abs=0.1
    )


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_row_of_the_price_is_quantity_times_price(name: str) -> None:
    quantities, price, shown, _ = QUANTITIES[name]
    assert row(name) == [f"{shown(each)}: ${each * price:.2f}" for each in quantities]


def test_the_price_is_the_sum_of_its_rows() -> None:
    def total(fleet: int, *, granted: bool) -> str:
        parts = [
            max(0, quantities[fleet] - granted * free) * price
            for quantities, price, _, free in QUANTITIES.values()
        ]
        return f"${sum(parts):.2f}"

    assert row("**all of it**") == [total(fleet, granted=False) for fleet in range(3)]
    assert row("with the free grants") == [total(fleet, granted=True) for fleet in range(3)]


def test_the_documented_arithmetic_is_the_one_that_was_done() -> None:
    text = REFERENCE.replace("\N{MULTIPLICATION SIGN}", "x")
    told = {
        name: re.findall(rf"^\| {re.escape(name)} \| (.*?) \|", text, re.MULTILINE) for name in QUANTITIES
    }
    assert told == {
        "executions": [f"{RUNS:,} x $0.40 per million"],
        "execution time": [f"{RUNS:,} x seconds billed x 0.5 GB x $0.000026 per GB-s"],
        "log volume": [
            f"{RUNS:,} x (20,000 + 150,000 + run line + workspaces x workspace line + (1 + workspaces) x 1,000) bytes x $2.30 per GB"
        ],
        "alert rules": [f"{len(rules(PLAIN))} x $0.50"],
        "reading the OAuth secret": [f"{RUNS:,} x 2 x $0.03 per 10,000"],
        "storage: the timer's locks": [f"{MINUTES:,} minutes x 10 x $0.05 per 10,000"],
    }
