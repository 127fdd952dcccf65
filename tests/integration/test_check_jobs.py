"""`check --jobs` over HTTP: identities, permissions, invalid responses; its verdict matches a run's."""

import itertools
import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from git_refresh import app
from git_refresh.admin import jobs as client
from git_refresh.admin.jobs import HttpJobsClientFactory
from git_refresh.cli.check import check_clouds
from git_refresh.cli.checks import Check
from git_refresh.output.log import RedactingLogger
from git_refresh.output.mask import SecretFilter
from git_refresh.settings.load import load
from localcloud import Cloud, Fault, Fleet, faults
from localcloud.databricks.jobs import Job
from localcloud.databricks.sign_in import ServicePrincipal
from localcloud.databricks.workspace import Workspace
from localcloud.fleet import CLIENT_ID, SECRET
from localcloud.people import Person, laptop
from tests.support import warm
from tests.support.app import run_app
from tests.support.hostile import Echo, Long, Plain, Raw
from tests.support.mutations import Body, Change, Json, Status, mutate

ROBOT = "5a1e0000-0000-4000-8000-0000000000b0"
STRANGER = "5a1e0000-0000-4000-8000-0000000000b1"
MAIN = {"git_branch": "main"}
LIST, GET = r"/api/2\.2/jobs/list$", r"/api/2\.2/jobs/get$"


@dataclass
class Scene:
    """A workspace after a run, and the person who checks its jobs."""

    cloud: Cloud
    fleet: Fleet
    own: ServicePrincipal
    robot: ServicePrincipal
    environ: dict[str, str]

    @property
    def workspace(self) -> Workspace:
        return self.fleet.workspaces[0]

    def job(self, run_as: ServicePrincipal | None = None, name: str = "nightly", **more: Any) -> Job:
        return self.workspace.add_job(
            name, run_as or self.own, more.pop("source", self.fleet.repositories[0]), **{"ref": MAIN, **more}
        )

    def look(self, **changes: str) -> list[Check]:
        environ = {**self.environ, **changes}
        settings, logger = load(environ), RedactingLogger()
        with closing(app.connect(settings, environ, logger, jobs_client_shares_token=True)) as clouds:
            doors = HttpJobsClientFactory(clouds.network)
            return check_clouds(settings, clouds, clouds.deadline, jobs=doors)


@pytest.fixture
def scene(cloud: Cloud, fleet: Fleet) -> Scene:
    workspace = fleet.workspaces[0]
    robot = workspace.service_principal(ROBOT, "x", "robot")
    own = workspace.service_principal(CLIENT_ID, SECRET)
    entry = {"host": workspace.url, "name": "data-1", "additional_principal_ids": [robot.id]}
    environ = {**os.environ, **fleet.settings, "WORKSPACES": json.dumps([entry])}
    assert run_app(environ).result == "ok"
    return Scene(cloud, fleet, own, robot, environ)


@pytest.fixture
def sit_down(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Person]:
    """Return a function that adds a signed-in person with read access to secrets and repositories."""

    def sit_down(*, admin: bool = True, user: bool = True) -> Person:
        ann = scene.cloud.person("ann")
        if user:
            scene.workspace.add_user(ann, admin=admin)
        scene.fleet.vault.allow(ann.object_id)
        scene.cloud.devops.organization("contoso").add_member(ann.object_id)
        scene.environ = laptop(scene.environ, ann.sign_in(tmp_path / "bin"))
        monkeypatch.setenv("PATH", scene.environ["PATH"])
        for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
            monkeypatch.delenv(name)
        return ann

    return sit_down


def of_jobs(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.layer == "job"]


def told(checks: list[Check]) -> list[tuple[str, str, str]]:
    """Return subject, status and code of the jobs' lines that are not ok."""
    return [
        (check.subject, check.status, check.error.code if check.error else "")
        for check in of_jobs(checks)
        if check.status != "ok"
    ]


def summary(checks: list[Check]) -> str:
    return "; ".join(check.message for check in of_jobs(checks) if check.status == "ok")


# The calling identity


