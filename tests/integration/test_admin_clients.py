"""Key Vault and OAuth secrets for an admin: real SDKs and APIs, with an Azure CLI session."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from git_refresh.admin.oauth_secrets import OAuthSecrets
from git_refresh.admin.services import AdminServices
from git_refresh.admin.vault import DELETED, AdminVault
from git_refresh.failures.diagnosis import DiagnosisContext, explain
from git_refresh.failures.failure import ServiceError, ServiceFailure
from git_refresh.output.log import RedactingLogger
from localcloud import Cloud, Fault, Fleet, faults
from localcloud.databricks.account import AccountPrincipal
from localcloud.fleet import CLIENT_ID, SECRET_NAME
from tests.support.admin_laptop import admin_of, admin_services, laptop_of, principal_of

VALUE = SecretStr("dose5b2d8064c7e1f09a3b5d2c487f3c9a1e")
TAGS = {"git-refresh": "rotate"}


@pytest.fixture
def services(cloud: Cloud, fleet: Fleet, tmp_path: Path) -> Iterator[AdminServices]:
    with admin_services(laptop_of(admin_of(cloud, fleet), cloud, tmp_path)) as services:
        yield services


@pytest.fixture
def vault(services: AdminServices, fleet: Fleet) -> AdminVault:
    return services.vault(fleet.vault.url)


@pytest.fixture
def secrets(services: AdminServices, fleet: Fleet) -> OAuthSecrets:
    return services.oauth_secrets(fleet.workspaces[0].url)


@pytest.fixture
def principal(cloud: Cloud, fleet: Fleet) -> AccountPrincipal:
    assert fleet.workspaces
    return principal_of(cloud)


def symptom_of(caught: pytest.ExceptionInfo[ServiceError]) -> ServiceFailure:
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value.failure


# Key Vault


def test_what_is_stored_is_the_latest_version_with_its_end_and_tags(vault: AdminVault) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=730)
    stored = vault.store("new", VALUE, ends, TAGS)
    found = vault.current("new")
    assert found is not None
    assert found.version == stored
    assert (stored.expires_on, stored.tags, stored.enabled) == (ends, TAGS, True)
    assert vault.value("new") == VALUE
    assert VALUE.get_secret_value() not in repr(found)


def test_a_secret_that_is_not_there_is_none_and_has_no_versions(vault: AdminVault) -> None:
    assert vault.current("none") is None
    assert vault.versions("none") == []


def test_every_version_is_listed_however_many_pages_it_takes(vault: AdminVault, fleet: Fleet) -> None:
    fleet.vault.page = 2
    stored = [vault.store("new", SecretStr(f"{VALUE.get_secret_value()}{n}"), None, TAGS) for n in range(5)]
    assert {version.id for version in vault.versions("new")} == {version.id for version in stored}


def test_the_name_of_a_deleted_secret_is_taken(vault: AdminVault, fleet: Fleet) -> None:
    fleet.vault.deletion_s = 0
    fleet.vault.delete(SECRET_NAME)
    for attempt in (lambda: vault.current(SECRET_NAME), lambda: vault.store(SECRET_NAME, VALUE, None, {})):
        with pytest.raises(ServiceError) as caught:
            attempt()
        failure = symptom_of(caught)
        assert (failure.status, failure.error_code) == (409, DELETED)
        found = explain(failure, DiagnosisContext(vault=fleet.vault.url, secret=SECRET_NAME))
        assert found.code == "secret_deleted"
        assert f"az keyvault secret recover --vault-name contoso --name {SECRET_NAME}" in found.remedy


def test_a_disabled_version_is_reported(vault: AdminVault, fleet: Fleet) -> None:
    fleet.vault.set("off", "dose00112233445566778899aabbccddeeff", enabled=False)
    with pytest.raises(ServiceError) as caught:
        vault.current("off")
    assert symptom_of(caught).error_code == "SecretDisabled"
    assert not vault.versions("off")[0].enabled


def test_a_reader_gets_the_name_of_the_missing_role(cloud: Cloud, vault: AdminVault, fleet: Fleet) -> None:
    admin = cloud.person("ada")
    fleet.vault.deny(admin.object_id)
    fleet.vault.allow(admin.object_id)
    assert vault.current(SECRET_NAME)
    with pytest.raises(ServiceError) as caught:
        vault.store(SECRET_NAME, VALUE, None, TAGS)
    found = explain(symptom_of(caught), DiagnosisContext(vault=fleet.vault.url))
    assert found.code == "key_vault_admin_forbidden"
    assert found.message.startswith(f'Could not store the secret "{SECRET_NAME}": Key Vault returned 403')
    assert '--role "Key Vault Secrets Officer"' in found.remedy


def test_a_lost_answer_to_storing_is_not_sent_twice(cloud: Cloud, vault: AdminVault) -> None:
    assert vault.current("new") is None  # the challenge is over
    cloud.inject(Fault(faults.act_then(faults.reset()), service="keyvault", method="PUT"))
    with pytest.raises(ServiceError) as caught:
        vault.store("new", VALUE, None, TAGS)
    assert symptom_of(caught).outcome_unknown
    assert vault.value("new") == VALUE
    puts = [seen for seen in cloud.requests if seen.method == "PUT" and "value" in seen.body_keys]
    assert len(puts) == 1


def test_a_value_is_a_secret_from_then_on_and_so_is_what_is_read(
    cloud: Cloud, fleet: Fleet, tmp_path: Path
) -> None:
    logger = RedactingLogger()
    environ = laptop_of(admin_of(cloud, fleet), cloud, tmp_path)
    with admin_services(environ, logger) as services:
        vault = services.vault(fleet.vault.url)
        vault.store("new", VALUE, None, TAGS)
        read = vault.value(SECRET_NAME)
    assert logger.secrets.contains(VALUE.get_secret_value())
    assert logger.secrets.contains(read.get_secret_value())


# OAuth secrets


def test_a_principal_is_found_by_its_application_id(
    secrets: OAuthSecrets, principal: AccountPrincipal
) -> None:
    assert secrets.principal_id(CLIENT_ID) == principal.id


@pytest.mark.parametrize("client_id", ["5a1e0000-0000-4000-8000-00000000dead", 'x" or displayName eq "y'])
def test_a_missing_principal_is_reported(secrets: OAuthSecrets, client_id: str) -> None:
    with pytest.raises(ServiceError) as caught:
        secrets.principal_id(client_id)
    found = explain(
        symptom_of(caught), DiagnosisContext(client_id=client_id, host="https://adb-1.1.azuredatabricks.net")
    )
    assert found.code == "principal_not_in_workspace"
    assert client_id in found.message


def test_a_secret_is_made_listed_used_and_deleted(
    services: AdminServices, secrets: OAuthSecrets, fleet: Fleet, principal: AccountPrincipal
) -> None:
    made = secrets.create(principal.id, timedelta(days=90), ("sql", "all-apis"))
    assert made.about.expires_at is not None
    assert made.about.created_at is not None
    assert made.about.expires_at - made.about.created_at == timedelta(days=90)
    assert made.about.scopes == ("sql", "all-apis")
    assert secrets.list(principal.id) == [made.about]
    assert made.value.get_secret_value() not in repr(made)
    for workspace in fleet.workspaces:
        services.try_secret(workspace.url, CLIENT_ID, made.value, services.deadline)
    secrets.delete(principal.id, made.about.id)
    assert secrets.list(principal.id) == []
    secrets.delete(principal.id, made.about.id)
    with pytest.raises(ServiceError):
        services.try_secret(fleet.workspaces[0].url, CLIENT_ID, made.value, services.deadline)


def test_without_a_lifetime_it_is_two_years(secrets: OAuthSecrets, principal: AccountPrincipal) -> None:
    about = secrets.create(principal.id).about
    assert about.expires_at is not None
    assert about.created_at is not None
    assert about.expires_at - about.created_at == timedelta(days=730)


def test_a_sixth_secret_is_refused_and_reported(secrets: OAuthSecrets, principal: AccountPrincipal) -> None:
    for _ in range(5):
        secrets.create(principal.id)
    with pytest.raises(ServiceError) as caught:
        secrets.create(principal.id)
    assert explain(symptom_of(caught), DiagnosisContext()).code == "oauth_secret_limit_reached"
    assert len(principal.secrets) == 5


def test_a_user_who_is_no_admin_gets_that_reason(cloud: Cloud, fleet: Fleet, tmp_path: Path) -> None:
    person = cloud.person("bob")
    fleet.workspaces[0].add_user(person)
    with admin_services(laptop_of(person, cloud, tmp_path)) as services:
        secrets = services.oauth_secrets(fleet.workspaces[0].url)
        with pytest.raises(ServiceError) as caught:
            secrets.list(principal_of(cloud).id)
    found = explain(symptom_of(caught), DiagnosisContext())
    assert found.code == "oauth_secrets_forbidden"
    assert "workspace admin" in found.remedy


def test_a_lost_answer_to_making_one_is_not_sent_twice(
    cloud: Cloud, secrets: OAuthSecrets, principal: AccountPrincipal
) -> None:
    cloud.inject(Fault(faults.act_then(faults.reset()), route="credentials/secrets", method="POST"))
    with pytest.raises(ServiceError) as caught:
        secrets.create(principal.id)
    assert symptom_of(caught).outcome_unknown
    assert len(principal.secrets) == 1


@pytest.mark.parametrize(
    "spoilt", ['{"secret": "%s"}', "<html>%s", '{"message": "%s"}', '{"id": "%s", "secret": "%s"}']
)
def test_a_secret_in_an_answer_that_is_not_as_promised_is_forgotten(
    cloud: Cloud,
    secrets: OAuthSecrets,
    principal: AccountPrincipal,
    caplog: pytest.LogCaptureFixture,
    spoilt: str,
) -> None:
    caplog.set_level(logging.DEBUG)

    def spoil(_: bytes) -> bytes:
        return spoilt.replace("%s", principal.secrets[-1].value).encode()

    cloud.inject(Fault(faults.replace_body(spoil), route="credentials/secrets", method="POST"))
    with pytest.raises(ServiceError) as caught:
        secrets.create(principal.id)
    failure = symptom_of(caught)
    value = principal.secrets[-1].value
    assert failure.kind == "unexpected"
    assert value not in f"{vars(caught.value)} {failure} {failure.message} {failure.error_code} {caplog.text}"
