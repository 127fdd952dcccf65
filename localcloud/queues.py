"""The Functions host's storage queues: options, connection, and output bindings.

Facts: https://github.com/Azure/azure-sdk-for-net,
sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Common/src/Shared: Queues/QueuesOptions.cs;
StorageQueueExtensions.cs (a missing queue is created for a message).
https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection.
https://github.com/Azure/azure-functions-host, src/WebJobs.Script:
Description/Workers/WorkerFunctionInvoker.cs binds outputs after the function has succeeded.
Binding/FunctionBinding.cs sends the elements of a list as messages, one by one. If one fails, the invocation
fails, and the previous messages stay sent.
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
        ValueError: the host does not start with these options.
    """

    batch_size: int = 16
    new_batch_threshold: int = -1
    max_polling_interval: float = 60.0
    visibility_timeout: float = 0.0
    max_dequeue_count: int = 5
    message_encoding: Literal["base64", "none"] = "base64"

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= 32:  # noqa: PLR2004  # the limit of one read
            raise ValueError(f"batchSize must be between 1 and 32: {self.batch_size}")
        if self.max_dequeue_count < 1 or self.new_batch_threshold < -1:
            raise ValueError("maxDequeueCount must be at least 1, newBatchThreshold at least 0")
        if self.max_polling_interval < SHORTEST_POLLING_S:
            raise ValueError(f"maxPollingInterval must be at least 00:00:00.100: {self.max_polling_interval}")

    @property
    def threshold(self) -> int:
        """The next batch is read when at most this many messages are in progress; the default is for one core."""
        return self.batch_size // 2 if self.new_batch_threshold == -1 else self.new_batch_threshold

    @classmethod
    def read(cls, host_json: Path) -> Self:
        """Return the options of this file, or the defaults if it does not exist."""
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
    """Return the client of a connection in the app settings, as the host reads it.

    The settings have a connection string, or an account's name or URL.
    """
    if connection in settings:
        return QueueServiceClient.from_connection_string(settings[connection], **_RETRY)
    url = settings.get(f"{connection}__queueServiceUri")
    url = url or f"https://{settings[f'{connection}__accountName']}.queue.core.windows.net"
    credential = ManagedIdentityCredential(client_id=settings.get(f"{connection}__clientId"))
    return QueueServiceClient(url, credential, **_RETRY)


_RETRY: dict[str, Any] = {"retry_total": 5, "initial_backoff": 0.8, "increment_base": 2}
"""The host's SDK retries five times after a 5xx response or a lost connection, first after 0.8 s."""


def send_outputs(
    service: QueueServiceClient, bindings: list[dict[str, Any]], outcome: Outcome, options: QueueOptions
) -> int:
    """Send the outputs of a successful function, and return the number of messages."""
    count = 0
    for binding in bindings if outcome.ok else ():
        if binding["type"] == "queue" and binding["name"] in outcome.outputs:
            for text in _messages(outcome.outputs[binding["name"]]):
                send(service.get_queue_client(binding["queueName"]), encoded(text, options))
                count += 1
    return count


def send(queue: QueueClient, content: str) -> None:
    """Send a message, and create a missing queue."""
    try:
        queue.send_message(content)
    except ResourceNotFoundError as error:
        if code(error) != "QueueNotFound":
            raise
        queue.create_queue()
        queue.send_message(content)


def _messages(value: object) -> list[str]:
    """Split a list, or a JSON text of one, into messages; any other value is one message."""
    if isinstance(value, str) and value.strip().startswith(("[", "{")):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    elements = value if isinstance(value, list) else [value]
    return [each if isinstance(each, str) else json.dumps(each, indent=2) for each in elements]


def encoded(text: str, options: QueueOptions) -> str:
    return base64.b64encode(text.encode()).decode() if options.message_encoding == "base64" else text


def decoded(content: str, options: QueueOptions) -> str | None:
    """Return a message's text, or None for invalid base64.

    Blanks and line breaks in base64 are ignored, as in .NET.
    """
    if options.message_encoding == "none":
        return content
    try:
        return base64.b64decode(re.sub("[ \t\r\n]", "", content), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return None


def code(error: HttpResponseError) -> str:
    """Return the error code of a service."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code))


def _seconds(time: str) -> float:
    hours, minutes, seconds = time.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds)).total_seconds()