def test_an_admin_sees_every_job(scene: Scene, sit_down: Callable[..., Person]) -> None:
    sit_down()
    stranger = scene.workspace.service_principal(STRANGER, "x", "stranger")
    scene.job()
    scene.job(scene.robot)
    odd = scene.job(stranger, name="of a stranger")
    checks = scene.look()
    assert told(checks) == [
        (f'data-1, job {odd.id} "of a stranger"', "failed", "job_principal_not_refreshed")
    ]
    assert summary(checks) == (
        "checked as ann@contoso.com (workspace admin); "
        "3 jobs with a Git source in Azure DevOps (2 OK, 1 with problems)"
    )
    (line,) = [check for check in of_jobs(checks) if check.error]
    assert line.error
    assert f'"additional_principal_ids": [{scene.robot.id}, {stranger.id}]' in line.error.remedy


def test_the_line_of_the_remedy_is_what_makes_it_right(scene: Scene, sit_down: Callable[..., Person]) -> None:
    stranger = scene.workspace.service_principal(STRANGER, "x", "stranger")
    job = scene.job(stranger)
    entry = {
        **json.loads(scene.environ["WORKSPACES"])[0],
        "additional_principal_ids": [scene.robot.id, stranger.id],
    }
    mended = {"WORKSPACES": json.dumps([entry])}
    before = dict(scene.environ)
    sit_down()
    assert told(scene.look()) == [
        (f'data-1, job {job.id} "nightly"', "failed", "job_principal_not_refreshed")
    ]
    assert scene.workspace.run_job(job).result == "FAILED"
    assert [status for _, status, _ in told(scene.look(**mended))] == ["warning"], "no run has been yet"
    os.environ.update({name: before[name] for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")})
    assert run_app({**before, **mended}).result == "ok"
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        del os.environ[name]
    assert told(scene.look(**mended)) == []
    assert scene.workspace.run_job(job).result == "SUCCESS"


def test_in_azure_the_app_looks_as_itself(scene: Scene) -> None:
    scene.job()
    checks = scene.look()
    assert told(checks) == []
    assert summary(checks).startswith(f"checked as {CLIENT_ID} (not an admin: ")
    assert "(no problems)" in summary(checks)


def test_a_managed_identity_finds_itself(scene: Scene) -> None:
    identity = scene.workspace.add_managed_identity(scene.cloud.identity.object_id)
    entry = {"host": scene.workspace.url, "name": "data-1", "auth": "managed_identity"}
    environ = {
        **scene.environ,
        "WORKSPACES": json.dumps([entry]),
        "WORKSPACE_DEFAULTS": "",
        "KEY_VAULT_URL": "",
    }
    assert run_app(environ).result == "ok"
    scene.environ = environ
    job = scene.job(identity)
    checks = scene.look()
    assert (told(checks), "1 job" in summary(checks)) == ([], True)
    assert scene.workspace.run_job(job).result == "SUCCESS"


def test_nothing_is_written_and_nothing_is_run(scene: Scene, sit_down: Callable[..., Person]) -> None:
    sit_down()
    scene.job(scene.workspace.service_principal(STRANGER, "x", "stranger"))
    begun = len(scene.cloud.requests)
    scene.look()
    writes = [
        request.path
        for request in scene.cloud.requests[begun:]
        if request.method != "GET" and not request.path.endswith("/oidc/v1/token")
    ]
    assert writes == []
    assert scene.workspace._jobs.runs == {}


# Hidden jobs and invalid lists


def test_a_list_without_end_is_no_list(
    scene: Scene, sit_down: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    sit_down()
    monkeypatch.setattr(client, "MAX_JOBS_PAGES", 5)
    scene.cloud.inject(Fault(mutate(Json("next_page_token", Plain("0"))), route=LIST))
    scene.job()
    assert told(scene.look()) == [("data-1", "failed", "unexpected_answer")]
    asked = [request.path.split("?")[0] for request in scene.cloud.requests]
    assert asked.count("/api/2.2/jobs/list") == 10, "as the person, then as the app"


NOT_REFRESHED = "job_principal_not_refreshed"
SECRET_SENT = Echo(-1, "piece", start=300, length=30)  # of the latest token, not recognizable as one
ODD: dict[str, tuple[str, Change, set[str]]] = {
    "a list of numbers": (LIST, Json("jobs", Raw("[1, 2, null]")), {""}),
    "a name without end": (LIST, Json("jobs.*.settings.name", Long("x", 10_000_000)), {"answer_too_large"}),
    "a page of a proxy": (LIST, Body(Plain("<html>")), {"unexpected_answer"}),
    "a secret as a name": (GET, Json("settings.name", SECRET_SENT), {NOT_REFRESHED}),
    "a secret as the next page": (LIST, Json("next_page_token", SECRET_SENT), {"unknown"}),
    "another job": (GET, Json("job_id", Raw("5")), {"unexpected_answer"}),
    "a secret as a branch": (GET, Json("settings.git_source.git_branch", SECRET_SENT), {"unexpected_answer"}),
    "a secret as whom": (GET, Json("run_as_user_name", SECRET_SENT), {"unexpected_answer"}),
    "control characters": (GET, Json("run_as_user_name", Plain("a\x1b[31mb")), {"unexpected_answer"}),
    "trouble": (GET, Status(503), {"service_unavailable"}),
    "an odd caller": ("/scim/v2/Me$", Json("userName", SECRET_SENT), {"unexpected_answer"}),
    "odd groups": ("/scim/v2/Me$", Json("groups.*.display", Raw("7")), set()),
    "an odd number": (
        "/ServicePrincipals$",
        Json("Resources.0.id", Plain("7" * 40)),
        {""},
    ),
}


@pytest.mark.parametrize(("route", "change", "codes"), ODD.values(), ids=ODD)
def test_an_answer_that_is_none_costs_its_own_line_and_shows_no_secret(
    scene: Scene, sit_down: Callable[..., Person], route: str, change: Change, codes: set[str]
) -> None:
    sit_down()
    scene.cloud.remember_secrets()
    own = scene.job(name="first")
    if "Principals" in route or codes == {NOT_REFRESHED}:
        own.run_as = scene.workspace.service_principal(STRANGER, "x", "stranger")
    scene.cloud.inject(Fault(mutate(change), route=route))
    checks = scene.look()
    assert {code for _, _, code in told(checks)} == codes
    assert {check.status for check in checks if check.layer != "job"} == {"ok"}
    text = repr(checks)
    assert "\\x1b" not in text
    tokens = [secret for secret in scene.cloud.secrets if secret.startswith("eyJ")]
    assert not SecretFilter(token.split(".")[2] for token in tokens).contains(text)
    assert not [token for token in tokens if token[300:330] in text]
    assert tokens


def test_the_list_s_names_are_shown_without_secrets_too(
    scene: Scene, sit_down: Callable[..., Person]
) -> None:
    sit_down()
    scene.cloud.remember_secrets()
    job = scene.job()
    scene.cloud.inject(Fault(faults.status(403), route=GET))
    assert told(scene.look()) == [(f'data-1, job {job.id} "nightly"', "skipped", "")]
    scene.cloud.inject(Fault(mutate(Json("jobs.*.settings.name", SECRET_SENT)), route=LIST))
    assert told(scene.look()) == [(f"data-1, job {job.id}", "skipped", "")]


# The command


def test_the_command_says_how_to_look_and_looks(scene: Scene) -> None:
    job = scene.job(scene.workspace.service_principal(STRANGER, "x", "stranger"))
    job.viewers.add(scene.own.id)
    scene.job()
    done = warm.run("check", environ=scene.environ)
    lines = done.stdout.decode().splitlines()
    assert (done.returncode, "add --jobs" in lines[-2]) == (0, True)
    done = warm.run("check", "--json", environ=scene.environ)
    assert {check["layer"] for check in json.loads(done.stdout)["checks"]} >= {"workspace", "credential"}
    assert b'"job"' not in done.stdout, "scripts that count lines see no change"
    done = warm.run("check", "--jobs", environ=scene.environ)
    shown = done.stdout.decode()
    assert done.returncode == 1
    assert "\nJobs\n  ✓ data-1: checked as " in shown
    assert "\n  ✓ data-1: 2 jobs with a Git source in Azure DevOps (1 OK, 1 with problems)\n" in shown
    assert (
        f'  ✗ data-1, job {job.id} "nightly" (WORKSPACES[0]): The job runs as service principal {STRANGER}'
        in shown
    )
    assert "add --jobs" not in shown
    done = warm.run("check", "--jobs", "--json", environ=scene.environ)
    in_json = [check for check in json.loads(done.stdout)["checks"] if check["layer"] == "job"]
    assert [(line["status"], line["error"] and line["error"]["code"]) for line in in_json] == [
        ("ok", None),
        ("ok", None),
        ("failed", "job_principal_not_refreshed"),
    ]


def test_the_command_shows_no_job_s_name_that_repeats_the_app_s_own_token(scene: Scene) -> None:
    """The token is that of the earlier requests to the workspace, not that of the request for jobs."""
    job = scene.job(scene.workspace.service_principal(STRANGER, "x", "stranger"))
    job.viewers.add(scene.own.id)
    scene.cloud.remember_secrets()
    of_its_signature = Echo(-2, "piece", start=-40, length=30)
    scene.cloud.inject(Fault(mutate(Json("settings.name", of_its_signature)), route=GET))
    done = warm.run("check", "--jobs", environ=scene.environ)
    shown = done.stdout.decode()
    assert f"data-1, job {job.id} (" in shown
    tokens = [secret for secret in scene.cloud.secrets if secret.count(".") == 2]
    assert not SecretFilter(token.split(".")[2] for token in tokens).contains(shown)
    known = scene.cloud.known_to(scene.workspace.url.removeprefix("https://"))
    assert [secret.count(".") for secret in known] == [0, 2, 2], "its secret, and a token for each client"


def test_offline_nothing_is_looked_at() -> None:
    done = warm.run("check", "--jobs", "--offline", environ=dict(os.environ))
    assert done.returncode == 2
    assert b"--offline cannot be combined with --jobs" in done.stderr


# The verdict matches a run


def test_the_verdict_is_what_happens_when_the_job_runs(scene: Scene, sit_down: Callable[..., Person]) -> None:
    ann = sit_down()
    workspace, etl = scene.workspace, scene.fleet.repositories[0]
    etl.tag("v1")
    stranger = workspace.service_principal(STRANGER, "x", "stranger")
    keeper = workspace.service_principal(STRANGER[:-1] + "2", "x", "with a token of its own")
    token = scene.cloud.devops.personal_access_token(ann.object_id)
    workspace.add_credential(keeper, username="ann", token=token)
    person = next(each for each in workspace._sign_in.principals if each.name == ann.user_name)
    refs = [MAIN, {"git_branch": "mian"}, {"git_tag": "v1"}, {"git_tag": "v2"}, {}]
    refs += [{"git_commit": etl.head()}, {"git_commit": "0" * 40}]
    sources: list[tuple[Any, dict[str, str]]] = [(etl, ref) for ref in refs]
    sources += [("https://dev.azure.com/contoso/Data%20Platform/_git/none", MAIN)]
    with_password = etl.url.replace("https://", "https://ann:correct-horse@")
    insecure, link = etl.url.replace("https://", "http://"), f"{etl.url}?version=GBmain"
    sources += [(url, MAIN) for url in (with_password, insecure, link)]
    runners = [scene.own, scene.robot, stranger, keeper, person]
    jobs = [
        scene.job(run_as, name=f"job {number}", source=source, ref=ref, provider=provider)
        for number, (run_as, provider, (source, ref)) in enumerate(
            itertools.product(runners, ["azureDevOpsServices", "gitHub"], sources)
        )
    ]
    checks = scene.look()
    seen = set()
    for job in jobs:
        statuses = {check.status for check in of_jobs(checks) if f", job {job.id} " in check.subject}
        result = workspace.run_job(job).result
        if "failed" in statuses or "skipped" in statuses:
            assert result == "FAILED", job
        elif not statuses:
            assert result == "SUCCESS", job
        else:
            assert statuses == {"warning"}, job
            assert job.run_as in [keeper, person] or result == "SUCCESS", "with the password that the URL has"
        seen.add((result, *sorted(statuses)))
    assert {
        ("SUCCESS",),
        ("FAILED", "failed"),
        ("FAILED", "skipped"),
        ("SUCCESS", "warning"),
        ("FAILED", "warning"),
    } <= seen
    assert "correct-horse" not in repr(checks)
