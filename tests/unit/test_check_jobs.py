"""The findings of `check --jobs`: every one, omitted facts, and the identity used."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest
from pydantic import SecretStr

from git_refresh.admin.jobs import CONNECTIONS
from git_refresh.admin.values import Caller, GitSource, Job, ListedJob, RunAs
from git_refresh.cli import check_jobs
from git_refresh.cli.check import check_clouds
from git_refresh.cli.check_jobs import MAX_PARALLEL_JOBS
from git_refresh.cli.checks import Check, CheckReport
from git_refresh.cli.jobs import WorkspaceJobs, judge, refreshing
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.repository import Repository
from git_refresh.model.values import Ref, ResolvedRef, Secret, StoredCredential, Token
from git_refresh.output.log import MAX_TEXT_CHARS
from git_refresh.run import pool
from git_refresh.settings.load import load
from tests.support.fake_fleet import NEW, URL, host
from tests.support.fakes import FakeClock, FakeServices, FakeWorkspace, failure

APP = "5a1e0000-0000-4000-8000-000000000001"
ROBOT = "5a1e0000-0000-4000-8000-0000000000b0"
OTHER = "5a1e0000-0000-4000-8000-0000000000b1"
OURS = StoredCredential(5, "azureDevOpsServices", "git-refresh")
FEDERATED = StoredCredential(6, "azureDevOpsServicesAad", "")
AS_APP = RunAs("service principal", APP)
AS_ROBOT = RunAs("service principal", ROBOT)
MAIN = Ref("branch", "main")
UNREAD = "(its credentials could not be read)"
NO_PROBLEMS = (
    "checked as ann@contoso.com (workspace admin); 1 job with a Git source in Azure DevOps (no problems)"
)


ANN = Caller("ann@contoso.com", admin=True)


@dataclass
class FakeJobs:
    """One workspace's jobs; a `ServiceError` is raised, and None is a missing job."""

    jobs: dict[int, Job | ServiceError | None] = field(default_factory=dict)
    who: Caller = ANN
    numbers: dict[str, int] = field(default_factory=lambda: {APP: 70, ROBOT: 71, OTHER: 72})
    stored: dict[int, list[StoredCredential]] = field(default_factory=dict)
    fail: dict[str, Exception] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    closed: int = 0

    def _do(self, what: str) -> None:
        self.log.append(what)
        if (error := self.fail.get(what)) is not None:
            raise error

    def caller(self) -> Caller:
        self._do("caller")
        return self.who

    def listed(self) -> Iterator[list[ListedJob]]:
        self._do("listed")
        for number, job in self.jobs.items():
            yield [ListedJob(number, job.name if isinstance(job, Job) else "")]

    def job(self, id_: int) -> Job | None:
        self._do("job")
        found = self.jobs[id_]
        if isinstance(found, ServiceError):
            raise found
        return found

    def principal_id(self, application_id: str) -> int | None:
        self._do("principal_id")
        return self.numbers.get(application_id)

    def credentials(self, principal_id: int) -> list[StoredCredential]:
        self._do("credentials")
        return self.stored.get(principal_id, [])

    def close(self) -> None:
        self.closed += 1


@dataclass
class FakeDoors:
    """Every workspace's jobs, and the identities used; `shut` names those that cannot be used."""

    jobs: FakeJobs
    shut: dict[str, ServiceError] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)

    def _open(self, door: str) -> FakeJobs:
        self.used.append(door)
        if (error := self.shut.get(door)) is not None:
            raise error
        return self.jobs

    def sign_in(self, host: str, client_id: str, secret: SecretStr) -> FakeJobs:
        return self._open("sign_in")

    def exchange(self, host: str, client_id: str, assertion: Token) -> FakeJobs:
        return self._open("exchange")

    def workspace(self, host: str, token: SecretStr) -> FakeJobs:
        return self._open("workspace")


def job(
    id_: int = 1,
    run_as: RunAs | None = AS_APP,
    ref: Ref | None = MAIN,
    *,
    url: str = URL,
    provider: str = "azureDevOpsServices",
    commit: str = "",
) -> Job:
    return Job(id_, "nightly", run_as, GitSource(url, provider, ref, commit))


def look(
    *jobs: Job,
    doors: FakeDoors | None = None,
    workspace: FakeWorkspace | None = None,
    entry: dict[str, Any] | None = None,
    settings: dict[str, str] | None = None,
    **services: Any,
) -> list[Check]:
    """Return all lines of one workspace, by default for a person at a laptop."""
    doors = doors or FakeDoors(FakeJobs({each.id: each for each in jobs}))
    workspace = workspace or FakeWorkspace(stored=[OURS])
    clouds = FakeServices({host(1): workspace}, {"main": NEW}, **{"identity": Service.AZURE_CLI, **services})
    wanted = {"host": host(1), "name": "data-1", "client_id": APP, "client_secret_name": "secret"}
    environ = {
        "WORKSPACES": json.dumps([{**wanted, **(entry or {})}]),
        "KEY_VAULT_URL": "https://v.vault.azure.net",
        **(settings or {}),
    }
    read = load(environ)
    assert not read.problems
    return check_clouds(read, clouds, Deadline.after(540, FakeClock()), jobs=doors)


def of_jobs(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.layer == "job"]


def findings(checks: list[Check]) -> list[tuple[str, str]]:
    """Return status and code of the jobs' lines that are not ok; for a skipped one, its message."""
    lines = [check for check in of_jobs(checks) if check.status != "ok"]
    return [(check.status, check.error.code if check.error else check.message) for check in lines]


