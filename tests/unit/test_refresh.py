import json
import logging
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings

from git_refresh import app
from git_refresh.failures.failure import Service, ServiceError
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.values import GitFolder, ListedObject, Problem, StoredCredential
from git_refresh.output.log import RedactingLogger
from git_refresh.run import fleet as fleet_module
from git_refresh.run.errors import LONGEST_MESSAGE, RunFailedError
from git_refresh.run.ports import NullProgress
from git_refresh.run.refresh import refresh
from git_refresh.run.report import WorkspaceReport
from git_refresh.settings.load import Settings, SettingsError, load
from tests.support.fake_fleet import NEW, OLD, OURS, URL, behind, frozen, host, run
from tests.support.fakes import NOW, FakeServices, FakeWorkspace, failure


def test_every_credential_is_stored_before_any_folder_is_worked_on() -> None:
    log: list[str] = []
    workspaces = {
        host(n): FakeWorkspace(at=behind(), heads={"main": NEW}, before=log.append) for n in range(8)
    }
    services = FakeServices(workspaces, {"main": NEW})
    folders = [{"folders": [{"path": "/Repos/etl/prod", "url": URL, "branch": "main"}]}] * 8
    report = run(services, *folders, settings={"REFRESH_CONCURRENCY": "1"})
    assert report.result == "ok"
    last_credential = max(index for index, what in enumerate(log) if what == "create_credential")
    first_folder = min(
        index for index, what in enumerate(log) if what in {"folders", "find", "move_folder", "folder"}
    )
    assert last_credential < first_folder


def test_a_ref_is_looked_up_once_for_the_whole_fleet() -> None:
    services = FakeServices({host(n): FakeWorkspace(at=behind()) for n in range(5)}, {"main": OLD})
    assert run(services).result == "ok"
    assert set(services.asked) == {"contoso/Data Platform/etl main"}


@pytest.mark.parametrize(
    ("branch", "said"),
    [
        ("mian", "Branch mian does not exist; the nearest that exists is main."),
        ("prod", "Branch prod does not exist."),
    ],
)
def test_a_missing_branch_is_reported_with_the_nearest_that_exists(branch: str, said: str) -> None:
    services = FakeServices({host(1): FakeWorkspace(at=behind())}, {"main": OLD, "eyJ" + "a" * 60: OLD})
    report = run(services, {"folders": [{"path": "/Repos/etl/prod", "url": URL, "branch": branch}]})
    error = report.workspaces[0].folders[0].error
    assert error is not None
    assert (error.code, error.message) == ("ref_not_found", said)


def test_a_name_that_might_be_a_secret_is_never_suggested() -> None:
    services = FakeServices({host(1): FakeWorkspace(at=behind())}, {"eyJ" + "a" * 60: OLD})
    folder = {"path": "/Repos/etl/prod", "url": URL, "branch": "eyJ" + "a" * 15}
    report = run(services, {"folders": [folder]})
    assert "nearest" not in str(report)


def calls_of_a_run(workspaces: int) -> int:
    """Return the number of function calls in the threads of an unchanged run."""
    folders = [{"path": f"/Repos/etl/{n}", "url": URL, "branch": "main"} for n in range(5)]
    at = {folder["path"]: GitFolder(n, folder["path"], URL, "main", NEW) for n, folder in enumerate(folders)}
    fleet = {host(n): FakeWorkspace(stored=[OURS], at=dict(at)) for n in range(workspaces)}
    one, calls = {"REFRESH_CONCURRENCY": "1"}, 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event == "call"

    threading.setprofile(count)
    try:
        report = run(FakeServices(fleet, {"main": NEW}), *[{"folders": folders}] * workspaces, settings=one)
    finally:
        threading.setprofile(None)
    assert report.result == "ok"
    return calls


def test_the_work_grows_with_the_fleet_and_no_faster() -> None:
    calls_of_a_run(1)  # once per process, so not counted below
    assert calls_of_a_run(40) < 1.2 * 8 * calls_of_a_run(5)


def test_a_folder_at_its_head_gets_no_request_of_its_own() -> None:
    workspace = FakeWorkspace(stored=[OURS], at=behind())
    report = run(FakeServices({host(1): workspace}, {"main": OLD}))
    assert report.workspaces[0].folders[0].action == "unchanged"
    assert workspace.log == ["sign_in", "folders", "credentials", "update_credential"]


def test_a_token_rejected_everywhere_replaces_no_stored_one() -> None:
    workspace = FakeWorkspace(stored=[OURS], at=behind(), heads={"main": NEW})
    rejected = failure(Service.AZURE_DEVOPS, 401, message="TF401444: ...")
    report = run(FakeServices({host(1): workspace}, devops_failure=rejected))
    found = report.workspaces[0]
    assert workspace.tokens == {}
    assert found.credential
    assert (found.credential.action, found.credential.id, found.result) == ("token_rejected", 5, "failed")
    assert found.error
    assert found.error.code == "devops_not_a_member"
    assert "object-id" in found.error.remedy
    assert found.folders[0].action == "updated", "the credential that was kept may well work"


def test_a_rejected_token_is_not_stored_without_a_credential_either() -> None:
    workspace = FakeWorkspace(at=behind())
    report = run(
        FakeServices(
            {host(1): workspace}, devops_failure=failure(Service.AZURE_DEVOPS, 401, message="TF400813: ...")
        )
    )
    found = report.workspaces[0]
    assert found.credential
    assert (found.credential.action, [folder.action for folder in found.folders]) == ("failed", ["skipped"])


