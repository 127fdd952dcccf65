"""What the Functions host does with storage queues: it sends what a function has put out, and delivers what arrives.

Facts, as of https://github.com/Azure/azure-sdk-for-net, sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Common/src/Shared:
- Queues/QueueListener.cs: up to `batchSize` messages are got at once, invisible for 10 minutes; the next ones as soon as no more
  than `newBatchThreshold` are being worked on. A queue that is not there is waited for. An answer of 5xx is waited out; whatever
  else fails (403, no connection) ends the host, which the platform starts again.
- UpdateQueueMessageVisibilityCommand.cs: every 5 minutes the 10 minutes begin anew, with a new pop receipt. Once the message is
  gone or somebody else's, that ends, and the function goes on. An answer of 5xx ends the host.
- Queues/QueueProcessor.cs: a message whose function has succeeded is deleted; if that one failed, it is visible again after
  `visibilityTimeout`; after `maxDequeueCount` tries it is copied to the poison queue, as a new message, and deleted. One that
  has been got more often than that (those who had it died) goes there without a try. A message that has meanwhile been deleted
  or got by somebody else is left alone.
- Queues/QueuesOptions.cs, Queues/QueuePollingIntervals.cs, Timers/RandomizedExponentialBackoffStrategy.cs: the settings, and how
  often an empty queue is asked.
- StorageQueueExtensions.cs: a queue is created when a message does not find it.
And of sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Queues/src/QueueServiceClientProvider.cs: a message that is not in
base64 goes to the poison queue as it is, without a try.
And of https://github.com/Azure/azure-functions-host, src/WebJobs.Script: Description/Workers/WorkerFunctionInvoker.cs binds
outputs after the function has succeeded; Binding/FunctionBinding.cs makes each element of a list a message, and sends them one
after the other: if one cannot be sent, the invocation fails, and those before it stay sent.
"""

import asyncio
import base64
import binascii
import contextlib
import functools
import json
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.storage.queue import QueueClient, QueueMessage, QueueServiceClient

from localcloud.worker import Outcome, QueuedMessage

INVISIBLE_S = 600.0
"""How long the host keeps a message from others, before it does so again."""
_QUICKEST_S = 0.1
_SERVER_ERROR = 500
_GONE = {"PopReceiptMismatch", "MessageNotFound", "QueueNotFound", "QueueBeingDeleted"}


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """`extensions.queues` of host.json, times in seconds.

    Raises:
        ValueError: the host would not start with these.
    """

    batch_size: int = 16
    new_batch_threshold: int = -1
    max_polling_interval: float = 60.0
    visibility_timeout: float = 0.0
    max_dequeue_count: int = 5
    message_encoding: Literal["base64", "none"] = "base64"

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= 32:  # noqa: PLR2004  # what the queue gives at once
            raise ValueError(f"batchSize must be between 1 and 32: {self.batch_size}")
        if self.max_dequeue_count < 1 or self.new_batch_threshold < -1:
            raise ValueError("maxDequeueCount must be at least 1, newBatchThreshold at least 0")
        if self.max_polling_interval < _QUICKEST_S:
            raise ValueError(f"maxPollingInterval must be at least 00:00:00.100: {self.max_polling_interval}")

    @property
    def threshold(self) -> int:
        """The next batch is got when no more than so many are being worked on; on one core, if not set."""
        return self.batch_size // 2 if self.new_batch_threshold == -1 else self.new_batch_threshold

    @classmethod
    def read(cls, host_json: Path) -> Self:
        """The options of this file, which need not be there."""
        settings = json.loads(host_json.read_text()) if host_json.exists() else {}
        queues: dict[str, Any] = settings.get("extensions", {}).get("queues", {})
        known: dict[str, tuple[str, Callable[[Any], Any]]] = {
            "batchSize": ("batch_size", int),
            "newBatchThreshold": ("new_batch_threshold", int),
            "maxPollingInterval": ("max_polling_interval", _seconds),
            "visibilityTimeout": ("visibility_timeout", _seconds),
            "maxDequeueCount": ("max_dequeue_count", int),
            "messageEncoding": ("message_encoding", str.lower),
        }
        return cls(**{known[name][0]: known[name][1](value) for name, value in queues.items()})