def only(checks: list[Check]) -> Check:
    (line,) = [check for check in of_jobs(checks) if check.status != "ok"]
    return line


def summary(checks: list[Check]) -> str:
    lines = [check for check in of_jobs(checks) if check.status == "ok"]
    assert {line.subject for line in lines} == {"data-1"}
    return "; ".join(line.message for line in lines)


def managed(**more: Any) -> dict[str, Any]:
    return {"auth": "managed_identity", "client_id": None, "client_secret_name": None, **more}


def refused() -> ServiceError:
    return ServiceError(
        ServiceFailure(
            Service.DATABRICKS, Operation.LIST_JOBS.of(), FailureKind.ANSWER, 403, "PERMISSION_DENIED", "no"
        )
    )


# No problems


def test_without_doors_nothing_is_said_of_jobs() -> None:
    clouds = FakeServices({host(1): FakeWorkspace(stored=[OURS])}, {"main": NEW})
    entries = json.dumps([{"host": host(1), "auth": "managed_identity"}])
    checks = check_clouds(load({"WORKSPACES": entries}), clouds, Deadline.after(540, FakeClock()))
    assert of_jobs(checks) == []
    failing = FakeServices({}, identity_failure=failure(Service.IDENTITY, 400))
    checks = check_clouds(load({"WORKSPACES": entries}), failing, Deadline.after(540, FakeClock()))
    assert of_jobs(checks) == []


def test_a_job_that_runs_as_the_app_passes_without_a_request() -> None:
    doors = FakeDoors(FakeJobs({1: job()}))
    checks = look(doors=doors)
    assert (findings(checks), summary(checks)) == ([], NO_PROBLEMS)
    assert doors.jobs.log == ["listed", "caller", "job"]
    assert doors.jobs.closed == 1


def test_one_that_runs_as_a_principal_in_run_as_is_in_order() -> None:
    workspace = FakeWorkspace(stored=[OURS], others={71: [OURS]})
    checks = look(job(run_as=AS_ROBOT), entry={"additional_principal_ids": [71]}, workspace=workspace)
    assert (findings(checks), summary(checks)) == ([], NO_PROBLEMS)


def test_jobs_without_git_gone_or_with_it_elsewhere_are_none_of_this_app_s() -> None:
    elsewhere = job(4, AS_ROBOT, url="https://github.com/a/b", provider="gitHub")
    others = {2: Job(2, "x", AS_ROBOT, None), 3: None, 4: elsewhere}
    checks = look(doors=FakeDoors(FakeJobs({1: job(), **others})))
    assert findings(checks) == []
    assert summary(checks).endswith(
        "1 job with a Git source in Azure DevOps (no problems); 1 job with a Git source outside Azure DevOps"
    )
    assert summary(look()).endswith("; no jobs with a Git source in Azure DevOps")


# Run as identities


def test_a_principal_that_is_not_refreshed_fails_with_the_line_to_add() -> None:
    jobs = [job(1, AS_ROBOT), job(2, RunAs("service principal", OTHER)), job(3)]
    workspace = FakeWorkspace(stored=[OURS], others={69: [OURS]})
    checks = look(*jobs, entry={"additional_principal_ids": [69]}, workspace=workspace)
    assert findings(checks) == [("failed", "job_principal_not_refreshed")] * 2
    first, second = [check for check in of_jobs(checks) if check.error]
    assert first.subject == 'data-1, job 1 "nightly"'
    assert f"service principal {ROBOT}" in first.message
    assert first.error
    assert second.error
    assert first.error.remedy == second.error.remedy, "so that both are told once"
    assert f"the role Service principal: Manager on each ({host(1)}, " in first.error.remedy
    assert first.error.remedy.endswith('"additional_principal_ids": [69, 71, 72]')
    assert "3 jobs with a Git source in Azure DevOps (1 OK, 2 with problems)" in summary(checks)
    assert CheckReport(tuple(checks)).result == "failed"


def test_findings_with_one_cause_and_remedy_are_grouped_in_any_job_order() -> None:
    odd = {"run_as": AS_ROBOT}, {"provider": "gitHub"}, {"run_as": RunAs("service principal", OTHER)}
    lines = findings(look(*(job(number, **odd[number % 3]) for number in range(1, 7))))
    assert [code for _, code in lines] == ["job_principal_not_refreshed"] * 4 + ["job_wrong_provider"] * 2


@pytest.mark.parametrize("others", [[], [FEDERATED]], ids=["alone", "beside a federated one"])
def test_one_with_a_credential_of_its_own_is_a_warning(others: list[StoredCredential]) -> None:
    doors = FakeDoors(FakeJobs({1: job(run_as=AS_ROBOT)}, stored={71: [*others, OURS]}))
    line = only(look(doors=doors))
    assert line.error
    assert (line.status, line.error.code) == ("warning", "job_principal_not_refreshed")
    assert UNREAD not in line.message
    doors.jobs.stored[71] = [StoredCredential(7, "gitHub", "x")]
    assert findings(look(doors=doors)) == [("failed", "job_principal_not_refreshed")]


def test_a_federated_credential_of_a_job_needs_no_entry_in_the_list() -> None:
    other = job(2, RunAs("service principal", OTHER))
    doors = FakeDoors(FakeJobs({1: job(run_as=AS_ROBOT), 2: other}, stored={71: [FEDERATED]}))
    checks = look(doors=doors)
    line = only(checks)
    assert (line.subject, line.status) == ('data-1, job 2 "nightly"', "failed")
    assert line.error
    assert "Service principal: Manager on it (" in line.error.remedy
    assert line.error.remedy.endswith('"additional_principal_ids": [72]')
    assert "2 jobs with a Git source in Azure DevOps (1 OK, 1 with problems)" in summary(checks)
    said = "1 principal with a federated Git credential"
    assert said in summary(checks)
    assert said not in summary(look(job(), workspace=FakeWorkspace(stored=[FEDERATED])))