@pytest.mark.parametrize("status", [None, 500, 429, 401, 403])
def test_an_azure_devops_that_cannot_be_asked_is_no_rejection(status: int | None) -> None:
    """A 401 or 403 without details can also mean a missing permission."""
    workspace = FakeWorkspace(at=behind(), heads={"main": NEW})
    report = run(FakeServices({host(1): workspace}, devops_failure=failure(Service.AZURE_DEVOPS, status)))
    found = report.workspaces[0]
    assert (report.result, found.result, found.folders[0].action, found.folders[0].to) == (
        "ok",
        "ok",
        "updated",
        NEW,
    )
    assert [problem.location for problem in report.problems] == ["Azure DevOps"]


def test_a_deactivated_organization_fails_folders_and_not_the_credential() -> None:
    workspace = FakeWorkspace(at=behind(), heads={"main": NEW})
    stopped = failure(Service.AZURE_DEVOPS, 503, "VssServiceException", "TF24668: stopped: contoso.")
    found = run(FakeServices({host(1): workspace}, devops_failure=stopped)).workspaces[0]
    assert found.credential
    assert found.credential.action == "created"
    assert [folder.error.code for folder in found.folders if folder.error] == [
        "devops_organization_deactivated"
    ]


def test_a_credential_that_is_gone_is_looked_for_and_created() -> None:
    gone = "Git credential with the given ID could not be found."
    workspace = FakeWorkspace(
        stored=[OURS],
        fail={"update_credential": failure(status=404, error_code="RESOURCE_DOES_NOT_EXIST", message=gone)},
    )

    def vanish(what: str) -> None:
        if what == "update_credential":
            workspace.stored.clear()

    workspace.before = vanish
    found = run(FakeServices({host(1): workspace})).workspaces[0]
    assert found.credential
    assert found.credential.action == "created"


def test_a_creation_that_meets_another_s_credential_updates_that() -> None:
    workspace = FakeWorkspace(fail={"create_credential": failure(status=409, message="already exists")})

    def somebody_was_faster(what: str) -> None:
        if what == "create_credential":
            workspace.stored.append(OURS)

    workspace.before = somebody_was_faster
    report = run(FakeServices({host(1): workspace}), {"folders": []})
    assert report.workspaces[0].credential
    assert report.workspaces[0].credential.action == "updated"
    assert workspace.tokens == {(None, 5): "devops-token"}


def test_a_credential_that_was_deleted_meanwhile_is_created() -> None:
    gone = failure(status=404, message="Git credential with id 5 could not be found")
    workspace = FakeWorkspace(stored=[OURS], fail={"update_credential": gone})

    def somebody_deleted_it(what: str) -> None:
        if what == "update_credential":
            workspace.stored.clear()

    workspace.before = somebody_deleted_it
    report = run(FakeServices({host(1): workspace}), {"folders": []})
    assert report.workspaces[0].credential
    assert report.workspaces[0].credential.action == "created"


def test_a_clone_that_finished_after_its_answer_was_lost_is_adopted() -> None:
    workspace = FakeWorkspace(fail={"create_folder": failure(status=None)})

    def clone_finishes(what: str) -> None:
        if what == "create_folder":
            workspace.at.update(behind())

    workspace.before = clone_finishes
    report = run(
        FakeServices({host(1): workspace}, {"main": OLD}),
        {"folders": [{"path": "/Repos/etl/prod", "url": URL}]},
    )
    assert [folder.action for folder in report.workspaces[0].folders] == ["created"]


def test_a_clone_of_something_else_at_the_path_is_not_adopted() -> None:
    workspace = FakeWorkspace(
        fail={"create_folder": failure(status=400, error_code="RESOURCE_ALREADY_EXISTS")}
    )
    other = GitFolder(1, "/Repos/etl/prod", URL + "-other", "main", OLD)

    def somebody_was_faster(what: str) -> None:
        if what == "create_folder":
            workspace.at["/Repos/etl/prod"] = other

    workspace.before = somebody_was_faster
    report = run(
        FakeServices({host(1): workspace}, {"main": OLD}),
        {"folders": [{"path": "/Repos/etl/prod", "url": URL}]},
    )
    error = report.workspaces[0].folders[0].error
    assert error
    assert error.code == "path_taken"


def test_a_pull_with_a_lost_response_is_checked_before_a_retry() -> None:
    workspace = FakeWorkspace(at=behind(), fail={"move_folder": failure(status=None)})

    def pull_finishes(what: str) -> None:
        if what == "move_folder":
            workspace.at["/Repos/etl/prod"] = GitFolder(1, "/Repos/etl/prod", URL, "main", NEW)

    workspace.before = pull_finishes
    report = run(FakeServices({host(1): workspace}, {"main": NEW}))
    folder = report.workspaces[0].folders[0]
    assert (folder.action, folder.from_, folder.to) == ("updated", OLD, NEW)
    assert workspace.log.count("move_folder") == 1


