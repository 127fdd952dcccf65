"""A failure's cause never contradicts the facts of its run: whole runs over fakes, in either order."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.model.values import GitFolder, OtherObject
from git_refresh.run.ports import NullProgress
from git_refresh.run.report import Report, WorkspaceReport
from tests.support.fake_fleet import NEW, OLD, OURS, behind, host, run
from tests.support.fakes import FakeServices, FakeWorkspace, failure

PATH = "/Repos/etl/prod"
CLIENT, OTHER = "5a1e0000-0000-4000-8000-000000000001", "5a1e0000-0000-4000-8000-000000000002"
INVALID = "Invalid Git provider credentials. Go to User Settings."
GONE = "Remote branch does not exist: topic"


def answered(operation: Operation, status: int, code: str = "", message: str = "") -> ServiceError:
    return ServiceError(
        ServiceFailure(Service.DATABRICKS, operation.of(), FailureKind.ANSWER, status, code, message)
    )


def fleet(refusing: set[int], refusal: ServiceError, size: int = 3) -> dict[str, FakeWorkspace]:
    workspaces = {host(number): FakeWorkspace(at=behind()) for number in range(size)}
    for number in refusing:
        workspaces[host(number)].fail["sign_in"] = refusal
    return workspaces


def errors(report: Report) -> list[Diagnosis | None]:
    return [found.error for found in report.workspaces]


def codes(report: Report) -> list[str | None]:
    return [error.code if error else None for error in errors(report)]


def folder_error(report: Report) -> Diagnosis:
    error = report.workspaces[0].folders[0].error
    assert error is not None
    return error


REFUSED = answered(Operation.SIGN_IN, 401, "invalid_client", "Client authentication failed")


# A secret that works elsewhere


@pytest.mark.parametrize("refusing", range(3))
@pytest.mark.parametrize("concurrency", ["1", "8"])
@pytest.mark.parametrize(
    "refusal",
    [REFUSED, answered(Operation.SIGN_IN, 400, "invalid_request"), answered(Operation.SIGN_IN, 403)],
)
def test_a_secret_that_signs_in_elsewhere_is_never_to_be_rotated(
    refusing: int, concurrency: str, refusal: ServiceError
) -> None:
    services = FakeServices(fleet({refusing}, refusal), {"main": OLD})
    report = run(services, settings={"REFRESH_CONCURRENCY": concurrency})
    assert [code for code in codes(report) if code] == ["not_in_workspace"]
    error = errors(report)[refusing]
    assert error is not None
    assert "rotate" not in str(error)
    assert " onboard --apply" in error.remedy


class Told(NullProgress):
    """Detects the first reported workspace."""

    def __init__(self) -> None:
        self.any = threading.Event()

    def finished(self, report: WorkspaceReport) -> None:
        self.any.set()


def test_a_refusal_is_reported_after_the_last_workspace_of_the_same_secret() -> None:
    told, workspaces = Told(), fleet({0}, REFUSED, size=2)

    def late(what: str) -> None:
        if what == "sign_in":
            told.any.wait(0.2)  # times out if the refusal is held back

    workspaces[host(1)].before = late
    report = run(FakeServices(workspaces, {"main": OLD}), progress=told)
    assert codes(report) == ["not_in_workspace", None]


def test_without_a_workspace_that_takes_the_secret_nothing_is_proved() -> None:
    report = run(FakeServices(fleet({0, 1, 2}, REFUSED), {"main": OLD}))
    assert codes(report) == ["oauth_secret_rejected"] * 3


@pytest.mark.parametrize("more", [{"client_id": OTHER}, {"client_secret_name": "another"}])
def test_another_principal_s_or_another_secret_s_sign_in_proves_nothing(more: dict[str, str]) -> None:
    services = FakeServices(fleet({1}, REFUSED, size=2), {"main": OLD})
    assert codes(run(services, {}, more)) == [None, "oauth_secret_rejected"]


def test_a_policy_that_signs_in_elsewhere_is_never_to_be_written() -> None:
    refusal = answered(
        Operation.EXCHANGE_TOKEN, 400, "invalid_grant", "TOKEN_INVALID (Ensure a valid federation policy)"
    )
    services = FakeServices(fleet({1}, refusal, size=2), {"main": OLD})
    federated = {"auth": "federated", "client_secret_name": None}
    report = run(services, federated, federated)
    assert codes(report) == [None, "not_in_workspace"]


def test_each_workspace_is_logged_once_however_late_it_is_judged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "git_refresh")
    services = FakeServices(fleet({0, 1, 2, 3}, REFUSED, size=5), {"main": OLD})
    report = run(services, settings={"REFRESH_CONCURRENCY": "1"})
    lines = [json.loads(line) for line in caplog.messages]
    told = [line["host"] for line in lines if line["event"] == "git_refresh.workspace"]
    assert sorted(told) == [host(number) for number in range(5)]
    assert codes(report) == ["not_in_workspace"] * 4 + [None]


# A token that the app has just used


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [(403, "PERMISSION_DENIED", INVALID), (400, "BAD_REQUEST", "Remote repo not found. Check it.")],
)
def test_a_token_that_just_worked_is_not_called_expired_or_unauthorized(
    status: int, code: str, said: str
) -> None:
    refused = answered(Operation.MOVE_FOLDER, status, code, said)
    workspace = FakeWorkspace(at=behind(), fail={"move_folder": refused})
    error = folder_error(run(FakeServices({host(1): workspace}, {"main": NEW})))
    assert error.code == "devops_refuses_workspace"
    assert "object-id" in error.remedy


def test_a_token_that_was_not_tried_is_known_to_be_fresh() -> None:
    workspace = FakeWorkspace(
        at=behind(), fail={"move_folder": answered(Operation.MOVE_FOLDER, 403, "X", INVALID)}
    )
    down = failure(Service.AZURE_DEVOPS, 503)
    error = folder_error(run(FakeServices({host(1): workspace}, devops_failure=down)))
    assert error.code == "stored_token_refused"


def test_where_the_stored_token_was_kept_nothing_is_known_of_it() -> None:
    fail = {"move_folder": answered(Operation.MOVE_FOLDER, 403, "X", INVALID)}
    workspace = FakeWorkspace(stored=[OURS], at=behind(), fail=fail)
    rejected = failure(Service.AZURE_DEVOPS, 401, message="TF401444: ...")
    error = folder_error(run(FakeServices({host(1): workspace}, devops_failure=rejected)))
    assert error.code == "credential_expired_or_wrong"


# Missing branches


def on(branch: str) -> dict[str, GitFolder | OtherObject]:
    return {PATH: GitFolder(1, PATH, "https://dev.azure.com/contoso/Data%20Platform/_git/etl", branch, OLD)}


@dataclass
class Missing:
    """A missing ref: the settings, the folder's state, and Azure DevOps' response."""

    code: str
    wanted: dict[str, Any] = field(default_factory=dict)
    branch: str = "topic"
    commits: dict[str, str] = field(default_factory=lambda: {"main": NEW})
    devops: ServiceError | None = None
    path: str = PATH


DOWN = failure(Service.AZURE_DEVOPS, 503)
MISSING = {
    "the folder's own": Missing("branch_gone"),
    "the folder's own, below a pattern": Missing("branch_gone", path="/Repos/*"),
    "the folder's own, where Azure DevOps is down": Missing("branch_gone", devops=DOWN),
    "the folder's own that looks like a commit": Missing("branch_gone", branch="deadbee7"),
    "the settings'": Missing("ref_not_found", {"branch": "topic"}),
    "the settings', where Azure DevOps is down": Missing("ref_not_found", {"branch": "topic"}, devops=DOWN),
    "a commit": Missing("commit_as_ref", {"branch": "0a1b2c3d4e5f60718293a4b5c6d7e8f90123456"}),
    "a commit as a tag": Missing("commit_as_ref", {"tag": "0A1B2C3D"}),
    "a commit, where Azure DevOps is down": Missing("commit_as_ref", {"branch": "9f3c2ab"}, devops=DOWN),
    "a word of these letters": Missing("ref_not_found", {"branch": "defaced"}),
    "a date": Missing("ref_not_found", {"branch": "20261130"}),
    "in a repository without a commit": Missing("repository_empty", {"branch": "main"}, commits={}),
    "a tag in a repository without a commit": Missing("repository_empty", {"tag": "v1"}, commits={}),
    "the folder's own, in a repository without a commit": Missing(
        "repository_empty", branch="main", commits={}
    ),
    "that Azure DevOps has": Missing(
        "ref_not_found_by_workspace", {"branch": "topic"}, branch="main", commits={"topic": NEW}
    ),
}


@pytest.mark.parametrize("missing", MISSING.values(), ids=MISSING)
def test_a_missing_branch_names_the_source_of_the_ref(missing: Missing) -> None:
    workspace = FakeWorkspace(
        at=on(missing.branch),
        fail={"move_folder": answered(Operation.MOVE_FOLDER, 400, "GIT_UNKNOWN_REF", GONE)},
    )
    services = FakeServices({host(1): workspace}, missing.commits, devops_failure=missing.devops, branches=())
    report = run(services, {"folders": [{"path": missing.path, **missing.wanted}]})
    error = folder_error(report)
    assert error.code == missing.code
    assert ("in the list" in error.remedy) == (missing.code == "ref_not_found")


def test_a_folder_on_a_deleted_branch_has_a_remedy_with_a_branch() -> None:
    services = FakeServices({host(1): FakeWorkspace(at=on("topic"))}, {"main": NEW})
    remedy = folder_error(run(services, {"folders": ["/Repos/*"]})).remedy
    assert remedy.startswith("Switch ")
    assert f'"path": "{PATH}", "branch": "NAME"' in remedy


def test_a_repository_without_a_commit_is_not_cloned() -> None:
    workspace = FakeWorkspace()
    services = FakeServices({host(1): workspace}, {}, branches=())
    url = "https://dev.azure.com/contoso/Data%20Platform/_git/new"
    error = folder_error(run(services, {"folders": [{"path": PATH, "url": url}]}))
    assert error.code == "repository_empty"
    assert "create_folder" not in workspace.log


def test_where_the_branches_cannot_be_listed_no_repository_is_called_empty() -> None:
    services = FakeServices({host(1): FakeWorkspace(at=on("topic"))}, {}, branches=None)
    assert folder_error(run(services)).code == "branch_gone"


# Conflicts


def test_after_a_discard_no_uncommitted_change_is_blamed() -> None:
    said = "Conflict pulling from remote. Conflicting files: a.py"
    conflict = answered(Operation.MOVE_FOLDER, 400, "GIT_CONFLICT", said)
    for wanted, code in (({"on_conflict": "discard"}, "branch_diverged"), ({}, "git_conflict")):
        workspace = FakeWorkspace(at=behind(), fail={"move_folder": conflict})
        services = FakeServices({host(1): workspace}, {"main": NEW})
        assert folder_error(run(services, {"folders": [{"path": PATH, **wanted}]})).code == code


@pytest.mark.parametrize(
    ("wanted", "branch", "code"),
    [({}, "main", "branch_diverged"), ({"branch": "main"}, "topic", "git_conflict")],
)
def test_a_rewritten_history_is_no_uncommitted_change(wanted: dict[str, str], branch: str, code: str) -> None:
    """A folder need not have the commit of another branch."""
    said = "Conflict pulling from remote. Conflicting files: a.py"
    workspace = FakeWorkspace(
        at=on(branch), fail={"move_folder": answered(Operation.MOVE_FOLDER, 400, "GIT_CONFLICT", said)}
    )
    services = FakeServices({host(1): workspace}, {"main": NEW}, rewritten=(OLD,))
    assert folder_error(run(services, {"folders": [{"path": PATH, **wanted}]})).code == code


# Private networking

CLOSED_TO = "Unauthorized network access to workspace: 7405610926587"
CLOSED = {
    "json": ("403", CLOSED_TO),
    "plain": ("", CLOSED_TO),
    "html": ("", f"<html><body><h1>403</h1>{CLOSED_TO}</body></html>"),
}
STEPS: dict[str, Callable[[Report], Diagnosis | None]] = {
    "sign_in": lambda report: report.workspaces[0].error,
    "credentials": lambda report: report.workspaces[0].error,
    "create_credential": lambda report: report.workspaces[0].error,
    "find": lambda report: report.workspaces[0].folders[0].error,
    "children": lambda report: report.workspaces[0].folders[0].error,
    "move_folder": lambda report: report.workspaces[0].folders[0].error,
}
WAYS: dict[str, dict[str, Any]] = {
    "oauth_secret": {},
    "managed_identity": {"auth": "managed_identity", "client_id": None, "client_secret_name": None},
    "federated": {"auth": "federated", "client_secret_name": None},
}


@pytest.mark.parametrize("body", CLOSED)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("way", WAYS)
def test_a_closed_network_is_diagnosed_in_every_form_and_at_every_step(
    way: str, step: str, body: str
) -> None:
    sign_in = Operation.EXCHANGE_TOKEN if way == "federated" else Operation.SIGN_IN
    operation = sign_in if step == "sign_in" else Operation.READ_JOB
    closed = answered(operation, 403, *CLOSED[body])
    workspace = FakeWorkspace(at=behind(), fail={step: closed})
    if step == "find":
        workspace.fail["folders"] = closed
    if step == "sign_in" and way == "managed_identity":
        workspace.fail = {"credentials": closed}
    folders = ["/Repos/*"] if step == "children" else [PATH]
    services = FakeServices({host(1): workspace, host(2): FakeWorkspace()}, {"main": NEW})
    report = run(services, {**WAYS[way], "folders": folders}, {**WAYS[way], "folders": []})
    error = STEPS[step](report)
    assert error is not None
    assert error.code == "workspace_network_denied"
    assert "403 403" not in str(error)


def test_the_facts_of_one_workspace_prove_nothing_of_another() -> None:
    """Only a workspace's own response proves that it was reached."""
    lost = ServiceError(ServiceFailure(Service.DATABRICKS, Operation.LIST_CREDENTIALS.of(), FailureKind.DNS))
    workspaces = {host(number): FakeWorkspace(at=behind()) for number in range(2)}
    workspaces[host(0)].fail["sign_in"] = lost
    workspaces[host(1)].fail["move_folder"] = ServiceError(
        replace(lost.failure, attempt=Operation.MOVE_FOLDER.of("main"))
    )
    report = run(FakeServices(workspaces, {"main": NEW}))
    assert codes(report) == ["workspace_unreachable", None]
    error = report.workspaces[1].folders[0].error
    assert error is not None
    assert error.code == "connection_lost"


@pytest.mark.parametrize(
    ("way", "code"),
    [
        ("oauth_secret", "connection_lost"),
        ("federated", "connection_lost"),
        ("managed_identity", "workspace_unreachable"),
    ],
)
def test_only_a_sign_in_that_was_answered_proves_the_host(way: str, code: str) -> None:
    """A managed identity's token is first used in the first request."""
    lost = ServiceError(ServiceFailure(Service.DATABRICKS, Operation.LIST_CREDENTIALS.of(), FailureKind.DNS))
    services = FakeServices({host(1): FakeWorkspace(fail={"credentials": lost})}, {"main": NEW})
    assert codes(run(services, {**WAYS[way], "folders": []})) == [code]
