"""`FAN_OUT=queue` over Azurite: worker processes, killed at random, refresh the whole fleet.

The app's timer cuts the list, and the host's part puts messages on the queue. Each worker is the app in
Microsoft's worker library with the host's queue listener. Only the invisibility of a message is shorter than
the host's ten minutes.
"""

import json
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.queue import QueueClient

from git_refresh.fan_out import dispatch
from git_refresh.run import slices
from localcloud import Cloud, Fault, Fleet, faults, seed
from localcloud.fleet import CLIENT_ID, SECRET, SECRET_NAME
from localcloud.observer import Request
from localcloud.queues import QueueOptions, connected, send_outputs
from localcloud.storage import StorageAccount
from localcloud.worker import Outcome
from tests.support.embedded_cloud import embedded_cloud
from tests.support.instances import Instance, next_line
from tools.queries import ROOT

pytestmark = pytest.mark.timeout(120)
LOCK_S = 4
"""Seconds: the invisibility of a message, ten minutes in the host; renewed at half the time."""
BINDINGS = [{"type": "queue", "name": "slices", "queueName": slices.QUEUE}]
WORKSPACES = 6


@dataclass
class Stage:
    """A fleet, a queue, and its workers."""

    cloud: Cloud
    fleet: Fleet
    account: StorageAccount
    app: Path
    settings: Mapping[str, str]
    said: list[dict[str, Any]] = field(default_factory=list)
    workers: list[Instance] = field(default_factory=list)

    def start(self, number: int = 1) -> None:
        """Start this many more workers."""
        environ = {**os.environ, **self.settings}
        self.workers += [Instance(self.app, environ, invisible=LOCK_S) for _ in range(number)]

    def close(self) -> None:
        while self.workers:
            self.workers.pop().close()

    @property
    def queue(self) -> QueueClient:
        return connected(self.settings).get_queue_client(slices.QUEUE)

    def left(self) -> int:
        """Return the number of messages, including invisible ones."""
        return int(self.queue.get_queue_properties().approximate_message_count or 0)

    def tick(self, times: int = 1, **changes: str) -> list[str]:
        """Run the timer, and put each message on the queue this many times."""
        texts = dispatch({**os.environ, **self.settings, **changes}, None)
        put = [text for text in texts for _ in range(times)]
        outcome = Outcome(ok=True, message="", stack_trace="", outputs={"slices": put})
        assert send_outputs(connected(self.settings), BINDINGS, outcome, QueueOptions()) == len(put)
        return texts

    def until_deleted(self, messages: int) -> None:
        """Wait until this many messages are deleted."""
        deleted = 0
        while deleted < messages:
            _, line = next_line(self.workers)
            self.said.append(line)
            deleted += line["event"] == "deleted"

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the app's log lines of this kind from all workers."""
        lines = [json.loads(line["message"]) for line in self.said if line.get("logger") == "git_refresh"]
        return [line for line in lines if line["event"] == event]

    def codes(self) -> list[str]:
        """Return the codes of messages without work."""
        return sorted(line["code"] for line in self.logged("git_refresh.message_skipped"))

    def assert_fresh(self, *, but: tuple[int, ...] = ()) -> None:
        """Check that workspaces have a valid token and both folders at their latest commit."""
        etl, reports = self.fleet.repositories
        wanted = {"/Repos/etl/prod": etl.head("main"), "/Repos/reports/prod": reports.head("main")}
        for number, workspace in enumerate(self.fleet.workspaces):
            if number in but:
                continue
            (credential,) = workspace.credentials
            claims = jwt.decode(credential.token or "", options={"verify_signature": False})
            assert claims["oid"] == self.cloud.identity.object_id
            assert claims["exp"] > time.time()
            assert {folder.path: folder.head for folder in workspace.folders} == wanted

    def assert_no_secret_was_on_the_queue(self) -> None:
        sent = "\n".join(self.account.texts)
        assert '"workspaces"' in sent
        issued = self.cloud.issued
        assert len(issued) > WORKSPACES
        assert not [secret for secret in (*issued, SECRET, SECRET_NAME, CLIENT_ID) if secret in sent]


