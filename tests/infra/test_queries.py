"""The queries of workbook and alerts agree with the log lines that they read."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from git_refresh.failures.table import OWN, TABLE, UNKNOWN
from localcloud import kusto
from tests.support.fake_fleet import NEW, behind, host, run
from tests.support.fakes import NOW, FakeServices, FakeWorkspace, failure
from tests.support.log_lines import RUN, WORKSPACE, Lines, fields, log_lines
from tests.support.paths import ROOT
from tests.support.templates import FILES, QUERIES
from tools.queries import queries


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    return log_lines(caplog)


def mistakes(query: str, lines: Lines) -> list[str]:
    """Return why a query would find nothing. test_kql.py checks that it runs."""
    return [
        *unknown_starts(query, lines),
        *unknown_fields(query, lines),
        *unknown_values(query, lines),
    ]


def unknown_starts(query: str, lines: Lines) -> list[str]:
    """Return the starts of lines that no line has."""
    starts = [start for start in re.findall(r"startswith '([^']*)'", query) if start.startswith("{")]
    logged = [json.dumps(line, ensure_ascii=False) for line in lines]
    return [start for start in starts if not any(line.startswith(start) for line in logged)]


def unknown_fields(query: str, lines: Lines) -> list[str]:
    events = set(re.findall(r"git_refresh\.\w+", query)) or {RUN, WORKSPACE}
    known = {path for line in lines if line["event"] in events for path in fields(line)}
    return sorted(used(query) - known)


def used(query: str) -> set[str]:
    """Return the paths of the fields that a query reads, with its own names resolved."""
    text = re.sub(r'\["(\w+)"\]', r".\1", query)
    text = re.sub(r"\"[^\"]*\"|'[^']*'", "''", text)
    roots = dict.fromkeys(re.findall(r"(\w+) = parse_json\(message\)", text), "")
    for name, source, field in re.findall(r"mv-expand (\w+) = (\w+)\.(\w+)", text):
        roots[name] = f"{roots.get(source, '?')}{field}."
    read = re.findall(r"\b([a-z_]\w*)\.([a-z_][\w.]*)", text)
    return {roots.get(name, f"{name}?") + path for name, path in read}


def unknown_values(query: str, lines: Lines) -> list[str]:
    """Return the words that a query compares with, but that no field ever has."""
    compared = re.findall(r"""(?:==|!=|contains) ["']([a-z_.]+)["']""", query)
    compared += [
        word
        for group in re.findall(r"\bin \(([^()]*)\)", query)
        for word in re.findall(r"""["'](.*?)["']""", group)
    ]
    words = {value for line in lines for value in line.values() if isinstance(value, str)}
    codes = {row.code for row in (*TABLE, *OWN, UNKNOWN)}
    functions = set(re.findall(r"^ *def (\w+)", (ROOT / "function_app.py").read_text(), re.MULTILINE))
    return sorted(set(compared) - words - codes - functions)


@pytest.mark.parametrize("place", QUERIES)
def test_every_query_reads_what_is_really_logged(place: str, lines: Lines) -> None:
    assert mistakes(QUERIES[place], lines) == []


@pytest.mark.parametrize(
    ("part", "broken"),
    [
        ("e.workspaces_ok", "e.workspaces_fine"),
        ("e.folders.failed", "e.folders.broken"),
        ("e.min_token_remaining_s", "e.min_token_left_s"),
        ("failure.location", "failure.place"),
        ("failure.remedy", "failure.advice"),
        ("e.failures", "e.errors"),
        ("git_refresh.run", "git_refresh.ran"),
        ("git_refresh.workspace", "git_refresh.workspaces"),
        ('{"event": "git', '{"event":"git'),
        ('"ok"', '"okay"'),
        ('"created"', '"made"'),
        ("refresh_git", "refresh"),
        ("git_refresh.dispatch", "git_refresh.dispatched"),
        ("git_refresh.message_skipped", "git_refresh.run.slices"),
        ("git_refresh.queued", "git_refresh.put"),
        ("e.names", "e.workspaces_named"),
        ("e.slices", "e.parts"),
        ("e.valid_until", "e.valid_till"),
        ("'failed'", "'red'"),
        ("secret_expires_soon", "secret_ends_soon"),
    ],
)
def test_a_broken_copy_is_noticed(part: str, broken: str, lines: Lines) -> None:
    copies = [query.replace(part, broken) for query in QUERIES.values() if part in query]
    assert copies
    assert all(mistakes(copy, lines) for copy in copies)


def test_failures_that_log_lines_shorten_are_counted_and_explained(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "git_refresh")
    folders = [f"/Repos/etl/{number}" for number in range(5)]
    run(FakeServices({host(number): FakeWorkspace() for number in range(8)}), *[{"folders": folders}] * 8)
    rows = [{"timestamp": NOW, "message": message} for message in caplog.messages]

    def shown(name: str) -> kusto.Rows:
        return kusto.run(QUERIES[name], {"traces": rows}, NOW)

    of_the_last_run = shown("03-failures-of-the-last-run.kql")
    assert len(of_the_last_run) == 8
    assert {(row["code"], row["locations"]) for row in of_the_last_run} == {("folder_not_found", 5)}
    assert all(row["cause"] and row["remedy"] for row in of_the_last_run)
    (by_code,) = shown("04-failures-by-code.kql")
    assert (by_code["code"], by_code["failures"], by_code["workspaces"]) == ("folder_not_found", 40, 8)
    assert by_code["remedy"]
    (behind,) = {row["failed"] for row in shown("08-git-folders-that-are-behind.kql")}
    assert behind == 5


@pytest.mark.parametrize(("minutes", "runs"), [(15, 2), (60, 1)])
def test_a_credential_that_a_503_keeps_from_being_stored_is_named_in_time(
    caplog: pytest.LogCaptureFixture, minutes: int, runs: int
) -> None:
    """Compare the email after each real run."""
    caplog.set_level("INFO", "git_refresh")
    every = timedelta(minutes=minutes)
    query, rows, told = QUERIES["run-failed.kql"], [], []
    for number in range(3):
        busy = FakeWorkspace(at=behind(), fail={"credentials": failure(status=503)})
        services = FakeServices({host(1): busy, host(2): FakeWorkspace(at=behind())}, {"main": NEW})
        run(services, {"name": "production"}, {}, interval=every)
        rows += [{"timestamp": NOW + number * every, "message": message} for message in caplog.messages]
        caplog.clear()
        later = NOW + number * every + timedelta(minutes=9)
        told.append(kusto.run(query, {"traces": rows, "requests": []}, later))
    assert [bool(mails) for mails in told] == [number + 1 >= runs for number in range(3)]
    assert told[-1] == [{"workspace": "production", "code": "service_unavailable", "workspaces": 1}]


def test_the_query_for_secrets_reads_the_words_that_a_run_logs() -> None:
    services = FakeServices({host(1): FakeWorkspace()}, secret_life=timedelta(days=10))
    told = str(run(services).problems[0])
    (pattern,) = re.findall(r"\| parse problem with (.*) \*\n", QUERIES["11-expiring-oauth-secrets.kql"])
    parts = re.findall(r'"(.*?)"|(\w+)', pattern)
    found = re.match("".join(re.escape(text) or f"(?P<{name}>.*?)" for text, name in parts), told)
    assert found, told
    assert found["secret"] == "secret"
    assert datetime.strptime(f"{found['ends']}Z", "%Y-%m-%d %H:%M%z") == NOW + timedelta(days=10)


def test_the_workbook_shows_every_query_under_its_heading_and_its_sentence() -> None:
    items = json.loads((ROOT / "infra/workbook.json").read_text())["items"]
    shown = [item["content"] for item in items if item["type"] == 3]
    headings = [item["content"]["json"] for item in items if item["type"] == 1]
    files = [file.read_text() for file in FILES if file.parent.name == "workbook"]
    assert [
        f"// {heading.removeprefix('### ').replace('\n\n', '\n// ')}\n{content['query']}\n"
        for heading, content in zip(headings, shown, strict=True)
    ] == files
    for content in shown:
        assert content["resourceType"] == "microsoft.insights/components"
        assert content["timeContextFromParameter"] == items[0]["content"]["parameters"][0]["name"]
    assert {content["visualization"] for content in shown} == {"tiles", "table", "timechart"}


@pytest.mark.parametrize(
    "text", ["traces\n| take 1\n", "// Title\ntraces\n| take 1\n", "// a\n// b\n// c\ntraces\n"]
)
def test_a_query_without_title_or_description_is_not_shown(text: str, tmp_path: Path) -> None:
    (tmp_path / "1.kql").write_text(text)
    with pytest.raises(ValueError, match="title"):
        queries(tmp_path)
