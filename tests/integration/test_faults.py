"""Any fault of a service: the run ends and reports it, and only its part of the fleet fails.

Limits are a second or two, so hanging services fail soon. A test that hangs is stopped by its timeout.
"""

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from git_refresh import app
from git_refresh.clients import databricks, oauth
from git_refresh.run.fleet import MAX_PARALLEL_FOLDERS
from git_refresh.run.report import Report
from git_refresh.settings.load import load
from localcloud import Cloud, Connect, Fault, Fleet, faults, seed
from localcloud.faults import NAMED
from tests.support.app import run_app
from tests.support.embedded_cloud import embedded_cloud
from tests.support.failure_kinds import ONE_OF_EACH
from tests.support.short_limits import shorten

pytestmark = pytest.mark.timeout(60)
Run = Callable[..., Report]

CODES = {
    "accepts and hangs": "timeout",
    "drips its body": "timeout",
    "drips its headers": "timeout",
    "resets the connection": "connection_lost",
    "refuses the connection": "workspace_unreachable",
    "has another host's certificate": "workspace_unreachable",
    "has nobody's certificate": "workspace_unreachable",
    "throttles for an hour": "throttled",
    "answers 500 in JSON": "service_unavailable",
    "answers 502 in HTML": "service_unavailable",
    "answers 503 in plain text": "service_unavailable",
    "answers 200 in HTML": "unexpected_answer",
    "answers 200 with wrong types": "unexpected_answer",
    "answers 10 MB": "answer_too_large",
    "redirects elsewhere": "unexpected_answer",
}
"""The code for each fault during a workspace's authentication or its requests for credentials."""

