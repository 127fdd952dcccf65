"""The templates of infra/, compiled by Microsoft's compiler and compared with code and docs.

Each check returns findings. The last test breaks a copy in every relevant way and expects a finding.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from git_refresh.failures.table import OWN
from git_refresh.output.log import RedactingLogger
from git_refresh.run.report import Report, log_nothing_done, log_run
from git_refresh.settings.load import SettingsError, load
from git_refresh.settings.names import SETTINGS
from tests.support.paths import ROOT
from tests.support.templates import (
    ACTION_GROUP,
    IDENTITY,
    INFRA,
    PLAIN,
    QUEUED,
    ROLE_ASSIGNMENT,
    Infra,
    app_settings,
    deployment,
    extended,
    kind_of,
    resources_of,
    rules,
    template,
    templates,
    token_of,
)
from tools.alert_clock import rule_name
from tools.alerts import VARIANTS as ALERT_VARIANTS
from tools.snapshots import Deployment

PLATFORM_SETTINGS = {
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
}
ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
}
ABBREVIATIONS = {
    # https://learn.microsoft.com/azure/cloud-adoption-framework/ready/azure-best-practices/resource-abbreviations
    "Microsoft.Web/sites": "func-",
    "Microsoft.Web/serverfarms": "plan-",
    "Microsoft.Storage/storageAccounts": "st",
    "Microsoft.KeyVault/vaults": "kv-",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "id-",
    "Microsoft.OperationalInsights/workspaces": "log-",
    "Microsoft.Insights/components": "appi-",
    "Microsoft.Insights/actionGroups": "ag-",
    "Microsoft.Insights/scheduledQueryRules": "ar-",
    "Microsoft.Network/privateEndpoints": "pep-",
}
HARDENED: dict[str, dict[str, Any]] = {
    "Microsoft.Storage/storageAccounts": {
        "properties.allowSharedKeyAccess": False,
        "properties.allowBlobPublicAccess": False,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": True,
    },
    "Microsoft.Storage/storageAccounts/blobServices": {"properties.isVersioningEnabled": True},
    "Microsoft.Storage/storageAccounts/blobServices/containers": {"properties.publicAccess": "None"},
    "Microsoft.KeyVault/vaults": {
        "properties.enableRbacAuthorization": True,
        "properties.enableSoftDelete": True,
        "properties.enablePurgeProtection": True,
    },
    "Microsoft.Insights/components": {"properties.DisableLocalAuth": True},
    "Microsoft.OperationalInsights/workspaces": {"properties.features.disableLocalAuth": True},
    # One policy, because this plan has no FTP and a rejected resource fails the deployment.
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"properties.allow": False},
    "Microsoft.Web/serverfarms": {"sku.name": "FC1", "sku.tier": "FlexConsumption"},
    "Microsoft.Web/sites": {
        "identity.type": "UserAssigned",
        "properties.httpsOnly": True,
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.scmMinTlsVersion": "1.2",
        "properties.functionAppConfig.deployment.storage.authentication.type": "UserAssignedIdentity",
        "properties.functionAppConfig.runtime.name": "python",
        "properties.functionAppConfig.runtime.version": "3.13",
        "properties.functionAppConfig.scaleAndConcurrency.maximumInstanceCount": 1,
        "properties.functionAppConfig.scaleAndConcurrency.instanceMemoryMB": 512,
    },
}
FORBIDDEN = re.compile(
    r"""
    # Flex Consumption rejects or ignores these settings, or does not start with them.
    FUNCTIONS_(WORKER_RUNTIME|EXTENSION_VERSION).* | WEBSITE_.* | SCM_DO_BUILD_DURING_DEPLOYMENT | ENABLE_ORYX_BUILD | TZ
    | ftpsState | alwaysOn | linuxFxVersion | use32BitWorkerProcess | vnetRouteAllEnabled
    | functionAppScaleLimit | preWarmedInstanceCount
    # Keys, and settings that contain keys.
    | AzureWebJobsStorage | connectionStrings | APPINSIGHTS_INSTRUMENTATIONKEY | list(Keys|AccountSas|ServiceSas|Secrets)?
    | .*(AccountKey|SharedAccessSignature|accessPolicies).* | getSecret
    """,
    re.VERBOSE,
)
READS_SETTINGS = "[list(variables('existingSettings'), '2025-03-01').properties]"
"""The one `list()`: the app settings that a deployment keeps. Only secure parameters take it."""
SECURE = {"alertWebhook", "webhook", "existing", "existingSettings"}
"""Secure parameters, because their values can contain a signature or a key. Azure does not log them."""


APP_ROLES = {
    ("id-git-refresh", "Microsoft.Storage/storageAccounts", "Storage Blob Data Owner"),
    ("id-git-refresh", "Microsoft.Insights/components", "Monitoring Metrics Publisher"),
}
SECRETS = ("id-git-refresh", "Microsoft.KeyVault/vaults", "Key Vault Secrets User")
SECRETS_OF_RESEARCH = ("id-git-refresh-research", *SECRETS[1:])
TABLES = ("id-git-refresh", "Microsoft.Storage/storageAccounts", "Storage Table Data Contributor")
QUEUE = ("id-git-refresh", "Microsoft.Storage/storageAccounts", "Storage Queue Data Contributor")
GRANTS = {
    "plain": {*APP_ROLES, SECRETS},
    "existing": {*APP_ROLES, SECRETS},
    "closed-network": {*APP_ROLES, SECRETS, TABLES},
    "zones": {*APP_ROLES, SECRETS, SECRETS_OF_RESEARCH},
    "zone-with-secret": {*APP_ROLES, SECRETS_OF_RESEARCH},
    "no-secret": APP_ROLES,
    "queue": {*APP_ROLES, SECRETS, QUEUE},
    "closed-network-queue": {*APP_ROLES, SECRETS, TABLES, QUEUE},
}
type Check = Callable[[Infra], list[str]]


def identity_of(expression: str) -> str:
    """Return the name, without its suffix, of the identity whose object ID an expression reads."""
    found = re.fullmatch(r"\[reference\('[^']+/([^/']+)-\w{13}', '[\d-]+'\)\.principalId\]", expression)
    return found[1] if found else expression


def versions(infra: Infra) -> list[str]:
    found: list[str] = []
    chosen: dict[str, set[str]] = {}
    for each in (resource for one in templates(template(infra)) for resource in resources_of(one)):
        chosen.setdefault(each["type"], set()).add(each["apiVersion"])
        # Bicep has returned no other form for this type.
        preview = each["type"] == "Microsoft.Insights/diagnosticSettings"
        if not re.fullmatch(r"20\d\d-\d\d-\d\d" + ("-preview" if preview else ""), each["apiVersion"]):
            found.append(f"{each['type']}@{each['apiVersion']} is no pinned, stable version")
    return found + [
        f"{type_} is used in {len(used)} versions" for type_, used in chosen.items() if len(used) > 1
    ]


def grants(deployed: Deployment) -> list[tuple[str, str, str]]:
    """Return each role assignment as identity, scope and role."""
    found: list[tuple[str, str, str]] = []
    for each in deployed.of_type(ROLE_ASSIGNMENT):
        to, role = each["properties"], each["properties"]["roleDefinitionId"].rpartition("/")[2]
        found.append((identity_of(to["principalId"]), extended(each), ROLES.get(role, role)))
    return found


def roles(infra: Infra) -> list[str]:
    """The template assigns only the necessary roles, and a second deployment assigns the same."""
    found: list[str] = []
    for variant, allowed in GRANTS.items():
        deployed = deployment(infra, variant)
        given = grants(deployed)
        found += [f"{extra} is granted" for extra in given if given.count(extra) > 1 or extra not in allowed]
        found += [f"{missing} is not granted" for missing in allowed - set(given)]
        for each in deployed.of_type(ROLE_ASSIGNMENT):
            to = each["properties"]
            on = re.match(r"\[extensionResourceId\(('[^']+')", each["id"])
            role = to["roleDefinitionId"].rpartition("/")[2]
            if to["principalType"] != "ServicePrincipal":
                found.append(f"{each['name']} is not for an identity of the app")
            if on is None or each["name"] != f"[guid({on[1]}, {to['principalId'][1:-1]}, '{role}')]":
                found.append(f"{each['name']} is another name with each deployment, or the same for two")
    return found


def settings(infra: Infra) -> list[str]:
    """With all parameters, the template sets each setting of the code and the platform, and no other."""
    deployed = deployment(infra, "every-30")
    pairs = app_settings(deployed)
    given, wanted = [name for name, _ in pairs], SETTINGS.keys() | PLATFORM_SETTINGS
    found = [f"{name} is set twice" for name in set(given) if given.count(name) > 1]
    found += [f"{name} is not set" for name in wanted - set(given)]
    found += [f"{name} is set" for name in set(given) - wanted]
    token = token_of(deployed)
    identity = deployed.the(IDENTITY)
    client_id = f"reference('{identity['id']}', '{identity['apiVersion']}').clientId"
    filled_in = {
        "KEY_VAULT_URL": (
            f"[format('https://{{0}}{{1}}', 'kv-{token}', environment().suffixes.keyvaultDns)]",
            "https://kv-contoso.vault.azure.net",
        ),
        "AZURE_CLIENT_ID": (f"[{client_id}]", "5a1e0000-0000-4000-8000-000000000002"),
    }
    environ = dict(pairs)
    for name, (by_azure, value) in filled_in.items():
        if environ.get(name) != by_azure:
            found.append(f"{name} is {environ.get(name)}, and should be {by_azure}")
        environ[name] = value
    if not found:
        try:
            found += map(str, load(environ).problems)
        except SettingsError as error:
            found += map(str, error.problems)
    return found


def words(value: Any) -> Iterator[str]:
    """Yield each key and text of a compiled template."""
    if isinstance(value, dict):
        yield from value
        for each in value.values():
            yield from words(each)
    elif isinstance(value, list):
        for each in value:
            yield from words(each)
    elif isinstance(value, str):
        yield value


def forbidden(infra: Infra) -> list[str]:
    whole = template(infra)
    found = [
        f"{name} is a secret"
        for one in templates(whole)
        for name, parameter in one.get("parameters", {}).items()
        if parameter.get("type", "").startswith("secure") and name not in SECURE
    ]
    for word in words(whole):
        called = re.findall(r"\b(list[A-Z]\w*|getSecret)\(", word) if word.startswith("[") else []
        if called or FORBIDDEN.fullmatch(word) or re.search(r"/list\w+\b|[aA]ccountKey=", word):
            found.append(", ".join(called) or word)
    return found + [
        f"{word} lists" for word in words(whole) if re.search(r"\blist\(", word) and word != READS_SETTINGS
    ]


def hardened(infra: Infra) -> list[str]:
    found: list[str] = []
    for type_, values in HARDENED.items():
        for path, wanted in values.items():
            value: Any = deployment(infra, "plain").the(type_)
            for key in path.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if value != wanted or type(value) is not type(wanted):
                found.append(f"{type_} {path} is {value}, and should be {wanted}")
    return found


def documented(infra: Infra) -> list[str]:
    """Return the parameters that only one of infra/README.md and main.bicep has."""
    table = infra["README.md"].partition("## Parameters")[2].partition("\n## ")[0]
    return sorted({*re.findall(r"^\|`(\w+)`\|", table, re.MULTILINE)} ^ template(infra)["parameters"].keys())


EXCEPTIONS = {"environmentName": "AZURE_ENV_NAME", "location": "AZURE_LOCATION", "tags": "RESOURCE_TAGS"}
"""Variables with other names: azd defines two, and `TAGS` is too general."""


def parameter_files(infra: Infra) -> list[str]:
    """Return the parameters that azd cannot set from its environment.

    azd leaves out what has no default there and is not in its environment, and reads texts as numbers, booleans and JSON:
    https://github.com/Azure/azure-dev, `BicepProvider.loadParameters` and `armParameterFileValue`.
    """
    declared, kept = template(infra)["parameters"], template(infra)["outputs"]
    by_azd = json.loads(infra["main.parameters.json"])["parameters"]
    found = [f"there is no param {name}" for name in by_azd.keys() - declared.keys()]
    found += [f"azd cannot set {name}" for name in declared.keys() - by_azd.keys()]
    for name, each in by_azd.items():
        variable = re.fullmatch(r"\$\{([A-Z_]+)(?:=(\w+))?\}", each["value"])
        if variable is None:
            found.append(f"{name} is not from the environment")
        elif variable[1] in kept:
            found.append(f"azd overwrites {variable[1]} with the output")
        elif variable[1] != EXCEPTIONS.get(name, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()):
            found.append(f"{variable[1]} is not {name} in capitals")
        elif (
            variable[2] is not None and json.dumps(declared.get(name, {}).get("defaultValue")) != variable[2]
        ):
            found.append(f"{name} has another default than in main.bicep")
    if "main.bicepparam" in infra:
        found.append("azd takes main.bicepparam and never reads main.parameters.json")
    return found


def azd(infra: Infra) -> list[str]:
    """Return differences between the service in azure.yaml and the tagged app."""
    services = re.findall(
        r"^  (\w+):\n    project: \.\n    language: python\n    host: function$",
        infra["azure.yaml"],
        re.MULTILINE,
    )
    tagged = [
        (each["type"], each["tags"]["azd-service-name"])
        for each in deployment(infra, "plain").resources
        if "azd-service-name" in each.get("tags", {})
    ]
    found = [f"azure.yaml has the services {services}"] if services != ["refresh"] else []
    if tagged != [("Microsoft.Web/sites", "refresh")]:
        found.append("not the app alone has the tag azd-service-name: refresh")
    return found


def conventions(infra: Infra) -> list[str]:
    """Return resources without the usual abbreviation or tags."""
    found: list[str] = []
    for each in deployment(infra, "closed-network").resources:
        if not each["name"].startswith(ABBREVIATIONS.get(each["type"], "")):
            found.append(f"{each['name']} does not begin with {ABBREVIATIONS[each['type']]}")
        tags = {"owner": "platform", "azd-env-name": "git-refresh"}
        if "location" in each and not tags.items() <= each.get("tags", {}).items():
            found.append(f"{each['name']} lacks tags")
    return found


SEVERITIES = {
    "run-failed": 2,
    "no-run": 1,
    "no-successful-run": 1,
    "token-expires-too-soon": 2,
    "secret-expires-soon": 3,
    "log-cap-reached": 1,
    "slice-failed": 2,
    "slice-not-completed": 2,
    "poison-queue": 2,
}


def alerts(infra: Infra) -> list[str]:
    """Each rule is of a form that the service accepts, and has the severity and query that were decided on."""
    deployed = rules(deployment(infra, "queue"))
    found = [
        f"{name}: severity {deployed[name][0]}"
        for name in deployed
        if deployed[name][0] != SEVERITIES.get(name)
    ]
    for name, (_, _, _, _, _, query, *_) in deployed.items():
        file = (ROOT / f"infra/queries/alerts/{name}.kql").read_text().replace("INTERVAL_SECONDS", "900")
        if query != " ".join(file.split()):
            found.append(f"{name}: not the query of its file")
    for interval, variant in ALERT_VARIANTS.items():
        given = rules(deployment(infra, variant))
        for name, (severity, _, _, _, _, query, *_) in given.items():
            if not 0 <= severity <= 4:
                found.append(f"{name}: the service refuses {severity}")
            if not re.match(r"(let lines = )?(traces|_LogOperation) \|", query) or "INTERVAL" in query:
                found.append(f"{name}: {query}")
        if not given["token-expires-too-soon"][5].endswith(f"< {interval * 60}"):
            found.append(f"token-expires-too-soon does not go by {interval} minutes")
    return found


CHECKS: list[Check] = [
    versions,
    roles,
    settings,
    forbidden,
    hardened,
    documented,
    parameter_files,
    azd,
    conventions,
    alerts,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_nothing_is_found(check: Check) -> None:
    assert not check(INFRA)


def test_only_secure_parameters_take_the_app_settings_that_are_there() -> None:
    whole = template(INFRA)
    assert whole["variables"]["existingSettings"] == (
        "[format('{0}/config/appsettings', resourceId('Microsoft.Web/sites', variables('functionAppName')))]"
    )
    taking = {
        (name, parameter)
        for name, module in whole["resources"].items()
        for parameter, given in module.get("properties", {}).get("parameters", {}).items()
        if given.get("value") == READS_SETTINGS
    }
    assert taking == {("appSettings", "existing"), ("alerts", "existingSettings")}
    assert [*words(whole)].count(READS_SETTINGS) == len(taking)
    for name, parameter in taking:
        declared = whole["resources"][name]["properties"]["template"]["parameters"][parameter]
        assert declared["type"] == "secureObject"


def test_the_schedule_is_that_of_the_example_and_follows_from_the_interval() -> None:
    example = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]["REFRESH_SCHEDULE"]
    variants = ("plain", "every-30", "every-60")
    schedules = [dict(app_settings(deployment(INFRA, name)))["REFRESH_SCHEDULE"] for name in variants]
    assert schedules == [example, "0 */30 * * * *", "0 0 * * * *"]


def test_the_queries_read_what_the_app_writes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "git_refresh"):
        done = Report(
            "1",
            datetime(2026, 11, 24, tzinfo=UTC),
            1,
            dry_run=False,
            result="ok",
            tokens=(),
            problems=(),
            workspaces=(),
        )
        log_run(done, RedactingLogger())
        log_nothing_done([], RedactingLogger())
    whole, short = caplog.messages
    assert {"result", "min_token_remaining_s", "problems"} <= json.loads(whole).keys()
    assert "secret_expires_soon" in {row.code for row in OWN}
    queries = {name: rule[5] for name, rule in rules(PLAIN).items()}
    for name in ("no-run", "no-successful-run", "token-expires-too-soon", "secret-expires-soon"):
        beginning = re.search(r"message startswith '(.*?)'", queries[name])
        assert beginning is not None, name
        assert whole.startswith(beginning[1]), name
        assert short.startswith(beginning[1]), name
    function = re.search(r"def (\w+)\(timer", (ROOT / "function_app.py").read_text())
    assert function is not None
    assert f"name == '{function[1]}'" in queries["run-failed"]


def test_silence_alone_fires_the_alert_on_missing_runs() -> None:
    """No rows count as 0. A query with a sum always returns a row, one with dimensions none."""
    _, _, _, operator, threshold, query, *_ = rules(PLAIN)["no-run"]
    assert (operator, threshold) == ("LessThan", 1)
    assert "summarize" not in query
    (rule,) = (
        each
        for each in PLAIN.of_type("Microsoft.Insights/scheduledQueryRules")
        if rule_name(each) == "no-run"
    )
    (one,) = rule["properties"]["criteria"]["allOf"]
    assert one["timeAggregation"] == "Count"
    assert not {"dimensions", "resourceIdColumn"} & one.keys()


def test_what_is_for_the_queue_alone_waits_for_the_queue() -> None:
    without, queued = rules(PLAIN), rules(QUEUED)
    assert queued.keys() - without.keys() == {"slice-failed", "slice-not-completed", "poison-queue"}
    assert [(name, rule) for name, rule in without.items() if queued[name] != rule] == []

    kept = {each["id"] for each in PLAIN.resources}
    assert sorted(each["type"] for each in QUEUED.resources if each["id"] not in kept) == [
        ROLE_ASSIGNMENT,
        "Microsoft.Insights/diagnosticSettings",
        *["Microsoft.Insights/scheduledQueryRules"] * 3,
        "Microsoft.Storage/storageAccounts/blobServices/containers",
        "Microsoft.Storage/storageAccounts/queueServices",
        "Microsoft.Storage/storageAccounts/queueServices/queues",
    ]


@pytest.mark.parametrize(("variant", "instances"), [("plain", 1), ("queue", 10), ("closed-network-queue", 3)])
def test_with_the_queue_the_app_scales_out_and_says_so(variant: str, instances: int) -> None:
    deployed = deployment(INFRA, variant)
    config = deployed.the("Microsoft.Web/sites")["properties"]["functionAppConfig"]
    assert config["scaleAndConcurrency"]["maximumInstanceCount"] == instances
    assert dict(app_settings(deployed))["FAN_OUT"] == ("queue" if "queue" in variant else "off")


def test_queue_and_claims_have_the_name_that_the_poison_queue_follows() -> None:
    """A name has 3 to 63 lowercase letters, digits and hyphens: learn.microsoft.com/rest/api/storageservices."""
    named = {
        each["type"].rpartition("/")[2]: each["name"].rpartition("/")[2]
        for each in QUEUED.resources
        if each["name"].endswith("/git-refresh-slices")
    }
    assert named == {"queues": "git-refresh-slices", "containers": "git-refresh-slices"}
    assert re.fullmatch(r"[a-z0-9](-?[a-z0-9]){2,62}", "git-refresh-slices-poison")


def told(deployed: Deployment) -> list[Any]:
    """Return the action groups of the alerts."""
    found: list[Any] = []
    for each in deployed.of_type("Microsoft.Insights/scheduledQueryRules"):
        groups = each["properties"]["actions"]["actionGroups"]
        found += [] if groups in found else [groups]
    return found


def test_alerts_go_to_the_mail_address_or_to_the_existing_action_group() -> None:
    assert told(PLAIN) == [[PLAIN.the(ACTION_GROUP)["id"]]]
    (existing,) = told(deployment(INFRA, "existing"))
    assert [kind_of(each) for each in existing] == [ACTION_GROUP]
    assert existing[0].endswith("/ag-oncall")


def test_without_a_mail_address_alerts_go_to_the_webhook_or_nowhere() -> None:
    """Snapshots have only the condition on a secure parameter, not its value."""
    without = deployment(INFRA, "no-secret")
    condition = without.the(ACTION_GROUP)["condition"][1:-1]
    assert (
        condition
        == "and(or(false(), not(empty(parameters('webhook')))), empty(parameters('existingActionGroupId')))"
    )
    (groups,) = told(without)
    assert groups.startswith(f"[if({condition}, createArray(resourceId('{ACTION_GROUP}', ")
    assert groups.endswith(", createArray())]")


PLAIN_TEXT = "plain.snapshot.json"
GIVEN_TEXT = "every-30.snapshot.json"
BREAKS: list[tuple[Check, str, str, str, str]] = [
    (versions, "main.json", '"2025-05-01"', '"2025-06-01-preview"', "no pinned, stable version"),
    (
        versions,
        "main.json",
        """[parameters('tableAccess')]",
              "type": "Microsoft.Authorization/roleAssignments",
              "apiVersion": "2022""",
        """[parameters('tableAccess')]",
              "type": "Microsoft.Authorization/roleAssignments",
              "apiVersion": "2021""",
        "is used in 2 versions",
    ),
    (
        roles,
        PLAIN_TEXT,
        "4633458b-17de-408a-b874-0445c86b69e6",
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "b86a8fe4",
    ),
    (roles, PLAIN_TEXT, "[extensionResourceId('", "[extensionResourceId('/x", "another name"),
    (roles, PLAIN_TEXT, '"ServicePrincipal"', '"User"', "is not for an identity of the app"),
    (
        roles,
        "no-secret.snapshot.json",
        "Insights/components/",
        "Insights/x/",
        "'Monitoring Metrics Publisher') is not",
    ),
    (
        roles,
        "zones.snapshot.json",
        "id-git-refresh-research-",
        "id-git-refresh-finance-",
        "'Key Vault Secrets User') is not",
    ),
    (roles, "plain.snapshot.json", "').principalId, 'b7e6", "').clientId, 'b7e6", "another name"),
    (
        roles,
        "queue.snapshot.json",
        "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
        "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
        "Table",
    ),
    (settings, GIVEN_TEXT, "'REFRESH_SCHEDULE'", "'REFRESH_SCHEDUL'", "REFRESH_SCHEDULE is not set"),
    (settings, GIVEN_TEXT, "'FAN_OUT'", "'DEBUG'", "DEBUG is set"),
    (settings, GIVEN_TEXT, "'FAN_OUT'", "'TRUSTED_HOSTS'", "TRUSTED_HOSTS is set twice"),
    (
        settings,
        GIVEN_TEXT,
        "'REFRESH_CONCURRENCY', '16'",
        "'REFRESH_CONCURRENCY', '0'",
        "REFRESH_CONCURRENCY",
    ),
    (settings, GIVEN_TEXT, "'AZURE_CLIENT_ID', reference", "'AZURE_CLIENT_ID', list", "AZURE_CLIENT_ID is"),
    (forbidden, "main.json", '"FAN_OUT"', '"FUNCTIONS_WORKER_RUNTIME"', "FUNCTIONS_WORKER_RUNTIME"),
    (forbidden, "main.json", '"FAN_OUT"', '"WEBSITE_CONTENTSHARE"', "WEBSITE_CONTENTSHARE"),
    (forbidden, "main.json", '"FAN_OUT"', '"TZ"', "TZ"),
    (
        forbidden,
        "main.json",
        '"trustedHosts": {\n      "type": "string"',
        '"trustedHosts": {"type": "securestring"',
        "trustedHosts is",
    ),
    (
        forbidden,
        "main.json",
        '"AzureWebJobsStorage__accountName"',
        '"AzureWebJobsStorage"',
        "AzureWebJobsStorage",
    ),
    (forbidden, "main.json", '"httpsOnly": true', '"ftpsState": "Disabled"', "ftpsState"),
    (forbidden, "main.json", "reference('insights').ConnectionString", "listKeys('insights')", "listKeys"),
    (
        forbidden,
        "main.json",
        "[parameters('deploymentContainerUrl')]",
        "[list(resourceId('Microsoft.Web/sites', 'other'), '2025-03-01').properties]",
        "lists",
    ),
    (forbidden, "main.json", "format('https://", "format('AccountKey=x;https://", "AccountKey"),
    (
        hardened,
        PLAIN_TEXT,
        '"allowSharedKeyAccess": false',
        '"allowSharedKeyAccess": true',
        "allowSharedKeyAccess is True",
    ),
    (hardened, PLAIN_TEXT, '"allowBlobPublicAccess": false,', "", "allowBlobPublicAccess is None"),
    (hardened, PLAIN_TEXT, '"httpsOnly": true', '"httpsOnly": false', "httpsOnly is False"),
    (hardened, PLAIN_TEXT, '"3.13"', '"3.12"', "runtime.version is 3.12"),
    (hardened, PLAIN_TEXT, '"allow": false', '"allow": true', "properties.allow is True"),
    (
        hardened,
        PLAIN_TEXT,
        '"DisableLocalAuth": true',
        '"DisableLocalAuth": false',
        "DisableLocalAuth is False",
    ),
    (hardened, PLAIN_TEXT, '"maximumInstanceCount": 1,', '"maximumInstanceCount": 40,', "is 40"),
    (documented, "README.md", "|`trustedHosts`|", "|`trustedHost`|", "trustedHost"),
    (parameter_files, "main.parameters.json", '"workspaces"', '"workspace"', "azd cannot set workspaces"),
    (
        parameter_files,
        "main.parameters.json",
        "${WORKSPACES}",
        "$(WORKSPACES)",
        "is not from the environment",
    ),
    (
        parameter_files,
        "main.parameters.json",
        '"maximumInstanceCount"',
        '"instanceCount"',
        "no param instanceCount",
    ),
    (
        parameter_files,
        "main.parameters.json",
        "${SUBNET_ID}",
        "${KEY_VAULT_URL}",
        "azd overwrites KEY_VAULT_URL",
    ),
    (parameter_files, "main.parameters.json", "CAP_GB=1}", "CAP_GB=2}", "another default"),
    (parameter_files, "main.parameters.json", "{FAN_OUT}", "{FANOUT}", "is not fanOut in capitals"),
    (azd, "azure.yaml", "  refresh:", "  app:", "azure.yaml has the services"),
    (azd, PLAIN_TEXT, '"azd-service-name": "refresh"', '"azd-service-name": "app"', "not the app alone"),
    (azd, PLAIN_TEXT, '"azd-env-name"', '"azd-service-name"', "not the app alone"),
    (conventions, "closed-network.snapshot.json", '"name": "st', '"name": "files', "does not begin with st"),
    (
        conventions,
        "closed-network.snapshot.json",
        '"name": "kv-',
        '"name": "vault-',
        "does not begin with kv-",
    ),
    (conventions, "closed-network.snapshot.json", '"owner"', '"owned"', "lacks tags"),
    (alerts, "queue.snapshot.json", "success == false", "success != true", "not the query of its file"),
    (alerts, "queue.snapshot.json", '"severity": 3', '"severity": 5', "the service refuses 5"),
    (alerts, "queue-every-30.snapshot.json", "< 1800", "< 900", "does not go by 30 minutes"),
    (alerts, "queue.snapshot.json", '"query": "traces', '"query": "AppTraces', "AppTraces"),
]


@pytest.mark.parametrize(
    ("check", "path", "old", "new", "told"),
    BREAKS,
    ids=[f"{each[0].__name__}-{number}" for number, each in enumerate(BREAKS)],
)
def test_a_broken_copy_is_found(check: Check, path: str, old: str, new: str, told: str) -> None:
    assert old in INFRA[path], "nothing would be broken"
    found = check({**INFRA, path: INFRA[path].replace(old, new)})
    assert [finding for finding in found if told in finding], found


def test_a_parameters_file_that_azd_prefers_is_found() -> None:
    assert parameter_files({**INFRA, "main.bicepparam": INFRA["app.bicepparam"]})
