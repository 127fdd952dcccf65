"""Hostile services, proxies and machines that affect more than one response."""

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from git_refresh.run.report import Report
from localcloud import Cloud, Connect, Fault, Fleet, faults, seed
from localcloud.authority import DEVOPS_RESOURCE, VAULT_RESOURCE
from localcloud.proxy import ProxyTls
from tests.support import warm
from tests.support.app import run_app
from tests.support.hostile import Plain
from tests.support.mutations import Endless, Header, Json, Mark, mutate
from tests.support.short_limits import shorten

Run = Callable[..., Report]


def pull_all_below(fleet: Fleet) -> dict[str, str]:
    entry = {"host": fleet.workspaces[0].url, "name": "data-1", "folders": ["/Repos/etl/*"]}
    return {"WORKSPACES": json.dumps([entry])}


@pytest.mark.parametrize(
    "url",
    [
        "https://marketplace.visualstudio.com/Data%20Platform/_git/etl",
        "https://x.tunnels.api.visualstudio.com/contoso/Data%20Platform/_git/etl",
        "https://git.contoso.example/contoso/Data%20Platform/_git/etl",
        "https://git.contoso.example:8443/contoso/Data%20Platform/_git/etl",
        "https://dev.azure.com:8443/contoso/Data%20Platform/_git/etl",
        "https://dev.azure.com.evil.example/contoso/Data%20Platform/_git/etl",
    ],
)
def test_a_token_goes_to_no_repository_that_only_a_workspace_names(
    cloud: Cloud, fleet: Fleet, run: Run, url: str
) -> None:
    names_it = mutate(Json("repos.*.url", Plain(url)))
    cloud.inject(Fault(names_it, service="databricks", method="GET", route="^/api/2.0/repos$"))
    report = run(**pull_all_below(fleet), TRUSTED_HOSTS=".contoso.example")
    assert cloud.refused == [], "nothing but the known hosts was asked for"
    credential = report.workspaces[0].credential
    assert credential
    assert credential.action == "created"


def test_a_run_over_responses_with_byte_order_marks_succeeds(cloud: Cloud, fleet: Fleet, run: Run) -> None:
    cloud.inject(Fault(mutate(Mark()), route="^(?!.*/_git/)"))
    report = run()
    assert report.result == "ok"
    assert [workspace.credential and workspace.credential.action for workspace in report.workspaces] == [
        "created"
    ] * len(fleet.workspaces)


@pytest.mark.parametrize("body", ["", '{"count":0,"value":[]}'])
def test_a_bare_401_of_azure_devops_keeps_no_credential_from_being_stored(
    cloud: Cloud, run: Run, body: str
) -> None:
    cloud.inject(Fault(faults.status(401, body), service="devops", route="/_apis/.*/refs$"))
    report = run()
    actions = {workspace.credential.action for workspace in report.workspaces if workspace.credential}
    assert (report.result, actions) == ("ok", {"created"})
    assert {problem.location for problem in report.problems} == {"Azure DevOps"}


def test_a_token_is_sent_to_a_trusted_host_that_the_settings_name(
    cloud: Cloud, fleet: Fleet, run: Run
) -> None:
    url = "https://git.contoso.example/contoso/p/_git/etl"
    entry = {
        "host": fleet.workspaces[0].url,
        "folders": [{"path": "/Repos/x/y", "url": url, "branch": "main"}],
    }
    run(WORKSPACES=json.dumps([entry]), TRUSTED_HOSTS=".contoso.example")
    assert set(cloud.refused) == {"git.contoso.example:443"}


@pytest.mark.parametrize(
    "resource_", [DEVOPS_RESOURCE, "https://management.azure.com", "https://graph.microsoft.com"]
)
@pytest.mark.parametrize("trusted", ["", "contoso.vault.azure.net"])
def test_key_vault_is_sent_its_own_token_whatever_its_challenge_names(
    cloud: Cloud, run: Run, resource_: str, trusted: str
) -> None:
    challenge = f'Bearer authorization="https://login.microsoftonline.com/x", resource="{resource_}"'
    cloud.inject(Fault(mutate(Header("WWW-Authenticate", Plain(challenge))), service="keyvault"))
    run(TRUSTED_HOSTS=trusted)
    asked = {request.query["resource"] for request in cloud.requests if request.service == "identity"}
    assert asked <= {DEVOPS_RESOURCE, VAULT_RESOURCE}


def test_an_odd_challenge_is_not_believed_in_the_next_run(cloud: Cloud, run: Run) -> None:
    challenge = (
        'Bearer authorization="https://login.microsoftonline.com/x", resource="https://graph.microsoft.com"'
    )
    cloud.inject(Fault(mutate(Header("WWW-Authenticate", Plain(challenge))), service="keyvault"))
    run(TRUSTED_HOSTS="contoso.vault.azure.net")
    cloud.clear_faults()
    assert run().result == "ok"