@pytest.mark.parametrize("error", [refused(), failure(status=500), TimeoutError()], ids=repr)
def test_credentials_that_could_not_be_looked_at_may_be_there(error: Exception) -> None:
    doors = FakeDoors(FakeJobs({1: job(run_as=AS_ROBOT)}, fail={"credentials": error}))
    checks = look(doors=doors)
    line = only(checks)
    assert line.error
    assert (line.status, line.error.code) == ("warning", "job_principal_not_refreshed")
    assert UNREAD in line.message
    assert line.error.remedy.endswith('"additional_principal_ids": [71]')
    assert CheckReport(tuple(checks)).result == "ok"


@pytest.mark.parametrize("kind", ["user", "group"])
def test_people_s_credentials_are_never_kept_fresh(kind: Any) -> None:
    line = only(look(job(run_as=RunAs(kind, "bob@contoso.com"))))
    assert line.error
    assert (line.status, line.error.code) == ("warning", "job_principal_not_refreshed")
    assert f"credentials of a {kind}" in line.error.remedy


def test_a_missing_principal_differs_from_one_that_could_not_be_looked_up() -> None:
    doors = FakeDoors(FakeJobs({1: job(run_as=AS_ROBOT)}, numbers={}))
    line = only(look(doors=doors))
    assert line.error
    assert (line.status, line.error.code) == ("failed", "job_principal_not_refreshed")
    assert "to an existing service principal" in line.error.remedy
    lines = [line]
    doors.jobs.fail["principal_id"] = refused()
    lines.append(only(look(doors=doors)))
    del doors.jobs.fail["principal_id"]
    doors.jobs.who = Caller("bob@contoso.com", admin=False)  # the list might not show it to them
    lines.append(only(look(doors=doors)))
    for line in lines[1:]:
        assert line.error
        assert (line.status, line.error.code) == ("warning", "job_principal_not_refreshed")
        assert line.error.remedy.startswith('Add its service principal ID to "additional_principal_ids" ')
        assert UNREAD in line.message


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (79, '"additional_principal_ids": [7, '),
        (80, 'add to "additional_principal_ids" the 80 missing IDs, of which these are 1 to 80: '),
    ],
)
def test_a_large_fleet_keeps_every_id_whole_and_every_remedy_uncut(lacking: int, said: str) -> None:
    names = [f"5a1e0000-0000-4000-8000-{number:012}" for number in range(2, lacking + 2)]
    numbers = {name: 10**17 + at for at, name in enumerate(names)}
    runners = [RunAs("service principal", name) for name in names]
    jobs: dict[int, Any] = {number: job(number, runners[number % len(runners)]) for number in range(1, 201)}
    workspace = FakeWorkspace(stored=[OURS], others={7: [OURS]})
    doors = FakeDoors(FakeJobs(jobs, numbers=numbers))
    name = {"name": "n" * 63, "additional_principal_ids": [7]}
    checks = look(doors=doors, entry=name, workspace=workspace)
    errors = [check.error for check in of_jobs(checks) if check.error]
    assert len(errors) == 200
    (remedy,) = {error.remedy for error in errors}
    assert said in remedy
    assert len(remedy) <= MAX_TEXT_CHARS
    assert re.findall(r"\b[0-9]{18}\b", remedy) == list(map(str, numbers.values()))


def test_with_two_thousand_principals_each_remedy_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[WorkspaceJobs] = []

    def make(visit: WorkspaceJobs) -> dict[RunAs | None, str]:
        made.append(visit)
        return refreshing(visit)

    monkeypatch.setattr(check_jobs, "refreshing", make)
    names = [f"5a1e0000-0000-4000-8000-{number:012}" for number in range(2, 2_002)]
    numbers = {name: 10**15 + at for at, name in enumerate(names)}
    jobs: dict[int, Any] = {
        number: job(number, RunAs("service principal", names[number - 1])) for number in range(1, 2_001)
    }
    checks = look(doors=FakeDoors(FakeJobs(jobs, numbers=numbers)))
    told = [check.error.remedy for check in of_jobs(checks) if check.error]
    remedies = list(dict.fromkeys(told))
    assert (len(made), len(told), len(remedies)) == (1, 2_000, 25)
    assert told == [remedy for remedy in remedies for _ in range(80)], "so that each is told once"
    assert "of which these are 81 to 160: " in remedies[1]
    assert "of which these are 1921 to 2000: " in remedies[-1]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, ("warning", "job_principal_not_refreshed")),
        (
            {"additional_principal_ids": [71]},
            (
                "skipped",
                f"skipped, because the service principal ID of service principal {ROBOT} is unknown",
            ),
        ),
    ],
    ids=["nobody is in run_as", "it may be in run_as"],
)
def test_a_number_that_cannot_be_looked_up_makes_no_false_alarm(
    entry: dict[str, Any], expected: tuple[str, str]
) -> None:
    workspace = FakeWorkspace(stored=[OURS], others={71: [OURS]})
    doors = FakeDoors(FakeJobs({1: job(run_as=AS_ROBOT)}, fail={"principal_id": failure()}))
    assert findings(look(doors=doors, entry=entry, workspace=workspace)) == [expected]


