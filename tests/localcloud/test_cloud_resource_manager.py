from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from localcloud import Cloud, Fault, faults, refusals, seed, seed_ungranted
from localcloud.authority import GRAPH_RESOURCE, MANAGEMENT_RESOURCE, OTHER_TENANT, TENANT
from localcloud.fleet import PAUSE
from localcloud.people import Person
from localcloud.resource_manager import COMPONENTS, ROLES, RULES, SITES, FunctionApp, Scope

VERSIONS = {SITES: "2025-03-01", RULES: "2026-03-01", COMPONENTS: "2020-02-02"}
NOBODY = "5a1e0000-0000-4000-8000-0000000000ff"


@dataclass
class Manager:
    """Azure Resource Manager for one caller."""

    session: requests.Session
    token: str

    def __call__(
        self, method: str, path: str, body: object = None, *, version: str = "2025-03-01"
    ) -> requests.Response:
        return self.session.request(
            method,
            f"https://management.azure.com{path}",
            params={"api-version": version} if version else {},
            headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
            json=body,
            timeout=10,
        )

    def settings(self, app: FunctionApp) -> requests.Response:
        return self("POST", f"{app.id}/config/appsettings/list")

    def save(self, app: FunctionApp, settings: object) -> requests.Response:
        return self("PUT", f"{app.id}/config/appsettings", {"properties": settings})


@pytest.fixture
def app(cloud: Cloud) -> FunctionApp:
    return cloud.resource_manager.subscription("production").group("rg").function_app("Func-A", {"A": "1"})


@pytest.fixture
def api(session: requests.Session, ada: Person) -> Manager:
    return Manager(session, ada.token(MANAGEMENT_RESOURCE))


@pytest.fixture
def contributor(api: Manager, ada: Person, app: FunctionApp) -> Manager:
    app.group.assign(ada.object_id, "Website Contributor")
    return api


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def names(answer: requests.Response) -> list[str]:
    return [each["name"] for each in answer.json()["value"]]


# Settings


def test_saving_replaces_all_settings_and_restarts_the_app(contributor: Manager, app: FunctionApp) -> None:
    restarted: list[int] = []
    app.on_save = lambda: restarted.append(app.restarts)
    assert contributor.settings(app).json()["properties"] == {"A": "1"}
    assert contributor.save(app, {"B": "2"}).json()["properties"] == {"B": "2"}
    assert contributor.settings(app).json()["properties"] == app.settings == {"B": "2"}
    assert (app.saved, restarted) == ([{"B": "2"}], [1])


def test_of_two_that_save_at_once_one_wins_whole(contributor: Manager, app: FunctionApp) -> None:
    wanted = [{f"S{number}": str(number), "A": str(number)} for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda settings: Manager(requests.Session(), contributor.token).save(app, settings), wanted
            )
        )
    assert all(answer.ok for answer in answers)
    assert app.settings in wanted
    assert sorted(map(str, app.saved)) == sorted(map(str, wanted))


def test_somebody_else_can_save_between_a_read_and_a_write(
    cloud: Cloud, contributor: Manager, app: FunctionApp
) -> None:
    seen: list[dict[str, str]] = []

    def other() -> None:
        seen.append(dict(app.settings))
        app.settings["C"] = "3"

    cloud.inject(Fault(faults.before(other), service="resource_manager", method="POST", nth=2))
    answers = [contributor.settings(app).json()["properties"] for _ in range(3)]
    assert answers == [{"A": "1"}, {"A": "1", "C": "3"}, {"A": "1", "C": "3"}]
    assert (seen, app.restarts) == ([{"A": "1"}], 0)


def test_a_lost_answer_has_saved_all_the_same(cloud: Cloud, contributor: Manager, app: FunctionApp) -> None:
    cloud.inject(Fault(faults.act_then(faults.reset()), method="PUT", times=1))
    with pytest.raises(requests.ConnectionError):
        contributor.save(app, {"B": "2"})
    assert (app.settings, app.restarts) == ({"B": "2"}, 1)


@pytest.mark.parametrize("settings", [None, [], {"A": None}, {"A": 1}, {"A": {"B": "C"}}])
def test_settings_are_texts(contributor: Manager, app: FunctionApp, settings: object) -> None:
    answer = contributor.save(app, settings)
    assert (answer.status_code, answer.json()["Code"]) == (400, "BadRequest")
    assert app.restarts == 0


def test_a_body_is_json(contributor: Manager, app: FunctionApp) -> None:
    assert code(contributor("PUT", f"{app.id}/config/appsettings", [1])) == (400, "InvalidRequestContent")


