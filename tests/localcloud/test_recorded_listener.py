"""The queue listener replayed on Azurite: it must do the same as the recorded code of the host."""

import asyncio
import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, groupby, pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.storage.queue import QueueServiceClient

from localcloud import Cloud, Fault
from localcloud.faults import status
from localcloud.listener import QueueListener, _delays
from localcloud.observer import Request
from localcloud.queues import QueueOptions
from localcloud.storage import StorageAccount
from localcloud.worker import Outcome, QueuedMessage
from tests.support.embedded_cloud import embedded_cloud
from tests.support.paths import RECORDED

LISTENER = json.loads((RECORDED / "functions_host/queue_listener.json").read_text(encoding="utf-8"))
SCENARIOS: list[dict[str, Any]] = LISTENER["scenarios"]


def encoded(*texts: str | bytes) -> list[str]:
    return [base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode() for text in texts]


CONTENTS: list[list[str] | None] = [
    encoded("hello"),
    encoded("twice"),
    encoded("fail"),
    ["not base64!"],
    ["aGVsbG8"],
    ["aGVs\nbG8="],
    [""],
    encoded(b"\xff\xfe\xfd"),
    encoded("sleep 2", "b", "c", "d"),
    encoded("a"),
    encoded("a"),
    encoded("fail"),
    encoded("a"),
    encoded("a"),
    encoded("a"),
    ["zz!"],
    None,
]
"""The initial messages of each scenario; None: the queue is missing."""
CODES = {
    ("GET", 404): "QueueNotFound",
    ("DELETE", 404): "MessageNotFound",
    ("PUT", 404): "MessageNotFound",
    403: "AuthorizationPermissionMismatch",
    503: "ServerBusy",
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch, embedded_cloud(patch) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def account(cloud: Cloud) -> StorageAccount:
    return cloud.storage_account("stgitrefresh")


@pytest.fixture
def service(cloud: Cloud, account: StorageAccount) -> Iterator[QueueServiceClient]:
    credential = ManagedIdentityCredential(client_id=cloud.identity.client_id)
    soon: dict[str, Any] = {"initial_backoff": 0.01, "increment_base": 0.1, "random_jitter_range": 0}
    with QueueServiceClient(account.url("queue"), credential, **soon) as service:
        yield service
    cloud.clear_faults()


@dataclass
class Function:
    """A function that follows its message's text and logs calls like the recording."""

    said: list[str] = field(default_factory=list)
    two_ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, message: QueuedMessage) -> Outcome:
        text = message.text
        self.said.append(f"start n={message.dequeue_count} text={text}")
        if text.startswith("sleep"):
            await self.two_ended.wait()
        fails = text == "fail" or (text == "twice" and message.dequeue_count <= 2)
        self.said.append(f"raise {text}" if fails else f"end {text}")
        if self.said.count("end b") + self.said.count("end c") == 2:
            self.two_ended.set()
        return Outcome(ok=not fails, message="", stack_trace="", outputs={})


def as_recorded(requests: list[Request], name: str) -> list[str]:
    """Return requests like the recording: message IDs in order of appearance, without pop receipts."""
    ids: dict[str, str] = {}
    lines = []
    for request in requests:
        path = request.path.replace(name, LISTENER["queue"])
        head, _, message_id = path.rpartition("/messages/")
        if head:
            path = f"{head}/messages/{ids.setdefault(message_id, f'm{len(ids) + 1}')}"
        query = {key: value for key, value in request.query.items() if key != "popreceipt"}
        lines.append(written(request.method, path, query, str(request.status)))
    return lines


def written(method: str, path: str, query: dict[str, str], answer: str) -> str:
    listed = "&".join(f"{key}={value}" for key, value in sorted(query.items()))
    return f"{method} {path}?{listed} {answer}".replace("? ", " ")


def recorded(request: dict[str, Any]) -> str:
    method, _, target = request["request"].partition(" ")
    address = urlsplit(target)
    return written(method, address.path, dict(parse_qsl(address.query)), request["status"])


def without_repeats(lines: list[str]) -> list[str]:
    """Merge consecutive polls, whose number depends on time."""
    return [
        line for line, run in groupby(lines) for _ in (run if line.endswith((" 503", " 403")) else [None])
    ]


def faults_of(scenario: dict[str, Any], name: str) -> Iterator[Fault]:
    """Yield the injected responses."""
    made_up = [request for request in scenario["requests"] if request.get("made_up")]
    for (target, code), group in groupby(made_up, lambda each: (each["request"], int(each["status"]))):
        method, _, path = target.partition(" ")
        route = urlsplit(path).path.replace(LISTENER["queue"], name).replace("/m1", "/.+")
        error = CODES.get((method, code)) or CODES[code]
        action = status(code, headers={"x-ms-error-code": error})
        yield Fault(action, service="storage", method=method, route=f"^{route}$", times=len([*group]))


@pytest.mark.parametrize("number", range(len(SCENARIOS)), ids=lambda number: SCENARIOS[number]["what"][:50])
def test_the_listener_does_what_the_host_s_own_did(
    cloud: Cloud, service: QueueServiceClient, number: int
) -> None:
    scenario, contents, name = SCENARIOS[number], CONTENTS[number], f"work-{uuid.uuid4()}"
    queue = service.get_queue_client(name)
    if contents is not None:
        queue.create_queue()
        for content in contents:
            queue.send_message(content)
    for fault in faults_of(scenario, name):
        cloud.inject(fault)
    expected = without_repeats([recorded(request) for request in scenario["requests"]])
    began = len(cloud.requests)
    function = Function()

    def seen() -> list[str]:
        return as_recorded(
            [request for request in cloud.requests[began:] if request.service == "storage"], name
        )

    def is_complete() -> bool:
        """Return whether all requests were made, and the last poll twice."""
        lines = seen()
        return without_repeats(lines) == expected and len(set(lines[-2:])) == 1

    async def replay() -> bool:
        """Return whether the process exited."""
        options = QueueOptions(
            batch_size=scenario["batchSize"],
            new_batch_threshold=0,
            max_polling_interval=10,
            visibility_timeout=scenario["visibilityTimeout_s"],
        )
        stop = asyncio.Event()
        listening = asyncio.create_task(QueueListener(service, name, function, options).listen(stop))
        async with asyncio.timeout(60):
            while not (listening.done() or is_complete()):  # noqa: ASYNC110  # the cloud records in another thread
                await asyncio.sleep(0.01)
            stop.set()
            try:
                await listening
            except HttpResponseError:
                return True
        return False

    ended = asyncio.run(replay())
    assert without_repeats(seen()) == expected
    assert function.said == scenario["function"]
    assert ended is scenario["process_ended"]
    cloud.clear_faults()
    assert on_queue(service, f"{name}-poison") == scenario["poison_queue"]
    left = queue.get_queue_properties().approximate_message_count if contents is not None else 0
    kept = ended or any(line.startswith(("DELETE", "PUT")) and line.endswith(" 404") for line in expected)
    assert left == (1 if kept else 0)


def on_queue(service: QueueServiceClient, name: str) -> list[str]:
    try:
        return [message.content for message in service.get_queue_client(name).peek_messages(32)]
    except ResourceNotFoundError:
        return []


def test_an_idle_queue_is_polled_as_often_as_the_host_polls_it() -> None:
    times = [request["after_s"] for request in SCENARIOS[-1]["requests"]]
    delays = _delays(10)
    ours = [0.0, *accumulate(next(delays) for _ in pairwise(times))]
    assert ours == [pytest.approx(time, rel=0.25, abs=0.1) for time in times]