def test_a_workspace_might_hide_the_run_as_of_a_job() -> None:
    assert findings(look(job(run_as=None))) == [
        ("skipped", "skipped, because the workspace does not return its Run as identity")
    ]


def test_a_kept_principal_without_a_credential_yet_is_a_warning() -> None:
    for stored, expected in (
        ([], [("warning", "job_credential_missing")]),
        ([StoredCredential(7, "gitHub", "x")], [("warning", "job_credential_missing")]),
        ([FEDERATED], []),
    ):
        assert findings(look(job(), workspace=FakeWorkspace(stored=stored))) == expected
    workspace = FakeWorkspace(stored=[OURS])
    assert findings(
        look(job(run_as=AS_ROBOT), entry={"additional_principal_ids": [71]}, workspace=workspace)
    ) == [("warning", "job_credential_missing")]


# The app's own principal, where it is an identity

IDENTITY = "5a1e0000-0000-4000-8000-00000000001d"


def test_in_azure_the_app_s_principal_is_the_one_that_signed_in() -> None:
    doors = FakeDoors(FakeJobs({1: job()}, who=Caller(APP, admin=False)))
    checks = look(doors=doors, entry=managed(), identity=Service.IDENTITY)
    assert findings(checks) == []
    assert doors.used == ["workspace"]
    assert f"checked as {APP} (not an admin: " in summary(checks)


def test_on_a_laptop_the_principal_of_the_settings_is_looked_up() -> None:
    workspace = FakeWorkspace()  # the person's own credential is irrelevant
    as_identity = job(run_as=RunAs("service principal", IDENTITY))
    jobs = FakeJobs({1: as_identity}, numbers={IDENTITY: 80}, stored={80: [OURS]})
    asked: dict[str, Any] = {
        "entry": managed(),
        "settings": {"AZURE_CLIENT_ID": IDENTITY},
        "workspace": workspace,
    }
    assert findings(look(doors=FakeDoors(jobs), **asked)) == []
    jobs.stored = {}
    assert findings(look(doors=FakeDoors(jobs), **asked)) == [("warning", "job_credential_missing")]
    jobs.fail = {"credentials": refused()}
    checks = look(doors=FakeDoors(jobs), **asked)
    assert findings(checks) == []
    assert "Git credentials of 1 principal could not be read" in summary(checks)


def test_an_unknown_system_assigned_identity_fails_nothing_on_a_laptop() -> None:
    assert findings(look(job(run_as=AS_ROBOT), entry=managed())) == [
        ("warning", "job_principal_not_refreshed")
    ]


# Provider, repository and ref


@pytest.mark.parametrize("provider", ["gitHub", "azureDevOpsServicesAad", ""])
def test_another_provider_than_azure_devops_is_wrong(provider: str) -> None:
    line = only(look(job(provider=provider)))
    assert line.error
    assert (line.status, line.error.code) == ("failed", "job_wrong_provider")
    assert f'"{provider}"' in line.message
    assert '"git_provider": "azureDevOpsServices"' in line.error.remedy
    assert findings(look(job(provider="AZUREDEVOPSSERVICES"))) == []


@pytest.mark.parametrize(
    ("url", "provider", "status", "said"),
    [
        (
            "http://dev.azure.com/contoso/x/_git/etl",
            "",
            "failed",
            "must start with https://; write https://dev",
        ),
        (f"{URL}?version=GBmain", "gitHub", "failed", "is a link into a repository; remove the ? or #"),
        ("git@ssh.dev.azure.com:v3/contoso/x/etl", "", "failed", "is an SSH address; write https://dev"),
        ("ssh://git@ssh.dev.azure.com/v3/contoso/x/etl", "", "failed", "must start with https://"),
        ("https://dev.azure.com/contoso/etl", "", "failed", "must have the form https://dev.azure.com/{org"),
        ("https://CONTOSO.visualstudio.com/etl", "", "failed", "must have the form "),
        ("https://dev.azure.com:8443/contoso/x/_git/etl", "", "failed", "must not contain a port"),
        ("https://git.contoso.com/x/_git/etl?a", "gitHub", "failed", "is a link into a repository"),
        ("https://git.contoso.com/x/etl", "azureDevOpsServices", "failed", "must have the form "),
        ("https://tfs.fabrikam.com/x/_git/etl", "azureDevOpsServices", "warning", "is not on a trusted host"),
        ("https://github.com/a/b", "AzureDevOpsServicesAad", "warning", "is on GitHub"),
    ],
)
def test_a_malformed_azure_devops_url_is_reported(url: str, provider: str, status: str, said: str) -> None:
    checks = look(job(url=url, provider=provider), settings={"TRUSTED_HOSTS": "git.contoso.com"})
    (line,) = [check for check in of_jobs(checks) if check.error and check.error.code == "job_bad_url"]
    assert line.status == status
    assert line.message.startswith(
        f"The job's git_url {url.removeprefix('git@').replace('git@', '').split('?')[0]} "
    )
    assert said in line.message
    assert "this folder" not in line.message
    assert "1 job with a Git source in Azure DevOps (0 OK, 1 with problems)" in summary(checks)
    assert "outside" not in summary(checks)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/a/b",
        "git@github.com:a/b.git",
        "https://git.contoso.com/a/b.git",
        "https://notdev.azure.com/a/x/_git/b",
        "https://a.b.visualstudio.com/x/_git/b",
        "https://[",
    ],
)
def test_a_url_of_another_service_is_elsewhere(url: str) -> None:
    checks = look(job(url=url, provider="gitHub"), settings={"TRUSTED_HOSTS": "git.contoso.com"})
    assert findings(checks) == []
    assert "1 job with a Git source outside Azure DevOps" in summary(checks)


