"""infra/, without Azure: what the templates come to, held against Microsoft's models, the code and the docs.

Each check takes all files and gives its findings. The last test breaks a copy in every way that matters, and sees it found.
"""

import json
import logging
import os
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from git_refresh.diagnosis.table import OWN
from git_refresh.outlet import Outlet
from git_refresh.report import Report, log_nothing_done, log_run
from git_refresh.settings.load import SettingsError, load
from git_refresh.settings.names import SETTINGS
from tests.infra import bicep
from tests.infra.azure_models import complaints
from tests.infra.bicep import Infra, of_kind, templates
from tests.infra.bicep_deploy import Resource, Unknown, deploy, outputs, parameters

ROOT = Path(__file__).parents[2]
INFRA = {**bicep.read(ROOT / "infra"), "azure.yaml": (ROOT / "azure.yaml").read_text()}
REFERENCE = (ROOT / "docs/reference.md").read_text()
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
    # One policy: the plan has no FTP, and a resource that Azure refuses would fail the whole deployment.
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"name": "scm", "properties.allow": False},
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
    # Flex Consumption refuses these, ignores them, or does not start with them.
    FUNCTIONS_(WORKER_RUNTIME|EXTENSION_VERSION).* | WEBSITE_.* | SCM_DO_BUILD_DURING_DEPLOYMENT | ENABLE_ORYX_BUILD | TZ
    | ftpsState | alwaysOn | linuxFxVersion | use32BitWorkerProcess | vnetRouteAllEnabled
    | functionAppScaleLimit | preWarmedInstanceCount
    # Keys, and what holds them.
    | AzureWebJobsStorage | connectionStrings | APPINSIGHTS_INSTRUMENTATIONKEY | list(Keys|AccountSas|ServiceSas|Secrets)?
    | .*(AccountKey|SharedAccessSignature|accessPolicies).* | getSecret
    """,
    re.VERBOSE,
)
ADDRESSES = {"alertWebhook", "webhook"}
"""What may contain a signature, and is therefore kept out of the log of deployments; the app never gets it."""
PLAIN = parameters(INFRA["app.bicepparam"])
TOKEN = "uniqueString(resourceGroup().id, git-refresh)"  # what all names end in
OTHER = {
    **PLAIN,
    "allowedIpRanges": ["192.0.2.0/24"],
    "existingActionGroupId": "/subscriptions/0/resourceGroups/oncall/providers/Microsoft.Insights/actionGroups/ag-oncall",
    "existingKeyVaultName": "kv-contoso",
    "existingKeyVaultResourceGroup": "rg-contoso",
    "alertWebhook": "https://hooks.contoso.com/oncall",
    "deleteLock": True,
    "privateDnsZoneResourceGroupId": "/subscriptions/0/resourceGroups/rg-dns",
    "privateEndpointSubnetId": "/subscriptions/0/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/snet-pe",
    "publicNetworkAccess": "Disabled",
    "refreshIntervalMinutes": 60,
    "storageTableAccess": True,
    "subnetId": "/subscriptions/0/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/snet-app",
    "tags": {"owner": "platform"},
}
ZONED = {
    **PLAIN,
    "identities": [
        {"name": "finance", "readsSecrets": False},
        {"name": "research", "readsSecrets": True},
        {"name": "a", "readsSecrets": False},
    ],
}
QUEUED = {**PLAIN, "fanOut": "queue"}
APP_ROLES = {
    ("identity", "Microsoft.Storage/storageAccounts", "Storage Blob Data Owner"),
    ("identity", "Microsoft.Insights/components", "Monitoring Metrics Publisher"),
}
SECRETS = ("identity", "Microsoft.KeyVault/vaults", "Key Vault Secrets User")
TABLES = ("identity", "Microsoft.Storage/storageAccounts", "Storage Table Data Contributor")
QUEUE = ("identity", "Microsoft.Storage/storageAccounts", "Storage Queue Data Contributor")
type Check = Callable[[Infra], list[str]]


def deployments(infra: Infra) -> list[Resource]:
    """All that comes of the parameters in all their variants."""
    return [
        *deploy(infra, PLAIN),
        *deploy(infra, OTHER),
        *deploy(infra, {**OTHER, "keyVaultPurgeProtection": False, "existingKeyVaultName": ""}),
        *deploy(infra, ZONED),
        *deploy(infra, QUEUED),
        *deploy(infra, {**OTHER, "fanOut": "queue"}),
    ]


def the(type_: str, infra: Infra, params: dict[str, Any]) -> Resource:
    (found,) = (each for each in deploy(infra, params) if each.type == type_ and not each.existing)
    return found


def app_settings(infra: Infra, params: dict[str, Any]) -> list[tuple[str, Any]]:
    site = the("Microsoft.Web/sites", infra, params).body["properties"]["siteConfig"]
    return [(each["name"], each["value"]) for each in site["appSettings"]]


def models(infra: Infra) -> list[str]:
    return [complaint for resource in deployments(infra) for complaint in complaints(resource)]


def versions(infra: Infra) -> list[str]:
    found: list[str] = []
    chosen: dict[str, set[str]] = {}
    for each in deployments(infra):
        chosen.setdefault(each.type, set()).add(each.version)
        # Nothing else has ever come out for this type.
        preview = each.type == "Microsoft.Insights/diagnosticSettings"
        if not re.fullmatch(r"20\d\d-\d\d-\d\d" + ("-preview" if preview else ""), each.version):
            found.append(f"{each.file}: {each.type}@{each.version} is no pinned, stable version")
    return found + [
        f"{type_} is used in {len(used)} versions" for type_, used in chosen.items() if len(used) > 1
    ]


def grants(infra: Infra, params: dict[str, Any]) -> list[tuple[str, str | None, str]]:
    """Each role assignment: to whom, on what, which role."""
    found: list[tuple[str, str | None, str]] = []
    for each in deploy(infra, params):
        if each.type == "Microsoft.Authorization/roleAssignments":
            to = each.body["properties"]
            role = re.search(r"roleDefinitions, ([0-9a-f-]{36})\)$", to["roleDefinitionId"])
            named = ROLES.get(role[1], role[1]) if role else str(to["roleDefinitionId"])
            found.append((to["principalId"].removesuffix(".properties.principalId"), each.scope, named))
    return found


def roles(infra: Infra) -> list[str]:
    """The least that works; nobody else gets anything, and a second deployment makes the same assignments."""
    found: list[str] = []
    for params, allowed in (
        (PLAIN, {*APP_ROLES, SECRETS}),
        (OTHER, {*APP_ROLES, SECRETS, TABLES}),
        (ZONED, {*APP_ROLES, SECRETS, ("zones.1", *SECRETS[1:])}),
        ({**ZONED, "readsSecrets": False}, {*APP_ROLES, ("zones.1", *SECRETS[1:])}),
        ({**PLAIN, "readsSecrets": False}, APP_ROLES),
        (QUEUED, {*APP_ROLES, SECRETS, QUEUE}),
        ({**ZONED, "fanOut": "queue"}, {*APP_ROLES, SECRETS, ("zones.1", *SECRETS[1:]), QUEUE}),
    ):
        given = grants(infra, params)
        found += [f"{extra} is granted" for extra in given if given.count(extra) > 1 or extra not in allowed]
        found += [f"{missing} is not granted" for missing in allowed - set(given)]
        for each in deploy(infra, params):
            if each.type == "Microsoft.Authorization/roleAssignments":
                to, where = each.body["properties"], f"{each.file}: {each.symbol}"
                role = to["roleDefinitionId"].removesuffix(")").rpartition(" ")[2]
                if to["principalType"] != "ServicePrincipal":
                    found.append(f"{where} is not for an identity of the app")
                if each.body["name"] != f"guid({each.body.get('scope')}.id, {to['principalId']}, {role})":
                    found.append(f"{where} has another name with each deployment, or the same for two")
    return found


def settings(infra: Infra) -> list[str]:
    """Every setting that the code reads, the platform's, no other; and the code accepts them."""
    pairs = app_settings(infra, PLAIN)
    given, wanted = [name for name, _ in pairs], SETTINGS.keys() | PLATFORM_SETTINGS
    found = [f"{name} is set twice" for name in set(given) if given.count(name) > 1]
    found += [f"{name} is not set" for name in wanted - set(given)]
    found += [f"{name} is set" for name in set(given) - wanted]
    filled_in = {
        "KEY_VAULT_URL": (
            f"https://kv-{TOKEN}environment().suffixes.keyvaultDns",
            "https://kv-contoso.vault.azure.net",
        ),
        "AZURE_CLIENT_ID": ("identity.properties.clientId", "5a1e0000-0000-4000-8000-000000000002"),
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


def forbidden(infra: Infra) -> list[str]:
    found: list[str] = []
    for path, text in templates(infra).items():
        found += [
            f"{path}: {each.name} is a secret"
            for each in bicep.declarations(text)
            if "secure" in each.decorators and each.name not in ADDRESSES
        ]
        for node in bicep.walk(bicep.tree(text)):
            name = bicep.source(node)
            if node.type in ("identifier", "property_identifier", "string_content") and FORBIDDEN.fullmatch(
                name
            ):
                found.append(f"{path}:{node.start_point.row + 1}: {name}")
            if node.type == "string_content" and re.search(r"/list\w+\b|[aA]ccountKey=", name):
                found.append(f"{path}:{node.start_point.row + 1}: {name}")
    return found


def hardened(infra: Infra) -> list[str]:
    found: list[str] = []
    for type_, values in HARDENED.items():
        for path, wanted in values.items():
            value: Any = the(type_, infra, PLAIN).body
            for key in path.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if value != wanted or type(value) is not type(wanted):
                found.append(f"{type_} {path} is {value}, and should be {wanted}")
    return found


def described(infra: Infra) -> list[str]:
    return [
        f"{path}: {each.kind} {each.name} has no description"
        for path, text in templates(infra).items()
        for each in bicep.declarations(text)
        if each.kind in ("param", "output") and len(each.decorators.get("description", "")) < len("'Tags.'")
    ]


def documented(infra: Infra) -> list[str]:
    """infra/README.md has every parameter of main.bicep, and no other."""
    told = re.findall(r"^\| `(\w+)` \|", infra["README.md"].partition("## Parameters")[2], re.MULTILINE)
    return sorted(set(told) ^ of_kind(infra["main.bicep"], "param").keys())


def parameter_files(infra: Infra) -> list[str]:
    """They name params that there are, and all that are required; azd can set every one, and takes it from its environment.

    azd leaves out what has no default there and is not in its environment, and reads texts as numbers, booleans and JSON:
    https://github.com/Azure/azure-dev, `BicepProvider.loadParameters` and `armParameterFileValue`.
    """
    declared = of_kind(infra["main.bicep"], "param")
    required = {name for name, param in declared.items() if param.value is None}
    by_azd = json.loads(infra["main.parameters.json"])["parameters"]
    found: list[str] = []
    for path, given in (
        ("app.bicepparam", parameters(infra["app.bicepparam"])),
        ("main.parameters.json", by_azd),
    ):
        found += [f"{path}: there is no param {name}" for name in given.keys() - declared.keys()]
        found += [f"{path}: param {name} is missing" for name in required - given.keys()]
    found += [f"main.parameters.json: azd cannot set {name}" for name in declared.keys() - by_azd.keys()]
    kept = of_kind(infra["main.bicep"], "output")
    for name, each in by_azd.items():
        variable = re.fullmatch(r"\$\{([A-Z_]+)(?:=(\w+))?\}", each["value"])
        value = declared[name].value if name in declared else None
        if variable is None:
            found.append(f"main.parameters.json: {name} is not from the environment")
        elif variable[1] in kept:
            found.append(f"main.parameters.json: azd overwrites {variable[1]} with the output")
        elif variable[2] is not None and (value is None or bicep.source(value) != variable[2]):
            found.append(f"main.parameters.json: {name} has another default than in main.bicep")
    if "main.bicepparam" in infra:
        found.append("azd takes main.bicepparam and never reads main.parameters.json")
    return found


def azd(infra: Infra) -> list[str]:
    """The one service of azure.yaml is the app, which azd finds by its tag."""
    services = re.findall(
        r"^  (\w+):\n    project: \.\n    language: python\n    host: function$",
        infra["azure.yaml"],
        re.MULTILINE,
    )
    tagged = [each for each in deploy(infra, PLAIN) if "azd-service-name" in each.body.get("tags", {})]
    found = [f"azure.yaml has the services {services}"] if services != ["refresh"] else []
    if [(each.type, each.body["tags"]["azd-service-name"]) for each in tagged] != [
        ("Microsoft.Web/sites", "refresh")
    ]:
        found.append("not the app alone has the tag azd-service-name: refresh")
    return found


def conventions(infra: Infra) -> list[str]:
    """Names by the usual abbreviations, and tags on all that can have some."""
    found: list[str] = []
    for each in deploy(infra, {**PLAIN, "tags": {"owner": "platform"}}):
        if not each.existing and not each.body["name"].startswith(ABBREVIATIONS.get(each.type, "")):
            found.append(f"{each.file}: {each.body['name']} does not begin with {ABBREVIATIONS[each.type]}")
        tags = {"owner": "platform", "azd-env-name": "git-refresh"}
        if "location" in each.body and not tags.items() <= each.body.get("tags", {}).items():
            found.append(f"{each.file}: {each.symbol} lacks tags")
    return found


type Rule = tuple[int, str, str, str, int, str]
"""Severity, window, frequency, operator, threshold, query."""


def rules(infra: Infra, params: dict[str, Any]) -> dict[str, Rule]:
    found: dict[str, Rule] = {}
    for each in deploy(infra, params):
        if each.type == "Microsoft.Insights/scheduledQueryRules":
            rule = each.body["properties"]
            (one,) = rule["criteria"]["allOf"]
            name = each.body["name"].removeprefix("ar-git-refresh-").partition("-uniqueString")[0]
            times = (rule["windowSize"], rule["evaluationFrequency"])
            query = " ".join(one["query"].split())
            found[name] = (rule["severity"], *times, one["operator"], one["threshold"], query)
    return found


@lru_cache
def rules_of_the_docs() -> dict[str, Rule]:
    """What the commands of docs/reference.md would create, run with an `az` that only notes what it is given."""
    (block,) = re.findall(r"```sh\n(alert\(\).*?)```", REFERENCE, re.DOTALL)
    az = "az() { printf '%s\\0' \"$@\" 'next rule'; }\n"
    done = subprocess.run(
        ["/bin/sh", "-euc", az + block],
        cwd=ROOT,
        env={**os.environ, **dict.fromkeys(("GROUP", "REGION", "INSIGHTS", "ONCALL"), "given")},
        capture_output=True,
        text=True,
        check=True,
    )
    iso = {"15m": "PT15M", "45m": "PT45M", "60m": "PT1H", "24h": "P1D"}
    operators = {"<": "LessThan", ">": "GreaterThan"}
    found: dict[str, Rule] = {}
    for words in done.stdout.removesuffix("next rule\0").split("next rule\0"):
        kind, options = words.split("\0")[:3], words.rstrip("\0").split("\0")[3:]
        assert kind == ["monitor", "scheduled-query", "create"]
        given = dict(zip(options[::2], options[1::2], strict=True))
        count, alias, operator, than = given["--condition"].split()
        name, _, query = given["--condition-query"].partition("=")
        assert (count, alias) == ("count", f"'{name}'")
        found[given["--name"].removeprefix("git-refresh ")] = (
            int(given["--severity"]),
            iso[given["--window-size"]],
            iso[given["--evaluation-frequency"]],
            operators[operator],
            int(than),
            " ".join(query.split()),
        )
    return found


def alerts(infra: Infra) -> list[str]:
    """The rules of docs/reference.md are those that are deployed, and each is of a form that the service takes."""
    deployed, told = rules(infra, PLAIN), rules_of_the_docs()
    found = [f"{name}: not deployed: {rule}" for name, rule in told.items() if rule != deployed.get(name)]
    # Without infra/ no daily cap is set.
    found += [
        f"{name}: not in docs/reference.md" for name in deployed.keys() - told.keys() - {"log-cap-reached"}
    ]
    for interval in (15, 30, 60):
        given = rules(infra, {**QUEUED, "refreshIntervalMinutes": interval})
        for name, (severity, _, _, _, _, query) in given.items():
            if not 0 <= severity <= 4:
                found.append(f"{name}: the service refuses {severity}")
            if (
                not re.match(r"(traces|requests|_LogOperation) \|", query)
                or "INTERVAL" in query
                or "Unknown" in query
            ):
                found.append(f"{name}: {query}")
        if not given["token-ends-too-soon"][5].endswith(f"< {interval * 60}"):
            found.append(f"token-ends-too-soon does not go by {interval} minutes")
    return found


CHECKS: list[Check] = [
    bicep.syntax,
    bicep.names,
    models,
    versions,
    roles,
    settings,
    forbidden,
    hardened,
    described,
    documented,
    parameter_files,
    azd,
    conventions,
    alerts,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_nothing_is_found(check: Check) -> None:
    assert not check(INFRA)


def test_the_schedule_is_that_of_the_example_and_follows_from_the_interval() -> None:
    example = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]["REFRESH_SCHEDULE"]
    schedules = [
        dict(app_settings(INFRA, {**PLAIN, "refreshIntervalMinutes": minutes}))["REFRESH_SCHEDULE"]
        for minutes in (15, 30, 60)
    ]
    assert schedules == [example, "0 */30 * * * *", "0 0 * * * *"]
    default = of_kind(INFRA["main.bicep"], "param")["refreshIntervalMinutes"].value
    assert default is not None
    assert bicep.source(default) == "15"


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
        log_run(done, Outlet())
        log_nothing_done([], Outlet())
    whole, short = caplog.messages
    assert {"result", "min_token_remaining_s", "problems"} <= json.loads(whole).keys()
    assert "secret_expires_soon" in {row.code for row in OWN}
    queries = {name: rule[5] for name, rule in rules(INFRA, PLAIN).items()}
    for name in ("no-run", "no-successful-run", "token-ends-too-soon", "secret-ends-soon"):
        beginning = re.search(r"message startswith '(.*?)'", queries[name])
        assert beginning is not None, name
        assert whole.startswith(beginning[1]), name
        assert short.startswith(beginning[1]), name
    function = re.search(r"def (\w+)\(timer", (ROOT / "function_app.py").read_text())
    assert function is not None
    assert f"name == '{function[1]}'" in queries["run-failed"]


def test_silence_alone_fires_the_alert_on_missing_runs() -> None:
    """No rows count as 0; a query that sums up gives a row in any case, and one that splits gives none."""
    _, _, _, operator, threshold, query = rules(INFRA, PLAIN)["no-run"]
    assert (operator, threshold) == ("LessThan", 1)
    assert "summarize" not in query
    (rule,) = (each for each in deploy(INFRA, PLAIN) if each.body["name"].startswith("ar-git-refresh-no-run"))
    (one,) = rule.body["properties"]["criteria"]["allOf"]
    assert one["timeAggregation"] == "Count"
    assert not {"dimensions", "resourceIdColumn"} & one.keys()


def test_what_is_for_the_queue_alone_waits_for_the_queue() -> None:
    without, queued = (rules(INFRA, params) for params in (PLAIN, QUEUED))
    assert queued.keys() - without.keys() == {"slice-failed", "slice-never-ended", "poison-queue"}
    assert [(name, rule) for name, rule in without.items() if queued[name] != rule] == []

    before, after = (deploy(INFRA, params) for params in (PLAIN, QUEUED))
    kept = {(each.type, each.scope, each.body["name"]) for each in before}
    added = sorted(each.type for each in after if (each.type, each.scope, each.body["name"]) not in kept)
    assert added == [
        "Microsoft.Authorization/roleAssignments",
        "Microsoft.Insights/diagnosticSettings",
        *["Microsoft.Insights/scheduledQueryRules"] * 3,
        "Microsoft.Storage/storageAccounts/blobServices/containers",
        "Microsoft.Storage/storageAccounts/queueServices",
        "Microsoft.Storage/storageAccounts/queueServices/queues",
    ]
    assert deploy(INFRA, {**PLAIN, "fanOut": "off"}) == before, "off is the default"


def test_with_the_queue_the_app_scales_out_and_says_so() -> None:
    site = the("Microsoft.Web/sites", INFRA, QUEUED).body["properties"]
    assert site["functionAppConfig"]["scaleAndConcurrency"]["maximumInstanceCount"] == 10
    assert dict(app_settings(INFRA, QUEUED))["FAN_OUT"] == "queue"
    assert dict(app_settings(INFRA, PLAIN))["FAN_OUT"] == "off"
    fewer = the("Microsoft.Web/sites", INFRA, {**QUEUED, "maximumInstanceCount": 3}).body["properties"]
    assert fewer["functionAppConfig"]["scaleAndConcurrency"]["maximumInstanceCount"] == 3


def test_queue_and_claims_have_the_name_that_the_host_s_poison_queue_follows_from() -> None:
    """A name has 3 to 63 lower case letters, digits and hyphens: learn.microsoft.com/rest/api/storageservices."""
    named = {
        each.type.rpartition("/")[2]: each.body["name"]
        for each in deploy(INFRA, QUEUED)
        if each.body["name"] == "git-refresh-slices"
    }
    assert named == {"queues": "git-refresh-slices", "containers": "git-refresh-slices"}
    assert re.fullmatch(r"[a-z0-9](-?[a-z0-9]){2,62}", "git-refresh-slices-poison")


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"alertEmail": ""}, []),
        ({"alertEmail": "oncall@contoso.com"}, ["actionGroup.id"]),
        ({"alertEmail": "", "alertWebhook": OTHER["alertWebhook"]}, ["actionGroup.id"]),
        ({"existingActionGroupId": OTHER["existingActionGroupId"]}, [OTHER["existingActionGroupId"]]),
    ],
)
def test_alerts_go_to_whom_the_parameters_name(params: dict[str, str], wanted: list[str]) -> None:
    everything = deploy(INFRA, {**PLAIN, **params})
    told = [
        each.body["properties"]["actions"]["actionGroups"]
        for each in everything
        if "scopes" in each.body.get("properties", {})
    ]
    assert told
    assert all(groups == wanted for groups in told)
    assert (wanted == ["actionGroup.id"]) == any(
        each.type == "Microsoft.Insights/actionGroups" for each in everything
    )


