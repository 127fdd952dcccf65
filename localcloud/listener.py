"""The Functions host's delivery of messages from a storage queue to a function.

Facts, from https://github.com/Azure/azure-sdk-for-net,
sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Common/src/Shared, recorded in
tests/recorded/functions_host:

`Queues/QueueListener.cs`: A batch has up to `batchSize` messages, invisible for 10 minutes. The next batch is
read when at most `newBatchThreshold` messages are in progress. A missing queue and a 5xx response are waited
out. Another failure (403, no connection) ends the host, which the platform restarts.

`UpdateQueueMessageVisibilityCommand.cs`: Every 5 minutes the message becomes invisible for another 10 minutes,
with a new pop receipt. A deleted message, or one with another owner, ends the renewal, not the function. A 5xx
response ends the host.

`Queues/QueueProcessor.cs`: A message is deleted when its function succeeds. Otherwise it becomes visible after
`visibilityTimeout`. After `maxDequeueCount` failures it is copied to the poison queue as a new message, and
deleted. A message with a higher dequeue count, whose workers crashed, goes there without a try. A message that
was deleted or that another instance has is skipped.

`Queues/QueuePollingIntervals.cs`, `Timers/RandomizedExponentialBackoffStrategy.cs`: The polling interval of an
empty queue.
From sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Queues/src/QueueServiceClientProvider.cs: a
message that is not in base64 goes to the poison queue unchanged, without a try.
"""

import asyncio
import contextlib
import functools
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from azure.core.exceptions import HttpResponseError
from azure.storage.queue import QueueMessage, QueueServiceClient

from localcloud.queues import SHORTEST_POLLING_S, QueueOptions, code, decoded, send
from localcloud.worker import Outcome, QueuedMessage

INVISIBLE_S = 600.0
"""The host hides a message from others for this long, and renews it at half the time."""
_SERVER_ERROR = 500
_GONE = {"PopReceiptMismatch", "MessageNotFound", "QueueNotFound", "QueueBeingDeleted"}


@dataclass(frozen=True, slots=True)
class Step:
    """A step in the life of a message.

    `event`: delivered, renewed, deleted after success, returned to the queue, moved to the poison queue, or
    lost to another owner.
    `problem`: the exception of the function.
    """

    event: Literal["delivered", "renewed", "deleted", "returned", "poisoned", "lost"]
    message_id: str
    dequeue_count: int
    text: str
    problem: str = ""


class QueueListener:
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
        """Set up the listener; this calls no service.

        `invisible`: whole seconds that a message is hidden from others; the host takes `INVISIBLE_S`.
        `report`: called with every step.
        """
        self._queue = service.get_queue_client(queue)
        self._poison = service.get_queue_client(f"{queue}-poison")
        self._function = function
        self._options = options
        self._invisible = invisible
        self._report = report
        self._known = False

    async def listen(self, stop: asyncio.Event) -> None:
        """Deliver messages until `stop` is set, then finish those in progress.

        Raises:
            AzureError: an error that ends the host's process at once.
        """
        try:
            async with asyncio.TaskGroup() as group:
                await self._listen(stop, group)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _listen(self, stop: asyncio.Event, group: asyncio.TaskGroup) -> None:
        running: set[asyncio.Task[None]] = set()
        delays = _delays(self._options.max_polling_interval)
        while not stop.is_set():
            batch = await asyncio.to_thread(self._receive)
            running |= {group.create_task(self._process(message)) for message in batch}
            if batch:
                delays = _delays(self._options.max_polling_interval)
            else:
                await set_within(stop, next(delays))
            while len(running) > self._options.threshold:
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    async def once(self) -> int:
        """Process one batch and return its number of messages."""
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
            if _is_server_error(error) or code(error) in {"QueueNotFound", "QueueBeingDeleted"}:
                return []
            raise

    async def _process(self, received: QueueMessage) -> None:
        text = decoded(received.content, self._options)
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
        """Renew the invisibility of a message until its function has finished."""
        renew = functools.partial(self._set_visible, received, int(self._invisible))
        while not await set_within(ended, self._invisible / 2):
            if not await self._do("renewed", received, text, renew):
                return

    async def _poisoned(self, received: QueueMessage, text: str, problem: str) -> None:
        await asyncio.to_thread(send, self._poison, received.content)
        await self._do("poisoned", received, text, lambda: self._queue.delete_message(received), problem)

    async def _do(
        self,
        event: Literal["renewed", "deleted", "returned", "poisoned"],
        received: QueueMessage,
        text: str,
        work: Callable[[], object],
        problem: str = "",
    ) -> bool:
        """Change a message, and return False if it belongs to another owner by now."""
        try:
            await asyncio.to_thread(work)
        except HttpResponseError as error:
            if code(error) not in _GONE:
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


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, and return whether it was set in time."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _delays(longest: float) -> Iterator[float]:
    """Yield the seconds between two polls of an empty queue: about twice as many each time."""
    yield SHORTEST_POLLING_S
    exponent, delay = 0, 0.0
    while delay < longest:
        delay = min(longest, SHORTEST_POLLING_S * (1 + random.uniform(0.8, 1.2) * 2**exponent))  # noqa: S311  # not a secret
        exponent += 1
        yield delay
    while True:
        yield longest


def _is_server_error(error: HttpResponseError) -> bool:
    return (error.status_code or 0) >= _SERVER_ERROR