@pytest.mark.parametrize(
    ("user", "secret"),
    [
        ("ann:correct-horse", True),
        (":correct-horse", True),
        ("ann:corr@ct-horse", True),
        ("a" * 51 + "2", True),
        ("ann", False),
        ("ann:", False),
    ],
)
def test_a_password_in_a_url_works_and_is_a_warning_that_does_not_quote_it(
    user: str, *, secret: bool
) -> None:
    url = URL.replace("https://", f"https://{user}@")
    checks = look(job(url=url))
    assert findings(checks) == ([("warning", "job_secret_in_url")] if secret else [])
    checks = look(job(url=f"{url}?version=GBmain", ref=Ref("branch", "none")))
    assert findings(checks) == [
        ("failed", "job_bad_url"),
        *([("warning", "job_secret_in_url")] if secret else []),
    ]
    assert "horse" not in repr(checks)
    assert user not in repr(checks) or user == "ann"


@pytest.mark.parametrize(
    "url", ["https://u:correct/horse@dev.azure.com/c/x/_git/r", "u:horse@dev.azure.com/r"]
)
def test_a_password_in_an_unreadable_url_is_not_quoted(url: str) -> None:
    checks = look(job(url=url))
    assert [code for _, code in findings(checks)] == ["job_bad_url"]
    assert "horse" not in repr(checks)


def test_a_missing_ref_has_its_nearest_only_in_the_layer_of_jobs() -> None:
    checks = look(job(ref=Ref("branch", "origin/main")))
    line = only(checks)
    assert line.error
    assert (line.status, line.error.code) == ("failed", "job_ref_not_found")
    assert line.message == ("Branch origin/main does not exist in etl; the nearest that exists is main.")
    assert not [check for check in checks if check.layer == "azure_devops"]


def test_every_ref_is_asked_for_once_in_a_fleet() -> None:
    clouds = FakeServices(
        {host(number): FakeWorkspace(stored=[OURS]) for number in range(3)},
        {"main": NEW},
        identity=Service.AZURE_CLI,
    )
    entries = [{"host": host(number), "auth": "managed_identity"} for number in range(3)]
    jobs: dict[int, Any] = {number: job(number) for number in range(1, 9)}
    doors = FakeDoors(FakeJobs(jobs, stored={70: [OURS]}))
    settings = load({"WORKSPACES": json.dumps(entries), "AZURE_CLIENT_ID": APP})
    checks = check_clouds(settings, clouds, Deadline.after(540, FakeClock()), jobs=doors)
    assert len(of_jobs(checks)) == 6
    assert len(clouds.asked) == 1


def test_a_job_without_ref_has_its_repository_looked_at() -> None:
    assert findings(look(job(ref=None))) == []


def test_a_commit_is_looked_up_and_an_unknown_result_is_reported() -> None:
    jobs: dict[int, Any] = {1: job(ref=None, commit=NEW)}
    doors = FakeDoors(FakeJobs(jobs))
    unknown = "1 job with a commit: only the repository was checked"
    checks = look(doors=doors)
    assert (findings(checks), unknown in summary(checks)) == ([], False)
    line = only(look(doors=doors, unpushed={NEW}))
    assert line.error
    assert (line.status, line.error.code) == ("failed", "job_ref_not_found")
    assert line.message == f"Commit {NEW} does not exist in etl."
    jobs[1] = job(ref=None, commit=NEW[:8])
    checks = look(doors=doors, unpushed={NEW[:8]})
    assert (findings(checks), unknown in summary(checks)) == ([], True), "the beginning of one"
    jobs[1] = job(ref=None, commit=NEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeServices, "has_commit", lambda *_: raise_(failure(Service.AZURE_DEVOPS)))
        checks = look(doors=doors)
    assert (findings(checks), unknown in summary(checks)) == ([], True)


def raise_(error: Exception) -> NoReturn:
    raise error


def test_an_unreadable_repository_is_reported_once_for_azure_devops() -> None:
    rejected = failure(Service.AZURE_DEVOPS, 401, message="TF400813")
    checks = look(job(1), job(2, ref=Ref("tag", "v1")), devops_failure=rejected)
    lines = [check for check in checks if check.status == "failed"]
    assert [(line.layer, line.subject) for line in lines] == [("azure_devops", "contoso/Data Platform/etl")]
    reason = "skipped, because Azure DevOps reports a problem with contoso/Data Platform/etl"
    assert findings(checks) == [("skipped", reason)] * 2
    folder = {"path": "/Repos/etl/prod", "url": URL, "branch": "main"}
    checks = look(job(ref=Ref("tag", "v1")), entry={"folders": [folder]}, devops_failure=rejected)
    assert len([check for check in checks if check.status == "failed"]) == 1, "told for the folder"