UNREACHABLE = ("refuses the connection", "has another host's certificate", "has nobody's certificate")
VAULT_CODES = CODES | dict.fromkeys(
    (*UNREACHABLE, "resets the connection", "accepts and hangs", "drips its body", "drips its headers"),
    "key_vault_unreachable",
)


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit each wait to 2.5 seconds, and the run to 7."""
    shorten(monkeypatch, limit_s=2.5, budget_s=7)


@pytest.fixture
def run(fleet: Fleet) -> Run:
    def run(**changes: str) -> Report:
        return run_app({**os.environ, **fleet.settings, **changes})

    return run


@pytest.fixture
def one(fleet: Fleet) -> dict[str, str]:
    """Return settings of the first workspace, with a folder to check and one to create."""
    entry = json.loads(fleet.settings["WORKSPACES"])[0]
    return {"WORKSPACES": json.dumps([entry])}


def told(report: Report) -> list[str]:
    """Return the codes of all failures; none is an internal error or lacks cause or remedy."""
    found = [error for workspace in report.workspaces for _, error in workspace.failures()]
    assert all(error.message and error.cause and error.remedy for error in found)
    assert not [error for error in found if error.code == "internal_error"], found
    assert "evil.example" not in json.dumps(report.as_dict())
    return [error.code for error in found]


ROUTES = (
    "^/api/2.0/git-credentials",
    "^/api/2.0/repos",
    "^/api/2.0/repos/",
    "^/api/2.0/workspace",
    "^/api/2.0/workspace/get-status",
    "^/api/2.0/workspace/list",
)


@pytest.mark.parametrize(
    ("route", "what"), [*(("^/oidc/", what) for what in NAMED), *itertools.product(ROUTES, ONE_OF_EACH)]
)
def test_a_workspace_that(cloud: Cloud, fleet: Fleet, run: Run, what: str, route: str) -> None:
    action = NAMED[what]()
    cloud.inject(Fault(action, service="databricks", route=None if isinstance(action, Connect) else route))
    fleet.workspaces[0].add_folder("/Shared/team/one", fleet.repositories[0])
    entry = json.loads(fleet.settings["WORKSPACES"])[0]
    report = run(WORKSPACES=json.dumps([entry | {"folders": [*entry["folders"], "/Shared/team/*"]}]))
    assert report.result == "failed"
    codes = told(report)
    assert codes
    if route in {"^/oidc/", "^/api/2.0/git-credentials"} and what in CODES:
        assert codes == [CODES[what]]
    assert report.duration_s < 30, "it ends at all; how soon is for the benchmark to say"
    assert not [host for host in cloud.refused if "evil" in host]
    credential = report.workspaces[0].credential
    assert credential
    if route.startswith(("^/api/2.0/repos", "^/api/2.0/workspace")):
        assert credential.action == "created", "a fault of folders does not touch the credential"
    else:
        assert credential.action == "failed"


@pytest.mark.parametrize(
    ("service", "what"),
    [*(("keyvault", what) for what in NAMED), *itertools.product(["identity", "devops"], ONE_OF_EACH)],
)
def test_a_shared_service_that(cloud: Cloud, run: Run, one: dict[str, str], service: str, what: str) -> None:
    action = NAMED[what]()
    # A workspace runs git, not the app; the app uses Azure DevOps' REST API only.
    route = "/_apis/" if service == "devops" and not isinstance(action, Connect) else None
    cloud.inject(Fault(action, service=service, route=route))
    report = run(**one)
    codes = told(report)
    if service == "keyvault" and what in VAULT_CODES:
        assert set(codes) == {VAULT_CODES[what]}
    (found,) = report.workspaces
    assert found.credential
    assert not [host for host in cloud.refused if "evil" in host]
    if service == "devops":
        assert found.credential.action == "created", (
            "what is no rejection does not keep the token from being stored"
        )
    else:
        assert (report.result, found.credential.action) == ("failed", "failed")


def beside(
    bad: dict[int, faults.Action | Connect], number: int, limit_s: float, patch: pytest.MonkeyPatch
) -> None:
    """Break some of many workspaces, each in its way, and check that only those fail."""
    shorten(patch, limit_s=limit_s, budget_s=3 * limit_s)
    with embedded_cloud(patch) as cloud:
        fleet = seed(cloud, number)
        hosts = {fleet.workspaces[index].host: f"data-{index + 1}" for index in bad}
        for index, action in bad.items():
            cloud.inject(Fault(action, host=fleet.workspaces[index].host))
        report = run_app({**os.environ, **fleet.settings})
    assert report.result == "failed"
    assert {found.host: found.result for found in report.workspaces if found.result != "ok"} == {
        f"https://{host}": "failed" for host in hosts
    }
    assert len(told(report)) == len(bad)
    assert next(iter(hosts.values())) in report.summary()
    assert {ws.host for ws in fleet.workspaces if not ws.credentials} == {*hosts}


@pytest.mark.parametrize("what", ["accepts and hangs", "answers 200 with wrong types"])
def test_forty_nine_workspaces_are_fresh_beside_one_that(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    beside({16: NAMED[what]()}, 50, 12, monkeypatch)


def test_workspaces_that_fail_in_every_way_keep_no_other_from_being_fresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad = {2 * number: make() for number, make in enumerate(NAMED.values())}
    beside(bad, 2 * len(bad), 8, monkeypatch)


def test_pages_that_never_end_are_given_up(
    cloud: Cloud, run: Run, one: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "load", lambda environ: replace(load(environ), timeout_s=50.0))
    cloud.inject(Fault(faults.endless_pages(), service="databricks", route="^/api/2.0/repos$", method="GET"))
    report = run(**one)
    assert report.workspaces[0].credential
    assert report.workspaces[0].credential.action == "created"
    told(report)
    pages = [
        request for request in cloud.requests if request.method == "GET" and request.path == "/api/2.0/repos"
    ]
    assert len(pages) == 200, "twice what a workspace may hold"


@pytest.mark.parametrize("loss", ["hang", "reset"])
@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("POST", "^/api/2.0/git-credentials$"),
        ("POST", "^/api/2.0/repos$"),
        ("POST", "^/api/2.0/workspace/mkdirs$"),
    ],
)
def test_work_with_a_lost_response_is_found_and_not_done_twice(
    cloud: Cloud, fleet: Fleet, run: Run, one: dict[str, str], loss: str, method: str, route: str
) -> None:
    lost = faults.act_then(getattr(faults, loss)())
    cloud.inject(Fault(lost, service="databricks", method=method, route=route, nth=1))
    run(**one)
    report = run(**one)
    assert report.result == "ok", report.summary()
    (stored,) = fleet.workspaces[0].credentials
    assert stored.token
    assert [folder.path for folder in fleet.workspaces[0].folders] == [
        "/Repos/etl/prod",
        "/Repos/reports/prod",
    ]
    creations = [
        r for r in cloud.requests if r.method == "POST" and r.path.endswith(("/repos", "/git-credentials"))
    ]
    assert len(creations) == 2, "one credential and one clone, each asked for once"


def test_a_short_throttle_is_waited_for(
    cloud: Cloud, run: Run, one: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "SIGN_IN_LIMIT", 5.0)
    cloud.inject(
        Fault(faults.status(429, headers={"Retry-After": "1"}), service="databricks", route="^/oidc/", nth=1)
    )
    assert run(**one).result == "ok"


def test_a_passing_failure_is_not_even_noticed(
    cloud: Cloud, run: Run, one: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "SIGN_IN_LIMIT", 5.0)
    for name in ("CREDENTIAL_LIMIT", "LOOKUP_LIMIT"):
        monkeypatch.setattr(databricks, name, 5.0)
    cloud.inject(Fault(faults.status(503, "busy"), service="databricks", method="GET", nth=1))
    cloud.inject(Fault(faults.reset(), service="databricks", route="^/oidc/", nth=1))
    assert run(**one).result == "ok"


def test_an_azure_devops_that_hangs_is_not_waited_for_once_a_ref(
    cloud: Cloud, fleet: Fleet, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One wait before the credential, then one for all concurrent folders."""
    shorten(monkeypatch, limit_s=1.5, budget_s=20)
    host = fleet.workspaces[0].url
    etl = fleet.repositories[0]
    for number in range(12):
        fleet.workspaces[0].add_folder(f"/Repos/many/{number}", etl)
        etl.commit({"x": str(number)}, branch=f"branch-{number}")
    folders = [
        {"path": f"/Repos/many/{number}", "url": etl.url, "branch": f"branch-{number}"}
        for number in range(12)
    ]
    cloud.inject(Fault(faults.hang(), service="devops", route="/_apis/"))
    report = run(WORKSPACES=json.dumps([{"host": host, "folders": folders}]))
    assert report.result == "ok", report.summary()
    asked = [request for request in cloud.requests if "/_apis/" in request.path]
    assert 1 < len(asked) <= 1 + MAX_PARALLEL_FOLDERS
    assert {folder.action for folder in report.workspaces[0].folders} == {"updated"}