def test_an_existing_vault_is_used_and_none_is_created() -> None:
    everything = deploy(INFRA, OTHER)
    assert [each.existing for each in everything if each.type == "Microsoft.KeyVault/vaults"] == [True]
    assert outputs(INFRA, OTHER)["KEY_VAULT_NAME"] == "kv-contoso"
    scope = bicep.properties(of_kind(INFRA["main.bicep"], "module")["keyVaultAccess"].value)["scope"]  # type: ignore[arg-type]  # it has one
    assert bicep.source(scope) == "resourceGroup(keyVaultResourceGroup)"


def test_addresses_and_subnet_are_used_when_given() -> None:
    site = the("Microsoft.Web/sites", INFRA, OTHER).body["properties"]
    assert site["virtualNetworkSubnetId"] == OTHER["subnetId"]
    assert site["siteConfig"]["ipSecurityRestrictionsDefaultAction"] == "Deny"
    assert [each["ipAddress"] for each in site["siteConfig"]["ipSecurityRestrictions"]] == ["192.0.2.0/24"]
    assert the("Microsoft.Web/sites", INFRA, PLAIN).body["properties"]["virtualNetworkSubnetId"] is None


def test_the_outputs_are_what_the_next_steps_need() -> None:
    given = outputs(INFRA, PLAIN)
    assert given.keys() == {
        "FUNCTION_APP_NAME",
        "IDENTITY_OBJECT_ID",
        "IDENTITY_CLIENT_ID",
        "ZONE_IDENTITIES",
        "KEY_VAULT_NAME",
        "KEY_VAULT_URL",
        "NEXT_STEPS",
    }
    assert all(isinstance(value, Unknown) for value in given.values() if not isinstance(value, list))