def test_of_what_only_others_jobs_clone_the_app_need_not_be_let_in() -> None:
    rejected = failure(Service.AZURE_DEVOPS, 401, message="TF400813")
    not_kept = job(1, AS_ROBOT)
    doors = FakeDoors(FakeJobs({1: not_kept}, stored={71: [OURS]}))
    told = look(doors=doors, devops_failure=rejected)
    (line,) = [check for check in told if check.layer == "azure_devops"]
    assert line.error
    assert (line.status, line.error.code) == ("warning", "job_repository_not_readable")
    assert line.error.remedy.startswith("No action needed.")
    assert CheckReport(tuple(told)).result == "ok"

    def azure_devops(checks: list[Check]) -> list[tuple[str, str]]:
        lines = [check for check in checks if check.layer == "azure_devops" and check.error]
        return [(check.status, check.error.code) for check in lines if check.error]

    assert [status for status, _ in azure_devops(look(not_kept, job(2), devops_failure=rejected))] == [
        "failed"
    ]
    workspace = FakeWorkspace(stored=[OURS], others={71: [OURS]})
    kept = look(
        not_kept, entry={"additional_principal_ids": [71]}, workspace=workspace, devops_failure=rejected
    )
    assert [status for status, _ in azure_devops(kept)] == ["failed"]
    person = job(1, RunAs("user", "bob@contoso.com"))
    assert azure_devops(look(person, devops_failure=rejected)) == [("warning", "job_repository_not_readable")]
    trouble = failure(Service.AZURE_DEVOPS, 503)
    assert azure_devops(look(not_kept, devops_failure=trouble)) == [("warning", "service_unavailable")]


def test_findings_about_the_list_appear_for_jobs_of_any_principal() -> None:
    class Odd(FakeServices):
        def head(self, repository: Repository, ref: Ref | None) -> ResolvedRef:
            if ref is not None and ref.kind == "tag":
                raise failure(Service.AZURE_DEVOPS, 401, message="TF400813")
            return super().head(repository, ref)

    folder = {"path": "/Repos/etl/prod", "url": URL, "branch": "main"}
    entry = {"host": host(1), "name": "data-1", "auth": "managed_identity", "folders": [folder]}
    clouds = Odd({host(1): FakeWorkspace(stored=[OURS])}, {"main": NEW}, identity=Service.AZURE_CLI)
    doors = FakeDoors(FakeJobs({1: job(1, AS_ROBOT, Ref("tag", "v1"))}))
    read = load({"WORKSPACES": json.dumps([entry]), "AZURE_CLIENT_ID": APP})
    checks = check_clouds(read, clouds, Deadline.after(540, FakeClock()), jobs=doors)
    lines = [check for check in checks if check.layer == "azure_devops" and check.error]
    assert [line.status for line in lines] == ["failed"]


def test_no_token_goes_where_only_a_job_leads() -> None:
    url = "https://git.contoso.com/contoso/x/_git/etl"
    trusted = {"TRUSTED_HOSTS": "git.contoso.com"}
    services = FakeServices({host(1): FakeWorkspace(stored=[OURS])}, {"main": NEW})
    checks = look(job(url=url), settings=trusted, asked=services.asked)
    assert findings(checks) == []
    assert services.asked == []
    assert "repository of 1 job not checked: no setting names its host" in summary(checks)


# The calling identity, and hidden jobs


def test_where_the_person_may_not_look_the_app_does() -> None:
    doors = FakeDoors(FakeJobs({1: job()}, who=Caller(APP, admin=False)), shut={"workspace": refused()})
    checks = look(doors=doors)
    assert doors.used == ["workspace", "sign_in"]
    assert findings(checks) == []
    assert ", because your account does not have permission to list the jobs; " in summary(checks)


@pytest.mark.parametrize("error", [failure(status=500), TimeoutError()], ids=repr)
def test_only_a_refusal_is_reported_as_one(error: Any) -> None:
    doors = FakeDoors(FakeJobs({1: job()}, who=Caller(APP, admin=False)), shut={"workspace": error})
    said = summary(look(doors=doors))
    assert "permission to list" not in said
    assert f"checked as {APP} (" in said
    assert ", because listing the jobs with your account failed (" in said


def test_where_neither_may_look_there_is_one_line() -> None:
    doors = FakeDoors(FakeJobs(), shut={"workspace": refused(), "sign_in": refused()})
    (line,) = of_jobs(look(doors=doors))
    assert line.error
    assert (line.status, line.subject, line.error.code) == ("failed", "data-1", "jobs_forbidden")


def test_a_federated_workspace_is_looked_at_as_the_person_alone() -> None:
    entry = {"auth": "federated", "client_secret_name": None}
    doors = FakeDoors(FakeJobs({1: job()}, stored={70: [OURS]}))
    checks = look(doors=doors, entry=entry)
    assert (findings(checks), doors.used) == ([], ["workspace"])
    missing = look(doors=doors, entry=entry, workspace=FakeWorkspace())
    assert findings(missing) == [("warning", "job_credential_missing")]
    doors.shut["workspace"] = refused()
    assert findings(look(doors=doors, entry=entry)) == [("failed", "jobs_forbidden")]
    assert doors.used[-1] == "workspace"


def test_jobs_that_may_not_be_viewed_are_named_and_the_others_looked_at() -> None:
    jobs: dict[int, Job | ServiceError | None] = {1: job(), 2: refused(), 3: failure(status=500)}
    checks = look(doors=FakeDoors(FakeJobs(jobs)))
    assert [(check.subject, check.status) for check in of_jobs(checks)] == [
        ("data-1", "ok"),
        ("data-1", "ok"),
        ("data-1", "ok"),
        ("data-1, job 2", "skipped"),
        ("data-1, job 3", "failed"),
    ]
    assert "ann@contoso.com does not have permission" in of_jobs(checks)[3].message
    assert summary(checks).endswith(
        "1 job with a Git source in Azure DevOps (no problems); 1 of 3 jobs could be read"
    )


