"""`tools.prove` on the local emulator with each variant of infra/: each row holds, and can fail."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from git_refresh import __version__
from git_refresh.admin.resource_manager import find_app
from localcloud import Cloud, Fleet, seed
from localcloud.fleet import APP, GROUP, PAUSE, deploy
from localcloud.logs import LogHandler
from localcloud.people import Person
from localcloud.resource_manager import AlertRule, FunctionApp
from tests.support import warm
from tests.support.admin_laptop import admin_services, laptop_of
from tests.support.app import run_app
from tests.support.templates import INFRA, deployment, template
from tools.prove import Masks
from tools.prove_rows import ROWS, TRIALS, Deployed, Seen

pytestmark = pytest.mark.timeout(60)

SUBNET = "/subscriptions/x/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
PARAMETERS: dict[str, dict[str, object]] = {
    "plain": {"fanOut": "off", "alertEmail": "oncall@contoso.com"},
    "queue": {"fanOut": "queue"},
    "closed-network-queue": {
        "fanOut": "queue",
        "maximumInstanceCount": 3,
        "deleteLock": True,
        "storageTableAccess": True,
        "privateEndpointSubnetId": SUBNET,
    },
    "existing": {
        "fanOut": "off",
        "existingKeyVaultName": "kv-contoso",
        "existingKeyVaultResourceGroup": "rg-contoso",
    },
    "zones": {
        "fanOut": "off",
        "identities": [
            {"name": "finance", "grantKeyVaultAccess": False},
            {"name": "research", "grantKeyVaultAccess": True},
        ],
    },
}
OPTIONS = ("--group", GROUP, "--app", APP)


@dataclass
class Stage:
    """A deployed variant, and the laptop of a person with read permissions."""

    cloud: Cloud
    fleet: Fleet
    person: Person
    environ: dict[str, str]
    addresses: dict[str, list[str]] = field(default_factory=dict)
    """Addresses by host name; other names have a private one."""

    @property
    def app(self) -> FunctionApp:
        return self.fleet.app

    def stored(self, kind: str, ending: str = "") -> dict[str, Any]:
        """Return the response to a read by type and ending of the ID."""
        found = self.app.group.stored.items()
        return next(body for name, body in found if body["type"] == kind and name.endswith(ending))

    def rule(self, name: str) -> AlertRule:
        return next(rule for rule in self.app.group.alert_rules if f"-{name}-" in rule.name)

    def log(self, **changes: Any) -> None:
        """Store the lines of a run with two slices or without fan-out."""
        now = datetime.now(UTC)
        version, until = {"app_version": __version__}, (now + timedelta(minutes=14)).isoformat()
        tokens = [{"identity": self.cloud.identity.client_id, "tenant": None, "expires_at": until}]
        run = {
            "event": "git_refresh.run",
            "run_id": "r",
            **version,
            "result": "ok",
            "tokens": tokens,
            "next_run": until,
        }
        run |= {"workspaces": 2, "workspaces_ok": 2} | changes
        logs, instances = self.cloud.logs.of(self.fleet.component), changes.get("instances", ("one", "two"))
        if self.app.settings["FAN_OUT"] == "off":
            logs.trace(json.dumps(run))
            return
        own = {"run_id": "r", "slices": 2, "workspaces": 2, "valid_until": until}
        logs.trace(json.dumps({"event": "git_refresh.dispatch", **version, **own}))
        for number, instance in enumerate(instances, start=1):
            part = {"run_id": "r", "slice": number}
            queued = {
                "event": "git_refresh.queued",
                **part,
                "valid_until": until,
                "names": [f"data-{number}"],
            }
            done = {"event": "git_refresh.workspace", **part, "name": f"data-{number}", "result": "ok"}
            for line in (queued, done, {**run, "slice": number, "workspaces": 1, "workspaces_ok": 1}):
                logs.trace(json.dumps(line), instance=instance)

    @contextmanager
    def deployed(self) -> Iterator[Deployed]:
        with admin_services(self.environ) as services:
            app = find_app(
                services.resource_manager(), APP, self.app.group.subscription.subscription_id, GROUP
            )
            yield Deployed(services, app, lambda host: self.addresses.get(host.split(".")[1], ["10.0.0.4"]))

    def seen(self, key: str) -> Seen:
        """Return the result of one row."""
        row = next(row for row in ROWS if row.key == key)
        with self.deployed() as deployed:
            return row.seen(deployed)

    def command(self, *options: str) -> tuple[int, dict[str, Any], str]:
        done = warm.run(*options, "--json", environ=self.environ, program="tools.prove")
        return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr.decode()


type Stages = Callable[..., Stage]


@pytest.fixture
def stages(cloud: Cloud, tmp_path: Path) -> Stages:
    def stage(variant: str = "plain", role: str = "Contributor", *, runs: bool = True) -> Stage:
        fleet = seed(cloud, 2)
        deploy(cloud, fleet, deployment(INFRA, variant).resources, template(INFRA), PARAMETERS[variant])
        logs = cloud.logs.at(
            f"{fleet.app.group.id}/providers/Microsoft.OperationalInsights/workspaces/log-git-refresh-contoso"
        )
        logs.tables["_LogOperation"] = []
        now = datetime.now(UTC)
        logs.tables["StorageQueueLogs"] = [
            {"timestamp": now, "OperationName": name} for name in ("PutMessage", "DeleteMessage")
        ]
        kind = "Microsoft.Insights/actionGroups"
        on_call = fleet.app.group.subscription.group("oncall")
        receivers = {"emailReceivers": [{"name": "on call"}]}
        path = f"{on_call.id}/providers/{kind}/ag-oncall"
        on_call.store({"id": path, "name": "ag-oncall", "type": kind, "properties": receivers})
        person = cloud.person("ada")
        fleet.app.group.subscription.assign(person.object_id, role)
        made = Stage(cloud, fleet, person, laptop_of(person, cloud, tmp_path / "az"))
        if runs:
            made.log()
        return made

    return stage


PRIVATE = {"locks", "private_endpoints", "private_names"}
QUEUE = {"slices", "queue_log"}


@pytest.mark.parametrize(
    ("variant", "not_tried"),
    [
        ("plain", PRIVATE | QUEUE),
        ("queue", PRIVATE),
        ("closed-network-queue", set()),
        ("zones", PRIVATE | QUEUE),
        ("existing", PRIVATE | QUEUE | {"vault_roles"}),
    ],
)
def test_each_row_of_what_a_variant_deploys_holds(stages: Stages, variant: str, not_tried: set[str]) -> None:
    with stages(variant).deployed() as deployed:
        results = {row.key: row.seen(deployed) for row in ROWS}
    assert {key: seen for key, seen in results.items() if seen.result == "failed"} == {}
    assert {key for key, seen in results.items() if seen.result == "not_tried"} == not_tried, results


def _role(stage: Stage) -> None:
    place = stage.app.group.subscription
    kind = "Microsoft.Authorization/roleAssignments"
    properties = {
        "principalId": stage.cloud.identity.object_id,
        "scope": place.id,
        "roleDefinitionId": f"{place.id}/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    }
    name = f"{place.id}/providers/{kind}/owner"
    place.stored[name.lower()] = {"id": name, "name": "owner", "type": kind, "properties": properties}


def _changed(kind: str, ending: str = "", **properties: object) -> Callable[[Stage], None]:
    return lambda stage: stage.stored(kind, ending)["properties"].update(properties)


def _set(**settings: str) -> Callable[[Stage], None]:
    return lambda stage: stage.app.settings.update(settings)


def _removed(kind: str, ending: str = "") -> Callable[[Stage], object]:
    return lambda stage: stage.app.group.stored.pop(stage.stored(kind, ending)["id"].lower())


def _scaled(stage: Stage) -> None:
    stage.app.more["properties"]["functionAppConfig"]["scaleAndConcurrency"]["maximumInstanceCount"] = 40


def _relogged(**changes: Any) -> Callable[[Stage], None]:
    def log(stage: Stage) -> None:
        stage.cloud.logs.of(stage.fleet.component).tables["traces"].clear()
        stage.log(**changes)

    return log


def _ruled(name: str, **changes: Any) -> Callable[[Stage], None]:
    return lambda stage: stage.rule(name).more["properties"].update(changes)


def _disable(stage: Stage) -> None:
    stage.rule("no-run").enabled = False


def _template(stage: Stage) -> None:
    kind = "Microsoft.Resources/deployments"
    stage.stored(kind)["template"] = template(INFRA) | {"parameters": {}}


def _component(stage: Stage) -> None:
    stage.fleet.component.more["properties"]["DisableLocalAuth"] = False


def _polled(stage: Stage) -> None:
    workspace = stage.stored("Microsoft.OperationalInsights/workspaces")["id"]
    row = {"timestamp": datetime.now(UTC), "OperationName": "GetMessages"}
    stage.cloud.logs.at(workspace).tables["StorageQueueLogs"].append(row)


def _public(stage: Stage) -> None:
    stage.addresses["vault"] = ["20.50.2.1"]


PENDING = [
    {"properties": {"groupIds": ["blob"], "privateLinkServiceConnectionState": {"status": "Pending"}}},
]
BREAKS: dict[str, tuple[str, Callable[[Stage], object]]] = {
    "template": ("plain", _template),
    "functions": ("queue", _removed("Microsoft.Web/sites/functions", "/refresh_slice")),
    "settings": ("plain", _set(REFRESH_CONCURRENCY="many")),
    "host_settings": ("plain", _set(AzureWebJobsStorage="DefaultEndpointsProtocol=https")),
    "instances": ("plain", _scaled),
    "not_paused": ("plain", _set(**{PAUSE: "true"})),
    "roles": ("plain", _role),
    "storage_keys": ("plain", _changed("Microsoft.Storage/storageAccounts", allowSharedKeyAccess=True)),
    "vault_roles": ("plain", _changed("Microsoft.KeyVault/vaults", enableRbacAuthorization=False)),
    "component_keys": ("plain", _component),
    "workspace_keys": ("plain", _changed("Microsoft.OperationalInsights/workspaces", features={})),
    "publishing": ("plain", _changed("Microsoft.Web/sites/basicPublishingCredentialsPolicies", allow=True)),
    "versions": (
        "plain",
        _changed("Microsoft.Storage/storageAccounts/blobServices", isVersioningEnabled=False),
    ),
    "locks": ("closed-network-queue", _removed("Microsoft.Authorization/locks")),
    "private_endpoints": (
        "closed-network-queue",
        _changed("Microsoft.Network/privateEndpoints", "blob-contoso", privateLinkServiceConnections=PENDING),
    ),
    "private_names": ("closed-network-queue", _public),
    "alert_rules": ("plain", _disable),
    "alert_recipients": ("plain", _changed("Microsoft.Insights/actionGroups", emailReceivers=[])),
    "alert_queries": ("plain", _ruled("no-run", criteria={"allOf": [{"query": "traces | wehre 1"}]})),
    "last_run": ("plain", _relogged(result="failed")),
    "version": ("plain", _relogged(app_version="0.0.1")),
    "identity": (
        "plain",
        _relogged(
            tokens=[
                {"identity": "5a1e0000-0000-4000-8000-00000000dead", "expires_at": "2026-12-01T00:00:00Z"}
            ]
        ),
    ),
    "slices": ("queue", _relogged(instances=("one", "one"))),
    "queue_log": ("queue", _polled),
}


def test_every_row_is_broken_once() -> None:
    assert BREAKS.keys() == {row.key for row in ROWS}


@pytest.mark.parametrize("key", BREAKS)
def test_a_row_fails_when_its_thing_is_broken(stages: Stages, key: str) -> None:
    variant, broken = BREAKS[key]
    stage = stages(variant)
    assert stage.seen(key).result == "held"
    broken(stage)
    assert stage.seen(key).result == "failed"


def test_names_are_judged_only_inside_the_network(stages: Stages) -> None:
    stage = stages("closed-network-queue")
    stage.addresses |= {service: ["20.50.2.1"] for service in ("blob", "queue", "table", "vault")}
    assert stage.seen("private_names").result == "not_tried"


def test_a_template_of_another_compiler_version_is_the_same(stages: Stages) -> None:
    stage = stages()
    compiled = json.dumps(template(INFRA)).replace('"templateHash": "', '"templateHash": "1')
    stage.stored("Microsoft.Resources/deployments")["template"] = json.loads(compiled)
    assert stage.seen("template").result == "held"


def test_a_queue_log_without_messages_fails(stages: Stages) -> None:
    stage = stages("queue")
    workspace = stage.stored("Microsoft.OperationalInsights/workspaces")["id"]
    stage.cloud.logs.at(workspace).tables["StorageQueueLogs"].clear()
    assert stage.seen("queue_log").result == "failed"


def test_a_real_run_holds_what_its_log_line_proves(stages: Stages) -> None:
    stage = stages(runs=False)
    handler, logger = LogHandler(stage.cloud.logs.of(stage.fleet.component)), logging.getLogger("git_refresh")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        run_app({**os.environ, **stage.app.settings}, next_run=datetime.now(UTC) + timedelta(minutes=15))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert [stage.seen(key).result for key in ("last_run", "version", "identity")] == ["held"] * 3


# The command


def test_the_command_prints_each_row_and_each_trial_and_fails_with_one(stages: Stages) -> None:
    stage = stages()
    code, found, _ = stage.command(*OPTIONS)
    assert (code, found["version"], found["result"], found["failed"]) == (0, 1, "ok", 0)
    assert [row["row"] for row in found["rows"]] == [each.key for each in (*ROWS, *TRIALS)]
    assert {row["row"] for row in found["rows"] if row["command"]} == {trial.key for trial in TRIALS}
    _disable(stage)
    code, found, _ = stage.command(*OPTIONS)
    assert (code, found["result"], found["failed"]) == (1, "failed", 1)


def test_people_are_shown_a_table_and_what_to_type(stages: Stages) -> None:
    shown = warm.run(*OPTIONS, environ=stages().environ, program="tools.prove").stdout.decode()
    lines = [line.split()[0] for line in shown.splitlines() if line.strip()]
    assert {row.key for row in ROWS} <= set(lines)
    assert all(trial.command in shown for trial in TRIALS)


def test_nothing_is_written(stages: Stages) -> None:
    stage = stages("closed-network-queue")
    before = len(stage.cloud.requests)
    assert stage.command(*OPTIONS)[1]["held"] > 0
    sent = {(request.method, request.path.rpartition("/")[2]) for request in stage.cloud.requests[before:]}
    assert {(method, end) for method, end in sent if method != "GET"} == {
        ("POST", "list"),
        ("POST", "exportTemplate"),
        ("POST", "query"),
    }


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_name_id_host_or_address_is_shown(stages: Stages, options: tuple[str, ...]) -> None:
    stage = stages("zones")
    stage.app.settings["WORKSPACES"] = stage.app.settings["WORKSPACES"].replace(
        "/Repos/etl/prod", "/Shared/secret-plan"
    )
    for broken in (
        _role,
        _set(AZURE_CLIENT_ID="5a1e0000-0000-4000-8000-00000000beef"),
        _relogged(result="failed", app_version="10.0.0.7"),
    ):
        broken(stage)
    done = warm.run(*OPTIONS, *options, environ=stage.environ, program="tools.prove")
    shown = (done.stdout + done.stderr).decode().lower()
    assert done.returncode == 1
    cloud, app = stage.cloud, stage.app
    planted = {app.name, app.group.name, app.group.subscription.subscription_id, app.group.subscription.name}
    planted |= {
        cloud.identity.client_id,
        cloud.identity.object_id,
        "finance",
        "research",
        "contoso",
        "beef",
        "10.0.0.7",
    }
    planted |= {"secret-plan", "data-1", "azuredatabricks.net", "dev.azure.com", "oncall@"}
    assert {name for name in planted if name.lower() in shown} == set()


def test_a_name_has_one_mask_wherever_it_is() -> None:
    masks = Masks()
    masks.add("app", ["func-a", "func-a-b"])
    text = "Func-A, func-a-b, func-a; 5A1E0000-0000-4000-8000-000000000001 at x.vault.azure.net, 10.1.2.3, fd00::1, a.b@c.com"
    assert masks.masked(text) == "app-1, app-2, app-1; id-1 at host-1, address-2, address-3, address-1"
    assert masks.masked("5a1e0000-0000-4000-8000-000000000001") == "id-1"


# Bad input


def test_an_app_of_others_is_refused(stages: Stages) -> None:
    stage = stages()
    stage.app.tags.pop("azd-service-name")
    assert stage.command(*OPTIONS)[0] == 0
    stage.app.settings = {"MINE": "1"}
    code, found, _ = stage.command(*OPTIONS)
    assert (code, found["error"]["code"]) == (2, "not_a_git_refresh_app")
    assert APP not in json.dumps(found)


def test_an_app_without_code_and_list_fails_where_it_lacks_them(stages: Stages) -> None:
    stage = stages(runs=False)
    _removed("Microsoft.Web/sites/functions")(stage)
    stage.app.settings.pop("WORKSPACES")
    stage.app.settings[PAUSE] = "true"
    code, found, _ = stage.command(*OPTIONS)
    results = {row["row"]: row["result"] for row in found["rows"]}
    assert code == 1
    assert {row for row, result in results.items() if result == "failed"} == {"functions"}
    assert (
        results["settings"]
        == results["last_run"]
        == results["not_paused"]
        == results["alert_rules"]
        == "not_tried"
    )


def test_a_reader_lacks_permissions_and_no_row_fails(stages: Stages) -> None:
    code, found, _ = stages(role="Reader").command(*OPTIONS)
    denied = {row["row"] for row in found["rows"] if "lack the permission" in row["seen"]}
    assert (code, found["failed"]) == (0, 0)
    assert {"template", "settings", "host_settings"} <= denied


def test_who_may_read_the_app_alone_sees_no_row_fail(stages: Stages) -> None:
    stage = stages()
    stage.app.group.subscription.unassign(stage.person.object_id)
    stage.app.assign(stage.person.object_id, "Website Contributor")
    code, found, _ = stage.command(*OPTIONS)
    assert (code, found["failed"]) == (0, 0)
    held = {row["row"] for row in found["rows"] if row["result"] == "held"}
    assert held == {"functions", "settings", "not_paused", "publishing"}
    assert "contoso" not in json.dumps(found)


def test_without_a_kept_deployment_rows_that_need_it_are_not_tried(stages: Stages) -> None:
    stage = stages()
    _removed("Microsoft.Resources/deployments")(stage)
    code, found, _ = stage.command(*OPTIONS)
    unknown = {row["row"] for row in found["rows"] if "keeps no deployment" in row["seen"]}
    assert code == 0
    assert {"template", "instances", "locks", "roles"} <= unknown


@pytest.mark.parametrize(
    "odd", [None, [], "x", {"enabled": "x", "outputs": [], "windowSize": 1, "scopes": [1]}]
)
def test_an_odd_answer_ends_no_command(stages: Stages, odd: object) -> None:
    stage = stages()
    for body in stage.app.group.stored.values():
        body["properties"] = odd
    for resource in (stage.app, stage.fleet.component, *stage.app.group.alert_rules):
        resource.more |= {"identity": odd, "properties": odd if isinstance(odd, dict) else {}}
    code, found, _ = stage.command(*OPTIONS)
    assert (code, found["result"]) == (1, "failed")


def test_rights_on_the_group_alone_show_its_roles(stages: Stages) -> None:
    stage = stages()
    stage.app.group.subscription.unassign(stage.person.object_id)
    stage.app.group.assign(stage.person.object_id, "Contributor")
    seen = stage.seen("roles")
    assert seen.result == "held"
    assert "could not be read" in seen.text


def test_the_role_on_a_vault_elsewhere_is_read_there(stages: Stages) -> None:
    stage = stages("existing")
    subscription = stage.app.group.subscription
    subscription.unassign(stage.person.object_id)
    stage.app.group.assign(stage.person.object_id, "Contributor")
    assert stage.seen("roles").result == "not_tried"
    subscription.group("rg-contoso").assign(stage.person.object_id, "Reader")
    assert stage.seen("roles").result == "held"


@pytest.mark.parametrize(
    "options", [("--group", "rg-other", "--app", APP), ("--group", GROUP, "--app", "func-other")]
)
def test_an_app_that_is_not_there_is_diagnosed(stages: Stages, options: tuple[str, ...]) -> None:
    code, found, _ = stages().command(*options)
    assert (code, found["error"]["code"]) == (2, "function_app_not_found")


def test_an_app_in_another_subscription_is_named_on_stderr(stages: Stages, tmp_path: Path) -> None:
    stage = stages()
    stage.cloud.resource_manager.subscription("other").assign(stage.person.object_id, "Reader")
    az = stage.person.sign_in(tmp_path / "other", subscription="other")
    environ = stage.environ | {"PATH": f"{az}:{stage.environ['PATH']}"}
    done = warm.run(*OPTIONS, environ=environ, program="tools.prove")
    assert (done.returncode, done.stdout) == (2, b"")
    assert stage.app.group.subscription.subscription_id in done.stderr.decode()


def test_who_is_not_signed_in_is_told_so(stages: Stages, tmp_path: Path) -> None:
    az = tmp_path / "signed-out" / "az"
    az.parent.mkdir()
    az.write_text("#!/bin/sh\necho \"Please run 'az login' to setup account.\" >&2; exit 1\n")
    az.chmod(0o755)
    stage = stages()
    stage.environ["PATH"] = f"{az.parent}:{stage.environ['PATH']}"
    code, found, _ = stage.command(*OPTIONS)
    assert code == 2
    assert "az login" in found["error"]["remedy"]


@pytest.mark.parametrize("options", [(), ("--group", GROUP), ("--group", "a/b", "--app", APP)])
def test_wrong_usage_asks_nothing(stages: Stages, options: tuple[str, ...]) -> None:
    stage = stages()
    before = len(stage.cloud.requests)
    assert stage.command(*options)[0] == 2
    assert len(stage.cloud.requests) == before
