"""What makes a run fail makes `check` fail: over every code of the table, and every place where a run meets it before it writes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.cli.check import check_clouds, check_settings
from git_refresh.cli.checks import Check, CheckReport
from git_refresh.cli.scope import Scope, narrow
from git_refresh.failures.failure import Service, ServiceError
from git_refresh.failures.table import OWN, TABLE, UNKNOWN
from git_refresh.model.clock import Deadline
from git_refresh.model.values import GitFolder, OtherObject, Ref, Secret, StoredCredential
from git_refresh.output.log import RedactingLogger
from git_refresh.run.refresh import lateness, refresh
from git_refresh.run.report import Report
from git_refresh.run.walk import MAX_REQUESTS, WIDE
from git_refresh.settings.load import load
from tests.support.fake_fleet import NEW, OLD, URL, frozen, host
from tests.support.fakes import NOW, FakeClock, FakeServices, FakeWorkspace, failure
from tests.unit.test_diagnosis import CASES, Case, symptom_of

PATH = "/Repos/etl/prod"
OURS = StoredCredential(5, "azureDevOpsServices", "git-refresh")


@dataclass
class Unmanaged(FakeWorkspace):
    """A workspace in which the app lacks Can Manage on Git folders: its list leaves them out, and refuses to move them."""

    unmanaged: set[str] = field(default_factory=set)

    def folders(self, prefix: str) -> Iterator[list[GitFolder | None]]:
        for page in super().folders(prefix):
            yield [found for found in page if found is not None and found.path not in self.unmanaged]

    def move_folder(self, id_: int, ref: Ref, *, discard: bool, credential_id: int | None) -> None:
        if self.folder(id_).path in self.unmanaged:
            raise failure(status=403, error_code="PERMISSION_DENIED", message="may not manage it")
        super().move_folder(id_, ref, discard=discard, credential_id=credential_id)


class NoSecret(FakeServices):
    """A vault that fails."""

    failure: ServiceError

    def secret(self, name: str) -> Secret:
        raise self.failure


@dataclass
class Scene:
    """What is there, and what the settings want."""

    workspace: FakeWorkspace = field(
        default_factory=lambda: FakeWorkspace(
            stored=[OURS], at={PATH: GitFolder(1, PATH, URL, "main", NEW)}, heads={"main": NEW}
        )
    )
    folders: list[Any] = field(default_factory=lambda: [PATH])
    entry: dict[str, Any] = field(default_factory=dict)
    services: dict[str, Any] = field(default_factory=dict)
    make: Callable[..., FakeServices] = FakeServices
    late: timedelta = timedelta()
    interval: timedelta = timedelta(minutes=15)
    asked_for: tuple[str, ...] = ()

    def run(self) -> Report:
        return refresh(
            narrow(load(self._environ()), Scope(paths=self.asked_for)),
            self._services(),
            Deadline.after(540, FakeClock()),
            next_run=NOW + self.interval,
            logger=RedactingLogger(),
            notes=lateness(self.late, past_due=False),
        )

    def check(self) -> CheckReport:
        environ = self._environ()
        settings = narrow(load(environ), Scope(paths=self.asked_for))
        lines: list[Check] = check_settings(environ, settings.problems, settings)
        deadline = Deadline.after(540, FakeClock())
        lines += check_clouds(settings, self._services(), deadline, interval=self.interval)
        return CheckReport(tuple(lines))

    def _services(self) -> FakeServices:
        return self.make({host(1): self.workspace}, {"main": NEW}, **self.services)

    def _environ(self) -> dict[str, str]:
        entry = {
            "host": host(1),
            "client_id": "5a1e0000-0000-4000-8000-000000000001",
            "client_secret_name": "secret",
            "folders": self.folders,
        }
        return {
            "WORKSPACES": json.dumps([{**entry, **self.entry}]),
            "KEY_VAULT_URL": "https://v.vault.azure.net",
            "REFRESH_SCHEDULE": "0 */15 * * * *",
        }


def codes(report: Report) -> str:
    return " ".join(
        [
            *(problem.message for problem in report.problems),
            *(error.code for workspace in report.workspaces for _, error in workspace.failures()),
        ]
    )


def at(**found: Any) -> FakeWorkspace:
    folder = GitFolder(1, PATH, URL, "main", NEW)
    return FakeWorkspace(stored=[OURS], at={PATH: replace(folder, **found)}, heads={"main": NEW})


def wide(directories: int) -> FakeWorkspace:
    """A workspace with a Git folder beside so many directories without one."""
    there = {f"/Shared/{number}": OtherObject("DIRECTORY") for number in range(directories)}
    folder = GitFolder(1, "/Shared/a", URL, "main", NEW)
    return FakeWorkspace(stored=[OURS], at={**there, folder.path: folder}, heads={"main": NEW})


def empty(workspaces: dict[str, FakeWorkspace], _: object, **more: Any) -> FakeServices:
    """The clouds, with a repository that has no commit."""
    return FakeServices(workspaces, {}, branches=(), **more)


def broken(what: str) -> None:
    if what == "credentials":
        raise ZeroDivisionError


FEDERATED = StoredCredential(9, "azureDevOpsServicesAad", "")
THERE: dict[str, GitFolder | OtherObject] = {PATH: GitFolder(1, PATH, URL, "main", NEW)}
FOUND_BY_THE_APP: dict[str, Callable[[], Scene]] = {
    "invalid_settings": lambda: Scene(entry={"hots": 1}),
    "invalid_folder": lambda: Scene(folders=[PATH, "x"]),
    "folder_not_found": lambda: Scene(FakeWorkspace(stored=[OURS])),
    "folder_misspelled": lambda: Scene(FakeWorkspace(stored=[OURS], at=dict(THERE)), folders=[f"{PATH}x"]),
    "not_a_git_folder": lambda: Scene(FakeWorkspace(at={PATH: OtherObject("NOTEBOOK")})),
    "directory_of_git_folders": lambda: Scene(
        FakeWorkspace(
            stored=[OURS],
            at={PATH: OtherObject("DIRECTORY"), f"{PATH}/x": GitFolder(1, f"{PATH}/x", URL, "main", NEW)},
        )
    ),
    "inside_git_folder": lambda: Scene(FakeWorkspace(at={PATH: OtherObject("FILE", inside="/Repos/etl")})),
    "broken_git_folder": lambda: Scene(FakeWorkspace(at={PATH: OtherObject("DIRECTORY", broken=True)})),
    "pattern_in_git_folder": lambda: Scene(at(), folders=[f"{PATH}/*"]),
    "pattern_not_a_directory": lambda: Scene(
        FakeWorkspace(at={PATH: OtherObject("NOTEBOOK")}), folders=[f"{PATH}/*"]
    ),
    "pattern_too_wide": lambda: Scene(wide(MAX_REQUESTS), folders=["/Shared/*"]),
    "wrong_repository": lambda: Scene(folders=[{"path": PATH, "url": f"{URL}2", "branch": "main"}]),
    "not_azure_devops": lambda: Scene(at(url="https://github.com/a/b")),
    "azure_devops_server": lambda: Scene(at(url="https://tfs.contoso.com/tfs/DefaultCollection/p/_git/etl")),
    "remote_not_https": lambda: Scene(at(url="git@ssh.dev.azure.com:v3/contoso/p/etl")),
    "no_remote_repository": lambda: Scene(at(url="")),
    "folder_not_listed": lambda: Scene(folders=["/Repos/etl/*"], asked_for=("/Repos/etl/none",)),
    "ref_not_found": lambda: Scene(folders=[{"path": PATH, "url": URL, "branch": "none"}]),
    "branch_gone": lambda: Scene(at(branch="gone")),
    "commit_as_ref": lambda: Scene(folders=[{"path": PATH, "url": URL, "branch": "0a1b2c3"}]),
    "repository_empty": lambda: Scene(at(commit=None), make=empty),
    "token_expires_before_next_run": lambda: Scene(interval=timedelta(hours=2)),
    "internal_error": lambda: Scene(FakeWorkspace(before=broken)),
    # These make no run fail.
    "late_run": lambda: Scene(late=timedelta(minutes=9)),
    "clock_skew": lambda: Scene(services={"behind": timedelta(minutes=3)}),
    "secret_expires_soon": lambda: Scene(services={"secret_life": timedelta(days=9)}),
    "secret_not_yet_valid": lambda: Scene(services={"secret_begins": NOW + timedelta(days=1)}),
    "federated_credential": lambda: Scene(FakeWorkspace(stored=[FEDERATED, OURS], at=dict(THERE))),
    "foreign_credential": lambda: Scene(
        FakeWorkspace(stored=[replace(OURS, name="nightly jobs")], at=dict(THERE))
    ),
    "remote_password": lambda: Scene(at(url=URL.replace("https://", "https://me:canary@"))),
    "folder_detached": lambda: Scene(FakeWorkspace(stored=[OURS], at=frozen())),
    "changes_discarded": lambda: Scene(at(commit=OLD), folders=[{"path": PATH, "on_conflict": "discard"}]),
    "no_folder_matched": lambda: Scene(FakeWorkspace(stored=[OURS]), folders=["/Repos/none/*"]),
    "pattern_wide": lambda: Scene(wide(WIDE), folders=["/Shared/*"]),
}
TOLD_BY_CHECK_ALONE = {
    "second_credential",
    "folder_permission",
    "misspelled_setting",
    "schedule_surprising",
    "setting_renamed",
    "setting_understood",
    "time_zone_ignored",
    "function_disabled",
    "proxy_surprising",
    "unused_secret_name",
    "unknown_setting",
    "ignored_setting",
    "secret_without_expiration",
    "long_setting",  # with one that is too long no process starts
    # Of jobs, which a run never looks at.
    "job_principal_not_refreshed",
    "job_credential_missing",
    "job_wrong_provider",
    "job_bad_url",
    "job_secret_in_url",
    "job_repository_not_readable",
    "job_ref_not_found",
    "local_commits",  # shows only after a move
    "remote_password_rejected",  # shows only after an attempt to move
    "interrupted",  # is nobody's verdict
    # Of a message on the queue, not of the settings or the clouds.
    "slice_too_late",
    "workspace_not_listed",
    "message_unreadable",
    "slice_duplicate",
    "slice_already_completed",
    "slice_abandoned",
    # Of what is granted, which onboard alone looks at.
    "grant_refused",
    "grant_not_visible",
    "identity_not_in_tenant",
    "no_consent",
    "principal_not_in_account",
    "principal_inactive",
    "member_cannot_sign_in",
    "no_workspace_id",
    "principal_name_taken",
    "check_timed_out",
    "accounts_differ",
    "grant_too_broad",
    "not_a_managed_identity",
    "no_account_id",
    "manager_missing",
    "additional_principal_not_found",
    # Of a list that is compared with another.
    "workspace_removed",
    "folder_removed",
    "pattern_removed",
    "principal_removed",
    # Of a rotation, which neither a run nor a check is.
    "secret_shared_by_principals",
    "oauth_secret_limit_near",
    "scopes_differ",
    "unknown_oauth_secret",
    "unproven_oauth_secret",
    "untagged_oauth_secret",
    "secret_of_another_principal",
    "new_secret_rejected",
    "new_secret_not_visible",
    "new_secret_untried",
    "new_secret_unexpected",
}
"""Of what a run only meets, or nothing at all: it goes on."""


def test_every_code_that_the_app_finds_by_itself_is_looked_at() -> None:
    assert FOUND_BY_THE_APP.keys() | TOLD_BY_CHECK_ALONE == {row.code for row in OWN}
    assert not FOUND_BY_THE_APP.keys() & TOLD_BY_CHECK_ALONE


@pytest.mark.parametrize("code", FOUND_BY_THE_APP)
def test_what_the_app_finds_by_itself_fails_a_check_if_it_fails_a_run(code: str) -> None:
    scene = FOUND_BY_THE_APP[code]
    report, check = scene().run(), scene().check()
    assert code in codes(report)
    assert check.result == report.result
    if code not in {"late_run", "changes_discarded"}:  # only the timer can be late, and only a move discards
        assert code in {line.error.code for line in check.checks if line.error}


READS = ("sign_in", "credentials", "folders", "find")
"""Of a workspace. What only writing shows (a conflict, a missing permission), no check can know."""


def scenes(case: Case) -> Iterator[tuple[str, Scene]]:
    """Each place where a run can meet this failure before it writes."""
    failure = symptom_of(case)
    anywhere = case.code in {row.code for row in TABLE if not any(match.service for match in row.matches)}
    services = list(Service) if anywhere or case.code == UNKNOWN.code else [case.service]
    for service in services:
        error = ServiceError(replace(failure, service=service))
        match service:
            case Service.IDENTITY | Service.AZURE_CLI:
                yield "token", Scene(services={"identity_failure": error, "identity": service})
            case Service.ENTRA:
                yield "token of another tenant", Scene(services={"identity_failure": error})
            case Service.KEY_VAULT:
                make = type("Vault", (NoSecret,), {"failure": error})
                yield "secret", Scene(make=make)
            case Service.AZURE_DEVOPS:
                yield "head", Scene(services={"devops_failure": error})
                wanted = {"path": PATH, "url": URL, "branch": "main"}
                yield "head of a url", Scene(folders=[wanted], services={"devops_failure": error})
                yield (
                    "folder on no branch",
                    Scene(FakeWorkspace(stored=[OURS], at=frozen()), services={"devops_failure": error}),
                )
                yield (
                    "head, nothing stored",
                    Scene(FakeWorkspace(at=dict(THERE)), services={"devops_failure": error}),
                )
            case Service.STORAGE:  # where the queue is: neither a run nor a check asks for it
                return
            case Service.DATABRICKS:
                for read in READS:
                    there: dict[str, GitFolder | OtherObject] = {} if read == "find" else dict(THERE)
                    workspace = FakeWorkspace(
                        stored=[OURS], at=there, heads={"main": NEW}, fail={read: error}
                    )
                    yield read, Scene(workspace, folders=[PATH, "/Repos/etl/*"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_service_says_fails_a_check_if_it_fails_a_run(case: Case) -> None:
    looked_at = 0
    for (place, ran), (_, checked) in zip(scenes(case), scenes(case), strict=True):
        report, check = ran.run(), checked.check()
        assert check.result == report.result, place
        looked_at += report.result == "failed"
    assert looked_at or case.service in {Service.AZURE_DEVOPS, Service.STORAGE}


PATHS = (PATH, "/Repos/etl/test", "/Shared/a")
FOUND: dict[str, GitFolder | OtherObject | None] = {
    "there": GitFolder(1, PATH, URL, "main", NEW),
    "behind": GitFolder(1, PATH, URL, "main", OLD),
    "on another branch": GitFolder(1, PATH, URL, "dev", OLD),
    "on a branch that is gone": GitFolder(1, PATH, URL, "gone", OLD),
    "on no branch": GitFolder(1, PATH, URL, None, NEW),
    "of another repository": GitFolder(1, PATH, f"{URL}2", "main", NEW),
    "from elsewhere": GitFolder(1, PATH, "https://github.com/a/b", "main", NEW),
    "a directory": OtherObject("DIRECTORY"),
    "missing": None,
}
WANTED: tuple[dict[str, str], ...] = (
    {},
    {"branch": "main"},
    {"branch": "none"},
    {"url": URL, "branch": "main"},
    {"url": URL},
)


@given(
    st.lists(
        st.tuples(st.sampled_from(list(FOUND)), st.booleans(), st.sampled_from(WANTED)),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([["/Repos/etl/*"], ["/Shared/*", "/Repos/*"], []]),
    st.booleans(),
)
def test_in_any_state_a_check_and_the_run_after_it_have_one_verdict(
    drawn: list[tuple[str, bool, dict[str, str]]],
    patterns: list[str],
    stored: bool,  # noqa: FBT001  # hypothesis fills it in
) -> None:
    there: dict[str, GitFolder | OtherObject] = {}
    unmanaged = {path for path, (_, managed, _) in zip(PATHS, drawn, strict=False) if not managed}
    for number, (path, (state, *_)) in enumerate(zip(PATHS, drawn, strict=False)):
        found = FOUND[state]
        if isinstance(found, GitFolder):
            there[path] = replace(found, id=number + 1, path=path)
        elif found is not None:
            there[path] = found
    folders = [{"path": path, **wanted} for path, (_, _, wanted) in zip(PATHS, drawn, strict=False)]

    def scene() -> Scene:
        workspace = Unmanaged(
            stored=[OURS] if stored else [], at=dict(there), heads={"main": NEW}, unmanaged=unmanaged
        )
        return Scene(workspace, folders=[*folders[: 1 if patterns else None], *patterns])

    check, report = scene().check(), scene().run()
    assert check.result == report.result, (
        codes(report),
        [line.error and line.error.code for line in check.checks],
    )


def test_every_code_of_a_service_is_looked_at() -> None:
    assert {case.code for case in CASES} == {row.code for row in (*TABLE, UNKNOWN)}
