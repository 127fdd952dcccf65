"""What the Functions host knows of storage queues: its options, its connection, and how it sends what a function has put out.

Facts: https://github.com/Azure/azure-sdk-for-net, sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Common/src/Shared:
Queues/QueuesOptions.cs; StorageQueueExtensions.cs: a queue is created when a message does not find it.
https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection
https://github.com/Azure/azure-functions-host, src/WebJobs.Script: Description/Workers/WorkerFunctionInvoker.cs binds outputs after
the function has succeeded; Binding/FunctionBinding.cs makes each element of a list a message, and sends them one after the other: if
one cannot be sent, the invocation fails, and those before it stay sent.
"""

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.storage.queue import QueueClient, QueueServiceClient

from localcloud.worker import Outcome

SHORTEST_POLLING_S = 0.1


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
        if self.max_polling_interval < SHORTEST_POLLING_S:
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


def connected(settings: Mapping[str, str], connection: str = "AzureWebJobsStorage") -> QueueServiceClient:
    """The queues of a connection's app settings, as the host reads them: a connection string, or an account's name or address."""
    if connection in settings:
        return QueueServiceClient.from_connection_string(settings[connection], **_RETRY)
    url = settings.get(f"{connection}__queueServiceUri")
    url = url or f"https://{settings[f'{connection}__accountName']}.queue.core.windows.net"
    credential = ManagedIdentityCredential(client_id=settings.get(f"{connection}__clientId"))
    return QueueServiceClient(url, credential, **_RETRY)


_RETRY: dict[str, Any] = {"retry_total": 5, "initial_backoff": 0.8, "increment_base": 2}
"""The host's SDK calls again five times after a 5xx answer or a lost connection, after 0.8 s at first."""


def send_outputs(
    service: QueueServiceClient, bindings: list[dict[str, Any]], outcome: Outcome, options: QueueOptions
) -> int:
    """Send what a function has put out to its queue bindings, if it has succeeded: how many messages."""
    count = 0
    for binding in bindings if outcome.ok else ():
        if binding["type"] == "queue" and binding["name"] in outcome.outputs:
            for text in _messages(outcome.outputs[binding["name"]]):
                send(service.get_queue_client(binding["queueName"]), encoded(text, options))
                count += 1
    return count


def send(queue: QueueClient, content: str) -> None:
    """Send a message, and create the queue if need be."""
    try:
        queue.send_message(content)
    except ResourceNotFoundError as error:
        if code(error) != "QueueNotFound":
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


def encoded(text: str, options: QueueOptions) -> str:
    return base64.b64encode(text.encode()).decode() if options.message_encoding == "base64" else text


def decoded(content: str, options: QueueOptions) -> str | None:
    """The text of a message, None if it is not in base64 and should be. As .NET does, it passes over blanks and line breaks in base64."""
    if options.message_encoding == "none":
        return content
    try:
        return base64.b64decode(re.sub("[ \t\r\n]", "", content), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return None


def code(error: HttpResponseError) -> str:
    """Which error the service has answered."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code))


def _seconds(time: str) -> float:
    hours, minutes, seconds = time.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds)).total_seconds()
