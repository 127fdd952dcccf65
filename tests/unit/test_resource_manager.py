"""Azure Resource Manager's responses without sockets: the place of an app, and lists."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from git_refresh.admin.resource_manager import FunctionApp, ResourceManager, find_app
from git_refresh.admin.values import DiagnosedError
from git_refresh.clients import azure_cli
from git_refresh.clients.responses import Response, UnexpectedAnswerError, read
from git_refresh.clients.rest import Rest
from git_refresh.failures.failure import Attempt, FailureKind, Service, ServiceError
from git_refresh.model.values import RESOURCE_MANAGER
from git_refresh.output.mask import SecretFilter
from tests.support.fakes import failure

ONE, TWO = (f"5a1e0000-0000-4000-8000-00000000000{number}" for number in (1, 2))
SITE = "/providers/Microsoft.Web/sites"


def site(name: str, subscription: str = ONE, tags: Mapping[str, str] | None = None) -> dict[str, Any]:
    id_ = f"/subscriptions/{subscription}/resourceGroups/rg{SITE}/{name}"
    return {"id": id_, "name": name, "kind": "functionapp,linux", "tags": tags}


@dataclass
class FakeRest(Rest):
    """Resource Manager with a response per path, and a record of requests."""

    answers: dict[str, Any]
    sent: list[tuple[str, str, object]] = field(default_factory=list)
    origin: str = RESOURCE_MANAGER
    _service = Service.RESOURCE_MANAGER

    def _call[M: Response](
        self,
        method: str,
        what: Attempt,
        path: str,
        model: type[M],
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        **_: object,
    ) -> tuple[M, str]:
        page = (query or {}).get("$skiptoken", "")
        self.sent.append((method, f"{path}{page}", body))
        answer = self.answers.get(f"{path}{page}", failure(Service.RESOURCE_MANAGER, 404))
        if isinstance(answer, ServiceError):
            raise answer
        try:
            return read(model, answer, SecretFilter()), ""
        except UnexpectedAnswerError:
            raise self.unexpected(what) from None


def sites(*found: dict[str, Any], subscription: str = ONE, **more: str) -> dict[str, Any]:
    return {f"/subscriptions/{subscription}{SITE}": {"value": list(found), **more}}


def test_an_app_is_found_whatever_case_its_name_is_typed_in() -> None:
    component = f"/subscriptions/{ONE}/resourceGroups/rg/providers/Microsoft.Insights/components/c"
    tags = {"Hidden-Link: /app-insights-resource-id": component}
    manager = ResourceManager(FakeRest(sites(site("other"), site("Contoso", tags=tags))))
    app = manager.app("cONTOSO", ONE)
    assert app is not None
    assert (app.name, app.group, app.subscription_id, app.component_id) == ("Contoso", "rg", ONE, component)
    assert manager.component_id(app) == component


@pytest.mark.parametrize("origin", [RESOURCE_MANAGER, f"{RESOURCE_MANAGER}:443"])
def test_an_app_on_a_later_page_is_found(origin: str) -> None:
    following = f"{origin}/subscriptions/{ONE}{SITE}?api-version=2025-03-01&$skiptoken=2"
    answers = sites(site("a"), nextLink=following) | {
        f"/subscriptions/{ONE}{SITE}2": {"value": [site("b")], "nextLink": None}
    }
    assert ResourceManager(FakeRest(answers)).app("b", ONE) is not None


def test_one_of_two_apps_of_a_name_is_never_guessed() -> None:
    second = site("a")
    second["id"] = second["id"].replace("/rg/", "/rg2/")
    manager = ResourceManager(FakeRest(sites(site("a"), second)))
    with pytest.raises(DiagnosedError) as caught:
        find_app(manager, "a", ONE)
    assert caught.value.diagnosis.code == "function_app_ambiguous"
    assert "rg, rg2" in caught.value.diagnosis.message


@pytest.mark.parametrize(
    "following",
    ["https://evil.example/x", f"{RESOURCE_MANAGER}.evil.example/x", f"{RESOURCE_MANAGER}:8443/x", "x"],
)
def test_a_next_page_at_another_address_is_never_asked(following: str) -> None:
    rest = FakeRest(sites(site("a"), nextLink=following))
    with pytest.raises(ServiceError) as caught:
        ResourceManager(rest).app("b", ONE)
    assert (caught.value.failure.kind, len(rest.sent)) == (FailureKind.UNEXPECTED, 1)


def test_a_list_without_end_is_given_up() -> None:
    following = f"{RESOURCE_MANAGER}/subscriptions/{ONE}{SITE}"
    rest = FakeRest(sites(site("a"), nextLink=following))
    with pytest.raises(ServiceError):
        ResourceManager(rest).app("b", ONE)
    assert len(rest.sent) == 50


@pytest.mark.parametrize(
    "id_",
    [
        "https://evil.example/x",
        f"/subscriptions/{ONE}/../x",
        f"/subscriptions/{ONE}/resourceGroups/rg/providers/Microsoft.Web/plans/a",
        f"/subscriptions/{ONE}/resourceGroups/rg{SITE}/a?x=1",
        5,
    ],
)
def test_an_app_whose_id_is_none_is_an_unexpected_response(id_: object) -> None:
    with pytest.raises(ServiceError) as caught:
        ResourceManager(FakeRest(sites({**site("a"), "id": id_}))).app("a", ONE)
    assert caught.value.failure.kind is FailureKind.UNEXPECTED


LISTED = {"/subscriptions": {"value": [{"subscriptionId": ONE}, {"subscriptionId": TWO}]}}
ELSEWHERE = {
    "in another subscription": (
        sites() | sites(site("a", TWO), subscription=TWO),
        ONE,
        "function_app_elsewhere",
    ),
    "nowhere": (sites() | sites(subscription=TWO), ONE, "function_app_not_found"),
    "where nothing may be read": (
        sites() | {f"/subscriptions/{TWO}{SITE}": failure(Service.RESOURCE_MANAGER, 403)},
        ONE,
        "function_app_not_found",
    ),
    "no subscription chosen": (sites() | sites(subscription=TWO), "", "subscription_not_chosen"),
}


@pytest.mark.parametrize(("answers", "chosen", "code"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_an_app_that_is_not_there_is_searched_elsewhere(
    answers: dict[str, Any], chosen: str, code: str
) -> None:
    with pytest.raises(DiagnosedError) as caught:
        find_app(ResourceManager(FakeRest(LISTED | answers)), "a", chosen)
    assert caught.value.diagnosis.code == code
    assert (TWO in caught.value.diagnosis.remedy) == (code == "function_app_elsewhere")


def test_an_app_in_a_named_subscription_is_not_searched_elsewhere() -> None:
    rest = FakeRest(LISTED | sites() | sites(site("a", TWO), subscription=TWO))
    with pytest.raises(DiagnosedError) as caught:
        find_app(ResourceManager(rest), "a", ONE, searches=False)
    assert (caught.value.diagnosis.code, len(rest.sent)) == ("function_app_not_found", 1)


def test_a_token_of_another_tenant_names_the_right_one() -> None:
    message = (
        f"The access token is from the wrong issuer 'https://sts.windows.net/{ONE}/'. It must match the tenant "
        f"'https://sts.windows.net/{TWO}/' associated with this subscription."
    )
    refusal = failure(
        Service.RESOURCE_MANAGER, 401, error_code="InvalidAuthenticationTokenTenant", message=message
    )
    with pytest.raises(ServiceError) as caught:
        ResourceManager(FakeRest({f"/subscriptions/{ONE}{SITE}": refusal})).app("a", ONE)
    assert caught.value.failure.tenant == TWO


APP = FunctionApp(f"/subscriptions/{ONE}/resourceGroups/my rg{SITE}/a", "a", "my rg", ONE)


def test_app_settings_are_replaced_whole_at_the_encoded_address() -> None:
    rest = FakeRest(
        {
            f"/subscriptions/{ONE}/resourceGroups/my%20rg{SITE}/a/config/appsettings/list": {
                "properties": {"A": "1"}
            },
            f"/subscriptions/{ONE}/resourceGroups/my%20rg{SITE}/a/config/appsettings": {"properties": {}},
        }
    )
    manager = ResourceManager(rest)
    assert manager.app_settings(APP) == {"A": "1"}
    manager.set_app_settings(APP, {"A": "2"})
    assert [(method, body) for method, _, body in rest.sent] == [
        ("POST", None),
        ("PUT", {"properties": {"A": "2"}}),
    ]


def az(monkeypatch: pytest.MonkeyPatch, result: Callable[[], bytes]) -> None:
    def run(*_: object, **__: object) -> Any:
        return subprocess.CompletedProcess([], 0, result())

    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/az")
    monkeypatch.setattr(subprocess, "run", run)


def fails(error: Exception) -> Callable[[], bytes]:
    def result() -> bytes:
        raise error

    return result


NOT_CHOSEN = {
    "not signed in": (
        fails(subprocess.CalledProcessError(1, "az", stderr=b"Please run 'az login' to setup account.")),
        FailureKind.SIGNED_OUT,
    ),
    "slow": (fails(subprocess.TimeoutExpired("az", 20)), FailureKind.SLOW),
    "no program": (fails(PermissionError()), FailureKind.BROKEN),
    "no JSON": (lambda: b"hello", FailureKind.BROKEN),
    "other JSON": (lambda: b'{"id": 5}', FailureKind.BROKEN),
}


@pytest.mark.parametrize(("result", "kind"), NOT_CHOSEN.values(), ids=NOT_CHOSEN)
def test_an_azure_cli_that_names_no_subscription_says_why(
    monkeypatch: pytest.MonkeyPatch, result: Callable[[], bytes], kind: FailureKind
) -> None:
    az(monkeypatch, result)
    with pytest.raises(ServiceError) as caught:
        azure_cli.chosen_subscription(20)
    assert caught.value.failure.kind is kind


def test_the_chosen_subscription_is_the_one_that_the_azure_cli_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    az(monkeypatch, f'{{"id": "{ONE.upper()}", "tenantId": "{TWO}"}}'.encode)
    assert azure_cli.chosen_subscription(20) == ONE


def test_a_sign_in_without_subscription_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    az(monkeypatch, f'{{"id": "{TWO}", "tenantId": "{TWO}"}}'.encode)
    assert azure_cli.chosen_subscription(20) == ""
