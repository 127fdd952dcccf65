"""`status --app`: the expiration of stored tokens, from the deployed app's log lines."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner
from rich.console import Console

from git_refresh.admin.values import DiagnosedError
from git_refresh.cli import status as command
from git_refresh.cli.deployed import AppName
from git_refresh.cli.main import main
from git_refresh.cli.status import (
    LONGEST_TOKEN,
    AppLogsStatus,
    CredentialStatus,
    LoggedTokens,
    StatusReport,
    look,
)
from git_refresh.failures.diagnosis import finding
from git_refresh.model.clock import Deadline
from git_refresh.model.values import Slice, StoredCredential
from git_refresh.output.log import RedactingLogger
from git_refresh.run.report import CredentialReport, TokenReport, log_run, log_workspace
from git_refresh.settings.load import load
from tests.support.fake_fleet import host
from tests.support.fakes import NOW, FakeClock, FakeServices, FakeWorkspace
from tests.support.reports import ERROR, report, workspace
from tests.support.stored_lines import ABOUT, StoredLines

MINUTE = timedelta(minutes=1)
OWN = StoredCredential(7, "azureDevOpsServices", "git-refresh")
type Ran = Callable[..., None]


@pytest.fixture
def stored() -> StoredLines:
    return StoredLines()


@pytest.fixture
def ran(stored: StoredLines, caplog: pytest.LogCaptureFixture) -> Ran:
    """Return a function that logs a run that ended this many minutes ago, with its token's expiration."""

    def write(
        ago: int,
        ends: int,
        action: Any = "updated",
        *,
        line: bool = True,
        where: str = host(1),
        **changes: Any,
    ) -> None:
        at, run_id = NOW - ago * MINUTE, f"run {ago}"
        credential = CredentialReport(action, 7) if action else None
        result = "ok" if action in {"created", "updated"} else "failed" if action else "rejected"
        done = workspace(
            host=where, credential=credential, result=result, error=None if result == "ok" else ERROR
        )
        part = changes.get("slice")
        stored.record(caplog, at, partial(log_workspace, run_id, done, RedactingLogger(), part))
        if line:
            token = TokenReport(None, "5a1e-tenant", NOW + ends * MINUTE, 60.0, 1)
            whole = replace(report(done), run_id=run_id, tokens=(token,), **changes)
            stored.record(caplog, at, partial(log_run, whole, RedactingLogger(), at + 15 * MINUTE))

    return write


def status(stored: StoredLines) -> StatusReport:
    settings = load(
        {
            "WORKSPACES": json.dumps(
                [
                    {
                        "host": host(1),
                        "client_id": "5a1e0000-0000-4000-8000-000000000001",
                        "client_secret_name": "secret",
                    }
                ]
            ),
            "KEY_VAULT_URL": "https://v.vault.azure.net",
        }
    )
    clouds = FakeServices({host(1): FakeWorkspace(stored=[OWN])})
    tokens = LoggedTokens(stored.stored_tokens(LONGEST_TOKEN), stored.about)
    return look(settings, clouds, Deadline.after(540, FakeClock()), tokens)


def credential(stored: StoredLines) -> CredentialStatus:
    (only,) = status(stored).workspaces
    (found,) = only.credentials
    return found


def test_a_token_that_still_lives_is_ok_with_its_end(stored: StoredLines, ran: Ran) -> None:
    ran(20, 30)
    ran(5, 50)
    found = credential(stored)
    assert (found.status, found.expires_at, found.error) == ("ok", NOW + 50 * MINUTE, None)


def test_a_fleet_whose_tokens_are_dead_is_never_ok(stored: StoredLines, ran: Ran) -> None:
    ran(120, -55)
    found = credential(stored)
    assert found.error is not None
    assert (found.status, found.expires_at, found.error.code) == (
        "failed",
        NOW - 55 * MINUTE,
        "stored_token_expired",
    )
    assert ABOUT.app in found.error.remedy
    assert status(stored).result == "failed"


def test_without_any_line_no_stored_token_can_be_valid(stored: StoredLines) -> None:
    found = credential(stored)
    assert found.error is not None
    assert (found.status, found.error.code) == ("failed", "stored_token_expired")


