"""`status`: the state of workspaces, and unknown parts of it."""

import io
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from git_refresh.cli.status import (
    CredentialStatus,
    FolderStatus,
    LastRun,
    StatusReport,
    WorkspaceStatus,
    look,
    read_report,
    show_status,
)
from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.model.clock import Deadline
from git_refresh.model.values import GitFolder, OtherObject, StoredCredential
from git_refresh.settings.load import SettingsError, load
from tests.support.fake_fleet import NEW, URL, host
from tests.support.fakes import NOW, FakeClock, FakeServices, FakeWorkspace, failure

OWN = StoredCredential(7, "azureDevOpsServices", "git-refresh")
PROD = {"path": "/Repos/etl/prod", "url": URL, "branch": "main"}


def folder(branch: str | None = "main", **changes: Any) -> GitFolder:
    values = {"id": 1, "path": "/Repos/etl/prod", "url": URL, "branch": branch, "commit": NEW}
    return GitFolder(**{**values, **changes})


def stand(
    workspace: FakeWorkspace,
    *folders: object,
    last: LastRun | None = None,
    services: dict[str, Any] | None = None,
    **entry: Any,
) -> StatusReport:
    item = {
        "host": host(1),
        "name": "data-1",
        "client_id": "5a1e0000-0000-4000-8000-000000000001",
        "client_secret_name": "secret",
        **entry,
    }
    settings = load(
        {
            "WORKSPACES": json.dumps([{**item, "folders": folders}]),
            "KEY_VAULT_URL": "https://v.vault.azure.net",
        }
    )
    clouds = FakeServices({host(1): workspace}, **(services or {}))
    return look(settings, clouds, Deadline.after(540, FakeClock()), last)


def with_folder(found: GitFolder | OtherObject | None) -> FakeWorkspace:
    at = {"/Repos/etl/prod": found} if found else {}
    return FakeWorkspace(stored=[OWN], at=at)


TENANT = "5a1e-tenant"


def last_run(**changes: Any) -> LastRun:
    values = {
        "started_at": NOW - timedelta(minutes=10),
        "tokens": ((None, TENANT, NOW + timedelta(minutes=50)),),
        "actions": {host(1): "updated"},
    }
    return LastRun(**{**values, **changes})


def shown(report: StatusReport, *, with_ends: bool = False) -> list[str]:
    out = Console(file=io.StringIO(), width=400, highlight=False)
    show_status(report, out, with_ends=with_ends)
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_status_shows_credential_and_folders_and_writes_nothing() -> None:
    workspace = with_folder(folder())
    report = stand(workspace, PROD)
    assert shown(report)[:-2] == [
        f"data-1  {host(1)}",
        "  ✓ signed in as service principal 5a1e0000-0000-4000-8000-000000000001",
        "  ✓ Git credential 7: user name git-refresh",
        f"  ✓ /Repos/etl/prod: on branch main, at {NEW[:8]}",
    ]
    assert shown(report)[-1] == "1 workspace: 1 ok. Stored tokens were not verified."
    assert workspace.log == ["sign_in", "credentials", "folders"]


def test_without_a_run_report_the_expiry_of_a_token_is_unknown() -> None:
    report = stand(with_folder(folder()), PROD)
    assert any("--report FILE" in line for line in shown(report))
    assert not any("run --json" in line for line in shown(report, with_ends=True))


def fleet_of(number: int, **changes: Any) -> StatusReport:
    """Return workspaces with similar credentials and folders; the second one is changed."""

    def workspace(index: int) -> WorkspaceStatus:
        values: dict[str, Any] = {
            "name": f"data-{index}",
            "host": host(index),
            "status": "ok",
            "message": "signed in",
            "credentials": (CredentialStatus("p", "ok", "user name x", index),),
            "folders": tuple(FolderStatus(f"/Repos/{name}", "warning", "on branch dev") for name in "abcde"),
        }
        return WorkspaceStatus(**{**values, **(changes if index == 2 else {})})

    return StatusReport(tuple(workspace(index) for index in range(1, number + 1)))