def soon() -> str:
    """Return a schedule whose next run is 15 minutes away: the next quarter hour might be too close."""
    return f"0 {datetime.now(UTC) + timedelta(minutes=16):%M} * * * *"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return a deployed app with a short retry delay and frequent polling."""
    shutil.copy(ROOT / "function_app.py", tmp_path)
    options = json.loads((ROOT / "host.json").read_text())
    options["extensions"]["queues"] |= {
        "visibilityTimeout": "00:00:01",
        "maxPollingInterval": "00:00:00.2",
    }
    (tmp_path / "host.json").write_text(json.dumps(options))
    return tmp_path


@pytest.fixture
def stage(app: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(slices, "MAX_WORKSPACES_PER_SLICE", 2)
    with embedded_cloud(monkeypatch) as cloud:
        cloud.remember_secrets()
        fleet = seed(cloud, WORKSPACES)
        account = cloud.storage_account("stgitrefresh")
        settings = {
            **fleet.settings,
            **account.settings,
            "AzureWebJobsStorage__clientId": cloud.identity.client_id,
            "FAN_OUT": "queue",
            "REFRESH_SCHEDULE": soon(),
        }
        made = Stage(cloud, fleet, account, app, settings)
        yield made
        made.close()


def test_three_workers_refresh_the_fleet_slice_by_slice(stage: Stage) -> None:
    stage.start(3)
    texts = stage.tick()
    stage.until_deleted(3)
    stage.assert_fresh()
    stage.assert_no_secret_was_on_the_queue()
    (run_id,) = {json.loads(text)["run_id"] for text in texts}
    runs = stage.logged("git_refresh.run")
    assert sorted((run["run_id"], run["slice"], run["slices"], run["result"]) for run in runs) == [
        (run_id, number, 3, "ok") for number in (1, 2, 3)
    ]
    assert sorted((line["slice"], line["name"]) for line in stage.logged("git_refresh.workspace")) == [
        (number // 2 + 1, f"data-{number + 1}") for number in range(WORKSPACES)
    ]
    assert stage.left() == 0


@pytest.mark.parametrize("seed", range(2))
def test_workers_that_are_killed_at_random_leave_a_fleet_that_is_fresh(stage: Stage, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # the same kills for the same seed
    stage.start(3)
    dying = {chance.randrange(1, 25 * (death + 1)) for death in range(3)}
    seen = 0

    def kill(_: Request) -> None:
        nonlocal seen
        seen += 1  # including claims: between any two requests
        if seen in dying:
            dying.discard(seen)
            chance.choice(stage.workers).kill()
            stage.start()

    stage.cloud.on_request = kill
    stage.tick()
    _drain(stage)
    stage.cloud.on_request = None
    assert not dying, "all of them died"
    unlucky = [
        line["slice"] for line in stage.logged("git_refresh.message_skipped") if line["result"] == "failed"
    ]
    stage.assert_fresh(but=tuple(2 * slice_ - number for slice_ in unlucky for number in (1, 2)))
    if unlucky:  # two workers were killed: only the next run tries again
        stage.tick()
        _drain(stage)
        stage.assert_fresh()
    stage.assert_no_secret_was_on_the_queue()


def _drain(stage: Stage) -> None:
    """Wait until the queue is empty."""
    while stage.left():
        _, line = next_line(stage.workers)
        stage.said.append(line)


def test_a_failing_workspace_fails_its_slice_once_and_poisons_nothing(stage: Stage) -> None:
    broken = stage.fleet.workspaces[2]
    stage.cloud.inject(Fault(faults.status(403), host=broken.host, route="/git-credentials"))
    stage.start(2)
    stage.tick()
    stage.until_deleted(3)
    stage.assert_fresh(but=(2,))
    assert len([line for line in stage.said if line["event"] == "returned"]) == 1
    assert stage.codes() == ["slice_already_completed"]
    failed = [run["slice"] for run in stage.logged("git_refresh.run") if run["result"] == "failed"]
    assert failed == [2]
    with pytest.raises(ResourceNotFoundError):
        connected(stage.settings).get_queue_client(f"{slices.QUEUE}-poison").get_queue_properties()


def test_a_queue_that_cannot_be_reached_costs_one_run(stage: Stage) -> None:
    stage.cloud.inject(Fault(faults.status(403), service="storage"))
    with pytest.raises(HttpResponseError):
        stage.tick()
    stage.cloud.clear_faults()
    stage.start(2)
    stage.tick()
    stage.until_deleted(3)
    stage.assert_fresh()