@pytest.mark.parametrize(
    ("field", "route", "lost"),
    [
        ("repos.0.path", "^/api/2.0/repos$", 0),  # the directory shows it too
        ("objects.0.path", "^/api/2.0/workspace/list$", 1),
    ],
)
def test_one_folder_that_cannot_be_read_costs_no_other(
    cloud: Cloud, fleet: Fleet, run: Run, field: str, route: str, lost: int
) -> None:
    etl, _ = fleet.repositories
    workspace = fleet.workspaces[0]
    for path in ("/Repos/etl/more", "/Repos/etl/most"):
        workspace.add_folder(path, etl, git_cli=True)
    head = etl.commit({"jobs/new.py": "print('new')\n"})
    odd = mutate(Json(field, Plain("two\nlines")))
    cloud.inject(Fault(odd, service="databricks", method="GET", route=route))
    (report,) = run(**pull_all_below(fleet)).workspaces
    outcomes = Counter((each.action, each.to, each.error and each.error.code) for each in report.folders)
    assert outcomes == +Counter(
        {("updated", head, None): 3 - lost, ("failed", None, "unexpected_answer"): lost}
    )


def left_behind() -> list[threading.Thread]:
    """Return threads of a run that still exist some time later."""
    for _ in range(200):
        found = [thread for thread in threading.enumerate() if thread.name == "git-refresh"]
        if not found:
            break
        found[0].join(0.05)
    return found


def test_no_thread_outlives_a_run_with_a_dripping_proxy(
    cloud: Cloud, fleet: Fleet, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, limit_s=0.5, budget_s=3)
    cloud.inject(Fault(Connect.DRIP, host=fleet.workspaces[0].host))
    for _ in range(2):
        report = run()
        assert [workspace.result for workspace in report.workspaces] == ["failed", "ok", "ok"]
        error = report.workspaces[0].error
        assert error
        assert error.code == "timeout"
    assert left_behind() == []


@pytest.fixture
def behind_tls(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[tuple[Cloud, Fleet]]:
    with Cloud(proxy_tls=request.param) as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        yield cloud, seed(cloud, 2)


TLS: list[ProxyTls] = ["same authority", "own authority"]


@pytest.mark.parametrize("behind_tls", TLS, indirect=True)
def test_a_proxy_behind_tls_is_trusted_by_the_same_bundle_and_as_bounded(
    behind_tls: tuple[Cloud, Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud, fleet = behind_tls
    assert run_app({**os.environ, **fleet.settings}).result == "ok"
    shorten(monkeypatch, limit_s=1.5, budget_s=5)
    for fault, code in (
        (Connect.DRIP, "timeout"),
        (Connect.HANG, "timeout"),
        (faults.drip("body", 0.05), "timeout"),
        (mutate(Endless("headers")), "answer_too_large"),
    ):
        cloud.inject(Fault(fault, host=fleet.workspaces[0].host))
        report = run_app({**os.environ, **fleet.settings})
        cloud.clear_faults()
        assert [workspace.result for workspace in report.workspaces] == ["failed", "ok"]
        assert report.workspaces[0].error
        assert report.workspaces[0].error.code == code
        assert report.duration_s < 5 + 5, "its budget and the five seconds that are promised"
    assert left_behind() == []


def run_with(descriptors: int, fleet: Fleet) -> tuple[int, dict[str, object], str]:
    """Run in a process with a limit of open files and connections."""
    done = warm.run("run", "--json", environ={**os.environ, **fleet.settings}, descriptors=descriptors)
    return done.returncode, json.loads(done.stdout), done.stderr.decode()


def test_a_healthy_fleet_is_fresh_with_few_descriptors(cloud: Cloud) -> None:
    fleet = seed(cloud, 110)
    entries = [{"host": workspace.url, "folders": ["/Repos/etl/prod"]} for workspace in fleet.workspaces]
    few = replace(fleet, settings={**fleet.settings, "WORKSPACES": json.dumps(entries)})
    code, report, said = run_with(80, few)
    assert (code, report["result"]) == (0, "ok"), said


def test_a_lack_of_descriptors_is_diagnosed(cloud: Cloud, fleet: Fleet) -> None:
    assert cloud.environment()
    for limit in range(8, 3, -1):  # the interpreter's own need is unknown
        code, report, _ = run_with(limit, fleet)
        if code:
            break
    codes = {
        error["code"]
        for workspace in report["workspaces"]  # type: ignore[attr-defined]
        for error in [workspace["error"], *(folder["error"] for folder in workspace["folders"])]
        if error
    }
    assert codes == {"too_many_open_files"}
