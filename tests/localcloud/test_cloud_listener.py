"""The host's queue listener on real queues, with simple functions and with an app."""

import asyncio
import base64
import json
import os
import textwrap
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueServiceClient

from localcloud import Cloud, Fault
from localcloud.faults import status
from localcloud.listener import QueueListener, Step
from localcloud.queues import QueueOptions, connected, send_outputs
from localcloud.storage import StorageAccount
from localcloud.worker import Outcome, QueuedMessage
from tests.support.embedded_cloud import embedded_cloud
from tests.support.instances import EndedError, Instance

GOOD = Outcome(ok=True, message="", stack_trace="", outputs={})
BAD = Outcome(ok=False, message="RuntimeError: no", stack_trace="", outputs={})


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Yield one cloud for all tests: starting Azurite takes a second."""
    with pytest.MonkeyPatch.context() as patch, embedded_cloud(patch) as cloud:
        yield cloud


@pytest.fixture
def account(cloud: Cloud) -> Iterator[StorageAccount]:
    yield cloud.storage_account("stgitrefresh")
    cloud.clear_faults()


@pytest.fixture
def service(cloud: Cloud, account: StorageAccount) -> Iterator[QueueServiceClient]:
    settings = {**account.settings, "AzureWebJobsStorage__clientId": cloud.identity.client_id}
    with connected(settings) as service:
        yield service


@pytest.fixture
def name() -> str:
    return f"work-{uuid.uuid4()}"


@dataclass
class Function:
    """A function for messages: it returns the given outcomes one by one, then successes."""

    outcomes: list[Outcome] = field(default_factory=list)
    messages: list[QueuedMessage] = field(default_factory=list)
    until: Callable[[], Awaitable[object]] | None = None

    async def __call__(self, message: QueuedMessage) -> Outcome:
        self.messages.append(message)
        if self.until is not None:
            await self.until()
        return self.outcomes.pop(0) if self.outcomes else GOOD


@dataclass
class Queue:
    service: QueueServiceClient
    name: str
    steps: list[Step] = field(default_factory=list)

    def put(self, *texts: str) -> list[str]:
        outcome = Outcome(ok=True, message="", stack_trace="", outputs={"out": list(texts)})
        send_outputs(self.service, [self.binding], outcome, QueueOptions())
        return [message.id for message in self.client.peek_messages(32)]

    @property
    def client(self) -> QueueClient:
        return self.service.get_queue_client(self.name)

    @property
    def binding(self) -> dict[str, str]:
        return {"type": "queue", "direction": "OUT", "name": "out", "queueName": self.name}

    def listener(self, function: Function, *, invisible: float = 600, **options: float) -> QueueListener:
        given = QueueOptions(**options)  # type: ignore[arg-type]
        return QueueListener(
            self.service, self.name, function, given, invisible=invisible, report=self.steps.append
        )

    @property
    def events(self) -> list[tuple[str, int]]:
        return [(step.event, step.dequeue_count) for step in self.steps]

    def contents(self, suffix: str = "") -> list[str]:
        there = self.service.get_queue_client(self.name + suffix).peek_messages(32)
        return [message.content for message in there]


@pytest.fixture
def queue(service: QueueServiceClient, name: str) -> Queue:
    return Queue(service, name)


def test_a_message_that_failed_is_invisible_for_the_timeout(queue: Queue) -> None:
    queue.put("bad")
    listener = queue.listener(Function([BAD]), visibility_timeout=600)
    assert asyncio.run(listener.once()) == 1
    assert asyncio.run(listener.once()) == 0
    assert queue.client.get_queue_properties().approximate_message_count == 1


def test_a_message_that_too_many_died_of_is_not_tried_again(queue: Queue) -> None:
    queue.put("deadly")
    for _ in range(2):
        got = queue.client.receive_message()
        assert got is not None
        queue.client.update_message(got, visibility_timeout=0)
    function = Function()
    asyncio.run(queue.listener(function, max_dequeue_count=2).once())
    assert function.messages == []
    assert queue.events == [("poisoned", 3)]


def test_a_message_that_is_no_base64_becomes_poison_unless_allowed(queue: Queue) -> None:
    queue.client.create_queue()
    queue.client.send_message('{"plain": 1}')
    function = Function()
    asyncio.run(queue.listener(function).once())
    assert function.messages == []
    assert queue.contents("-poison") == ['{"plain": 1}']
    queue.client.send_message('{"plain": 2}')
    listener = QueueListener(queue.service, queue.name, function, QueueOptions(message_encoding="none"))
    asyncio.run(listener.once())
    assert [message.text for message in function.messages] == ['{"plain": 2}']


def test_a_batch_is_worked_on_at_once(queue: Queue) -> None:
    queue.put(*"abcde")

    async def work() -> None:
        all_three = asyncio.Barrier(3)
        assert await queue.listener(Function(until=all_three.wait), batch_size=3).once() == 3

    asyncio.run(work())
    assert [event for event, _ in queue.events] == ["delivered"] * 3 + ["deleted"] * 3
    assert len(queue.contents()) == 2


def test_a_listener_takes_one_message_at_a_time_until_stopped(queue: Queue) -> None:
    queue.put("1", "2", "3", "4")
    stop = asyncio.Event()

    class Third(Function):
        async def __call__(self, message: QueuedMessage) -> Outcome:
            if len(self.messages) == 2:
                stop.set()
            return await super().__call__(message)

    asyncio.run(queue.listener(Third(), batch_size=1, new_batch_threshold=0).listen(stop))
    assert [event for event, _ in queue.events] == ["delivered", "deleted"] * 3
    assert len(queue.contents()) == 1


def test_a_message_that_takes_long_is_kept_from_others(queue: Queue) -> None:
    queue.put("long")

    async def work() -> None:
        long_enough = asyncio.Event()

        def look(step: Step) -> None:
            queue.steps.append(step)
            if len(queue.steps) == 3:  # after 2 s
                assert queue.contents() == []
                long_enough.set()

        function = Function(until=long_enough.wait)
        listener = QueueListener(
            queue.service, queue.name, function, QueueOptions(), invisible=2, report=look
        )
        await listener.once()

    asyncio.run(work())
    assert [event for event, _ in queue.events] == ["delivered", "renewed", "renewed", "deleted"]


def test_a_message_that_another_worker_has_leased_is_left_there(queue: Queue) -> None:
    (message_id,) = queue.put("stolen")

    class Stolen(Function):
        async def __call__(self, message: QueuedMessage) -> Outcome:
            queue.client.update_message(message_id, message.pop_receipt, visibility_timeout=0)
            return await super().__call__(message)

    asyncio.run(queue.listener(Stolen()).once())
    asyncio.run(queue.listener(Function([BAD])).once())
    assert queue.events == [("delivered", 1), ("lost", 1), ("delivered", 2), ("returned", 2)]

    class Deleted(Function):
        async def __call__(self, message: QueuedMessage) -> Outcome:
            queue.client.delete_message(message_id, message.pop_receipt)
            return await super().__call__(message)

    asyncio.run(queue.listener(Deleted([BAD])).once())
    assert queue.events[-2:] == [("delivered", 3), ("lost", 3)]


def test_outputs_are_sent_only_of_what_succeeded(queue: Queue) -> None:
    failed = Outcome(ok=False, message="", stack_trace="", outputs={"out": ["a"]})
    assert send_outputs(queue.service, [queue.binding], failed, QueueOptions()) == 0
    assert send_outputs(queue.service, [queue.binding], GOOD, QueueOptions()) == 0
    with pytest.raises(ResourceNotFoundError):
        queue.contents()
    sent = Outcome(ok=True, message="", stack_trace="", outputs={"out": ["a", '{"b": 1}']})
    assert send_outputs(queue.service, [queue.binding], sent, QueueOptions()) == 2
    assert [base64.b64decode(content).decode() for content in queue.contents()] == ["a", '{"b": 1}']


def test_options_are_those_of_host_json_or_the_hosts_own(tmp_path: Path) -> None:
    host_json = tmp_path / "host.json"
    assert QueueOptions.read(host_json) == QueueOptions(16, -1, 60, 0, 5, "base64")
    assert QueueOptions.read(host_json).threshold == 8
    queues = {
        "batchSize": 1,
        "newBatchThreshold": 0,
        "maxPollingInterval": "00:00:10",
        "visibilityTimeout": "00:00:30",
        "maxDequeueCount": 5,
    }
    host_json.write_text(json.dumps({"version": "2.0", "extensions": {"queues": queues}}))
    options = QueueOptions.read(host_json)
    assert options == QueueOptions(1, 0, 10, 30, 5)
    assert options.threshold == 0
    host_json.write_text(json.dumps({"extensions": {"queues": {"batchSize": 33}}}))
    with pytest.raises(ValueError, match="batchSize"):
        QueueOptions.read(host_json)


APP = """
import logging, os, time
import azure.functions as func

