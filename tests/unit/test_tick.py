"""The timer: always one run line, and one exception with one line after a failure."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from git_refresh import app
from git_refresh.fan_out import dispatch
from git_refresh.run.errors import LONGEST_MESSAGE, RunFailedError
from git_refresh.run.report import Report
from tests.support.timer_statuses import ODD_STATUSES

SECRET = "dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48"
SETTINGS = {
    "WORKSPACES": '[{"host": "https://adb-1.1.azuredatabricks.net", "auth": "managed_identity"}]',
    "IDENTITY_ENDPOINT": "http://127.0.0.1:1/msi/token",
    "IDENTITY_HEADER": SECRET,
}


def tick(environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> tuple[str, list[dict[str, Any]]]:
    """Return the exception's text and the log lines."""
    caplog.set_level(logging.INFO, "git_refresh")
    with pytest.raises(RunFailedError) as raised:
        app.run_scheduled(environ, None)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    return str(raised.value), [json.loads(message) for message in caplog.messages]


@pytest.mark.parametrize("where", ["refresh", "connect", "next_run_after"])
@pytest.mark.parametrize("error", [RecursionError, OverflowError, UnicodeError, MemoryError])
def test_a_run_of_which_there_can_be_no_report_has_its_line_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str, error: type[Exception]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error(f"a\nb {SECRET}")

    monkeypatch.setattr(app, where, fail)
    raised, (line,) = tick(SETTINGS, caplog)
    assert (line["event"], line["result"]) == ("git_refresh.run", "failed")
    assert line["problems"][0].startswith(f"run: internal_error: {error.__name__} at ")
    assert raised.startswith(f"run: internal_error: {error.__name__} at ")
    assert SECRET not in raised + json.dumps(line)


@pytest.mark.parametrize("status", ODD_STATUSES, ids=repr)
def test_an_odd_status_makes_no_run_fail(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: Any
) -> None:
    caplog.set_level(logging.INFO, "git_refresh")
    with monkeypatch.context() as patch:
        ran: list[dict[str, Any]] = []
        good = Report("id", datetime.now(UTC), 0.0, False, "ok", (), (), ())

        def run(*_: object, **given: Any) -> Report:
            ran.append(given)
            return good

        patch.setattr(app, "refresh", run)
        app.run_scheduled(SETTINGS, status)
        dispatch({**SETTINGS, "AzureWebJobsStorage__accountName": "stcontoso"}, status)
    assert [(given["notes"], given["next_run"] > datetime.now(UTC)) for given in ran] == [([], True)]
    dispatched, _ = [json.loads(message) for message in caplog.messages]
    assert (dispatched["event"], dispatched["problems"]) == ("git_refresh.dispatch", [])


@pytest.mark.parametrize("past_due", [False, True])
def test_a_late_start_of_slices_names_what_the_status_allows(
    caplog: pytest.LogCaptureFixture, *, past_due: bool
) -> None:
    caplog.set_level(logging.INFO, "git_refresh")
    due = datetime.now(UTC) - timedelta(minutes=9)
    environ = {**SETTINGS, "AzureWebJobsStorage__accountName": "stcontoso"}
    dispatch(environ, {"Next": due.isoformat()}, past_due=past_due)
    (problem,) = json.loads(caplog.messages[0])["problems"]
    assert problem.startswith("timer: late_run: ")
    assert ("cut off" in problem) is past_due


def test_what_is_raised_is_one_bounded_line_whatever_the_settings_hold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    entries = [{"host": f"x\n\x1b[31m\u2028{number}", "bad\nkey": 1} for number in range(500)]
    raised, (line,) = tick({"WORKSPACES": json.dumps(entries), "FAN_OUT": "a\nb"}, caplog)
    assert raised.isprintable()
    assert len(raised) <= LONGEST_MESSAGE
    assert "No workspace was refreshed" in raised
    assert line["problems_omitted"] + len(line["problems"]) > 500