def test_nothing_is_saved_while_another_operation_is_in_progress(
    contributor: Manager, app: FunctionApp
) -> None:
    app.busy = True
    answer = contributor.save(app, {})
    assert (answer.status_code, answer.json()["Code"]) == (409, "Conflict")
    assert (app.settings, app.restarts) == ({"A": "1"}, 0)


@pytest.mark.parametrize("name", refusals.RESOURCE_MANAGER)
def test_each_refusal_has_a_code(cloud: Cloud, contributor: Manager, app: FunctionApp, name: str) -> None:
    cloud.inject(Fault(refusals.RESOURCE_MANAGER[name](), service="resource_manager"))
    answer = contributor.settings(app)
    body = answer.json()
    assert answer.status_code in {409, 429}
    assert ("Retry-After" in answer.headers) == (
        body.get("error", {}).get("code") == "ResourceRequestsThrottled"
    )
    assert body.get("Code", "Conflict") == "Conflict"


# Lists and look-ups


def test_each_sees_subscriptions_of_the_tenant_with_a_role_of_theirs(
    cloud: Cloud, session: requests.Session, app: FunctionApp, ada: Person
) -> None:
    manager = cloud.resource_manager
    manager.subscription("without a role")
    foreign = manager.subscription("foreign", OTHER_TENANT)
    foreign.assign(ada.object_id, "Reader")
    app.assign(ada.object_id, "Reader")
    for tenant, name in ((TENANT, "production"), (OTHER_TENANT, "foreign")):
        api = Manager(session, ada.token(MANAGEMENT_RESOURCE, tenant))
        (found,) = api("GET", "/subscriptions", version="2022-12-01").json()["value"]
        assert (found["displayName"], found["tenantId"]) == (name, tenant)


def test_a_list_comes_in_pages(cloud: Cloud, contributor: Manager, app: FunctionApp) -> None:
    cloud.resource_manager.page = 2
    for number in range(4):
        app.group.function_app(f"func-{number}")
    path, found = f"{app.group.subscription.id}/providers/Microsoft.Web/sites", []
    url: str | None = f"https://management.azure.com{path}?api-version=2025-03-01"
    while url:
        answer = contributor.session.get(
            url, headers={"Authorization": f"Bearer {contributor.token}"}, timeout=10
        )
        found.append(names(answer))
        url = answer.json().get("nextLink")
    assert found == [["Func-A", "func-0"], ["func-1", "func-2"], ["func-3"]]


def test_a_list_of_a_group_has_its_own_alone(contributor: Manager, app: FunctionApp) -> None:
    other = app.group.subscription.group("other").function_app("func-other")
    assert names(contributor("GET", f"{app.group.id}/providers/Microsoft.Web/sites")) == [app.name]
    assert names(contributor("GET", f"{app.group.subscription.id}/providers/Microsoft.Web/sites")) == [
        app.name
    ]
    denied = contributor("GET", f"{other.group.id}/providers/Microsoft.Web/sites")
    assert code(denied) == (403, "AuthorizationFailed")


def test_letters_of_a_path_can_be_small_or_capital(contributor: Manager, app: FunctionApp) -> None:
    for path in (app.id.lower(), app.id.upper()):
        assert contributor("GET", path).json()["name"] == "Func-A"


def test_an_id_leads_to_its_resource(cloud: Cloud, app: FunctionApp) -> None:
    assert cloud.resource_manager.find(app.id.upper()) is app
    assert cloud.resource_manager.find(f"{app.id}-2") is None
    assert cloud.resource_manager.find("/subscriptions/none") is None


def test_a_list_of_sites_has_no_settings(contributor: Manager, app: FunctionApp) -> None:
    app.settings["WORKSPACES"] = "planted-value"
    assert "planted-value" not in contributor("GET", app.id).text
    app.group.remove(app)
    assert code(contributor("GET", app.id)) == (404, "ResourceNotFound")


# Roles