def test_what_the_list_has_beside_jobs_is_counted_once() -> None:
    class Odd(FakeJobs):
        def listed(self) -> Iterator[list[ListedJob]]:
            yield [ListedJob(0, ""), ListedJob(1, "nightly"), ListedJob(0, "")]

    checks = look(doors=FakeDoors(Odd({1: job()})))
    assert findings(checks) == [("skipped", "skipped, because some entries of the job list cannot be read")]


# Lines below a failure


SHUT = [("skipped", "skipped, because the app cannot sign in to data-1")]


def test_below_a_workspace_that_is_shut_jobs_are_skipped() -> None:
    for status, entry, identity in (
        (401, {}, Service.IDENTITY),
        (401, managed(), Service.AZURE_CLI),
        (None, {}, Service.AZURE_CLI),
    ):
        doors = FakeDoors(FakeJobs({1: job()}))
        workspace = FakeWorkspace(fail={"credentials": failure(status=status)})
        assert findings(look(doors=doors, workspace=workspace, entry=entry, identity=identity)) == SHUT
        assert doors.used == []


def test_where_it_is_shut_to_the_app_alone_the_person_looks() -> None:
    doors = FakeDoors(FakeJobs({1: job(), 2: job(2, AS_ROBOT)}, stored={70: [OURS], 71: [OURS]}))
    workspace = FakeWorkspace(fail={"sign_in": failure(status=401)})
    checks = look(doors=doors, workspace=workspace, entry={"additional_principal_ids": [71]})
    assert (findings(checks), doors.used) == ([], ["workspace"])
    assert summary(checks).startswith("checked as ann@")
    assert summary(checks).endswith("2 jobs with a Git source in Azure DevOps (no problems)")
    doors.shut["workspace"] = refused()
    assert findings(look(doors=doors, workspace=workspace)) == SHUT
    assert doors.used == ["workspace", "workspace"]


def test_who_may_not_read_the_app_s_secret_looks_as_herself() -> None:
    class Vault(FakeServices):
        def secret(self, name: str) -> Secret:
            raise failure(Service.KEY_VAULT, 403)

    clouds = Vault({host(1): FakeWorkspace(stored=[OURS])}, {"main": NEW}, identity=Service.AZURE_CLI)
    entry = {"host": host(1), "name": "data-1", "client_id": APP, "client_secret_name": "secret"}
    read = load({"WORKSPACES": json.dumps([entry]), "KEY_VAULT_URL": "https://v.vault.azure.net"})
    doors = FakeDoors(FakeJobs({1: job()}, stored={70: [OURS]}))
    checks = check_clouds(read, clouds, Deadline.after(540, FakeClock()), jobs=doors)
    assert (findings(checks), doors.used) == ([], ["workspace"])


@pytest.mark.parametrize("shut", ["", "workspace"])
def test_each_line_of_a_workspace_says_which_one_it_is_about(shut: str) -> None:
    doors = FakeDoors(FakeJobs({1: job(run_as=AS_ROBOT)}))
    doors.shut = {door: failure(status=403) for door in ("workspace", "sign_in") if shut}
    checks = look(doors=doors)
    of_workspaces = [line for line in checks if line.layer in {"workspace", "credential", "folder", "job"}]
    assert {(line.layer, line.about) for line in of_workspaces if line.status != "skipped"} >= {
        ("workspace", "data-1"),
        ("job", "data-1"),
    }
    assert {line.about for line in checks if line not in of_workspaces} == {""}
    assert "about" not in CheckReport(tuple(checks)).as_dict()["checks"][0]


def test_without_a_token_they_are_skipped_with_everything_else() -> None:
    checks = look(job(), identity_failure=failure(Service.AZURE_CLI, 400))
    (line,) = of_jobs(checks)
    assert (line.subject, line.status) == ("everything", "skipped")


def test_a_ref_that_was_not_looked_up_in_time_does_not_pass() -> None:
    class Slow(FakeServices):
        def head(self, repository: Repository, ref: Ref | None) -> ResolvedRef:
            raise TimeoutError

    clouds = Slow({host(1): FakeWorkspace(stored=[OURS])}, identity=Service.AZURE_CLI)
    entry = {"host": host(1), "name": "data-1", "auth": "managed_identity"}
    settings = load({"WORKSPACES": json.dumps([entry]), "AZURE_CLIENT_ID": APP})
    doors = FakeDoors(FakeJobs({1: job()}, stored={70: [OURS]}))
    checks = check_clouds(settings, clouds, Deadline.after(540, FakeClock()), jobs=doors)
    ((status, said),) = findings(checks)
    assert (status, "ran out of time" in said) == ("skipped", True)
    assert "1 job with a Git source in Azure DevOps (0 OK, 1 with problems)" in summary(checks)


@pytest.mark.parametrize("what", ["listed", "caller", "job", "principal_id", "credentials"])
@pytest.mark.parametrize("error", [failure(), TimeoutError(), ZeroDivisionError()], ids=repr)
def test_whatever_goes_wrong_costs_no_other_line(what: str, error: Exception) -> None:
    doors = FakeDoors(FakeJobs({1: job(run_as=AS_ROBOT)}, fail={what: error}))
    checks = look(doors=doors)
    assert {"identity", "workspace", "credential", "job"} <= {check.layer for check in checks}
    about_it = what in {"principal_id", "credentials"}
    assert [check.status for check in of_jobs(checks) if check.error] == ["warning" if about_it else "failed"]


