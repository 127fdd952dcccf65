"""Claims on slices in real blobs: by the SDK, over TLS, with the app's identity."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from git_refresh import app
from git_refresh.clients.slice_claims import _origin, _service
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import SystemClock
from git_refresh.model.values import Slice
from git_refresh.output.log import RedactingLogger
from git_refresh.run.ports import ClaimResult, SliceClaims
from git_refresh.run.slices import QUEUE
from git_refresh.settings.functions_host import Storage
from git_refresh.settings.load import SettingsError
from localcloud import Cloud, Fault, faults
from localcloud.storage import StorageAccount
from tests.support.embedded_cloud import embedded_cloud

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def shared() -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch, embedded_cloud(patch) as cloud:
        yield cloud


@pytest.fixture
def account(shared: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageAccount]:
    for name, value in shared.environment().items():
        monkeypatch.setenv(name, value)
    yield shared.storage_account("stgitrefresh")
    shared.clear_faults()


@pytest.fixture
def slice_(request: pytest.FixtureRequest) -> Slice:
    return Slice(f"run-{abs(hash(request.node.nodeid))}", 3, 21)


def claims(cloud: Cloud, **settings: str) -> SliceClaims:
    account = cloud.storage_account("stgitrefresh")
    given = {**account.settings, "AzureWebJobsStorage__clientId": cloud.identity.client_id}
    return app.claims({**os.environ, **(settings or given)}, RedactingLogger(), CLOCK)


def blobs(account: StorageAccount) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(account.connection_string)


@pytest.mark.usefixtures("account")
def test_the_first_message_has_the_slice_and_every_other_learns_of_it(shared: Cloud, slice_: Slice) -> None:
    found = claims(shared)
    assert found.begin(slice_, "f1", "m1") is ClaimResult.OURS
    assert found.begin(slice_, "f1", "m1") is ClaimResult.AGAIN
    assert found.begin(slice_, "f1", "m2") is ClaimResult.ANOTHERS
    assert found.begin(Slice(slice_.run_id, 4, 21), "f1", "m2") is ClaimResult.OURS
    assert found.begin(slice_, "f2", "m2") is ClaimResult.OURS
    found.end(slice_, "f1", "m1")
    assert {found.begin(slice_, "f1", each) for each in ("m1", "m2")} == {ClaimResult.ENDED}
    found.close()


def test_a_connection_string_opens_the_same_blobs(
    shared: Cloud, account: StorageAccount, slice_: Slice
) -> None:
    assert claims(shared).begin(slice_, "f1", "m1") is ClaimResult.OURS
    with_key = claims(shared, AzureWebJobsStorage=account.connection_string)
    assert with_key.begin(slice_, "f1", "m2") is ClaimResult.ANOTHERS


def test_one_of_many_workers_claims_a_slice_and_a_container_is_created(
    shared: Cloud, account: StorageAccount, slice_: Slice
) -> None:
    with suppress(ResourceNotFoundError):
        blobs(account).delete_container(QUEUE)
    start, found = threading.Barrier(8), []

    def work(number: int) -> None:
        mine = claims(shared)
        start.wait()
        found.append(mine.begin(slice_, "f1", f"m{number}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [ClaimResult.ANOTHERS] * 7 + [ClaimResult.OURS]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.status(403), "answer"),
        (faults.status(503), "answer"),
        (faults.Connect.REFUSE, "proxy"),
        (faults.huge(), "too_large"),
        (faults.replace_body(b"<html>sign in</html>"), "unexpected"),
    ],
    ids=["403", "503", "refused", "endless", "a page"],
)
def test_a_claim_that_cannot_be_made_is_one_typed_error(
    shared: Cloud, account: StorageAccount, slice_: Slice, fault: faults.Action, code: str
) -> None:
    shared.inject(Fault(fault, host=f"{account.name}.blob.core.windows.net"))
    with pytest.raises(ServiceError) as raised:
        claims(shared).begin(slice_, "f1", "m1")
    assert raised.value.failure.kind == code
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


def test_an_identity_without_the_role_gets_that_reason(
    shared: Cloud, account: StorageAccount, slice_: Slice
) -> None:
    account.deny(shared.identity.object_id, "blob")
    try:
        with pytest.raises(ServiceError) as raised:
            claims(shared).begin(slice_, "f1", "m1")
    finally:
        account.allow(shared.identity.object_id, "blob")
    assert raised.value.failure.status == 403
    assert raised.value.failure.error_code == "AuthorizationPermissionMismatch"


@pytest.mark.usefixtures("account")
def test_a_foreign_claim_is_one_typed_error(shared: Cloud, account: StorageAccount, slice_: Slice) -> None:
    service = blobs(account)
    claims(shared).begin(Slice(slice_.run_id, 9, 21), "f1", "m1")  # creates the container
    for content in (b"", b"[]", b"{}", b'{"message": 1, "ended": 2}', b"\xff"):
        blob = service.get_blob_client("git-refresh-slices", f"{slice_.run_id}/{slice_.number}-f1")
        blob.upload_blob(content, overwrite=True)
        with pytest.raises(ServiceError) as raised:
            claims(shared).begin(slice_, "f1", "m1")
        assert raised.value.failure.kind == "unexpected"


def test_an_invalid_key_is_reported_without_being_quoted(shared: Cloud, account: StorageAccount) -> None:
    key = "not-base64-but-secret!"
    string = f"DefaultEndpointsProtocol=https;AccountName={account.name};AccountKey={key}"
    with pytest.raises((SettingsError, ServiceError)) as raised:
        claims(shared, AzureWebJobsStorage=string).begin(Slice("r", 1, 1), "f1", "m1")
    assert key not in str(raised.value)


def test_no_secret_is_in_a_claim_or_in_what_any_logger_says_at_debug(
    shared: Cloud,
    account: StorageAccount,
    slice_: Slice,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("azure", "azure.core", "azure.storage", "azure.storage.blob", "urllib3", "requests"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [caplog.handler])
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    found = claims(shared, AzureWebJobsStorage=account.connection_string)
    shared.remember_secrets()
    found.begin(slice_, "f1", "m1")
    mine = claims(shared)
    mine.end(slice_, "f1", "m1")
    secrets = [account.connection_string.split("AccountKey=")[1].split(";")[0], *shared.issued]
    assert shared.issued
    said = caplog.text + "".join(account.texts)
    assert '{"message": "m1", "ended": true}' in said
    assert not [secret for secret in secrets if secret in said]


def test_the_emulator_is_asked_at_its_own_address() -> None:
    """The account is part of the emulator's path, but an origin has no path."""
    assert (
        _origin(_service(Storage(connection_string="UseDevelopmentStorage=true"))) == "http://127.0.0.1:10000"
    )
