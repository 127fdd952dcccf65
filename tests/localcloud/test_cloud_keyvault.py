import re
from collections.abc import Iterator
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