def test_equal_workspaces_are_shown_once_with_first_places_and_a_count() -> None:
    assert shown(fleet_of(1501, message="signed in as another"), with_ends=True) == [
        "data-1, data-3, data-4 and 1,497 more",
        "  ✓ signed in",
        "  ✓ Git credential: user name x",
        "  ! /Repos/a, /Repos/b, /Repos/c and 2 more: on branch dev",
        f"data-2  {host(2)}",
        "  ✓ signed in as another",
        "  ✓ Git credential 2: user name x",
        "  ! /Repos/a, /Repos/b, /Repos/c and 2 more: on branch dev",
        "1501 workspaces: 1501 with warnings.",
    ]


def test_workspaces_that_differ_only_in_host_and_request_id_are_shown_once() -> None:
    def failing(number: int) -> WorkspaceStatus:
        cause = f"{host(number)} refuses."
        folders = tuple(
            FolderStatus(
                path, "failed", message, error=Diagnosis("permission_denied", message, cause, f"Open {path}.")
            )
            for path in (f"/Repos/{folder}" for folder in range(60))
            for message in (f"Databricks returned 403 for {path} (request ID {number}-{path}).",)
        )
        return WorkspaceStatus(f"data-{number}", host(number), "ok", "signed in", folders=folders)

    lines = shown(StatusReport(tuple(failing(number) for number in range(1_000))))
    assert lines[0] == "data-0, data-1, data-2 and 997 more"
    assert lines[2].startswith("  ✗ /Repos/0, /Repos/1, /Repos/2 and 57 more: ")
    assert sum(line.startswith("permission_denied: ") for line in lines) == 1
    assert len(lines) < 10


def test_three_workspaces_are_shown_one_by_one() -> None:
    assert sum(line.startswith("data-") for line in shown(fleet_of(3))) == 3


ENDS = {
    "it lives": (
        {},
        ("ok", "token of the run of 2026-11-23 11:50 UTC expires at 2026-11-23 12:50 UTC, in 50 minutes"),
    ),
    "it has ended": (
        {"tokens": ((None, TENANT, NOW - timedelta(minutes=5)),)},
        (
            "warning",
            (
                "token of the run of 2026-11-23 11:50 UTC expired at 2026-11-23 11:55 UTC, 5 minutes ago "
                "(a later run might have stored another)"
            ),
        ),
    ),
    "nothing was stored": (
        {"actions": {host(1): "token_rejected"}},
        ("warning", "the run of 2026-11-23 11:50 UTC stored no token (token_rejected)"),
    ),
    "no token": ({"tokens": ()}, ("warning", "the run of 2026-11-23 11:50 UTC stored no token (updated)")),
    "the token of another zone": (
        {"tokens": (("5a1e-identity", TENANT, NOW + timedelta(minutes=50)),)},
        ("warning", "the run of 2026-11-23 11:50 UTC stored no token (updated)"),
    ),
    "another fleet": (
        {"actions": {}},
        ("warning", "this workspace is not in the report of the run of 2026-11-23 11:50 UTC"),
    ),
}


