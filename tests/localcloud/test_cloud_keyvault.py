import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

from localcloud import Cloud
from localcloud.keyvault import KeyVault


@pytest.fixture
def vault(cloud: Cloud) -> KeyVault:
    return cloud.keyvault("contoso")


@pytest.fixture
def client(vault: KeyVault) -> Iterator[SecretClient]:
    with (
        ManagedIdentityCredential(retry_total=0) as credential,
        SecretClient(vault.url, credential, retry_total=0) as client,
    ):
        yield client


def test_gives_the_sdk_the_latest_version(vault: KeyVault, client: SecretClient) -> None:
    vault.set("oauth", "old")
    vault.set("oauth", "new")
    secret = client.get_secret("oauth")
    assert secret.value == "new"
    assert client.get_secret("oauth", secret.properties.version).value == "new"


def test_challenges_a_caller_without_a_token(vault: KeyVault, session: requests.Session) -> None:
    vault.set("oauth", "value")
    answer = session.get(f"{vault.url}/secrets/oauth", timeout=10)
    assert answer.status_code == 401
    challenge = (
        r'Bearer authorization="https://login.microsoftonline.com/.+", resource="https://vault.azure.net"'
    )
    assert re.fullmatch(challenge, answer.headers["WWW-Authenticate"])


def test_returns_an_expired_secret_with_its_dates(vault: KeyVault, client: SecretClient) -> None:
    past = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    vault.set("oauth", "value", expires_on=past, not_before=past - timedelta(days=1))
    properties = client.get_secret("oauth").properties
    assert properties.expires_on == past
    assert properties.not_before == past - timedelta(days=1)
    assert properties.created_on is not None


def test_does_not_return_a_disabled_secret(vault: KeyVault, client: SecretClient) -> None:
    vault.set("oauth", "value", enabled=False)
    with pytest.raises(HttpResponseError, match="SecretDisabled") as caught:
        client.get_secret("oauth")
    assert caught.value.status_code == 403


def test_does_not_find_a_secret_that_is_not_there(vault: KeyVault, client: SecretClient) -> None:
    assert vault.host == "contoso.vault.azure.net"
    with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
        client.get_secret("oauth")


def test_forbids_an_identity_without_the_role(cloud: Cloud, vault: KeyVault, client: SecretClient) -> None:
    vault.set("oauth", "value")
    vault.deny(cloud.identity.object_id)
    with pytest.raises(HttpResponseError, match="ForbiddenByRbac"):
        client.get_secret("oauth")
    vault.allow(cloud.identity.object_id)
    assert client.get_secret("oauth").value == "value"


def test_each_identity_reads_what_it_may(cloud: Cloud, vault: KeyVault) -> None:
    own = cloud.keyvault("fabrikam")
    second = cloud.add_identity("second")
    own.deny(cloud.identity.object_id)
    own.allow(second.object_id)
    for place in (vault, own):
        place.set("oauth", place.name)
    for identity, may, may_not in ((cloud.identity, vault, own), (second, own, vault)):
        with ManagedIdentityCredential(client_id=identity.client_id) as credential:
            with SecretClient(may.url, credential) as client:
                assert client.get_secret("oauth").value == may.name
            with (
                SecretClient(may_not.url, credential) as client,
                pytest.raises(HttpResponseError, match="ForbiddenByRbac"),
            ):
                client.get_secret("oauth")


def test_forbids_everybody_behind_its_firewall(vault: KeyVault, client: SecretClient) -> None:
    vault.set("oauth", "value")
    vault.firewalled = True
    with pytest.raises(HttpResponseError, match="ForbiddenByFirewall"):
        client.get_secret("oauth")


def test_the_record_has_no_secret(cloud: Cloud, vault: KeyVault, client: SecretClient) -> None:
    vault.set("oauth", "c4nary")
    client.get_secret("oauth")
    assert "c4nary" not in repr(cloud.requests)
    assert [seen.status for seen in cloud.requests if seen.service == "keyvault"][-1] == 200


@pytest.fixture
def writable(cloud: Cloud, vault: KeyVault) -> KeyVault:
    vault.allow_writing(cloud.identity.object_id)
    return vault