def test_what_azd_keeps_on_the_machine_is_neither_published_nor_committed() -> None:
    assert ".azure" in (ROOT / ".funcignore").read_text().split("\n")
    assert ".azure/" in (ROOT / ".gitignore").read_text().split("\n")


APP, STORAGE, VAULT = "modules/function-app.bicep", "modules/storage.bicep", "modules/key-vault.bicep"
ACCESS, ALERTS, MONITORING = (
    "modules/key-vault-access.bicep",
    "modules/alerts.bicep",
    "modules/monitoring.bicep",
)
BREAKS: list[tuple[Check, str, str, str, str]] = [
    (bicep.syntax, APP, "properties: { reserved: true }", "properties: { reserved: true", "syntax error"),
    (
        bicep.syntax,
        STORAGE,
        "allowSharedKeyAccess: false",
        "allowSharedKeyAccess: false,",
        "a comma at the end",
    ),
    (bicep.syntax, STORAGE, "Access: false\n    allowCross", "Access: false allowCross", "two on one line"),
    (bicep.names, APP, "serverFarmId: plan.id", "serverFarmId: plam.id", "plam is not declared"),
    (bicep.names, APP, "value: trustedHosts", "value: ''", "trustedHosts is not used"),
    (bicep.names, APP, "param fanOut", "param token", "token is declared twice"),
    (bicep.names, ACCESS, "guid(vault", "giud(vault", "giud() is no function"),
    (
        bicep.names,
        "main.bicep",
        "    fanOut: fanOut\n    email",
        "    fanOff: fanOut\n    email",
        "has no param fanOff",
    ),
    (
        bicep.names,
        "main.bicep",
        "    principalId: identity.properties.principalId\n",
        "",
        "needs param principalId",
    ),
    (bicep.names, "main.bicep", "app.outputs.name", "app.outputs.title", "has no output title"),
    (
        bicep.names,
        "main.bicep",
        "modules/workbook.bicep",
        "modules/book.bicep",
        "there is no modules/book.bicep",
    ),
    (models, APP, "maximumInstanceCount:", "maxInstanceCount:", "maxInstanceCount is no property"),
    (models, APP, "'UserAssignedIdentity'", "'UserIdentity'", "is 'UserIdentity', and none of"),
    (models, APP, "minTlsVersion:", "minTlsVersoin:", "minTlsVersoin is no property"),
    (models, APP, "Microsoft.Web/sites@", "Microsoft.Web/site@", "no type that is known"),
    (models, APP, "serverFarmId: plan.id", "defaultHostName: 'x'", "is set by the service alone"),
    (models, STORAGE, "allowSharedKeyAccess: false", "allowSharedKeyAccess: 'false'", "should be bool"),
    (models, STORAGE, "'TLS1_2'", "'1.2'", "and none of TLS1_0"),
    (models, MONITORING, "DisableLocalAuth", "disableLocalAuth", "disableLocalAuth is no property"),
    (models, MONITORING, "'PerGB2018'", "'PerGB'", "is 'PerGB', and none of"),
    (models, ALERTS, "'LessThan'", "'Below'", "is 'Below', and none of"),
    (models, ALERTS, "scopes: [rule.name", "scopes: 'all' // [rule.name", "should be a list"),
    (models, ACCESS, "'ServicePrincipal'", "'ServicePrincpal'", "is 'ServicePrincpal'"),
    (models, "modules/workbook.bicep", "sourceId:", "sourceID:", "sourceID is no property"),
    (versions, VAULT, "vaults@2024-11-01", "vaults@2024-12-01-preview", "no pinned, stable version"),
    (versions, VAULT, "vaults@2024-11-01", "vaults@2023-07-01", "is used in 2 versions"),
    (
        roles,
        ACCESS,
        "4633458b-17de-408a-b874-0445c86b69e6",
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "b86a8fe4",
    ),
    (roles, ACCESS, "  scope: vault\n", "", "'Key Vault Secrets User') is granted"),
    (roles, STORAGE, "'ServicePrincipal'", "'User'", "is not for an identity of the app"),
    (roles, "main.bicep", "= if (readsSecrets) {", "= {", "('identity', 'Microsoft.KeyVault/vaults'"),
    (roles, "main.bicep", "identities: if (each.readsSecrets) {", "identities: {", "('zones.0', "),
    (
        roles,
        "main.bicep",
        "zones[index].properties.principalId\n    }\n    dependsOn",
        "identity.properties.principalId\n    }\n    dependsOn",
        "('zones.1', 'Microsoft.KeyVault/vaults', 'Key Vault Secrets User') is not granted",
    ),
    (roles, STORAGE, "guid(account.id, principalId, blobDataOwner)", "guid(account.id)", "another name"),
    (
        roles,
        STORAGE,
        "roleAssignments@2022-04-01' = if (usesQueue) {",
        "roleAssignments@2022-04-01' = {",
        "'Storage Queue Data Contributor') is granted",
    ),
    (roles, "main.bicep", "usesQueue: fanOut == 'queue'", "usesQueue: false", "Contributor') is not granted"),
    (models, STORAGE, "daysAfterModificationGreaterThan", "daysAfterModification", "is no property"),
    (settings, APP, "'REFRESH_SCHEDULE'", "'REFRESH_SCHEDUL'", "REFRESH_SCHEDULE is not set"),
    (settings, APP, "{ name: 'FAN_OUT', value: fanOut }", "", "FAN_OUT is not set"),
    (settings, APP, "{ name: 'FAN_OUT', value: fanOut }", "{ name: 'DEBUG', value: '1' }", "DEBUG is set"),
    (settings, APP, "value: string(refreshConcurrency)", "value: '0'", "REFRESH_CONCURRENCY"),
    (
        settings,
        APP,
        "'AZURE_CLIENT_ID', value: identityClientId",
        "'AZURE_CLIENT_ID', value: identityId",
        "identity.id",
    ),
    (forbidden, APP, "'FAN_OUT'", "'FUNCTIONS_WORKER_RUNTIME'", "FUNCTIONS_WORKER_RUNTIME"),
    (forbidden, APP, "'FAN_OUT'", "'WEBSITE_CONTENTSHARE'", "WEBSITE_CONTENTSHARE"),
    (forbidden, APP, "'FAN_OUT'", "'TZ'", "TZ"),
    (
        forbidden,
        "main.bicep",
        "param trustedHosts",
        "@secure()\nparam trustedHosts",
        "trustedHosts is a secret",
    ),
    (forbidden, APP, "'AzureWebJobsStorage__accountName'", "'AzureWebJobsStorage'", "AzureWebJobsStorage"),
    (forbidden, APP, "httpsOnly: true", "ftpsState: 'Disabled'", "ftpsState"),
    (forbidden, APP, "= app.name", "= app.listKeys().x", "listKeys"),
    (
        forbidden,
        STORAGE,
        "'${account.properties",
        "'AccountKey=${account.listKeys().keys[0].value}${account.properties",
        "AccountKey",
    ),
    (
        hardened,
        STORAGE,
        "allowSharedKeyAccess: false",
        "allowSharedKeyAccess: true",
        "allowSharedKeyAccess is True",
    ),
    (hardened, STORAGE, "    allowBlobPublicAccess: false\n", "", "allowBlobPublicAccess is None"),
    (hardened, APP, "httpsOnly: true", "httpsOnly: false", "httpsOnly is False"),
    (hardened, APP, "'3.13'", "'3.12'", "runtime.version is 3.12"),
    (hardened, APP, "{ allow: false }", "{ allow: true }", "properties.allow is True"),
    (hardened, APP, "name: 'scm'", "name: 'ftp'", "name is ftp"),
    (hardened, MONITORING, "DisableLocalAuth: true", "DisableLocalAuth: false", "DisableLocalAuth is False"),
    (hardened, "main.bicep", "'queue' ? 10 : 1", "'queue' ? 10 : 40", "is 40"),
    (described, APP, "@description('Region.')\n", "", "param location has no description"),
    (documented, "README.md", "| `trustedHosts` |", "| `trustedHost` |", "trustedHost"),
    (parameter_files, "app.bicepparam", "param alertEmail", "param alertMail", "there is no param alertMail"),
    (
        parameter_files,
        "app.bicepparam",
        "param environmentName",
        "param location",
        "param environmentName is missing",
    ),
    (parameter_files, "main.parameters.json", '"workspaces"', '"workspace"', "param workspaces is missing"),
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
        "azd cannot set maximumInstanceCount",
    ),
    (
        parameter_files,
        "main.parameters.json",
        "${SUBNET_ID}",
        "${KEY_VAULT_URL}",
        "azd overwrites KEY_VAULT_URL",
    ),
    (parameter_files, "main.parameters.json", "_MB=512}", "_MB=2048}", "another default"),
    (azd, "azure.yaml", "  refresh:", "  app:", "azure.yaml has the services"),
    (azd, APP, "'azd-service-name': 'refresh'", "'azd-service-name': 'app'", "not the app alone"),
    (azd, "main.bicep", "'azd-env-name'", "'azd-service-name'", "not the app alone"),
    (conventions, "main.bicep", "'st${token}'", "'files${token}'", "does not begin with st"),
    (conventions, "main.bicep", "'kv-${token}'", "'vault-${token}'", "does not begin with kv-"),
    (conventions, VAULT, "  tags: tags\n", "", "vault lacks tags"),
    (alerts, "queries/alerts/no-run.kql", "git_refresh.run", "git_refresh.workspace", "not deployed: (1, "),
    (alerts, ALERTS, "severity: 3", "severity: 5", "the service refuses 5"),
    (alerts, ALERTS, "refreshIntervalMinutes * 60", "15 * 60", "does not go by 30 minutes"),
    (alerts, "queries/alerts/poison-queue.kql", "traces", "AppTraces", "poison-queue: AppTraces"),
]


@pytest.mark.parametrize(
    ("check", "path", "old", "new", "told"),
    BREAKS,
    ids=[f"{each[0].__name__}-{number}" for number, each in enumerate(BREAKS)],
)
def test_a_broken_copy_is_found(check: Check, path: str, old: str, new: str, told: str) -> None:
    assert old in INFRA[path]
    found = check({**INFRA, path: INFRA[path].replace(old, new)})
    assert [finding for finding in found if told in finding], found


def test_a_parameters_file_that_azd_prefers_is_found() -> None:
    assert parameter_files({**INFRA, "main.bicepparam": INFRA["app.bicepparam"]})
