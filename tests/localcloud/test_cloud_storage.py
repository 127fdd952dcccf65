"""The real SDKs with production names against the account's queues and blobs."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.identity import ManagedIdentityCredential
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueClient, QueueServiceClient

from localcloud import Cloud, Connect, Fault
from localcloud.authority import VAULT_RESOURCE
from localcloud.faults import status
from localcloud.storage import StorageAccount
from tests.support.embedded_cloud import embedded_cloud
from tools.npm import SOURCES


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Yield one cloud for all tests: starting Azurite takes a second."""
    with pytest.MonkeyPatch.context() as patch, embedded_cloud(patch) as cloud:
        yield cloud


@pytest.fixture
def account(cloud: Cloud) -> Iterator[StorageAccount]:
    account = cloud.storage_account("stgitrefresh")
    yield account
    cloud.clear_faults()
    for service in ("blob", "queue"):
        account.allow(cloud.identity.object_id, service)


@pytest.fixture
def credential() -> Iterator[ManagedIdentityCredential]:
    with ManagedIdentityCredential() as credential:
        yield credential


@pytest.fixture
def queue(account: StorageAccount, credential: ManagedIdentityCredential) -> Iterator[QueueClient]:
    with QueueServiceClient(account.url("queue"), credential, retry_total=0) as service:
        yield service.create_queue(f"queue-{uuid.uuid4()}")


@pytest.fixture
def container(account: StorageAccount, credential: ManagedIdentityCredential) -> Iterator[ContainerClient]:
    with BlobServiceClient(account.url("blob"), credential, retry_total=0) as service:
        yield service.create_container(f"container-{uuid.uuid4()}")


def test_a_message_is_invisible_while_leased_and_counts_its_leases(queue: QueueClient) -> None:
    sent = queue.send_message("slice", time_to_live=60)
    first = queue.receive_message(visibility_timeout=600)
    assert first is not None
    assert (first.id, first.content, first.dequeue_count) == (sent.id, "slice", 1)
    assert first.inserted_on is not None
    assert first.expires_on is not None
    assert (first.expires_on - first.inserted_on).total_seconds() == 60
    assert queue.receive_message() is None
    queue.update_message(first, visibility_timeout=0)
    second = queue.receive_message()
    assert second is not None
    assert (second.id, second.dequeue_count) == (sent.id, 2)
    with pytest.raises(HttpResponseError, match="PopReceiptMismatch"):
        queue.delete_message(first)
    queue.delete_message(second)
    with pytest.raises(ResourceNotFoundError, match="MessageNotFound"):
        queue.delete_message(second)


def test_a_message_expires(queue: QueueClient, cloud: Cloud) -> None:
    queue.send_message("slice", time_to_live=1)
    sent = cloud.requests[-1].started
    while queue.peek_messages():
        assert cloud.requests[-1].started < sent + 5
    assert cloud.requests[-1].started > sent + 0.5


def test_a_blob_is_created_once(container: ContainerClient) -> None:
    claim = container.get_blob_client("run-1/3")
    claim.upload_blob(b"message-1")
    with pytest.raises(ResourceExistsError, match="BlobAlreadyExists"):
        claim.upload_blob(b"message-2")
    assert claim.download_blob().readall() == b"message-1"
    assert claim.get_blob_properties().size == len("message-1")
    assert [blob.name for blob in container.list_blobs()] == ["run-1/3"]


def test_the_key_grants_access_to_its_holder(account: StorageAccount) -> None:
    with QueueServiceClient.from_connection_string(account.connection_string) as service:
        queue = service.create_queue(f"queue-{uuid.uuid4()}")
        queue.send_message("slice")
        received = queue.receive_message()
        assert received is not None
        assert received.content == "slice"
    wrong = account.connection_string.replace("AccountKey=", "AccountKey=AAAA")
    with (
        QueueServiceClient.from_connection_string(wrong, retry_total=0) as service,
        pytest.raises(ClientAuthenticationError),
    ):
        service.create_queue("denied")


def test_a_token_for_another_service_or_of_another_day_is_refused(
    cloud: Cloud, account: StorageAccount, queue: QueueClient
) -> None:
    token = cloud.identity.token(VAULT_RESOURCE)

    class Stale:
        def get_token(self, *_: str, **__: object) -> object:
            return type("Token", (), {"token": token, "expires_on": 2**40})

    with (
        QueueServiceClient(account.url("queue"), Stale(), retry_total=0) as service,  # type: ignore[arg-type]
        pytest.raises(ClientAuthenticationError, match="InvalidAuthenticationInfo"),
    ):
        service.create_queue("denied")
    queue.send_message("before")
    cloud.identity.expire_tokens()
    with pytest.raises(ClientAuthenticationError, match="InvalidAuthenticationInfo"):
        queue.send_message("after")


def test_each_service_has_its_role(
    cloud: Cloud, account: StorageAccount, queue: QueueClient, container: ContainerClient
) -> None:
    account.deny(cloud.identity.object_id, "blob")
    queue.send_message("slice")
    with pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch") as caught:
        container.upload_blob("run-1/4", b"message-1")
    assert caught.value.status_code == 403
    account.deny(cloud.identity.object_id, "queue")
    with pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch"):
        queue.send_message("slice")


def test_faults_strike_one_service_or_both(
    cloud: Cloud, queue: QueueClient, container: ContainerClient
) -> None:
    cloud.inject(Fault(status(503), service="storage", host=container.primary_hostname))
    queue.send_message("slice")
    with pytest.raises(HttpResponseError) as caught:
        container.upload_blob("run-1/5", b"message-1")
    assert caught.value.status_code == 503
    cloud.inject(Fault(Connect.REFUSE, service="storage"))
    with (
        QueueClient(
            queue.url.rpartition("/")[0], queue.queue_name, credential="A" * 88, retry_total=0
        ) as new,
        pytest.raises(ServiceRequestError),
    ):
        new.send_message("slice")


def test_everything_that_it_is_sent_can_be_read(
    cloud: Cloud, account: StorageAccount, queue: QueueClient, container: ContainerClient
) -> None:
    queue.send_message('{"slice": "<3>"}')
    queue.send_message("eyJzbGljZSI6IDR9")  # base64
    container.upload_blob("run-1/6", b"message-6")
    assert account.texts[-3:] == ['{"slice": "<3>"}', '{"slice": 4}', "message-6"]
    last = cloud.requests[-1]
    assert (last.service, last.method, last.status) == ("storage", "PUT", 201)
    assert last.principal == cloud.identity.object_id


ORPHAN = """
import os, signal
from localcloud import Cloud

account = Cloud().storage_account("stgitrefresh")
print(account.process_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_emulator_ends_with_its_parent_however_that_ends() -> None:
    command = [sys.executable, "-c", ORPHAN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        emulator = Path("/proc", process.stdout.readline().strip(), "cmdline")
    assert process.returncode == -9
    # after its exit, the process has no command line, and this pipe has no other holder
    while emulator.exists() and emulator.read_bytes():
        pass


def test_it_is_installed_by_its_hashes_from_the_registry_that_npm_uses() -> None:
    lock = json.loads((SOURCES["azurite"] / "package-lock.json").read_text())
    packages = {
        name: package for name, package in lock["packages"].items() if name.startswith("node_modules/")
    }
    absent = {name for name, package in packages.items() if package.get("link")}
    assert absent == {f"node_modules/{name}" for name in ("applicationinsights", "mysql2", "tedious")}
    for name in packages.keys() - absent:
        assert packages[name]["integrity"].startswith("sha512-"), name
        assert "resolved" not in packages[name], f"npm install --omit-lockfile-registry-resolved: {name}"