def test_stores_a_version_with_its_end_and_tags(writable: KeyVault, client: SecretClient) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=730)
    writable.set("oauth", "old", tags={"by": "hand"})
    stored = client.set_secret("oauth", "new", expires_on=ends, tags={"by": "tool"})
    found = client.get_secret("oauth")
    assert (found.value, found.properties.expires_on, found.properties.tags) == ("new", ends, {"by": "tool"})
    assert found.properties.version == stored.properties.version
    changed = client.update_secret_properties("oauth", tags={"by": "somebody"}, enabled=False)
    assert (changed.tags, changed.enabled, changed.expires_on) == ({"by": "somebody"}, False, ends)


def test_lists_every_version_page_by_page_without_values(writable: KeyVault, client: SecretClient) -> None:
    writable.page = 2
    for number in range(5):
        writable.set("oauth", f"c4nary{number}", tags={"number": str(number)})
    writable.set("other", "value")
    listed = list(client.list_properties_of_secret_versions("oauth"))
    assert sorted((each.tags or {})["number"] for each in listed) == list("01234")
    assert {each.version for each in listed} == {each.version for each in writable.versions("oauth")}
    assert "c4nary" not in repr([vars(each) for each in listed])
    assert list(client.list_properties_of_secret_versions("none")) == []


def test_storing_needs_another_role_than_reading(cloud: Cloud, vault: KeyVault, client: SecretClient) -> None:
    vault.set("oauth", "value")
    assert list(client.list_properties_of_secret_versions("oauth"))
    attempts: dict[str, Callable[[], object]] = {
        "setSecret": lambda: client.set_secret("oauth", "new"),
        "update": lambda: client.update_secret_properties("oauth", tags={}),
    }
    for action, refused in attempts.items():
        with pytest.raises(HttpResponseError, match=f"secrets/{action}/action") as caught:
            refused()
        assert "ForbiddenByRbac" in str(caught.value)
    vault.allow_writing(cloud.identity.object_id)
    client.set_secret("oauth", "new")
    vault.deny(cloud.identity.object_id)
    with pytest.raises(HttpResponseError, match="ForbiddenByRbac"):
        client.get_secret("oauth")


def test_a_deleted_secret_keeps_its_name_until_it_is_recovered(
    writable: KeyVault, client: SecretClient
) -> None:
    writable.set("oauth", "value")
    writable.deletion_s = 0
    writable.delete("oauth")
    with pytest.raises(ResourceNotFoundError):
        client.get_secret("oauth")
    assert client.get_deleted_secret("oauth").name == "oauth"
    with pytest.raises(HttpResponseError, match="ObjectIsDeletedButRecoverable") as caught:
        client.set_secret("oauth", "new")
    assert caught.value.status_code == 409
    client.begin_recover_deleted_secret("oauth").wait()
    assert client.get_secret("oauth").value == "value"
    with pytest.raises(ResourceNotFoundError):
        client.get_deleted_secret("oauth")


def test_a_secret_that_is_being_deleted_is_neither_there_nor_free(
    writable: KeyVault, client: SecretClient
) -> None:
    writable.set("oauth", "value")
    assert writable.deletion_s > 0, "as in Azure, unless told otherwise"
    writable.deletion_s = 60
    writable.delete("oauth")
    with pytest.raises(ResourceNotFoundError):
        client.get_secret("oauth")
    with pytest.raises(ResourceNotFoundError):
        client.get_deleted_secret("oauth")
    for refused in (
        lambda: client.set_secret("oauth", "new"),
        lambda: client.begin_recover_deleted_secret("oauth"),
    ):
        with pytest.raises(HttpResponseError, match="ObjectIsBeingDeleted") as caught:
            refused()
        assert caught.value.status_code == 409
    writable.deletion_s = 0
    assert client.get_deleted_secret("oauth").name == "oauth"
    client.begin_recover_deleted_secret("oauth").wait()
    assert client.get_secret("oauth").value == "value"


def test_a_version_that_is_not_yet_active_is_returned(vault: KeyVault, client: SecretClient) -> None:
    future = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    vault.set("oauth", "value", not_before=future)
    secret = client.get_secret("oauth")
    assert (secret.value, secret.properties.not_before) == ("value", future)


def test_what_is_stored_may_be_seen_later(writable: KeyVault, client: SecretClient) -> None:
    writable.set("oauth", "old")
    writable.lag = 60
    client.set_secret("oauth", "new")
    assert client.get_secret("oauth").value == "old"
    assert len(list(client.list_properties_of_secret_versions("oauth"))) == 1
