"""What platform teams ask of a deployment beside the app: a closed network, locks, a cap on the logs, whom to tell."""

import json
import re
from typing import Any

from tests.infra.bicep_deploy import deploy, outputs
from tests.infra.test_infra import INFRA, OTHER, PLAIN, QUEUED, TOKEN, ZONED, app_settings, the


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


def test_in_a_closed_network_the_queue_has_a_private_address_of_its_own() -> None:
    def reached(**params: Any) -> list[tuple[str, str]]:
        found = deploy(INFRA, {**OTHER, **params})
        services = [
            link["properties"]["groupIds"][0]
            for each in found
            if each.type == "Microsoft.Network/privateEndpoints"
            for link in each.body["properties"]["privateLinkServiceConnections"]
        ]
        zones = [
            config["properties"]["privateDnsZoneId"].rpartition("/")[2]
            for each in found
            if each.type.endswith("privateDnsZoneGroups")
            for config in each.body["properties"]["privateDnsZoneConfigs"]
        ]
        return list(zip(services, zones, strict=True))

    added = set(reached(fanOut="queue")) - set(reached())
    assert added == {("queue", "privatelink.queue.environment().suffixes.storage")}
    assert not [each for each in deploy(INFRA, QUEUED) if each.type.startswith("Microsoft.Network/")]


def test_claims_are_deleted_after_a_day_and_nothing_else_is() -> None:
    policies = [
        the("Microsoft.Storage/storageAccounts/managementPolicies", INFRA, params)
        for params in (PLAIN, QUEUED)
    ]
    before, after = (each.body["properties"]["policy"]["rules"] for each in policies)
    assert after[:-1] == before
    claims = after[-1]["definition"]
    assert claims["filters"] == {"blobTypes": ["blockBlob"], "prefixMatch": ["git-refresh-slices/"]}
    assert claims["actions"] == {
        "baseBlob": {"delete": {"daysAfterModificationGreaterThan": 1}},
        "version": {"delete": {"daysAfterCreationGreaterThan": 1}},
    }
    assert not [rule for rule in before if "baseBlob" in rule["definition"]["actions"]]


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


def logged(params: dict[str, Any]) -> dict[str | None, list[str]]:
    """Of each resource with a log of its own, the categories."""
    return {
        each.scope: [log["category"] for log in each.body["properties"]["logs"]]
        for each in deploy(INFRA, params)
        if each.type == "Microsoft.Insights/diagnosticSettings"
    }


def test_writing_to_the_queue_and_deleting_is_logged_and_reading_is_not() -> None:
    without, queued = logged(PLAIN), logged({**PLAIN, "fanOut": "queue"})
    assert queued == without | {
        "Microsoft.Storage/storageAccounts/queueServices": ["StorageWrite", "StorageDelete"]
    }


def test_writing_to_the_storage_and_reading_of_the_vault_is_logged_and_old_code_is_kept_for_a_month() -> None:
    assert logged(PLAIN) == {
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


IDENTITY, VAULT = "Microsoft.ManagedIdentity/userAssignedIdentities", "Microsoft.KeyVault/vaults"


def test_each_trust_zone_has_an_identity_of_its_own_beside_the_app_s() -> None:
    site = the("Microsoft.Web/sites", INFRA, ZONED).body
    assert site["identity"]["userAssignedIdentities"] == {
        each: {} for each in ("identity.id", "zones.0.id", "zones.1.id", "zones.2.id")
    }
    assert app_settings(INFRA, ZONED) == app_settings(INFRA, PLAIN), "what is not the zone's stays the app's"
    storage = site["properties"]["functionAppConfig"]["deployment"]["storage"]
    assert storage["authentication"]["userAssignedIdentityResourceId"] == "identity.id"


def test_the_names_of_identities_are_valid_and_no_two_are_the_same() -> None:
    """Azure takes 3 to 128 letters, digits, hyphens and underscores; uniqueString gives 13 letters and digits."""
    longest = [{"name": letter * 20, "readsSecrets": False} for letter in "ab"]
    params = {**PLAIN, "identities": [*ZONED["identities"], *longest]}
    names = [
        each.body["name"].replace(TOKEN, "x" * 13) for each in deploy(INFRA, params) if each.type == IDENTITY
    ]
    assert len({*names}) == len(names) == 6
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{2,127}", name) for name in names)
    longest_deployment = "git-refresh-key-vault-access-" + "a" * 20 + "-" + "x" * 13
    assert "'git-refresh-key-vault-access-${each.name}-${token}'" in INFRA["main.bicep"]
    assert len(longest_deployment) <= 64, "more is refused"


def test_the_outputs_tell_of_each_identity_what_the_list_and_the_administrators_need() -> None:
    assert outputs(INFRA, PLAIN)["ZONE_IDENTITIES"] == []
    told = outputs(INFRA, ZONED)["ZONE_IDENTITIES"]
    assert told[:2] == [
        {
            "name": name,
            "clientId": f"zones.{place}.properties.clientId",
            "objectId": f"zones.{place}.properties.principalId",
        }
        for place, name in enumerate(("finance", "research"))
    ]
    assert "Zones: " not in "".join(outputs(INFRA, PLAIN)["NEXT_STEPS"])
    assert "Zones: " in "".join(outputs(INFRA, ZONED)["NEXT_STEPS"])


def test_without_the_parameter_there_is_one_identity() -> None:
    assert deploy(INFRA, {**PLAIN, "identities": []}) == deploy(INFRA, PLAIN)
    assert [each.symbol for each in deploy(INFRA, PLAIN) if each.type == IDENTITY] == ["identity"]


def test_there_is_no_vault_where_nobody_reads_secrets() -> None:
    for params in (PLAIN, OTHER):
        without = {**params, "readsSecrets": False}
        assert not [each for each in deploy(INFRA, without) if each.type == VAULT]
        assert dict(app_settings(INFRA, without))["KEY_VAULT_URL"] == ""
        told = outputs(INFRA, without)
        assert (told["KEY_VAULT_NAME"], told["KEY_VAULT_URL"]) == ("", "")
        assert not [step for step in told["NEXT_STEPS"] if re.search("key ?vault", step, re.IGNORECASE)]
        assert [step for step in told["NEXT_STEPS"] if "federation policy" in step]
    of_a_zone = deploy(INFRA, {**ZONED, "readsSecrets": False})
    assert [each.existing for each in of_a_zone if each.type == VAULT] == [False, True]
    assert outputs(INFRA, {**ZONED, "readsSecrets": False})["KEY_VAULT_NAME"] == f"kv-{TOKEN}"
