from collections.abc import Iterator

import pytest
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


def test_what_is_stored_may_be_seen_later(writable: KeyVault, client: SecretClient) -> None:
    writable.set("oauth", "old")
    writable.lag = 60
    client.set_secret("oauth", "new")
    assert client.get_secret("oauth").value == "old"
    assert len(list(client.list_properties_of_secret_versions("oauth"))) == 1


@pytest.mark.parametrize("protected", [False, True])
def test_a_deleted_secret_is_purged_unless_the_vault_protects_it(
    writable: KeyVault,
    client: SecretClient,
    protected: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    writable.set("oauth", "value")
    writable.deletion_s, writable.purge_protection = 0, protected
    level = client.get_secret("oauth").properties.recovery_level or ""
    client.begin_delete_secret("oauth").wait()
    assert ("Purgeable" in level) is not protected
    if protected:
        with pytest.raises(HttpResponseError, match="purge protection"):
            client.purge_deleted_secret("oauth")
        assert client.get_deleted_secret("oauth").name == "oauth"
    else:
        client.purge_deleted_secret("oauth")
        assert client.set_secret("oauth", "new").value == "new"
