"""The queries of the pages and alerts, and the log lines that they read, hold together."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from unittest.mock import Mock

import pytest
from antlr4 import CommonTokenStream, InputStream
from kusto_query_language_parser.parse_tools.KqlLexer import KqlLexer
from kusto_query_language_parser.parse_tools.KqlParser import KqlParser

from git_refresh.diagnosis.table import OWN, TABLE, UNKNOWN
from git_refresh.outlet import Outlet
from git_refresh.report import (
    CredentialAction,
    CredentialReport,
    FolderAction,
    FolderReport,
    Result,
    log_nothing_done,
    log_run,
    log_workspace,
)
from git_refresh.values import Problem
from tests.unit.fakes import NOW, FakeServices, FakeWorkspace
from tests.unit.test_refresh import host, run
from tests.unit.test_terminal import ERROR, report, workspace
from tools import workbook as made

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN, WORKSPACE = "git_refresh.run", "git_refresh.workspace"


def queries() -> Iterator[tuple[str, str]]:
    """Every query that somebody could copy or deploy, with the place where it stands."""
    for page in PAGES:
        text = page.read_text()
        for number, block in enumerate(re.findall(r"```kusto\n(.*?)```", text, re.DOTALL), start=1):
            yield f"{page.name} {number}", block
        for name, quoted in re.findall(r'--condition-query (\w+)="((?:[^"\\]|\\.)*)"', text):
            yield f"{page.name} {name}", quoted.replace('\\"', '"')
    for file in sorted((ROOT / "infra/queries").glob("*.kql")):
        yield file.name, file.read_text()


QUERIES = dict(queries())
QUERIES_BY_TITLE = {query.title: query.text for query in made.queries(OPERATIONS)}
Lines = list[dict[str, Any]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """What the app logs, with each field and each value that there is."""
    caplog.set_level("INFO", "git_refresh")
    outlet = Outlet()
    folders = tuple(
        FolderReport(f"/Repos/a/{action}", action, error=ERROR if action == "failed" else None)
        for action in get_args(FolderAction)
    )
    fleet = [
        workspace(result=result, credential=CredentialReport(action, 1), folders=folders, error=ERROR)
        for result in get_args(Result)
        for action in get_args(CredentialAction)
    ]
    for fine in (workspace(), workspace(credential=None)):
        log_run(report(fine), outlet)
        log_workspace("id", fine, outlet)
    log_run(report(*fleet, problems=(Problem("timer", "late_run: late"),)), outlet)
    for one in fleet:
        log_workspace("id", one, outlet)
    log_nothing_done([Problem("WORKSPACES", "is missing")], outlet)
    return [json.loads(message) for message in caplog.messages]


def fields(value: object, above: str = "") -> set[str]:
    """The paths of all that a line holds; what is in a list has the list's path."""
    if isinstance(value, list):
        return {path for item in value for path in fields(item, above)}
    if not isinstance(value, dict):
        return set()
    paths = {f"{above}{key}" for key in value}
    return paths.union(*(fields(item, f"{above}{key}.") for key, item in value.items()))


def mistakes(query: str, lines: Lines) -> list[str]:
    """Why a query would find nothing, or not run at all."""
    return [
        *syntax_errors(query),
        *unknown_starts(query, lines),
        *unknown_fields(query, lines),
        *unknown_values(query, lines),
    ]


def syntax_errors(query: str) -> list[str]:
    listener = Mock()
    lexer = KqlLexer(InputStream(query))
    parser = KqlParser(CommonTokenStream(lexer))
    for recognizer in (lexer, parser):
        recognizer.removeErrorListeners()
        recognizer.addErrorListener(listener)
    parser.top()
    return [f"{call.args[2]}:{call.args[3]} {call.args[4]}" for call in listener.syntaxError.mock_calls]


def unknown_starts(query: str, lines: Lines) -> list[str]:
    """A line is found by how it begins, to the letter."""
    starts = [start for start in re.findall(r"startswith '([^']*)'", query) if start.startswith("{")]
    logged = [json.dumps(line, ensure_ascii=False) for line in lines]
    return [start for start in starts if not any(line.startswith(start) for line in logged)]


def unknown_fields(query: str, lines: Lines) -> list[str]:
    events = set(re.findall(r"git_refresh\.\w+", query)) or {RUN, WORKSPACE}
    known = {path for line in lines if line["event"] in events for path in fields(line)}
    return sorted(used(query) - known)


def used(query: str) -> set[str]:
    """The paths of the fields that a query reads, followed through what it calls them."""
    text = re.sub(r'\["(\w+)"\]', r".\1", query)
    text = re.sub(r"\"[^\"]*\"|'[^']*'", "''", text)
    roots = dict.fromkeys(re.findall(r"(\w+) = parse_json\(message\)", text), "")
    for name, source, field in re.findall(r"mv-expand (\w+) = (\w+)\.(\w+)", text):
        roots[name] = f"{roots.get(source, '?')}{field}."
    read = re.findall(r"\b([a-z_]\w*)\.([a-z_][\w.]*)", text)
    return {roots.get(name, f"{name}?") + path for name, path in read}