def test_a_slow_clone_gets_the_run_s_remaining_time(cloud: Cloud, run: Run, one: dict[str, str]) -> None:
    cloud.inject(Fault(faults.delay(2.5), service="databricks", method="POST", route="^/api/2.0/repos$"))
    report = run(**one)
    assert report.result == "ok", report.summary()


def test_a_clone_that_outlasts_its_run_is_reported_and_used_by_the_next(
    cloud: Cloud, fleet: Fleet, run: Run, one: dict[str, str]
) -> None:
    cloud.inject(
        Fault(faults.act_then(faults.hang()), service="databricks", method="POST", route="^/api/2.0/repos$")
    )
    report = run(**one)
    assert report.workspaces[0].credential
    assert report.workspaces[0].credential.action == "created"
    assert set(told(report)) <= {"timeout", "out_of_time"}
    cloud.clear_faults()
    assert run(**one).result == "ok"
    assert len(fleet.workspaces[0].folders) == 2


@pytest.mark.parametrize("route", ["^/oidc/", "^/api/2.0/git-credentials"])
def test_a_slow_answer_to_what_should_be_quick_is_given_up_early(
    cloud: Cloud, run: Run, one: dict[str, str], route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "load", lambda environ: replace(load(environ), timeout_s=50.0))
    cloud.inject(Fault(faults.hang(), service="databricks", route=route))
    report = run(**one)
    assert told(report) == ["timeout"]
    assert report.duration_s < 25, "half of the budget, where a limit of 1.5 s ends it"


def test_a_redirect_of_a_write_is_no_success(
    cloud: Cloud, fleet: Fleet, run: Run, one: dict[str, str]
) -> None:
    run(**one)
    (stored,) = fleet.workspaces[0].credentials
    token = stored.token
    login = faults.status(302, headers={"Location": "/login.html?error=private-link-validation-error:42"})
    cloud.inject(Fault(login, service="databricks", method="PATCH", route="git-credentials"))
    report = run(**one)
    assert told(report) == ["workspace_private_link"]
    assert stored.token == token


def test_a_failed_credential_costs_no_further_principal(cloud: Cloud, fleet: Fleet, run: Run) -> None:
    first = fleet.workspaces[0]
    other = first.service_principal("other-app", "other-secret")
    denied = faults.status(403, {"error_code": "PERMISSION_DENIED", "message": "no"})
    cloud.inject(Fault(denied, service="databricks", method="POST", route="git-credentials", nth=1))
    report = run(WORKSPACES=json.dumps([{"host": first.url, "additional_principal_ids": [other.id]}]))
    assert report.workspaces[0].credential
    assert report.workspaces[0].credential.action == "failed"
    assert told(report)
    assert [credential.principal.id for credential in first.credentials] == [other.id]


def test_a_creation_that_a_failing_service_did_not_do_is_retried(
    cloud: Cloud, run: Run, one: dict[str, str]
) -> None:
    trouble = faults.status(503, "busy")
    cloud.inject(Fault(trouble, service="databricks", method="POST", route="git-credentials", nth=1))
    assert run(**one).result == "ok"


@pytest.mark.parametrize("secret", [True, False], ids=["oauth_secret", "managed_identity"])
def test_a_dead_proxy_is_named_in_every_remedy_and_its_password_in_none(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, *, secret: bool
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://me:hunter2@127.0.0.1:9")
    auth = {} if secret else {"auth": "managed_identity"}
    entries = [{"host": found.url, **auth} for found in fleet.workspaces]
    report = run_app({**os.environ, **fleet.settings, "WORKSPACES": json.dumps(entries)})
    errors = [found.error for found in report.workspaces if found.error is not None]
    assert {error.code for error in errors} == {
        "key_vault_unreachable" if secret else "workspace_unreachable"
    }
    assert len(errors) == len(entries)
    for error in errors:
        assert error.remedy.startswith("Check the proxy 127.0.0.1:9 (HTTPS_PROXY). ")
    assert "hunter2" not in str(report)