@pytest.mark.parametrize(("changes", "expected"), ENDS.values(), ids=ENDS)
def test_when_a_stored_token_ends_is_what_the_report_of_a_run_says(
    changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    (workspace,) = stand(FakeWorkspace(stored=[OWN]), last=last_run(**changes)).workspaces
    (credential,) = workspace.credentials
    state, said = expected
    assert (credential.status, credential.message.partition("; ")[2]) == (state, said)


CREDENTIALS: dict[str, tuple[Sequence[StoredCredential], tuple[str, int | None, str]]] = {
    "ours": ([OWN], ("ok", 7, "user name git-refresh")),
    "none": ([], ("failed", None, "missing for Azure DevOps; pulls fail until a run creates it")),
    "another provider's": (
        [StoredCredential(8, "gitHub", "x")],
        ("failed", None, "missing for Azure DevOps"),
    ),
    "federated": (
        [StoredCredential(9, "azureDevOpsServicesAad", "x")],
        ("warning", 9, "Git credential 9"),
    ),
}


@pytest.mark.parametrize(("stored", "expected"), CREDENTIALS.values(), ids=CREDENTIALS)
def test_the_stored_credential_is_shown(
    stored: list[StoredCredential], expected: tuple[str, int | None, str]
) -> None:
    report = stand(FakeWorkspace(stored=stored))
    (credential,) = report.workspaces[0].credentials
    state, id_, words = expected
    assert (credential.status, credential.id) == (state, id_)
    assert words in credential.message
    assert report.result == ("failed" if state == "failed" else "ok")


FOLDERS: dict[str, tuple[object, GitFolder | OtherObject | None, tuple[str, str]]] = {
    "as wanted": (PROD, folder(), ("ok", f"on branch main, at {NEW[:8]}")),
    "on any branch": ("/Repos/etl/prod", folder("dev"), ("ok", f"on branch dev, at {NEW[:8]}")),
    "on another branch": (
        PROD,
        folder("dev"),
        ("warning", f"on branch dev, at {NEW[:8]}, but the settings have branch main"),
    ),
    "on a tag": (
        {"path": "/Repos/etl/prod", "tag": "v1"},
        folder(None),
        ("ok", f"detached HEAD, at {NEW[:8]}"),
    ),
    "on no branch": (
        "/Repos/etl/prod",
        folder(None),
        (
            "warning",
            f"detached HEAD, at {NEW[:8]}; its entry names neither branch nor tag",
        ),
    ),
    "before its first commit": (PROD, folder(commit=None), ("ok", "on branch main, without a commit")),
    "not there yet": (PROD, None, ("warning", "nothing exists at this path yet; a run creates it")),
}


@pytest.mark.parametrize(("wanted", "found", "expected"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_is_shown_with_its_branch_and_commit(
    wanted: object, found: GitFolder | OtherObject | None, expected: tuple[str, str]
) -> None:
    (told,) = stand(with_folder(found), wanted).workspaces[0].folders
    assert (told.status, told.message) == expected


@pytest.mark.parametrize(
    ("wanted", "found", "code"),
    [
        ("/Repos/etl/prod", None, "folder_not_found"),
        (PROD, OtherObject("DIRECTORY"), "not_a_git_folder"),
        (PROD, folder(url="https://github.com/a/b"), "not_azure_devops"),
        (PROD, folder(url=URL + "x"), "wrong_repository"),
    ],
)
def test_a_folder_that_a_run_would_refuse_is_shown_with_its_code(
    wanted: object, found: GitFolder | OtherObject | None, code: str
) -> None:
    report = stand(with_folder(found), wanted)
    (told,) = report.workspaces[0].folders
    assert (told.status, told.error and told.error.code, report.result) == ("failed", code, "failed")
    assert any(line.startswith(f"{code}: ") for line in shown(report))
    assert any(line.startswith("      → ") for line in shown(report))


def test_the_folders_of_a_pattern_are_shown_one_by_one() -> None:
    workspace = FakeWorkspace(
        stored=[OWN],
        at={
            "/Repos/etl/a": folder(id=1, path="/Repos/etl/a"),
            "/Repos/etl/b": folder(id=2, path="/Repos/etl/b", url="https://github.com/a/b"),
        },
    )
    told = stand(workspace, "/Repos/etl/*", "/Repos/none/*").workspaces[0].folders
    assert [(item.path, item.status) for item in told] == [
        ("/Repos/etl/a", "ok"),
        ("/Repos/etl/b", "skipped"),
        ("/Repos/none/*", "warning"),
    ]


def test_an_unlisted_directory_is_shown_for_each_pattern() -> None:
    workspace = FakeWorkspace(stored=[OWN], fail={"children": failure()})
    (told,) = stand(workspace, "/Repos/etl/*").workspaces[0].folders
    assert (told.path, told.status) == ("/Repos/etl/*", "failed")


def test_a_principal_of_run_as_has_a_line_of_its_own() -> None:
    credentials = stand(FakeWorkspace(stored=[OWN]), additional_principal_ids=[42]).workspaces[0].credentials
    assert [(item.principal, item.status) for item in credentials] == [
        ("service principal 5a1e0000-0000-4000-8000-000000000001", "ok"),
        ("service principal 42", "failed"),
    ]


def test_a_failing_workspace_has_its_code_and_fails_no_other() -> None:
    clouds = FakeServices(
        {host(1): FakeWorkspace(fail={"sign_in": failure(status=401)}), host(2): FakeWorkspace(stored=[OWN])}
    )
    entry = {"client_id": "5a1e0000-0000-4000-8000-000000000001", "client_secret_name": "secret"}
    entries = [{"host": host(1), **entry}, {"host": host(2), **entry}, {"host": "http://x", "name": "bad"}]
    settings = load({"WORKSPACES": json.dumps(entries), "KEY_VAULT_URL": "https://v.vault.azure.net"})
    report = look(settings, clouds, Deadline.after(540, FakeClock()))
    assert [workspace.status for workspace in report.workspaces] == ["failed", "ok", "failed"]
    assert report.workspaces[2].error is not None
    assert report.workspaces[2].error.code == "invalid_settings"


def test_a_status_does_not_ask_azure_devops() -> None:
    clouds = FakeServices({host(1): with_folder(folder())})
    entry = {"host": host(1), "auth": "managed_identity", "folders": [PROD, "/Repos/*"]}
    report = look(load({"WORKSPACES": json.dumps([entry])}), clouds, Deadline.after(540, FakeClock()))
    assert (report.result, clouds.asked) == ("ok", [])


def test_what_ends_the_walk_before_all_folders_are_found_fails_the_status() -> None:
    def stop(what: str) -> None:
        if what == "children":
            raise TimeoutError

    report = stand(FakeWorkspace(stored=[OWN], before=stop), PROD, "/Shared/*")
    (workspace,) = report.workspaces
    assert (workspace.status, workspace.error and workspace.error.code) == ("failed", "out_of_time")
    assert [credential.status for credential in workspace.credentials] == ["ok"]


def test_without_a_token_of_its_own_it_says_so_for_every_workspace() -> None:
    report = stand(FakeWorkspace(), services={"identity_failure": failure()})
    assert [workspace.status for workspace in report.workspaces] == ["failed"]


def test_as_json_it_has_every_value_by_itself() -> None:
    report = stand(with_folder(folder()), PROD, last=last_run()).as_dict()
    (workspace,) = json.loads(json.dumps(report))["workspaces"]
    (credential,), (told,) = workspace["credentials"], workspace["folders"]
    assert (report["version"], report["result"]) == (1, "ok")
    assert (credential["id"], credential["username"], credential["expires_at"]) == (
        7,
        "git-refresh",
        "2026-11-23T12:50:00Z",
    )
    assert (told["path"], told["branch"], told["commit"]) == ("/Repos/etl/prod", "main", NEW)
    assert set(credential) == set(CredentialStatus.__slots__)


# The report of a run

RUN = {
    "version": 1,
    "started_at": "2026-11-23T11:50:00Z",
    "dry_run": False,
    "tokens": [
        {
            "identity": None,
            "tenant": TENANT,
            "expires_at": "2026-11-23T12:50:00Z",
            "remaining_s": 3600,
            "workspaces": 2,
        }
    ],
    "workspaces": [
        {"host": host(1), "result": "ok", "credential": {"action": "updated", "id": 7}},
        {"host": host(2), "result": "rejected", "credential": None},
    ],
}


def test_a_report_is_read(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(RUN))
    assert read_report(file) == last_run(actions={host(1): "updated", host(2): "rejected"})


WRONG = {
    "a plan": (json.dumps({**RUN, "dry_run": True}), "is the report of a plan"),
    "no JSON": ("{", "is not valid JSON"),
    "an array": ("[]", "is not the output of run --json"),
    "a check's": ('{"version": 1, "checks": []}', "is not the output of run --json"),
    "no time": (json.dumps({**RUN, "started_at": "noon"}), "is not the output of run --json"),
    "times out of range": (
        json.dumps({**RUN, "started_at": "0001-01-01T00:00:00+14:00"}),
        "is not the output of run --json",
    ),
    "no workspaces": (json.dumps({**RUN, "workspaces": [1]}), "is not the output of run --json"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_is_no_report_of_a_run_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_report(file)
    (problem,) = caught.value.problems
    assert problem.location == str(file)
    assert said in problem.message


def test_a_folder_that_no_run_moves_is_shown_with_the_line_to_add() -> None:
    (told,) = stand(with_folder(folder(None)), "/Repos/etl/prod").workspaces[0].folders
    assert told.error is not None
    assert (told.status, told.error.code) == ("warning", "folder_detached")