def test_one_workspace_that_fails_does_not_touch_the_others() -> None:
    workspaces = {host(n): FakeWorkspace(at=behind()) for n in range(4)}
    workspaces[host(2)].fail["sign_in"] = failure(status=401, error_code="invalid_client")
    report = run(FakeServices(workspaces, {"main": OLD}))
    assert [workspace.result for workspace in report.workspaces] == ["ok", "ok", "failed", "ok"]
    assert report.result == "failed"
    assert "adb-2" in report.summary()
    assert [(folder.path, folder.action, folder.error) for folder in report.workspaces[2].folders] == [
        ("/Repos/etl/prod", "skipped", None)
    ]


def test_a_mistake_of_ours_stays_in_its_workspace() -> None:
    workspaces = {host(n): FakeWorkspace(at=behind()) for n in range(2)}

    def mistake(_: str) -> None:
        raise ZeroDivisionError("token=secret")

    workspaces[host(1)].before = mistake
    report = run(FakeServices(workspaces, {"main": OLD}))
    assert [workspace.result for workspace in report.workspaces] == ["ok", "failed"]
    error = report.workspaces[1].error
    assert error
    assert (error.code, "ZeroDivisionError" in error.message) == ("internal_error", True)
    assert "secret" not in json.dumps(report.as_dict())


@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, SystemExit, KeyboardInterrupt])
def test_no_work_waits_for_a_workspace_that_ended_in_any_way(error: type[BaseException]) -> None:
    def ending(_: str) -> None:
        raise error

    workspaces = {host(1): FakeWorkspace(before=ending), host(2): FakeWorkspace()}
    entries = [{"host": key, "auth": "managed_identity"} for key in workspaces]
    settings = load({"WORKSPACES": json.dumps(entries)})
    report = refresh(
        settings,
        FakeServices(workspaces),
        Deadline.after(5, SystemClock()),
        next_run=NOW + timedelta(minutes=15),
        logger=RedactingLogger(),
    )
    assert [found.error and found.error.code for found in report.workspaces] == ["internal_error", None]


def test_a_mistake_of_ours_with_one_folder_stays_with_that_folder() -> None:
    made: list[str] = []

    def mistake(what: str) -> None:
        if what == "move_folder" and not made:
            made.append(what)
            raise ZeroDivisionError("token=secret")

    at = {path: GitFolder(n, path, URL, "main", OLD) for n, path in enumerate(("/a/b", "/a/c"), start=1)}
    fake = FakeWorkspace(at={**at}, heads={"main": NEW}, before=mistake)
    (found,) = run(FakeServices({host(1): fake}, {"main": NEW}), {"folders": [*at]}).workspaces
    assert sorted((folder.action, folder.error and folder.error.code) for folder in found.folders) == [
        ("failed", "internal_error"),
        ("updated", None),
    ]
    assert found.error is None


def test_time_that_is_over_is_no_mistake_of_ours() -> None:
    def over(what: str) -> None:
        if what == "credentials":
            raise TimeoutError

    (found,) = run(FakeServices({host(1): FakeWorkspace(before=over)})).workspaces
    assert found.error
    assert found.error.code == "out_of_time"


def test_without_a_token_every_workspace_fails_and_none_is_asked() -> None:
    workspace = FakeWorkspace(at=behind())
    report = run(FakeServices({host(1): workspace}, identity_failure=failure(Service.IDENTITY, 400)))
    assert report.token is None
    assert report.workspaces[0].error
    assert report.workspaces[0].error.code == "identity_not_assigned"
    assert workspace.log == []


def test_a_token_that_ends_before_the_next_run_is_stored_and_reported() -> None:
    workspace = FakeWorkspace()
    services = FakeServices({host(1): workspace}, token_life=timedelta(minutes=16))
    report = run(services, {"folders": []})
    assert workspace.tokens
    assert (report.workspaces[0].result, report.result) == ("ok", "failed")
    assert report.problems[0].location == "token"
    assert report.problems[0].message.startswith("token_expires_before_next_run: ")
    services.token_life += timedelta(seconds=1)
    assert run(services, {"folders": []}).result == "ok"


def test_an_oauth_secret_near_its_end_is_pointed_out() -> None:
    services = FakeServices({host(1): FakeWorkspace()}, secret_life=timedelta(days=29))
    report = run(services, {"folders": []})
    assert report.result == "ok"
    assert "expires at 2026-12-22" in report.problems[0].message


def test_a_federated_credential_is_reported_and_is_no_failure() -> None:
    federated = StoredCredential(9, "azureDevOpsServicesAad", "")
    fake = FakeWorkspace(stored=[federated, OURS], at=behind())
    report = run(FakeServices({host(1): fake}, {"main": OLD}))
    assert report.result == "ok"
    (problem,) = report.problems
    assert str(problem).startswith(
        "adb-1: federated_credential: Git credential 9 of service principal 5a1e0000-0000-4000-8000-000000000001 is federated. "
    )
    assert list(fake.tokens) == [(None, OURS.id)]


def test_a_foreign_credential_is_updated_and_reported_once() -> None:
    theirs = StoredCredential(9, "azureDevOpsServices", "git-refresh", name="nightly jobs")
    fake = FakeWorkspace(stored=[theirs], at=behind())
    report = run(FakeServices({host(1): fake}, {"main": OLD}), {"additional_principal_ids": [4711]})
    assert report.result == "ok"
    (problem,) = report.problems
    said = (
        'adb-1: foreign_credential: The app did not create Git credential 9: its name is "nightly jobs", not '
    )
    assert str(problem).startswith(said)
    assert (None, theirs.id) in fake.tokens
    for name, username in (("databricks-git-refresh", "before"), ("", "git-refresh")):
        ours = replace(theirs, name=name, username=username)
        fake = FakeWorkspace(stored=[ours], at=behind())
        assert run(FakeServices({host(1): fake}, {"main": OLD})).problems == ()


