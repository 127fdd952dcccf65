"""What platform teams ask of a deployment beside the app: a closed network, locks, a cap on the logs, whom to tell."""

import json
from typing import Any

from tests.infra.bicep_deploy import deploy
from tests.infra.test_infra import INFRA, OTHER, PLAIN, the


def test_a_webhook_is_called_beside_or_instead_of_mail() -> None:
    for email in ("", "oncall@contoso.com"):
        params = {**PLAIN, "alertEmail": email, "alertWebhook": OTHER["alertWebhook"]}
        group = the("Microsoft.Insights/actionGroups", INFRA, params).body["properties"]
        assert [each["serviceUri"] for each in group["webhookReceivers"]] == [OTHER["alertWebhook"]]
        assert [each["emailAddress"] for each in group["emailReceivers"]] == ([email] if email else [])


def test_in_a_closed_network_vault_and_storage_have_private_addresses_alone() -> None:
    everything = deploy(INFRA, {**OTHER, "existingKeyVaultName": ""})
    for type_ in ("Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults"):
        (closed,) = (
            each.body["properties"] for each in everything if each.type == type_ and not each.existing
        )
        assert (closed["publicNetworkAccess"], closed["networkAcls"]["defaultAction"]) == ("Disabled", "Deny")
        opened = the(type_, INFRA, PLAIN).body["properties"]
        assert (opened["publicNetworkAccess"], opened["networkAcls"]["defaultAction"]) == ("Enabled", "Allow")
    endpoints = [
        each.body["properties"] for each in everything if each.type == "Microsoft.Network/privateEndpoints"
    ]
    links = [link["properties"] for each in endpoints for link in each["privateLinkServiceConnections"]]
    assert {(link["groupIds"][0], link["privateLinkServiceId"]) for link in links} == {
        ("blob", "account.id"),
        ("table", "account.id"),
        ("vault", "vault.id"),
    }
    assert {each["subnet"]["id"] for each in endpoints} == {OTHER["privateEndpointSubnetId"]}
    zones = [
        config["properties"]["privateDnsZoneId"]
        for each in everything
        if each.type.endswith("privateDnsZoneGroups")
        for config in each.body["properties"]["privateDnsZoneConfigs"]
    ]
    assert len(zones) == 3
    assert all(zone.startswith(f"{OTHER['privateDnsZoneResourceGroupId']}/providers/") for zone in zones)
    by_policy = deploy(INFRA, {**OTHER, "privateDnsZoneResourceGroupId": ""})
    assert not [each for each in by_policy if each.type.endswith("privateDnsZoneGroups")]
    assert not [each for each in deploy(INFRA, PLAIN) if each.type.startswith("Microsoft.Network/")]


def test_locks_are_on_what_cannot_be_made_again() -> None:
    def locked(**params: Any) -> set[str | None]:
        found = deploy(INFRA, {**PLAIN, **params})
        return {each.scope for each in found if each.type == "Microsoft.Authorization/locks"}

    assert locked() == set()
    assert locked(deleteLock=True) == {
        "Microsoft.Web/sites",
        "Microsoft.Storage/storageAccounts",
        "Microsoft.KeyVault/vaults",
    }


def test_the_log_workspace_is_capped_and_says_so_itself() -> None:
    """The workspace alone has the record, and keeps it when it takes no other."""
    logs = the("Microsoft.OperationalInsights/workspaces", INFRA, PLAIN).body["properties"]
    assert logs["workspaceCapping"] == {"dailyQuotaGb": 1}
    scopes = {
        each.body["name"].removeprefix("ar-git-refresh-").partition("-uniqueString")[0]: each.body[
            "properties"
        ]["scopes"]
        for each in deploy(INFRA, PLAIN)
        if each.type == "Microsoft.Insights/scheduledQueryRules"
    }
    assert scopes.pop("log-cap-reached") == ["logs.id"]
    assert all(scope == ["insights.id"] for scope in scopes.values())


def test_writing_to_the_storage_and_reading_of_the_vault_is_logged_and_old_code_is_kept_for_a_month() -> None:
    everything = deploy(INFRA, PLAIN)
    logged = {
        each.scope: [log["category"] for log in each.body["properties"]["logs"]]
        for each in everything
        if each.type == "Microsoft.Insights/diagnosticSettings"
    }
    assert logged == {
        "Microsoft.KeyVault/vaults": ["AuditEvent"],
        "Microsoft.Storage/storageAccounts/blobServices": ["StorageWrite", "StorageDelete"],
    }
    (rule,) = the("Microsoft.Storage/storageAccounts/managementPolicies", INFRA, PLAIN).body["properties"][
        "policy"
    ]["rules"]
    assert rule["definition"]["actions"] == {"version": {"delete": {"daysAfterCreationGreaterThan": 30}}}


def test_the_workbook_knows_where_to_look_wherever_it_is_opened() -> None:
    shown = json.loads(the("Microsoft.Insights/workbooks", INFRA, PLAIN).body["properties"]["serializedData"])
    assert shown == {**json.loads(INFRA["workbook.json"]), "fallbackResourceIds": ["insights.id"]}
