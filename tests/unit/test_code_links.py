"""A code links to its section of the page on terminals that support links."""

import io
from typing import Any

import pytest
from rich.console import Console

from git_refresh.cli import render
from git_refresh.cli.checks import Check, CheckReport
from git_refresh.cli.findings import TROUBLESHOOTING
from git_refresh.failures.diagnosis import Diagnosis
from tests.support.reports import ERROR, report, workspace

LINK = f";{TROUBLESHOOTING.as_uri()}#git_conflict\x1b\\"


def console(**changes: Any) -> Console:
    options = {"width": 200, "force_terminal": True, "color_system": "standard", "legacy_windows": False}
    return Console(file=io.StringIO(), highlight=False, **{**options, **changes})


def shown(out: Console) -> str:
    check = Check("folder", "data-1 /Repos/a", "failed", "Could not move it.", ERROR)
    render.show_check(CheckReport((check,)), out)
    failed = report(workspace(result="failed", folders=(), error=ERROR))
    render.show_plan(failed, out)
    render.show_report(failed, out)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_check_plan_and_run_link_each_code_to_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown(console())
    assert text.count("(git_conflict)") == 3
    assert text.count(LINK) == 3
    assert f"### `{ERROR.code}`\n" in TROUBLESHOOTING.read_text()


@pytest.mark.parametrize(
    ("environ", "changes"),
    [
        ({"NO_COLOR": "1"}, {}),
        ({"TERM": "dumb"}, {"color_system": "auto"}),
        ({}, {"force_terminal": False, "color_system": "auto"}),
    ],
    ids=["NO_COLOR", "dumb", "piped"],
)
def test_without_a_terminal_that_can_there_is_no_link(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], changes: dict[str, Any]
) -> None:
    for name, value in {"TERM": "xterm-256color", "NO_COLOR": "", **environ}.items():
        monkeypatch.setenv(name, value)
    text = shown(console(**changes))
    assert text.count("(git_conflict)") == 3
    assert "\x1b]8" not in text


def test_a_link_is_never_made_from_what_a_service_says() -> None:
    hostile = Diagnosis("git_conflict", "see [link=https://evil]here[/link]", "", "")
    out = console()
    render.show_check(CheckReport((Check("folder", "x", "failed", hostile.message, hostile),)), out)
    assert isinstance(out.file, io.StringIO)
    assert "]8;;https://evil" not in out.file.getvalue()
    assert "[link=https://evil]here" in out.file.getvalue()