def unknown_values(query: str, lines: Lines) -> list[str]:
    """Words that something is compared with, and that it never is."""
    compared = re.findall(r"""(?:==|!=|contains) ["']([a-z_.]+)["']""", query)
    compared += [
        word for group in re.findall(r"\bin \(([^)]*)\)", query) for word in re.findall(r'"(.*?)"', group)
    ]
    words = {value for line in lines for value in line.values() if isinstance(value, str)}
    codes = {row.code for row in (*TABLE, *OWN, UNKNOWN)}
    functions = set(re.findall(r"^def (\w+)", (ROOT / "function_app.py").read_text(), re.MULTILINE))
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
        ('failure["where"]', 'failure["place"]'),
        ("failure.remedy", "failure.advice"),
        ("e.failures", "e.errors"),
        ("git_refresh.run", "git_refresh.ran"),
        ("git_refresh.workspace", "git_refresh.workspaces"),
        ('{"event": "git', '{"event":"git'),
        ('"ok"', '"okay"'),
        ('"created"', '"made"'),
        ("refresh_git", "refresh"),
        ("secret_expires_soon", "secret_ends_soon"),
        ("| where", "| wehre"),
        (")", ""),
    ],
)
def test_a_broken_copy_is_noticed(part: str, broken: str, lines: Lines) -> None:
    copies = [query.replace(part, broken) for query in QUERIES.values() if part in query]
    assert copies
    assert all(mistakes(copy, lines) for copy in copies)


@pytest.mark.parametrize("event", [RUN, WORKSPACE])
def test_every_logged_field_is_explained_and_every_explained_one_is_logged(event: str, lines: Lines) -> None:
    logged = {path for line in lines if line["event"] == event for path in fields(line)}
    table = OPERATIONS.partition(f"\n**`{event}`**")[2].partition("\n|---|---|\n")[2].partition("\n\n")[0]
    explained: set[str] = set()
    for row in table.splitlines():
        _, names, meaning, _ = re.split(r"(?<!\\)\|", row)
        explained |= set(re.findall(r"`(\w+)`", names))
        for name in re.findall(r"`(\w+)`", names):
            inner = {path.partition(".")[2] for path in logged if path.startswith(f"{name}.")}
            assert inner <= set(re.findall(r"`(\w+)`", meaning)), name
    assert explained == {path for path in logged if "." not in path}


def test_the_line_of_a_run_that_could_not_begin_has_the_fields_that_the_page_says(lines: Lines) -> None:
    (sentence,) = re.findall(r"nothing could be run, the line has (.*) alone\.", OPERATIONS)
    assert re.findall(r"`(\w+)`", sentence) == list(lines[-1])


def test_the_query_for_secrets_reads_the_words_in_which_the_run_tells_of_them() -> None:
    services = FakeServices({host(1): FakeWorkspace()}, secret_life=timedelta(days=10))
    told = str(run(services).problems[0])
    (pattern,) = re.findall(
        r"\| parse problem with (.*) \*\n", QUERIES_BY_TITLE["OAuth secrets near their end"]
    )
    parts = re.findall(r'"(.*?)"|(\w+)', pattern)
    found = re.match("".join(re.escape(text) or f"(?P<{name}>.*?)" for text, name in parts), told)
    assert found, told
    assert found["secret"] == "secret"
    assert datetime.strptime(f"{found['ends']}Z", "%Y-%m-%d %H:%M%z") == NOW + timedelta(days=10)


def test_the_workbook_has_every_query_of_the_section_in_its_words() -> None:
    items = json.loads((ROOT / "infra/workbook.json").read_text())["items"]
    shown = {item["name"].partition(" ")[2]: item["content"] for item in items if item["type"] == 3}
    section = OPERATIONS.partition("\n## Queries\n")[2].partition("\n## ")[0]
    assert [content["query"] for content in shown.values()] == [
        text.rstrip("\n") for text in re.findall(r"```kusto\n(.*?)```", section, re.DOTALL)
    ]
    assert list(shown) == re.findall(r"^### (.*)$", section, re.MULTILINE)
    headings = [item["content"]["json"] for item in items if item["type"] == 1]
    for heading, title in zip(headings, shown, strict=True):
        assert heading.startswith(f"### {title}\n\n")
        assert heading.removeprefix(f"### {title}\n\n") in section
    for content in shown.values():
        assert content["resourceType"] == "microsoft.insights/components"
        assert content["timeContextFromParameter"] == items[0]["content"]["parameters"][0]["name"]
    assert {content["visualization"] for content in shown.values()} == {"tiles", "table", "timechart"}


@pytest.mark.parametrize(
    "left_out", ["### The last run\n", "What the latest run did, and what it said of itself.\n"]
)
def test_a_query_without_heading_or_sentence_is_not_left_out_in_silence(left_out: str) -> None:
    assert left_out in OPERATIONS
    with pytest.raises(ValueError, match="heading"):
        made.queries(OPERATIONS.replace(left_out, ""))
