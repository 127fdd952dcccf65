"""Options of the template: private networks, locks, a daily cap of the logs, recipients of alerts."""

import json
import re

import pytest

from tests.support.templates import (
    ACTION_GROUP,
    CLOSED,
    IDENTITY,
    INFRA,
    PLAIN,
    QUEUED,
    ZONED,
    app_settings,
    deployment,
    extended,
    kind_of,
    token_of,
)
from tools.alert_clock import rule_name
from tools.snapshots import Deployment

CLOSED_QUEUED = deployment(INFRA, "closed-network-queue")
NO_SECRET = deployment(INFRA, "no-secret")
VAULT, STORAGE = "Microsoft.KeyVault/vaults", "Microsoft.Storage/storageAccounts"
SITE, POLICIES = "Microsoft.Web/sites", "Microsoft.Storage/storageAccounts/managementPolicies"


def test_a_webhook_is_called_beside_or_instead_of_mail() -> None:
    """Snapshots have no values of secure parameters, so the test reads the expression."""
    for deployed, emails in ((CLOSED, ["oncall@contoso.com"]), (CLOSED_QUEUED, [])):
        group = deployed.the(ACTION_GROUP)["properties"]
        assert [each["emailAddress"] for each in group["emailReceivers"]] == emails
        receivers = group["webhookReceivers"]
        assert receivers.startswith("[if(empty(")
        assert receivers.endswith(
            ", createArray(createObject('name', 'oncall', 'serviceUri', parameters('webhook'), 'useCommonAlertSchema', true())))]"
        )
        assert "parameters('alertWebhook')" in receivers


def links(deployed: Deployment) -> dict[str, str]:
    """Return the resource type behind each private endpoint, by service."""
    found = [
        link["properties"]
        for each in deployed.of_type("Microsoft.Network/privateEndpoints")
        for link in each["properties"]["privateLinkServiceConnections"]
    ]
    assert all(len(link["groupIds"]) == 1 for link in found)
    return {link["groupIds"][0]: kind_of(link["privateLinkServiceId"]) for link in found}


@pytest.mark.parametrize("type_", [STORAGE, VAULT])
def test_in_a_closed_network_vault_and_storage_have_only_private_addresses(type_: str) -> None:
    closed, opened = CLOSED.the(type_)["properties"], PLAIN.the(type_)["properties"]
    assert (closed["publicNetworkAccess"], closed["networkAcls"]["defaultAction"]) == ("Disabled", "Deny")
    assert (opened["publicNetworkAccess"], opened["networkAcls"]["defaultAction"]) == ("Enabled", "Allow")


def test_in_a_closed_network_each_service_has_a_private_endpoint() -> None:
    assert links(CLOSED) == {"blob": STORAGE, "table": STORAGE, "vault": VAULT}
    assert links(CLOSED_QUEUED) == links(CLOSED) | {"queue": STORAGE}
    endpoints = CLOSED.of_type("Microsoft.Network/privateEndpoints")
    assert {each["properties"]["subnet"]["id"].rpartition("/")[2] for each in endpoints} == {"snet-pe"}
    assert CLOSED.the(SITE)["properties"]["virtualNetworkSubnetId"].endswith("/snet-app")
    for deployed in (PLAIN, QUEUED):
        assert not [each for each in deployed.resources if each["type"].startswith("Microsoft.Network/")]


def test_private_endpoints_are_registered_in_zones_or_by_a_policy() -> None:
    groups = CLOSED.of_type("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    zones = {
        config["name"]: config["properties"]["privateDnsZoneId"]
        for each in groups
        for config in each["properties"]["privateDnsZoneConfigs"]
    }
    assert zones.keys() == {"blob", "table", "vault"}
    for service, zone in zones.items():
        assert "rg-dns" in zone
        assert (
            "privatelink.vaultcore.azure.net" if service == "vault" else f"privatelink.{service}."
        ) in zone
    assert not CLOSED_QUEUED.of_type("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")


def test_claims_are_deleted_after_a_day_and_nothing_else_is() -> None:
    before, after = (each.the(POLICIES)["properties"]["policy"]["rules"] for each in (PLAIN, QUEUED))
    assert after[:-1] == before
    claims = after[-1]["definition"]
    assert claims["filters"] == {"blobTypes": ["blockBlob"], "prefixMatch": ["git-refresh-slices/"]}
    assert claims["actions"] == {
        "baseBlob": {"delete": {"daysAfterModificationGreaterThan": 1}},
        "version": {"delete": {"daysAfterCreationGreaterThan": 1}},
    }
    assert not [rule for rule in before if "baseBlob" in rule["definition"]["actions"]]


def test_locks_are_on_what_cannot_be_made_again() -> None:
    def locked(deployed: Deployment) -> set[str]:
        return {extended(each) for each in deployed.of_type("Microsoft.Authorization/locks")}

    assert locked(PLAIN) == set()
    assert locked(CLOSED) == {SITE, STORAGE, VAULT}