@dataclass(frozen=True, slots=True)
class Step:
    """Something that the host has done with a message.

    Attributes:
        event: it went to the function; others were kept from it for longer; its function succeeded, and it is deleted; it comes back
            after the `visibilityTimeout`; it went to the poison queue; somebody else has it by now, or nobody.
        problem: what the function raised.
    """

    event: Literal["delivered", "renewed", "deleted", "returned", "poisoned", "lost"]
    message_id: str
    dequeue_count: int
    text: str
    problem: str = ""


def connected(settings: Mapping[str, str], connection: str = "AzureWebJobsStorage") -> QueueServiceClient:
    """The queues of a connection's app settings, as the host reads them: a connection string, or an account's name or address."""
    if connection in settings:
        return QueueServiceClient.from_connection_string(settings[connection], initial_backoff=1)
    url = settings.get(f"{connection}__queueServiceUri")
    url = url or f"https://{settings[f'{connection}__accountName']}.queue.core.windows.net"
    credential = ManagedIdentityCredential(client_id=settings.get(f"{connection}__clientId"))
    return QueueServiceClient(url, credential, initial_backoff=1)


def send_outputs(
    service: QueueServiceClient, bindings: list[dict[str, Any]], outcome: Outcome, options: QueueOptions
) -> int:
    """Send what a function has put out to its queue bindings, if it has succeeded: how many messages."""
    count = 0
    for binding in bindings if outcome.ok else ():
        if binding["type"] == "queue" and binding["name"] in outcome.outputs:
            for text in _messages(outcome.outputs[binding["name"]]):
                _send(service.get_queue_client(binding["queueName"]), _encoded(text, options))
                count += 1
    return count


