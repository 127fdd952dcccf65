"""The app in Microsoft's worker library, called like the Functions host does."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from localcloud import Cloud, Fleet
from localcloud.timer import Timer
from localcloud.worker import Worker
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Return the worker: a process can have only one, because of a global registry."""
    logging.getLogger().addHandler(logging.NullHandler())
    with Worker(ROOT) as worker:
        yield worker


@pytest.fixture
def settings(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in fleet.settings.items():
        monkeypatch.setenv(name, value)
    return dict(fleet.settings)


def test_the_app_has_one_timer_with_a_schedule_from_the_settings(worker: Worker) -> None:
    assert list(worker.bindings) == ["refresh_git"]
    (timer,) = worker.bindings["refresh_git"]
    assert (timer["type"], timer["schedule"]) == ("timerTrigger", "%REFRESH_SCHEDULE%")
    assert timer["useMonitor"] is True
    assert not timer.get("runOnStartup")


@pytest.mark.usefixtures("settings")
def test_a_tick_refreshes_the_fleet(worker: Worker, fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "git_refresh"):
        outcome = worker.fire_timer("refresh_git")
    assert outcome.ok, outcome.message
    assert all(workspace.credentials for workspace in fleet.workspaces)
    events = [json.loads(record.getMessage()) for record in caplog.records if record.name == "git_refresh"]
    assert [event["event"] for event in events] == ["git_refresh.workspace"] * 3 + ["git_refresh.run"]


@pytest.mark.usefixtures("settings")
def test_a_failed_run_raises_one_line_that_says_what_to_do(
    worker: Worker, cloud: Cloud, fleet: Fleet
) -> None:
    cloud.devops.organization("contoso").remove_member(cloud.identity.object_id)
    outcome = worker.fire_timer("refresh_git")
    assert not outcome.ok
    assert "RunFailedError" in outcome.message + outcome.stack_trace
    assert "data-1 (and 2 more failures): devops_not_a_member" in outcome.message
    assert cloud.identity.object_id in outcome.message
    assert not any(workspace.credentials for workspace in fleet.workspaces)


@pytest.mark.usefixtures("settings")
def test_wrong_settings_raise_one_line_that_names_them_all(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSPACES", "[")
    monkeypatch.setenv("REFRESH_CONCURRENCY", "x")
    outcome = worker.fire_timer("refresh_git")
    assert not outcome.ok
    assert "WORKSPACES: is not valid JSON" in outcome.message
    assert "REFRESH_CONCURRENCY" in outcome.message


@pytest.mark.usefixtures("settings")
def test_a_token_that_will_not_last_until_the_next_tick_fails_the_run(
    worker: Worker, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    last = now - timedelta(minutes=15)  # during a run, the host still stores this occurrence as next
    monkeypatch.setenv("REFRESH_SCHEDULE", "0 0 0 1 1 *")
    cloud.identity.token_lifetime = 600
    outcome = worker.fire_timer("refresh_git", last=last, following=now)
    assert not outcome.ok
    assert "token_expires_before_next_run" in outcome.message
    monkeypatch.setenv("REFRESH_SCHEDULE", "* * * * * *")
    assert worker.fire_timer("refresh_git", last=last, following=now).ok


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("past_due", "because"),
    [(False, "previous run took longer"), (True, "an outage, a deployment or a saved app setting")],
)
def test_a_late_run_names_what_the_host_s_status_allows(
    worker: Worker, caplog: pytest.LogCaptureFixture, *, past_due: bool, because: str
) -> None:
    due = datetime.now(UTC) - timedelta(minutes=5)
    with caplog.at_level(logging.INFO, "git_refresh"):
        outcome = worker.fire_timer("refresh_git", following=due, past_due=past_due)
    assert outcome.ok
    (problem,) = json.loads(caplog.messages[-1])["problems"]
    assert problem.startswith("timer: late_run: ")
    assert because in problem


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("seconds", [40, -0.002])
def test_a_run_cut_off_and_made_again_within_a_minute_is_not_late(
    worker: Worker, caplog: pytest.LogCaptureFixture, seconds: float
) -> None:
    due = datetime.now(UTC) - timedelta(seconds=seconds)
    with caplog.at_level(logging.INFO, "git_refresh"):
        assert worker.fire_timer("refresh_git", following=due, past_due=seconds > 0).ok
    assert json.loads(caplog.messages[-1])["problems"] == []


@pytest.mark.usefixtures("settings")
def test_a_schedule_without_a_kept_status_makes_no_run_fail(worker: Worker) -> None:
    call = Timer("*/30 * * * * *", datetime.now(UTC)).call
    assert call.status is None
    assert worker.call_timer("refresh_git", call.info).ok


BROKEN = {
    "an import that fails": (
        "import azure.functions as func",
        "import azure.functions as func\nimport none_such",
    ),
    "a misspelled argument": ('arg_name="timer"', 'arg_name="tmier"'),
    "an annotation that the worker does not take": (
        "timer: func.TimerRequest",
        "timer: func.TimerRequest | None",
    ),
    "two apps": ("app = func.FunctionApp()", "app = func.FunctionApp()\nmore = func.FunctionApp()"),
}


@pytest.mark.parametrize(("old", "new"), BROKEN.values(), ids=BROKEN)
def test_a_broken_app_fails_to_load(tmp_path: Path, old: str, new: str) -> None:
    source = (ROOT / "function_app.py").read_text()
    assert old in source
    (tmp_path / "function_app.py").write_text(source.replace(old, new))
    (tmp_path / "host.json").write_text((ROOT / "host.json").read_text())
    code = "import sys; from pathlib import Path; from localcloud.worker import Worker; Worker(Path(sys.argv[1])).close()"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "AppError" in done.stderr