type Operation = tuple[str, str, object]
READ: Operation = ("GET", "", None)
LIST: Operation = ("POST", "/config/appsettings/list", None)
SAVE: Operation = ("PUT", "/config/appsettings", {"properties": {}})


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("Reader", [READ]),
        ("Monitoring Reader", [READ]),
        ("Log Analytics Reader", [READ]),
        ("Monitoring Contributor", [READ]),
        ("Website Contributor", [READ, LIST, SAVE]),
        ("Contributor", [READ, LIST, SAVE]),
        ("Owner", [READ, LIST, SAVE]),
    ],
)
@pytest.mark.parametrize(
    "where",
    [lambda app: app, lambda app: app.group, lambda app: app.group.subscription],
    ids=["app", "group", "subscription"],
)
def test_each_role_may_do_this_to_an_app(
    api: Manager,
    ada: Person,
    app: FunctionApp,
    role: str,
    may: list[Operation],
    where: Callable[[FunctionApp], Scope],
) -> None:
    where(app).assign(ada.object_id, role)
    for method, path, body in (READ, LIST, SAVE):
        answer = api(method, app.id + path, body)
        if (method, path, body) in may:
            assert answer.status_code == 200
        else:
            assert code(answer) == (403, "AuthorizationFailed")
            assert "Microsoft.Web/sites/config/" in answer.json()["error"]["message"]
    where(app).unassign(ada.object_id)
    assert code(api("GET", app.id)) == (403, "AuthorizationFailed")


@pytest.mark.parametrize("role", ROLES)
def test_alert_rules_take_a_role_of_their_own(api: Manager, ada: Person, app: FunctionApp, role: str) -> None:
    rule = app.group.alert_rule("failed", enabled=False)
    app.group.assign(ada.object_id, role)
    body = {"properties": {"enabled": True}}
    may = role in {"Owner", "Contributor", "Monitoring Contributor"}
    answer = api("PATCH", rule.id, body, version=VERSIONS[RULES])
    assert (answer.status_code, rule.enabled) == ((200, True) if may else (403, False))
    reads = api("GET", rule.id, version=VERSIONS[RULES])
    assert reads.status_code == (403 if role == "Website Contributor" else 200)


def test_who_may_nothing_is_not_told_what_exists(api: Manager, app: FunctionApp) -> None:
    for path in (app.id, f"{app.id}-2", f"{app.group.id}-2/providers/Microsoft.Web/sites/x"):
        assert code(api("GET", path)) == (403, "AuthorizationFailed")
    assert api("GET", "/subscriptions", version="2022-12-01").json()["value"] == []


# Refusals


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("{subscription}/resourceGroups/none/providers/Microsoft.Web/sites", 404, "ResourceGroupNotFound"),
        ("{subscription}/resourceGroups/none/providers/Microsoft.Web/sites/a", 404, "ResourceGroupNotFound"),
        ("{group}/providers/Microsoft.Web/sites/none", 404, "ResourceNotFound"),
        (f"/subscriptions/{NOBODY}/providers/Microsoft.Web/sites", 404, "SubscriptionNotFound"),
        ("/subscriptions/production/providers/Microsoft.Web/sites", 400, "InvalidSubscriptionId"),
        ("{group}/providers/Microsoft.Web/none", 404, "InvalidResourceType"),
    ],
)
def test_what_is_not_there_is_not_found(
    api: Manager, ada: Person, app: FunctionApp, path: str, status: int, expected: str
) -> None:
    app.group.subscription.assign(ada.object_id, "Reader")
    path = path.format(subscription=app.group.subscription.id, group=app.group.id)
    assert code(api("GET", path)) == (status, expected)


@pytest.mark.parametrize(
    ("version", "expected"), [("", "MissingApiVersionParameter"), ("1", "InvalidApiVersionParameter")]
)
def test_a_request_names_a_version(
    contributor: Manager, app: FunctionApp, version: str, expected: str
) -> None:
    assert code(contributor("GET", app.id, version=version)) == (400, expected)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("none", "AuthenticationFailed"),
        ("garbage", "InvalidAuthenticationToken"),
        ("for something else", "InvalidAuthenticationTokenAudience"),
        ("lapsed", "ExpiredAuthenticationToken"),
        ("of another tenant", "InvalidAuthenticationTokenTenant"),
    ],
)
def test_a_bad_token_has_its_code(
    contributor: Manager, app: FunctionApp, ada: Person, kind: str, expected: str
) -> None:
    good, foreign = contributor.token, ada.token(MANAGEMENT_RESOURCE, OTHER_TENANT)
    ada.token_lifetime = -1
    lapsed = ada.token(MANAGEMENT_RESOURCE)
    ada.token_lifetime = 60
    tokens = {"none": "", "garbage": f"{good}x", "lapsed": lapsed, "of another tenant": foreign}
    contributor.token = tokens.get(kind, ada.token(GRAPH_RESOURCE))
    answer = contributor("GET", app.id)
    assert code(answer) == (401, expected)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")