@pytest.mark.parametrize("name", ["", "nightly jobs"])
@pytest.mark.parametrize("principal", [None, 4711])
def test_a_foreign_credential_is_reported_in_every_run(name: str, principal: int | None) -> None:
    theirs = StoredCredential(9, "azureDevOpsServices", "alice", name=name)
    fake = FakeWorkspace(stored=[OURS], at=behind())
    kept = fake.stored if principal is None else fake.others.setdefault(principal, [])
    kept[:] = [theirs]
    services = FakeServices({host(1): fake}, {"main": OLD})
    where = "adb-1, Service principal 4711 (additional_principal_ids)" if principal else "adb-1"
    for _ in range(2):
        (problem,) = run(services, {"additional_principal_ids": [4711]}).problems
        assert (problem.location, problem.message.split(":")[0]) == (where, "foreign_credential")
        assert problem.about == "adb-1"
        assert (
            f"only one for service principal {principal or '5a1e0000-0000-4000-8000-000000000001'}"
            in problem.message
        )
    assert kept == [theirs], "neither of its names is touched"
    assert (principal, theirs.id) in fake.tokens


def test_a_foreign_credential_without_a_name_gets_the_app_s_name() -> None:
    fake = FakeWorkspace(stored=[StoredCredential(9, "azureDevOpsServices", "")], at=behind())
    services = FakeServices({host(1): fake}, {"main": OLD})
    assert len(run(services).problems) == 1
    assert fake.stored == [StoredCredential(9, "azureDevOpsServices", "git-refresh")]


def test_a_federated_credential_of_another_principal_is_reported_too() -> None:
    federated = StoredCredential(9, "azureDevOpsServicesAad", "")
    fake = FakeWorkspace(stored=[OURS], at=behind(), others={4711: [federated]})
    (problem,) = run(
        FakeServices({host(1): fake}, {"main": OLD}), {"additional_principal_ids": [4711]}
    ).problems
    said = "Git credential 9 of service principal 4711 (additional_principal_ids) is federated."
    assert (problem.location, said in problem.message) == (
        "adb-1, Service principal 4711 (additional_principal_ids)",
        True,
    )


def test_a_credential_that_keeps_its_token_is_not_reported_as_foreign() -> None:
    theirs = StoredCredential(9, "azureDevOpsServices", "alice")
    rejected = failure(Service.AZURE_DEVOPS, 401, message="TF401444: ...")
    services = FakeServices({host(1): FakeWorkspace(stored=[theirs], at=behind())}, devops_failure=rejected)
    assert run(services).problems == ()


def test_a_pattern_that_finds_nothing_is_reported_and_is_no_failure() -> None:
    services = FakeServices({host(1): FakeWorkspace()})
    report = run(services, {"folders": ["/Repos/none/*"]})
    assert report.result == "ok"
    (problem,) = report.problems
    assert str(problem).startswith(
        "adb-1 /Repos/none/*: no_folder_matched: The app can see no Git folder below /Repos/none"
    )