@pytest.mark.parametrize("action", ["failed", "token_rejected", None])
def test_a_workspace_in_which_no_run_stored_a_token_has_failed(
    stored: StoredLines, ran: Ran, action: str | None
) -> None:
    ran(30, 50, action)
    ran(15, 50, action)
    assert credential(stored).status == "failed"


def test_a_last_run_that_stored_nothing_is_a_warning_while_the_token_lives(
    stored: StoredLines, ran: Ran
) -> None:
    ran(20, 40)
    ran(5, 55, "failed")
    found = credential(stored)
    assert (found.status, found.expires_at) == ("warning", NOW + 40 * MINUTE)


def test_a_workspace_that_no_run_reaches_has_failed_beside_others(stored: StoredLines, ran: Ran) -> None:
    ran(5, 50, where=host(2))
    assert (credential(stored).status, status(stored).result) == ("failed", "failed")


def test_a_workspace_that_a_part_of_the_lines_lacks_is_a_warning(stored: StoredLines, ran: Ran) -> None:
    ran(5, 50, where=host(2))
    stored.complete = False
    assert (credential(stored).status, credential(stored).expires_at) == ("warning", None)


def test_a_run_that_was_cut_off_leaves_the_end_of_its_token_unknown(stored: StoredLines, ran: Ran) -> None:
    ran(5, 50, line=False)
    assert (credential(stored).status, credential(stored).expires_at) == ("warning", None)


def test_lines_that_cannot_be_queried_yet_count_as_not_written(stored: StoredLines, ran: Ran) -> None:
    ran(70, -5)
    ran(2, 60)
    stored.at = NOW - 5 * MINUTE
    assert credential(stored).status == "failed"
    stored.at = NOW
    assert credential(stored).status == "ok"


def test_the_tokens_of_a_slice_are_those_of_its_own_line(stored: StoredLines, ran: Ran) -> None:
    ran(5, 50, slice=Slice("run 5", 1, 1))
    assert credential(stored).expires_at is None  # the timer did not log this run
    stored.add(
        {"event": "git_refresh.dispatch", "run_id": "run 5", "slices": 1, "workspaces": 1}, NOW - 6 * MINUTE
    )
    assert credential(stored).expires_at == NOW + 50 * MINUTE


def invoke(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setenv("WORKSPACES", "[]")
    return CliRunner().invoke(main, ["status", *arguments])


@pytest.mark.parametrize("arguments", [["--app", "contoso", "--report", "x"], ["--resource-group", "rg"]])
def test_options_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    assert invoke(monkeypatch, *arguments).exit_code == 2


def test_logs_that_cannot_be_read_make_the_status_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def logs_of(*_: object) -> NoReturn:
        raise DiagnosedError(finding("component_not_found", ABOUT))

    monkeypatch.setattr(command, "logs_of", logs_of)
    found = StatusReport((), command._logs(AppName("contoso"), RedactingLogger()))
    assert found.result == "failed"
    assert found.as_dict()["logs"]["error"]["code"] == "component_not_found"
    assert StatusReport(()).as_dict()["logs"] is None


def test_the_newest_line_is_part_of_the_json(stored: StoredLines, ran: Ran) -> None:
    ran(5, 50)
    tokens = LoggedTokens(stored.stored_tokens(LONGEST_TOKEN), stored.about)
    assert AppLogsStatus("contoso", tokens).as_dict() == {
        "app": "contoso",
        "newest_line_at": "2026-11-23T11:55:00Z",
        "error": None,
    }


@pytest.mark.parametrize(
    ("minutes", "since"), [([], "2026-11-22 11:00 UTC"), ([5], "2026-11-23 11:55 UTC")], ids=["none", "one"]
)
def test_what_the_logs_show_is_said_with_the_name_of_the_app(
    stored: StoredLines, ran: Ran, minutes: list[int], since: str
) -> None:
    for ago in minutes:
        ran(ago, 50)
    tokens = LoggedTokens(stored.stored_tokens(LONGEST_TOKEN), stored.about)
    out = Console(file=io.StringIO(), width=400)
    command._show_logs(AppLogsStatus("contoso", tokens), out)
    assert isinstance(out.file, io.StringIO)
    assert re.search(rf"\bcontoso\b.* {since}\.", out.file.getvalue())
