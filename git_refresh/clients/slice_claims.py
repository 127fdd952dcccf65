"""Claims on slices: small blobs that prevent a slice from running on two workers, or twice.

A queue delivers each message at least once. It redelivers a message after a crash of the worker or a failed invocation.
Rarely, the queue contains the same message twice.
"""

import json
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import urlsplit

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobClient, BlobServiceClient
from pydantic import Field

from git_refresh.clients.identity import Identity, OneResource
from git_refresh.clients.responses import Response, Word, read, read_json
from git_refresh.clients.retry import call
from git_refresh.clients.session import BoundedSession
from git_refresh.failures.failure import Operation, Service
from git_refresh.model.values import AZURE_STORAGE, Slice
from git_refresh.run.ports import ClaimResult
from git_refresh.settings.functions_host import Storage

CLAIM_LIMIT_S = 10.0
"""To create a claim, and again to record the end. Without a claim, the slice still runs."""


class BlobClaims:
    """Claims as blobs `RUN_ID/SLICE-FINGERPRINT`. Methods raise `ServiceError` on failure.

    The fingerprint is that of the message, so a claim is for one content. Only one worker can create the blob:
    https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations.
    """

    def __init__(self, storage: Storage, container: str, identity: Identity) -> None:
        self._network = identity.network
        for secret in storage.secrets():
            self._network.secrets.add(secret)
        self._session = BoundedSession([_origin(_service(storage))], self._network.tls)
        options: dict[str, Any] = {
            "transport": RequestsTransport(session=self._session, session_owner=False),
            "retry_total": 0,
        }
        if not storage.connection_string:
            options["credential"] = OneResource(identity, AZURE_STORAGE)
        self._container = _service(storage, **options).get_container_client(container)

    def begin(self, slice_: Slice, fingerprint: str, message_id: str) -> ClaimResult:
        """Claim a slice for a message, and return the result. Two messages can have the same content."""
        return call(
            Service.STORAGE,
            Operation.CLAIM_SLICE.of(_name(slice_)),
            lambda: self._begin(self._blob(slice_, fingerprint), message_id),
            deadline=self._network.deadline.within(CLAIM_LIMIT_S),
            secrets=self._network.secrets,
        )

    def end(self, slice_: Slice, fingerprint: str, message_id: str) -> None:
        """Record that a slice has ended, successfully or not."""
        call(
            Service.STORAGE,
            Operation.END_SLICE.of(_name(slice_)),
            lambda: self._blob(slice_, fingerprint).upload_blob(
                _content(message_id, ended=True), overwrite=True
            ),
            deadline=self._network.deadline.within(CLAIM_LIMIT_S),
            secrets=self._network.secrets,
        )

    def close(self) -> None:
        self._session.close()

    def _blob(self, slice_: Slice, fingerprint: str) -> BlobClient:
        return self._container.get_blob_client(f"{slice_.run_id}/{slice_.number}-{fingerprint}")

    def _begin(self, blob: BlobClient, message_id: str) -> ClaimResult:
        if self._create(blob, _content(message_id, ended=False)):
            return ClaimResult.OURS
        found = read(_Claimed, read_json(blob.download_blob().readall()), self._network.secrets)
        if found.ended:
            return ClaimResult.ENDED
        return ClaimResult.AGAIN if found.message == message_id else ClaimResult.ANOTHERS

    def _create(self, blob: BlobClient, content: bytes) -> bool:
        """Create a blob. Return False if it exists."""
        try:
            return _created(blob, content)
        except ResourceNotFoundError:  # only infra/ creates the container in advance
            with suppress(ResourceExistsError):  # another worker created it in the meantime
                self._container.create_container()
            return _created(blob, content)


def _created(blob: BlobClient, content: bytes) -> bool:
    try:
        blob.upload_blob(content)
    except ResourceExistsError:
        return False
    return True


class _Claimed(Response):
    message: Word
    ended: Annotated[bool, Field(strict=True)]


def _content(message_id: str, *, ended: bool) -> bytes:
    return json.dumps({"message": message_id, "ended": ended}).encode()


def _name(slice_: Slice) -> str:
    return f"{slice_.number} of {slice_.total}"


def _service(storage: Storage, **options: Any) -> BlobServiceClient:  # noqa: ANN401  # options of the SDK
    if storage.connection_string:
        return BlobServiceClient.from_connection_string(storage.connection_string, **options)
    return BlobServiceClient(storage.blobs, **options)


def _origin(client: BlobServiceClient) -> str:
    """Return the origin of the blob endpoint. The emulator's has the account in its path."""
    parts = urlsplit(client.url)
    return f"{parts.scheme}://{parts.netloc}".lower()