@pytest.mark.parametrize("folder", ["/Repos/etl/prod", "/Repos/*"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_folder_that_no_entry_updates_is_a_warning_with_the_line_to_add(
    folder: str, *, dry_run: bool
) -> None:
    fake = FakeWorkspace(stored=[OURS], at=frozen())
    report = run(FakeServices({host(1): fake}, {"main": NEW}), {"folders": [folder]}, dry_run=dry_run)
    assert (report.result, report.workspaces[0].folders[0].action) == ("ok", "unchanged")
    (problem,) = report.problems
    assert str(problem).startswith(
        "adb-1 /Repos/etl/prod: folder_detached: /Repos/etl/prod has a detached HEAD"
    )
    assert '"path": "/Repos/etl/prod", "branch": "NAME"' in problem.message
    assert "note" not in report.as_dict()["workspaces"][0]["folders"][0], "its keys are a contract"


@pytest.mark.parametrize("wanted", [{"branch": "main"}, {"tag": "v1"}])
def test_a_detached_folder_with_a_ref_in_the_settings_is_not_called_frozen(
    wanted: dict[str, str],
) -> None:
    fake = FakeWorkspace(at=frozen(), heads={"main": NEW})
    services = FakeServices({host(1): fake}, {"main": NEW, "v1": OLD})
    report = run(services, {"folders": [{"path": "/Repos/etl/prod", **wanted}]})
    assert (report.result, report.problems) == ("ok", ())


MIRROR = {"path": "/Repos/etl/prod", "on_conflict": "discard"}


@pytest.mark.parametrize(("dry_run", "done"), [(True, "would be"), (False, "might be")])
def test_a_move_that_might_discard_work_is_reported(dry_run: bool, done: str) -> None:  # noqa: FBT001
    fake = FakeWorkspace(stored=[OURS], at=behind(), heads={"main": NEW})
    report = run(FakeServices({host(1): fake}, {"main": NEW}), {"folders": [MIRROR]}, dry_run=dry_run)
    (folder,) = report.workspaces[0].folders
    assert (report.result, folder.action) == ("ok", "updated")
    assert folder.why == "branch main has moved" + "; might discard uncommitted changes" * dry_run
    (problem,) = report.problems
    assert str(problem).startswith(
        f"adb-1 /Repos/etl/prod: changes_discarded: If /Repos/etl/prod had uncommitted changes, they {done} lost."
    )


def test_a_move_with_a_lost_response_might_have_discarded_work() -> None:
    def told(error: ServiceError) -> bool:
        fake = FakeWorkspace(stored=[OURS], at=behind(), fail={"move_folder": error})
        report = run(FakeServices({host(1): fake}, {"main": NEW}), {"folders": [MIRROR]})
        assert report.workspaces[0].folders[0].action == "failed"
        return any("changes_discarded" in problem.message for problem in report.problems)

    assert told(failure(status=None))
    assert told(failure(status=500))
    assert not told(failure(status=403))


@pytest.mark.parametrize(
    ("at", "folder"),
    [
        (behind(), "/Repos/etl/prod"),
        ({"/Repos/etl/prod": GitFolder(1, "/Repos/etl/prod", URL, "main", NEW)}, MIRROR),
        ({}, {**MIRROR, "url": URL, "branch": "main"}),
    ],
    ids=["without discard", "nothing to move", "created"],
)
def test_what_discards_nothing_says_nothing_of_it(at: dict[str, Any], folder: object) -> None:
    fake = FakeWorkspace(stored=[OURS], at=at, heads={"main": NEW})
    report = run(FakeServices({host(1): fake}, {"main": NEW}), {"folders": [folder]})
    assert (report.result, report.problems) == ("ok", ())


def test_progress_shows_the_step_of_each_workspace() -> None:
    class Watch:
        def started(self, name: str, what: str) -> None:
            told.append(f"{name} {what}")

        def finished(self, report: WorkspaceReport) -> None:
            told.append(f"{report.name} {report.result}")

    told: list[str] = []
    fake = FakeWorkspace(at=behind(), heads={"main": NEW})
    assert run(FakeServices({host(1): fake}, {"main": NEW}), progress=Watch()).result == "ok"
    assert told == [
        "adb-1 signing in",
        "adb-1 storing the credential",
        "adb-1 /Repos/etl/prod",
        "adb-1 ok",
    ]


def test_neither_progress_nor_report_shows_a_secret() -> None:
    class Watch:
        def started(self, name: str, what: str) -> None:
            told.append(f"{name} {what}")

        def finished(self, report: WorkspaceReport) -> None:
            told.append(json.dumps(report.as_dict(), ensure_ascii=False))

    told: list[str] = []
    logger = RedactingLogger()
    logger.secrets.add(SECRET)
    path = f"/Repos/{SECRET}/prod\u202e"
    fake = FakeWorkspace(at=behind(path), heads={"main": NEW})
    services = FakeServices({host(1): fake}, {"main": NEW})
    report = run(services, {"folders": ["/Repos/*"]}, progress=Watch(), logger=logger)
    told.append(json.dumps(report.as_dict(), ensure_ascii=False))
    assert len([text for text in told if "/Repos" in text or "***" in text]) == 3, "all three would name it"
    assert not any(SECRET in text or "\u202e" in text for text in told)


SECRET = "dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48"


def named_after_a_secret() -> FakeServices:
    """Return a workspace with a folder that has a secret's name and cannot be updated."""
    fake = FakeWorkspace(at=behind(f"/Repos/{SECRET}/prod\u202e"), fail={"move_folder": failure()})
    return FakeServices({host(1): fake}, {"main": NEW})


def test_every_output_redacts_once_for_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Counting(RedactingLogger):
        def redact[T](self, value: T) -> T:
            cleaned.append(type(value).__name__)
            return super().redact(value)

    caplog.set_level("INFO", "git_refresh")
    cleaned: list[str] = []
    logger = Counting()
    logger.secrets.add(SECRET)
    report = run(named_after_a_secret(), {"folders": ["/Repos/*"]}, logger=logger)
    assert cleaned == ["dict", "Report", "dict"], "the workspace's line, the report, the run's line"
    for text in (repr(report), caplog.messages[0]):
        assert "***" in text
        assert SECRET not in text
        assert "\u202e" not in text


def test_a_secret_added_after_a_workspace_ended_is_masked_in_the_report() -> None:
    class Watch(NullProgress):
        def finished(self, report: WorkspaceReport) -> None:
            logger.secrets.add(SECRET)

    logger = RedactingLogger()
    report = run(named_after_a_secret(), {"folders": ["/Repos/*"]}, logger=logger, progress=Watch())
    assert "***" in repr(report)
    assert SECRET not in repr(report)


def test_a_dry_run_gives_the_reasons_of_what_it_would_do() -> None:
    fake = FakeWorkspace(stored=[OURS], at=behind(), heads={"main": NEW})
    (workspace,) = run(FakeServices({host(1): fake}, {"main": NEW}), dry_run=True).workspaces
    assert workspace.credential is not None
    assert workspace.credential.why == "a new token replaces the stored one"
    assert [folder.why for folder in workspace.folders] == ["branch main has moved"]
    assert "why" not in json.dumps(workspace.as_dict())


def test_a_dry_run_writes_nothing_and_says_what_it_would_do() -> None:
    workspace = FakeWorkspace(at=behind())
    folders = {"folders": ["/Repos/etl/prod", {"path": "/Repos/etl/new", "url": URL}]}
    report = run(FakeServices({host(1): workspace}, {"main": NEW}), folders, dry_run=True)
    assert report.dry_run
    assert [folder.action for folder in report.workspaces[0].folders] == ["updated", "created"]
    assert not {
        "create_credential",
        "update_credential",
        "move_folder",
        "create_folder",
        "make_parent",
    } & set(workspace.log)


def test_the_report_has_the_keys_of_the_contract() -> None:
    workspace = FakeWorkspace(at=behind())
    report = run(
        FakeServices({host(1): workspace}, {"main": OLD}), {"folders": ["/Repos/etl/prod", "/Repos/etl/no"]}
    ).as_dict()
    keys = "version run_id started_at duration_s dry_run result token tokens problems workspaces"
    assert list(report) == keys.split()
    assert report["version"] == 1
    assert report["started_at"] == "2026-11-23T12:00:00Z"
    ends = {"expires_at": "2026-11-23T13:00:00Z", "remaining_s": 3600}
    assert report["token"] == ends
    assert report["tokens"] == [{"identity": None, "tenant": None, **ends, "workspaces": 1}]
    (found,) = report["workspaces"]
    assert list(found) == ["name", "host", "result", "credential", "folders", "error"]
    assert found["credential"] == {"action": "created", "id": 100}
    assert [list(folder) for folder in found["folders"]] == [
        ["path", "action", "ref", "from", "to", "error"]
    ] * 2
    assert list(found["folders"][1]["error"]) == ["code", "message", "cause", "remedy"]
    assert json.loads(json.dumps(report)) == report


def test_every_run_ends_in_one_line_and_every_workspace_has_one(caplog: pytest.LogCaptureFixture) -> None:
    workspaces = {host(n): FakeWorkspace(at=behind()) for n in range(3)}
    workspaces[host(1)].fail["sign_in"] = failure(status=401)
    with caplog.at_level(logging.INFO, "git_refresh"):
        run(FakeServices(workspaces, {"main": OLD}))
    events = [(record.levelname, json.loads(record.getMessage())) for record in caplog.records]
    assert sorted((event["name"], level) for level, event in events[:-1]) == [
        ("adb-0", "INFO"),
        ("adb-1", "ERROR"),
        ("adb-2", "INFO"),
    ]
    level, last = events[-1]
    assert (level, last["event"], last["workspaces_ok"], last["workspaces_failed"]) == (
        "ERROR",
        "git_refresh.run",
        2,
        1,
    )
    assert last["min_token_remaining_s"] == 3600


@pytest.mark.parametrize("failures", [1, 2, 300])
def test_folders_of_a_workspace_that_fail_alike_are_one_record_of_its_line(
    caplog: pytest.LogCaptureFixture, failures: int
) -> None:
    folders = [f"/Repos/etl/{number}" for number in range(failures)]
    caplog.set_level(logging.INFO)
    run(FakeServices({host(1): FakeWorkspace()}), {"folders": folders})
    workspace, whole = map(json.loads, caplog.messages)
    for event in (workspace, whole):
        (failure,) = event["failures"]
        places = [f"adb-1 {path}" for path in folders]
        assert (failure["location"], failure["count"]) == (places[0], failures)
        assert failure.get("places", places[:1]) == places[:3]
        assert failure["code"] == "folder_not_found"
        assert failure["remedy"]
    assert workspace["folders"] == {"failed": failures}
    assert whole["failures"][0]["workspaces"] == 1


MISSPELT = {
    "a letter too few": ("/Repos/etl/prodution", "/Repos/etl/production"),
    "another letter case": ("/Repos/ETL/Production", "/Repos/etl/production"),
    "in the directory": ("/Repos/elt/production", "/Repos/etl/production"),
    "in two directories": ("/Reposs/elt/production", "/Repos/etl/production"),
    "with /Workspace": ("/Workspace/Shared/mirors", "/Workspace/Shared/mirrors"),
    "of a folder with Git CLI access": ("/Users/a@b.c/notebook", "/Users/a@b.c/notebooks"),
    "nothing near": ("/Repos/etl/x", None),
    "nothing near above": ("/Projects/a/b/production", None),
    "a plain directory": ("/Repos/ets", None),
    "one that has an entry of its own": ("/Repos/etl/listedd", None),
}


@pytest.mark.parametrize(("path", "meant"), MISSPELT.values(), ids=MISSPELT)
def test_a_path_with_a_typo_is_reported_with_the_nearest_that_exists(path: str, meant: str | None) -> None:
    there = ["/Repos/etl/production", "/Repos/etl/listed", "/Shared/mirrors", "/Users/a@b.c/notebooks"]
    at = {
        each: GitFolder(number, each, URL, "main", NEW, git_cli=each.startswith("/Users"))
        for number, each in enumerate(there)
    }
    workspace = FakeWorkspace(at=dict(at), heads={"main": NEW})
    report = run(FakeServices({host(1): workspace}, {"main": NEW}), {"folders": ["/Repos/etl/listed", path]})
    error = report.workspaces[0].folders[1].error
    assert error is not None
    assert error.code == ("folder_misspelled" if meant else "folder_not_found")
    if meant:
        assert f" {meant} " in error.message
        assert "url" not in error.remedy


def test_a_failed_search_for_the_nearest_path_costs_only_the_remedy() -> None:
    workspace = FakeWorkspace(fail={"children": failure(status=503)})
    report = run(FakeServices({host(1): workspace}), {"folders": ["/Repos/etl/prod"]})
    error = report.workspaces[0].folders[0].error
    assert error is not None
    assert error.code == "folder_not_found"


def test_a_log_line_is_never_so_long_that_it_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fail = {"move_folder": failure(message="x" * 5_000), "find": failure(message="\u202e" * 5_000)}
    paths = [f"/Repos/{number}/{'数' * 1_900}" for number in range(300)]
    run(FakeServices({host(1): FakeWorkspace(fail=fail)}), {"folders": paths})
    assert len(caplog.messages) == 2
    assert max(map(len, caplog.messages)) < 32_768
    assert all(json.loads(message)["failures"] for message in caplog.messages)


def test_what_cannot_be_stopped_is_left_behind_when_the_budget_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A blocked host name look-up has no socket, so no deadline applies."""
    monkeypatch.setattr(fleet_module, "REPORT_GRACE_S", 0.1)
    workspaces = {host(n): FakeWorkspace(at=behind()) for n in range(3)}
    release = threading.Event()

    def never(what: str) -> None:
        if what == "sign_in":
            release.wait(30)

    workspaces[host(1)].before = never
    environ = {
        "WORKSPACES": json.dumps(
            [
                {
                    "host": key,
                    "client_id": "5a1e0000-0000-4000-8000-000000000001",
                    "client_secret_name": "s",
                    "folders": ["/Repos/etl/prod"],
                }
                for key in workspaces
            ]
        ),
        "KEY_VAULT_URL": "https://v.vault.azure.net",
    }
    clock = SystemClock()
    services = FakeServices(workspaces, {"main": OLD}, token_life=timedelta(days=36500))
    report = refresh(
        load(environ), services, Deadline.after(2, clock), next_run=NOW, logger=RedactingLogger()
    )
    release.set()
    assert [workspace.result for workspace in report.workspaces] == ["ok", "failed", "ok"]
    found = report.workspaces[1]
    assert found.error
    assert found.error.code == "out_of_time"
    assert found.credential
    assert found.credential.action == "failed"
    assert [folder.error and folder.error.code for folder in found.folders] == ["out_of_time"]


@pytest.mark.skipif(settings.get_current_profile_name() == "quick", reason="measures time: for `make test`")
def test_the_report_of_a_hung_fleet_is_in_time_on_a_quarter_core(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand workspaces with sixty Git folders each: four times the CPU seconds after the work's end."""
    monkeypatch.setattr(fleet_module, "REPORT_GRACE_S", 0.0)
    caplog.set_level("CRITICAL", "git_refresh")
    release = threading.Event()

    def hang(_: str) -> None:
        release.wait(60)

    fleet = {host(number): FakeWorkspace(before=hang) for number in range(1_000)}
    defaults = {"auth": "managed_identity", "folders": [f"/Repos/etl/{number}" for number in range(60)]}
    environ = {"WORKSPACES": json.dumps(list(fleet)), "WORKSPACE_DEFAULTS": json.dumps(defaults)}
    found = load(environ)
    logger = RedactingLogger()
    for number in range(1_000):
        logger.secrets.add(f"dose{number:032x}")
    deadline = Deadline.after(0.5, SystemClock())
    began = time.thread_time()
    report = refresh(found, FakeServices(fleet), deadline, next_run=NOW, logger=logger)
    took = time.thread_time() - began
    release.set()
    assert report.counts()["folders_failed"] == 60_000
    assert took * 4 < found.timeout_s - found.work_s


def test_at_most_four_folders_of_a_workspace_are_worked_on_at_once() -> None:
    paths = [f"/Repos/etl/{number}" for number in range(12)]
    folders = {path: GitFolder(number, path, URL, "main", OLD) for number, path in enumerate(paths, start=1)}
    workspace = FakeWorkspace(at=dict(folders), heads={"main": NEW})
    lock, four, running, most = threading.Lock(), threading.Event(), [0], [0]

    def watch(what: str) -> None:
        if what != "move_folder":
            return
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            if running[0] == 4:
                four.set()
        assert four.wait(10)
        threading.Event().wait(0.01)  # enough time for a fifth one
        with lock:
            running[0] -= 1

    workspace.before = watch
    report = run(FakeServices({host(1): workspace}, {"main": NEW}), {"folders": paths})
    assert [folder.action for folder in report.workspaces[0].folders] == ["updated"] * 12
    assert most == [4]


def elsewhere(number: int) -> dict[str, Any]:
    return {
        f"/Repos/x/{n}": GitFolder(n, f"/Repos/x/{n}", f"https://github.com/x/{n}", "main", OLD)
        for n in range(number)
    }


def test_a_found_folder_that_cannot_be_pulled_is_left_with_a_reason() -> None:
    at: dict[str, Any] = {
        f"/Repos/x/{name}": GitFolder(n, f"/Repos/x/{name}", url, "main", OLD)
        for n, (name, url) in enumerate({"git-init": "", "github": "https://github.com/x/y"}.items())
    }
    report = run(FakeServices({host(1): FakeWorkspace(at=at)}), {"folders": ["/Repos/x/*"]})
    assert [folder.action for folder in report.workspaces[0].folders] == ["skipped"] * 2
    assert [problem.message.split(":")[0] for problem in report.problems] == [
        "no_remote_repository",
        "not_azure_devops",
    ]


def test_what_is_said_of_one_workspace_does_not_crowd_out_the_others() -> None:
    workspaces = {host(1): FakeWorkspace(at=elsewhere(50)), host(2): FakeWorkspace(at=elsewhere(2))}
    report = run(FakeServices(workspaces), *[{"folders": ["/Repos/x/*"]}] * 2)
    said = [str(problem) for problem in report.problems]
    assert len([text for text in said if "adb-1" in text]) == 11, "ten, and that there is more"
    assert len([text for text in said if "adb-2" in text]) == 2


def test_a_token_rejected_everywhere_costs_twenty_requests_a_workspace() -> None:
    urls = [f"https://dev.azure.com/contoso/p/_git/{n}" for n in range(50)]
    at: dict[str, Any] = {
        f"/Repos/x/{n}": GitFolder(n, f"/Repos/x/{n}", url, "main", OLD)
        for n, url in enumerate(urls, start=1)
    }
    services = FakeServices(
        {host(1): FakeWorkspace(at=at)},
        devops_failure=failure(Service.AZURE_DEVOPS, 401, message="TF400813: ..."),
    )
    assert run(services, {"folders": ["/Repos/x/*"]}).result == "failed"
    assert len(services.asked) == 20


def test_a_folder_without_a_path_fails_its_workspace_and_keeps_it_fresh() -> None:
    fake = FakeWorkspace(at=behind())
    report = run(FakeServices({host(1): fake}, {"main": OLD}), {"folders": ["/Repos/etl/prod", 5]})
    (found,) = report.workspaces
    assert (found.result, found.error and found.error.code) == ("failed", "invalid_folder")
    assert found.credential
    assert found.credential.action == "created"


def test_a_directory_that_is_read_in_part_fails_its_pattern() -> None:
    class Odd(FakeWorkspace):
        def children(self, path: str) -> list[ListedObject | None]:
            return [*super().children(path), None]

    fake = Odd(at=behind())
    report = run(FakeServices({host(1): fake}, {"main": OLD}), {"folders": ["/Repos/etl/*"]})
    actions = [
        (folder.path, folder.action, folder.error and folder.error.code)
        for folder in report.workspaces[0].folders
    ]
    assert actions == [
        ("/Repos/etl/*", "failed", "unexpected_answer"),
        ("/Repos/etl/prod", "unchanged", None),
    ]


TRUSTED = {"TRUSTED_HOSTS": "git.contoso.com"}
ELSEWHERE = "https://git.contoso.com/contoso/p/_git/etl"


def test_only_the_settings_decide_where_the_token_goes() -> None:
    folder = GitFolder(1, "/Repos/etl/prod", ELSEWHERE, "main", OLD)
    services = FakeServices({host(1): FakeWorkspace(at={folder.path: folder})}, {"main": NEW})
    run(services, settings=TRUSTED)
    assert services.asked == []


def test_a_repository_that_the_settings_name_is_asked_about_wherever_it_is() -> None:
    services = FakeServices({host(1): FakeWorkspace()}, {"main": NEW})
    wanted = {"path": "/Repos/etl/prod", "url": ELSEWHERE, "branch": "main"}
    run(services, {"folders": [wanted]}, settings=TRUSTED)
    assert set(services.asked) == {"contoso/p/etl main"}


def test_a_run_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    run(FakeServices({host(1): FakeWorkspace(at=behind())}, {"main": OLD}))
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert set(threading.enumerate()) <= before


def test_a_workspace_is_let_go_of_once_even_if_that_fails() -> None:
    class Api(FakeWorkspace):
        def release_idle_connections(self) -> None:
            self.log.append("rest")

        def close(self) -> None:
            self.log.append("close")
            raise OSError("bad file descriptor")

    fake = Api(at=behind(), heads={"main": NEW})
    assert run(FakeServices({host(1): fake}, {"main": NEW})).result == "ok"
    assert (fake.log.count("rest"), fake.log.count("close"), fake.log[-1]) == (1, 1, "close")
    assert fake.log.index("rest") == fake.log.index("create_credential") + 1, "before any folder"


def test_what_is_raised_is_one_line_of_bounded_length(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> Settings:
        raise SettingsError([Problem("WORKSPACES", "a\n\u202eb " * 5_000)])

    monkeypatch.setattr(app, "load", load)
    with pytest.raises(RunFailedError) as caught:
        app.run_scheduled({}, None)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= LONGEST_MESSAGE


@pytest.mark.parametrize(("descriptors", "at_once"), [(1024, 32), (80, 10), (44, 1), (41, 1), (16, 1)])
def test_no_more_is_done_at_once_than_there_are_descriptors_for(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, at_once: int
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (descriptors, descriptors))
    environ = {"WORKSPACES": json.dumps([{"host": host(1), "auth": "managed_identity"}])}
    assert app._with_limited_concurrency(load(environ)).concurrency == at_once