class QueueListener:
    """Delivers the messages of one queue to a function."""

    def __init__(
        self,
        service: QueueServiceClient,
        queue: str,
        function: Callable[[QueuedMessage], Awaitable[Outcome]],
        options: QueueOptions,
        *,
        invisible: float = INVISIBLE_S,
        report: Callable[[Step], None] = lambda _: None,
    ) -> None:
        """Nothing is asked of the queue yet.

        Args:
            service: the account's queues.
            queue: the name of one.
            function: what is called with each message, several at once if the options say so.
            options: of host.json.
            invisible: whole seconds that a message is kept from others, which begin anew at half of them; the host takes `INVISIBLE_S`.
            report: is told of every step.
        """
        self._queue = service.get_queue_client(queue)
        self._poison = service.get_queue_client(f"{queue}-poison")
        self._function = function
        self._options = options
        self._invisible = invisible
        self._report = report
        self._known = False

    async def listen(self, stop: asyncio.Event) -> None:
        """Until told to stop: what has been begun is ended first."""
        running: set[asyncio.Task[None]] = set()
        delays = _delays(self._options.max_polling_interval)
        try:
            while not stop.is_set():
                batch = await asyncio.to_thread(self._receive)
                running |= {asyncio.create_task(self._process(message)) for message in batch}
                if batch:
                    delays = _delays(self._options.max_polling_interval)
                else:
                    await _set_within(stop, next(delays))
                while len(running) > self._options.threshold:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.gather(*done)
        finally:
            await asyncio.gather(*running)

    async def once(self) -> int:
        """Get one batch, and see it to its end: how many messages there were."""
        batch = await asyncio.to_thread(self._receive)
        await asyncio.gather(*map(self._process, batch))
        return len(batch)

    def _receive(self) -> list[QueueMessage]:
        try:
            if not self._known:
                self._queue.get_queue_properties()
                self._known = True
            pages = self._queue.receive_messages(
                messages_per_page=self._options.batch_size, visibility_timeout=int(self._invisible)
            ).by_page()
            return list(next(pages, ()))
        except HttpResponseError as error:
            self._known = False
            if _is_server_error(error) or _code(error) in {"QueueNotFound", "QueueBeingDeleted"}:
                return []
            raise

    async def _process(self, received: QueueMessage) -> None:
        text = _decoded(received.content, self._options)
        if text is None or (received.dequeue_count or 0) > self._options.max_dequeue_count:
            await self._poisoned(received, text or received.content, "")
            return
        message = QueuedMessage(
            text=text,
            id=received.id,
            dequeue_count=received.dequeue_count or 0,
            inserted=received.inserted_on,  # type: ignore[arg-type]  # a message that was got has all of these
            expires=received.expires_on,  # type: ignore[arg-type]
            next_visible=received.next_visible_on,  # type: ignore[arg-type]
            pop_receipt=received.pop_receipt or "",
        )
        self._say("delivered", received, text)
        ended = asyncio.Event()
        keeping = asyncio.create_task(self._keep(received, text, ended))
        try:
            outcome = await self._function(message)
        finally:
            ended.set()
            await keeping
        if outcome.ok:
            await self._do("deleted", received, text, lambda: self._queue.delete_message(received))
        elif message.dequeue_count >= self._options.max_dequeue_count:
            await self._poisoned(received, text, outcome.message)
        else:
            delay = int(self._options.visibility_timeout)
            await self._do(
                "returned", received, text, lambda: self._set_visible(received, delay), outcome.message
            )

    async def _keep(self, received: QueueMessage, text: str, ended: asyncio.Event) -> None:
        """Keep others from the message until its function has ended."""
        renew = functools.partial(self._set_visible, received, int(self._invisible))
        while not await _set_within(ended, self._invisible / 2):
            if not await self._do("renewed", received, text, renew):
                return

    async def _poisoned(self, received: QueueMessage, text: str, problem: str) -> None:
        await asyncio.to_thread(_send, self._poison, received.content)
        await self._do("poisoned", received, text, lambda: self._queue.delete_message(received), problem)

    async def _do(
        self,
        event: Literal["renewed", "deleted", "returned", "poisoned"],
        received: QueueMessage,
        text: str,
        work: Callable[[], object],
        problem: str = "",
    ) -> bool:
        """Do something with a message that may have been lost: whether it was not."""
        try:
            await asyncio.to_thread(work)
        except HttpResponseError as error:
            if _code(error) not in _GONE:
                raise
            self._say("lost", received, text, problem)
            return False
        self._say(event, received, text, problem)
        return True

    def _set_visible(self, received: QueueMessage, seconds: int) -> None:
        updated = self._queue.update_message(received, visibility_timeout=seconds)
        received.pop_receipt = updated.pop_receipt

    def _say(
        self,
        event: Literal["delivered", "renewed", "deleted", "returned", "poisoned", "lost"],
        received: QueueMessage,
        text: str,
        problem: str = "",
    ) -> None:
        self._report(Step(event, received.id, received.dequeue_count or 0, text, problem))


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _delays(longest: float) -> Iterator[float]:
    """Seconds between questions to an empty queue: twice as many each time, more or less."""
    yield _QUICKEST_S
    exponent, delay = 0, 0.0
    while delay < longest:
        delay = min(longest, _QUICKEST_S * (1 + random.uniform(0.8, 1.2) * 2**exponent))  # noqa: S311  # no secret
        exponent += 1
        yield delay
    while True:
        yield longest


def _send(queue: QueueClient, content: str) -> None:
    try:
        queue.send_message(content)
    except ResourceNotFoundError as error:
        if _code(error) != "QueueNotFound":
            raise
        queue.create_queue()
        queue.send_message(content)


def _messages(value: object) -> list[str]:
    """Each element of a list is a message, whether the list is one or a text that is one in JSON; anything else is one message."""
    if isinstance(value, str) and value.strip().startswith(("[", "{")):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    elements = value if isinstance(value, list) else [value]
    return [each if isinstance(each, str) else json.dumps(each, indent=2) for each in elements]


def _encoded(text: str, options: QueueOptions) -> str:
    return base64.b64encode(text.encode()).decode() if options.message_encoding == "base64" else text


def _decoded(content: str, options: QueueOptions) -> str | None:
    if options.message_encoding == "none":
        return content
    try:
        return base64.b64decode(content, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return None


def _is_server_error(error: HttpResponseError) -> bool:
    return (error.status_code or 0) >= _SERVER_ERROR


def _code(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code))


def _seconds(time: str) -> float:
    hours, minutes, seconds = time.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds)).total_seconds()