app = func.FunctionApp()

@app.queue_trigger(arg_name="message", queue_name="QUEUE", connection="AzureWebJobsStorage")
def work(message: func.QueueMessage) -> None:
    body = message.get_body().decode()
    logging.getLogger("app").info(f"{body} {message.dequeue_count}")
    if body == "bad":
        raise RuntimeError("no")
    while os.path.exists(os.path.join(os.path.dirname(__file__), body)):
        time.sleep(0.01)
"""


@pytest.fixture
def app(tmp_path: Path, name: str) -> Path:
    """Return an app that blocks on a message while a file of that name exists."""
    (tmp_path / "function_app.py").write_text(textwrap.dedent(APP).replace("QUEUE", name))
    queues = {
        "batchSize": 1,
        "newBatchThreshold": 0,
        "maxPollingInterval": "00:00:00.2",
        "maxDequeueCount": 2,
    }
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"queues": queues}}))
    return tmp_path


@pytest.fixture
def environ(cloud: Cloud, account: StorageAccount) -> dict[str, str]:
    return {**os.environ, **account.settings, "AzureWebJobsStorage__clientId": cloud.identity.client_id}


def test_two_instances_share_and_what_a_killed_one_had_comes_to_the_other(
    app: Path, environ: dict[str, str], queue: Queue
) -> None:
    (app / "held").touch()
    (app / "held too").touch()
    with Instance(app, environ, invisible=2) as first, Instance(app, environ, invisible=2) as second:
        first.until("ready")
        second.until("ready")
        queue.put("held", "held too")
        one = first.until("delivered")
        other = second.until("delivered")
        assert {one["text"], other["text"]} == {"held", "held too"}
        first.until("renewed")
        first.kill()
        (app / other["text"]).unlink()
        assert second.until("deleted")["text"] == other["text"]
        again = second.until("delivered")
        assert (again["message_id"], again["text"], again["dequeue_count"]) == (
            one["message_id"],
            one["text"],
            2,
        )
        assert second.until("log", logger="app")["message"] == f"{one['text']} 2"
        (app / one["text"]).unlink()
        assert second.until("deleted")["message_id"] == one["message_id"]
        assert second.stop() == 0
    assert queue.contents() == []


def test_an_instance_ends_what_it_has_begun_and_says_what_failed(
    app: Path, environ: dict[str, str], queue: Queue
) -> None:
    queue.put("bad")
    with Instance(app, environ) as instance:
        assert instance.until("returned")["problem"] == "RuntimeError: no"
        assert instance.until("poisoned")["dequeue_count"] == 2
        (app / "held").touch()
        queue.put("held")
        instance.until("delivered", text="held")
        (app / "held").unlink()
        assert instance.stop() == 0
        assert instance.lines[-1] == {**instance.lines[-1], "event": "deleted", "text": "held"}


def test_an_instance_ends_with_what_would_end_the_host(
    cloud: Cloud, app: Path, environ: dict[str, str]
) -> None:
    cloud.inject(Fault(status(403), service="storage"))
    with Instance(app, environ) as instance, pytest.raises(EndedError, match="HttpResponseError"):
        instance.until("delivered")


TIMER = """
@app.timer_trigger(schedule="%REFRESH_SCHEDULE%", arg_name="timer")
def tick(timer: func.TimerRequest) -> None:
    logging.getLogger("app").info("tick")
"""


def test_the_timer_ends_with_a_process_that_may_not_delete_a_message(
    cloud: Cloud, app: Path, environ: dict[str, str], queue: Queue
) -> None:
    function_app = app / "function_app.py"
    function_app.write_text(function_app.read_text() + TIMER)
    queue.client.create_queue()
    with Instance(app, {**environ, "REFRESH_SCHEDULE": "* * * * * *"}, timers=True) as instance:
        assert instance.until("fired")["info"]["ScheduleStatus"] is None
        cloud.inject(Fault(status(403), service="storage", method="DELETE"))
        queue.put("good")
        with pytest.raises(EndedError, match="HttpResponseError"):
            instance.until("deleted")
        with pytest.raises(EndedError):
            instance.until("fired")
        assert instance.stop() == 1
