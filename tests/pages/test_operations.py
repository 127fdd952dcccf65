"""The pages for operation name each alert rule, log field and query that exists."""

import json
import re

import pytest

from tests.support.log_lines import Lines, log_lines
from tests.support.paths import PAGES, ROOT, series
from tests.support.templates import INFRA, PLAIN, QUEUED, deployment, rules
from tools import log_fields
from tools.queries import queries

RUNBOOK = (ROOT / "docs/runbook.md").read_text()
HEADINGS = re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)
EVENTS = ["run", "workspace", "dispatch", "queued", "message_skipped"]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    return log_lines(caplog)


def names(fields: dict[str, str]) -> set[str]:
    return {name for key in fields for name in key.split(", ")}


@pytest.mark.parametrize("event", [f"git_refresh.{event}" for event in EVENTS])
def test_every_logged_field_is_explained_and_the_reverse(event: str, lines: Lines) -> None:
    logged = {field for line in lines if line["event"] == event for field in line}
    own = names(log_fields.LINES.get(event, {}))
    assert own <= logged <= own | names(log_fields.COMMON)


def test_every_common_field_is_logged(lines: Lines) -> None:
    assert names(log_fields.COMMON) <= {field for line in lines for field in line}


@pytest.mark.parametrize(
    ("event", "field"), [("git_refresh.run", "tokens"), ("git_refresh.run", "failures, failures_omitted")]
)
def test_the_fields_of_a_logged_object_are_explained(event: str, field: str, lines: Lines) -> None:
    objects = [
        each
        for line in lines
        if line["event"] == event
        for each in line.get(field.split(",", maxsplit=1)[0], [])
    ]
    assert {key for each in objects for key in each} <= set(
        re.findall(r"`(\w+)`", log_fields.LINES[event][field])
    )


def test_the_line_of_a_run_that_could_not_begin_has_the_documented_fields(lines: Lines) -> None:
    assert f"has only {series(lines[-1])}." in (ROOT / "docs/logs.md").read_text()


def test_every_report_of_the_page_has_its_command() -> None:
    page = "\n".join(log_fields.reports())
    for command in ("run", "plan", "check", "onboard", "onboard --remove", "rotate", "runs"):
        assert f"`{command}`" in page
    assert "`error`: `code`, `message`, `cause`, `remedy`" in page


def test_no_page_has_a_query_of_its_own() -> None:
    known = {query.text for query in queries()}
    for page in PAGES:
        assert set(re.findall(r"```kusto\n(.*?)\n```", page.read_text(), re.DOTALL)) <= known
        outside = re.sub(r"```kusto\n.*?```", "", page.read_text(), flags=re.DOTALL)
        assert not re.search(r"\b(traces|requests) *\n? *\| *(where|extend|project)", outside), page.name


def test_every_alert_has_a_section_of_the_runbook_with_the_same_parts() -> None:
    for name in rules(QUEUED):
        section = RUNBOOK.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        parts = re.findall(r"^\*\*(\w+)\*\*", section, re.MULTILINE)
        assert parts == ["Symptom", "Impact", "Action", "Escalate"], name


def descriptions(variant: str) -> list[str]:
    found = deployment(INFRA, variant).of_type("Microsoft.Insights/scheduledQueryRules")
    return [each["properties"]["description"] for each in found]


def test_without_an_address_every_alert_names_its_section() -> None:
    named = [text.rpartition(" See docs/runbook.md#")[2] for text in descriptions("queue")]
    assert named == [*rules(QUEUED)]
    assert set(named) <= set(HEADINGS)


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
    for text in descriptions(variant):
        assert text.rpartition(f"Runbook: {address}")[2] in HEADINGS, text


def test_the_resources_of_fan_out_are_those_of_the_template() -> None:
    page = (ROOT / "docs/fan-out.md").read_text()
    added = [each for each in QUEUED.resources if each not in PLAIN.resources]
    storage = {
        each["name"].rpartition("/")[2] for each in added if each["type"].startswith("Microsoft.Storage/")
    }
    assert storage - {"default"} == {"git-refresh-slices"}
    assert "`git-refresh-slices`" in page
    assert "*Storage Queue Data Contributor*" in page
    assert all(f"`{name}`" in page for name in rules(QUEUED).keys() - rules(PLAIN).keys())
    scale = QUEUED.the("Microsoft.Web/sites")["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    assert f"`maximumInstanceCount` ({scale['maximumInstanceCount']} with fan-out)" in page


def test_a_slice_ends_as_long_before_the_next_run_as_the_page_says() -> None:
    from git_refresh.fan_out import MAX_CLOCK_SKEW_SECONDS, MIN_GAP  # noqa: PLC0415
    from git_refresh.settings.functions_host import ENDING_S  # noqa: PLC0415

    page = (ROOT / "docs/fan-out.md").read_text()
    visible = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]["visibilityTimeout"]
    assert f"ends {MAX_CLOCK_SKEW_SECONDS + ENDING_S:.0f} seconds before the next run" in page
    assert MIN_GAP.total_seconds() == 60
    assert f"retried after {int(visible[-2:])} seconds" in page