def test_of_one_workspace_so_many_jobs_are_looked_at_at_once_and_no_more() -> None:
    lock = threading.Lock()
    now: list[int] = []
    most: list[int] = []

    class Counting(FakeJobs):
        def job(self, id_: int) -> Job | None:
            with lock:
                now.append(id_)
                most.append(len(now))
            time.sleep(0.01)
            with lock:
                now.remove(id_)
            return job(id_)

    jobs: dict[int, Any] = {number: job(number) for number in range(1, 81)}
    look(doors=FakeDoors(Counting(jobs)), settings={"REFRESH_CONCURRENCY": "32"})
    assert 1 < max(most) <= MAX_PARALLEL_JOBS == CONNECTIONS


def test_jobs_without_time_left_are_one_line() -> None:
    clock = FakeClock()

    class Slow(FakeJobs):
        def job(self, id_: int) -> Job | None:
            clock.at = 1_000
            raise TimeoutError

    doors = FakeDoors(Slow({number: job(number) for number in range(1, 4)}))
    clouds = FakeServices({host(1): FakeWorkspace(stored=[OURS])}, identity=Service.AZURE_CLI)
    entry = {"host": host(1), "name": "data-1", "auth": "managed_identity"}
    checks = check_clouds(
        load({"WORKSPACES": json.dumps([entry]), "REFRESH_CONCURRENCY": "1"}),
        clouds,
        Deadline.after(540, clock),
        jobs=doors,
    )
    assert {check.error.code for check in of_jobs(checks) if check.error} == {"out_of_time"}


# Totals


def look_at(fleet: dict[str, FakeJobs], clock: FakeClock | None = None) -> list[Check]:
    """Return all lines about jobs of several workspaces."""

    class Doors(FakeDoors):
        def sign_in(self, host: str, client_id: str, secret: SecretStr) -> FakeJobs:
            return fleet[host]

    clouds = FakeServices({each: FakeWorkspace(stored=[OURS]) for each in fleet}, {"main": NEW})
    entries = [{"host": each, "client_id": APP, "client_secret_name": "secret"} for each in fleet]
    environ = {"WORKSPACES": json.dumps(entries), "KEY_VAULT_URL": "https://v.vault.azure.net"}
    deadline = Deadline.after(540, clock or FakeClock())
    return of_jobs(check_clouds(load(environ), clouds, deadline, jobs=Doors(FakeJobs())))


def of_fleet(workspaces: int, jobs: int, **changes: Any) -> dict[str, FakeJobs]:
    return {
        host(number): FakeJobs({id_: job(id_, **changes) for id_ in range(1, jobs + 1)})
        for number in range(workspaces)
    }


def test_check_reads_a_bounded_number_of_jobs_and_names_what_it_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check_jobs, "MAX_JOBS", 120)
    fleet = {
        **of_fleet(1, 500),
        **{host(number): one for number, one in enumerate(of_fleet(3, 10).values(), 1)},
    }
    lines = look_at(fleet)
    read = [jobs.log.count("job") for jobs in fleet.values()]
    assert read[1:] == [10, 10, 10], "each has its share, whatever another lists"
    assert sum(read) <= 120
    assert [line.subject for line in lines if line.status == "skipped"] == ["adb-0"]


def test_findings_beyond_the_total_are_one_line_a_code_and_workspace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check_jobs, "MAX_LINES", 40)
    fleet = of_fleet(4, 100, provider="gitHub")
    lines = [line for line in look_at(fleet) if line.error]
    assert {line.error.code for line in lines if line.error} == {"job_wrong_provider"}
    assert {line.status for line in lines} == {"failed"}
    told = Counter(line.subject.partition(",")[0] for line in lines)
    assert len(told) == 4
    assert sum(told.values()) == 40 + 4
    beyond = [
        int(line.subject.split(", ")[1].split()[0]) for line in lines if line.subject.endswith("more jobs")
    ]
    assert sum(beyond) == 400 - 40


@pytest.mark.parametrize("bound", ["MAX_JOBS_CHARS", "MAX_JOBS_CHARS_OF_ONE"])
def test_what_is_kept_of_jobs_is_bounded_by_its_size(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_jobs, bound, 20_000)
    lines = look_at(of_fleet(1, 100, commit="a" * 1_000))
    assert [line.status for line in lines] == ["ok", "ok", "ok", "skipped"]
    assert int(lines[1].message.split()[0]) <= 10


def test_refs_that_jobs_lead_to_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_jobs, "MAX_REFS", 10)
    fleet = {host(0): FakeJobs({n: job(n, ref=Ref("branch", f"b{n}")) for n in range(1, 51)})}
    asked = [line for line in look_at(fleet) if line.status == "failed"]
    assert len(asked) == 10


def test_jobs_are_judged_no_longer_than_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()

    def slow(*arguments: Any, **options: Any) -> Iterator[Check]:
        clock.at += 10
        return judge(*arguments, **options)

    monkeypatch.setattr(check_jobs, "judge", slow)
    lines = look_at(of_fleet(2, 1_000, provider="gitHub"), clock)
    assert clock.at <= 550
    assert [line.subject for line in lines if line.error and line.error.code == "out_of_time"] == [
        "adb-0, 1000 jobs",
        "adb-1, 1000 jobs",
    ]


def test_after_its_deadline_a_check_waits_once_whatever_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REPORT_GRACE_S", 0.2)
    release = threading.Event()
    gang = pool.Executor(4, Deadline.after(0.1, SystemClock()))
    started = time.monotonic()
    for _ in range(10):
        assert gang.each(["a", "b"], lambda _: release.wait(30)) == [("a", None), ("b", None)]
    release.set()
    assert time.monotonic() - started < 1.5