def test_the_log_workspace_is_capped_and_says_so_itself() -> None:
    """Only the workspace has the record, also after it reached the cap."""
    logs = PLAIN.the("Microsoft.OperationalInsights/workspaces")
    assert logs["properties"]["workspaceCapping"] == {"dailyQuotaGb": 1}
    rules = PLAIN.of_type("Microsoft.Insights/scheduledQueryRules")
    scopes = {rule_name(each): each["properties"]["scopes"] for each in rules}
    assert scopes.pop("log-cap-reached") == [logs["id"]]
    assert all(scope == [PLAIN.the("Microsoft.Insights/components")["id"]] for scope in scopes.values())


def logged(deployed: Deployment) -> dict[str, list[str]]:
    """Return the log categories of each resource with a diagnostic setting."""
    return {
        extended(each): [log["category"] for log in each["properties"]["logs"]]
        for each in deployed.of_type("Microsoft.Insights/diagnosticSettings")
    }


def test_writing_to_the_queue_and_deleting_is_logged_and_reading_is_not() -> None:
    assert logged(QUEUED) == logged(PLAIN) | {
        "Microsoft.Storage/storageAccounts/queueServices": ["StorageWrite", "StorageDelete"]
    }


def test_storage_writes_and_vault_reads_are_logged_and_old_code_kept() -> None:
    assert logged(PLAIN) == {
        "Microsoft.KeyVault/vaults": ["AuditEvent"],
        "Microsoft.Storage/storageAccounts/blobServices": ["StorageWrite", "StorageDelete"],
    }
    (rule,) = PLAIN.the(POLICIES)["properties"]["policy"]["rules"]
    assert rule["definition"]["actions"] == {"version": {"delete": {"daysAfterCreationGreaterThan": 30}}}


def test_the_workbook_knows_where_to_look_wherever_it_is_opened() -> None:
    insights = PLAIN.the("Microsoft.Insights/components")["id"]
    shown = json.loads(PLAIN.the("Microsoft.Insights/workbooks")["properties"]["serializedData"])
    assert shown == {**json.loads(INFRA["workbook.json"]), "fallbackResourceIds": [insights]}


def test_each_trust_zone_has_an_identity_of_its_own_beside_the_app_s() -> None:
    site = ZONED.the(SITE)
    ids = [each["id"] for each in ZONED.of_type(IDENTITY)]
    assert len(ids) == 4
    assert site["identity"]["userAssignedIdentities"] == {each: {} for each in ids}
    assert app_settings(ZONED) == app_settings(PLAIN), "what is not the zone's stays the app's"
    storage = site["properties"]["functionAppConfig"]["deployment"]["storage"]
    own = PLAIN.the(IDENTITY)["id"]
    assert storage["authentication"]["userAssignedIdentityResourceId"] == own


def test_the_names_of_identities_are_valid_and_no_two_are_the_same() -> None:
    """Azure accepts 3 to 128 letters, digits, hyphens and underscores."""
    names = [each["name"] for each in ZONED.of_type(IDENTITY)]
    assert len({*names}) == len(names) == 4
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{2,127}", name) for name in names)
    longest_deployment = "git-refresh-key-vault-access-" + "a" * 20 + "-" + token_of(ZONED)
    assert "'git-refresh-key-vault-access-${each.name}-${token}'" in INFRA["main.bicep"]
    assert len(longest_deployment) <= 64, "more is refused"


def test_the_outputs_have_what_lists_and_admins_need_of_each_identity() -> None:
    assert PLAIN.outputs["ZONE_IDENTITIES"] == []
    one = r"createObject\('name', '([\w-]+)', 'clientId', (reference\([^()]+\)\.clientId), 'objectId', (reference\([^()]+\)\.principalId)\)"
    told = re.findall(one, ZONED.outputs["ZONE_IDENTITIES"])
    assert [name for name, _, _ in told] == ["finance", "research", "a-name-of-20-letters"]
    for name, client_id, object_id in told:
        assert f"/id-git-refresh-{name}-{token_of(ZONED)}'" in client_id
        assert client_id.removesuffix(".clientId") == object_id.removesuffix(".principalId")


def test_a_fleet_without_secrets_has_no_vault() -> None:
    assert NO_SECRET.of_type(VAULT) == []
    assert "KEY_VAULT_URL" not in dict(app_settings(NO_SECRET))
    assert (NO_SECRET.outputs["KEY_VAULT_NAME"], NO_SECRET.outputs["KEY_VAULT_URL"]) == ("", "")


def test_there_is_a_vault_where_a_further_identity_alone_reads_secrets() -> None:
    of_a_zone = deployment(INFRA, "zone-with-secret")
    name = of_a_zone.the(VAULT)["name"]
    assert name == of_a_zone.outputs["KEY_VAULT_NAME"] == f"kv-{token_of(of_a_zone)}"


def test_an_existing_vault_is_used_and_none_is_created() -> None:
    existing = deployment(INFRA, "existing")
    assert existing.of_type(VAULT) == []
    assert existing.outputs["KEY_VAULT_NAME"] == "kv-contoso"
    assert "'kv-contoso'" in dict(app_settings(existing))["KEY_VAULT_URL"]


def test_purge_protection_is_on_or_not_said() -> None:
    """The service rejects false."""
    assert PLAIN.the(VAULT)["properties"]["enablePurgeProtection"] is True
    assert CLOSED.the(VAULT)["properties"]["enablePurgeProtection"] is None
