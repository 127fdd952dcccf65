import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

APP = """
import logging
import typing

import azure.functions as func

app = func.FunctionApp()

@app.timer_trigger(schedule="%REFRESH_SCHEDULE%", arg_name="timer")
@app.queue_output(arg_name="out", queue_name="work", connection="AzureWebJobsStorage")
def tick(timer: func.TimerRequest, out: func.Out[typing.List[str]]) -> None:
    if timer.past_due:
        raise ValueError("late")
    out.set([timer.schedule_status["Next"], "second"])

@app.queue_trigger(arg_name="message", queue_name="work", connection="AzureWebJobsStorage")
def work(message: func.QueueMessage) -> None:
    body = message.get_body().decode()
    if body == "poison":
        raise RuntimeError(f"poison, delivery {message.dequeue_count} since {message.insertion_time:%H:%M}")
    if body == "known":
        kept = message.time_next_visible - message.insertion_time
        raise RuntimeError(f"{message.id} {message.pop_receipt} {kept.total_seconds() > 500} {message.expiration_time}")
    if body.startswith("{"):
        raise RuntimeError(f"{message.id} {message.dequeue_count}")
"""

DRIVE = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from localcloud.worker import Worker

with Worker(Path(sys.argv[1])) as worker:
    noon = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    outcomes = [
        worker.fire_timer("tick", following=noon),
        worker.fire_timer("tick", past_due=True),
        worker.deliver("work", "fine"),
        worker.deliver("work", "poison", dequeue_count=5, inserted=noon),
        worker.deliver("work", "known", message_id="message-1"),
        worker.deliver("work", json.dumps({"slice": 3, "dequeueCount": 7, "ID": None}), message_id="message-2"),
        worker.deliver("work", json.dumps({"dequeueCount": "many"})),
    ]
    shown = [(each.ok, each.message, "Traceback" in each.stack_trace, each.outputs) for each in outcomes]
    print(json.dumps({"bindings": worker.bindings, "outcomes": shown}))
"""


def drive(app: str, directory: Path) -> subprocess.CompletedProcess[str]:
    (directory / "function_app.py").write_text(textwrap.dedent(app))
    command = [sys.executable, "-c", DRIVE, str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def driven(tmp_path: Path) -> dict[str, Any]:
    done = drive(APP, tmp_path)
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def test_runs_timer_and_queue_functions_in_the_real_worker(driven: dict[str, Any]) -> None:
    assert driven["outcomes"] == [
        [True, "", False, {"out": ["2026-01-01T12:00:00+00:00", "second"]}],
        [False, "ValueError: late", True, {}],
        [True, "", False, {}],
        [False, "RuntimeError: poison, delivery 5 since 12:00", True, {}],
        driven["outcomes"][4],
        [False, "RuntimeError: message-2 7", True, {}],
        driven["outcomes"][6],
    ]
    assert "message-1 receipt True 20" in driven["outcomes"][4][1]
    assert "cannot convert value of field 'DequeueCount'" in driven["outcomes"][6][1]
    assert set(driven["bindings"]) == {"tick", "work"}


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        (APP.replace('arg_name="timer"', 'arg_name="clock"'), "{'timer'}"),
    ],
)
def test_an_app_that_does_not_load_is_an_error(tmp_path: Path, app: str, reason: str) -> None:
    done = drive(app, tmp_path)
    assert done.returncode != 0
    assert "AppError" in done.stderr
    assert reason in done.stderr