@pytest.mark.parametrize(
    "resource", ["https://management.core.windows.net/", "https://management.azure.com/"]
)
def test_each_audience_is_taken(contributor: Manager, app: FunctionApp, ada: Person, resource: str) -> None:
    contributor.token = ada.token(resource)
    assert contributor("GET", app.id).status_code == 200


# Read-only resources


LOCKS, ASSIGNMENTS = "Microsoft.Authorization/locks", "Microsoft.Authorization/roleAssignments"


def stored(app: FunctionApp, below: str, kind: str, name: str, **more: object) -> str:
    found = {"id": f"{below}/providers/{kind}/{name}", "name": name, "type": kind, "properties": more}
    return str(app.group.store(found)["id"])


def test_a_reader_reads_locks_and_roles_at_above_and_below(
    api: Manager, ada: Person, app: FunctionApp
) -> None:
    app.group.subscription.assign(ada.object_id, "Reader")
    lock = stored(app, app.id, LOCKS, "one")
    for below in (app.group.subscription.id, app.group.id, app.id):
        stored(app, below, ASSIGNMENTS, f"of-{below.count('/')}", principalId=NOBODY)
    stored(app, app.id, ASSIGNMENTS, "another", principalId=ada.object_id)
    assert api("GET", lock.upper(), version="2020-05-01").json()["name"] == "one"
    assert names(api("GET", f"{app.id}/providers/{LOCKS}", version="2020-05-01")) == ["one"]
    assert names(api("GET", f"{app.group.id}/providers/{LOCKS}", version="2020-05-01")) == []
    query = f"{app.group.id}/providers/{ASSIGNMENTS}?$filter=principalId eq '{NOBODY}'"
    assert len(names(api("GET", query, version="2022-04-01"))) == 3
    assert code(api("GET", f"{lock}-2", version="2020-05-01")) == (404, "ResourceNotFound")
    assert code(api("GET", lock, version="2016-09-01")) == (400, "InvalidApiVersionParameter")
    unknown = f"{app.group.id}/providers/Microsoft.Other/things/x"
    assert code(api("GET", unknown)) == (404, "InvalidResourceType")
    assert code(api("GET", f"{app.group.id}-2/providers/{LOCKS}/x", version="2020-05-01")) == (
        404,
        "ResourceGroupNotFound",
    )


def test_a_template_is_exported_to_whoever_may_do_more_than_read(
    api: Manager, ada: Person, app: FunctionApp
) -> None:
    kind = "Microsoft.Resources/deployments"
    path = f"{app.group.id}/providers/{kind}/git-refresh"
    app.group.store({"id": path, "name": "git-refresh", "type": kind, "properties": {}, "template": {"a": 1}})
    app.group.assign(ada.object_id, "Reader")
    assert "template" not in api("GET", path, version="2025-04-01").json()
    assert code(api("POST", f"{path}/exportTemplate", version="2025-04-01")) == (403, "AuthorizationFailed")
    app.group.assign(ada.object_id, "Contributor")
    exported = api("POST", f"{path}/exportTemplate", version="2025-04-01")
    assert exported.json() == {"template": {"a": 1}}


# Fleets


def test_a_fleet_has_an_app_with_its_settings_and_its_logs(cloud: Cloud, session: requests.Session) -> None:
    fleet, ada = seed(cloud), cloud.person("ada")
    fleet.app.group.assign(ada.object_id, "Website Contributor")
    api = Manager(session, ada.token(MANAGEMENT_RESOURCE))
    settings = api.settings(fleet.app).json()["properties"]
    assert fleet.settings.items() <= settings.items()
    assert settings.keys() - fleet.settings.keys() >= {"AzureWebJobsStorage__accountName"}
    component = api("GET", fleet.app.id).json()["tags"]["hidden-link: /app-insights-resource-id"]
    found = api("GET", component, version=VERSIONS[COMPONENTS]).json()
    assert (found["id"], found["kind"]) == (component, "web")
    assert {rule.enabled for rule in fleet.app.group.alert_rules} == {True}


def test_an_app_that_nobody_has_given_a_list_is_paused_and_quiet(
    cloud: Cloud, session: requests.Session
) -> None:
    fleet = seed_ungranted(cloud)
    api = Manager(session, fleet.admin.token(MANAGEMENT_RESOURCE))
    settings = api.settings(fleet.app).json()["properties"]
    assert "WORKSPACES" not in settings
    assert settings[PAUSE] == "true"
    rules = api("GET", f"{fleet.app.group.id}/providers/{RULES}", version=VERSIONS[RULES]).json()["value"]
    assert {rule["properties"]["enabled"] for rule in rules} == {False}
