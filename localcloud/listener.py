"""What the Functions host does with a storage queue: it delivers to a function what arrives.

Facts, as of https://github.com/Azure/azure-sdk-for-net, sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Common/src/Shared:
Its own code is recorded in tests/recorded/functions_host.
- Queues/QueueListener.cs: up to `batchSize` messages are got at once, invisible for 10 minutes; the next ones as soon as no more
  than `newBatchThreshold` are being worked on. A queue that is not there is waited for. An answer of 5xx is waited out; whatever
  else fails (403, no connection) ends the host, which the platform starts again.
- UpdateQueueMessageVisibilityCommand.cs: every 5 minutes the 10 minutes begin anew, with a new pop receipt. Once the message is
  gone or somebody else's, that ends, and the function goes on. An answer of 5xx ends the host.
- Queues/QueueProcessor.cs: a message whose function has succeeded is deleted; if that one failed, it is visible again after
  `visibilityTimeout`; after `maxDequeueCount` tries it is copied to the poison queue, as a new message, and deleted. One that
  has been got more often than that (those who had it died) goes there without a try. A message that has meanwhile been deleted
  or got by somebody else is left alone.
- Queues/QueuePollingIntervals.cs, Timers/RandomizedExponentialBackoffStrategy.cs: how often an empty queue is asked.
And of sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Queues/src/QueueServiceClientProvider.cs: a message that is not in
base64 goes to the poison queue as it is, without a try.
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
"""How long the host keeps a message from others, before it does so again."""
_SERVER_ERROR = 500
_GONE = {"PopReceiptMismatch", "MessageNotFound", "QueueNotFound", "QueueBeingDeleted"}


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
        """Until told to stop: what has been begun is ended first.

        Raises:
            AzureError: what ends the host's process, at once.
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
        """Keep others from the message until its function has ended."""
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
        """Do something with a message that may have been lost: whether it was not."""
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
    """Wait for an event, at most so long; whether it is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _delays(longest: float) -> Iterator[float]:
    """Seconds between questions to an empty queue: twice as many each time, more or less."""
    yield SHORTEST_POLLING_S
    exponent, delay = 0, 0.0
    while delay < longest:
        delay = min(longest, SHORTEST_POLLING_S * (1 + random.uniform(0.8, 1.2) * 2**exponent))  # noqa: S311  # no secret
        exponent += 1
        yield delay
    while True:
        yield longest


def _is_server_error(error: HttpResponseError) -> bool:
    return (error.status_code or 0) >= _SERVER_ERROR
