"""What is found of jobs in one workspace, and what there is to say of all of them together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from git_refresh.admin.job_values import Caller, GitSource, Job, Jobs, ListedJob, RunAs
from git_refresh.cli.checks import Check, count
from git_refresh.cli.job_verdict import Standing
from git_refresh.diagnosis.explain import Facts
from git_refresh.redact import shown
from git_refresh.repository import Repository
from git_refresh.settings.models import Workspace
from git_refresh.values import StoredCredential

_CAN_VIEW = "jobs that it may not view (permission Can View) are not among these"

NOT_KEPT = Standing(kept=False)


@dataclass(slots=True)
class Room:
    """A workspace, as the check of it has left it.

    Attributes:
        shut: why jobs are not to be looked at; empty: they are.
        stored: the Git credentials of the app's own principal (None) and of those in `run_as`, as far as they could be looked at.
    """

    workspace: Workspace
    shut: str = ""
    stored: dict[int | None, Sequence[StoredCredential]] = field(default_factory=dict)


@dataclass(slots=True)
class Visit:
    """What is found in one workspace."""

    room: Room
    facts: Facts
    jobs: Jobs
    caller: Caller
    listed: list[ListedJob]
    as_app: bool = False
    """Whether the app's own principal looks."""
    refused: bool = False
    """Whether the person who is signed in may not look."""
    lines: list[Check] = field(default_factory=list)
    found: list[tuple[Job, GitSource, Repository]] = field(default_factory=list)
    elsewhere: int = 0
    standings: dict[str, Standing] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.room.workspace.name

    @property
    def principals(self) -> list[str]:
        """The service principals that its jobs run as."""
        runners = [job.run_as for job, _, _ in self.found if job.run_as is not None]
        return list(dict.fromkeys(each.name for each in runners if each.kind == "service principal"))


def refreshing(visit: Visit, run_as: RunAs | None) -> str:
    """How whom a job runs as becomes one that is kept fresh."""
    workspace, host = visit.room.workspace, visit.facts.host
    if run_as is not None and run_as.kind != "service principal":
        return (
            f"This app keeps no credential of a {run_as.kind}: let the job run as a service principal, the app's own or one in run_as "
            '(job settings, Run as; or "run_as": {"service_principal_name": "APPLICATION_ID"}).'
        )
    if visit.standings.get(run_as.name if run_as else "", NOT_KEPT).number is None:
        return (
            f'In the entry of {workspace.name} in WORKSPACES, add its numeric id to "run_as". It could not be looked up: see in {host}, '
            "Settings, Identity and access, Service principals, whether it still exists."
        )
    missing = [each.number for each in visit.standings.values() if each.kept is False and each.number]
    listed = ", ".join(map(str, dict.fromkeys([*workspace.run_as, *missing])))
    return (
        f'In the entry of {workspace.name} in WORKSPACES write "run_as": [{listed}], and give the one that signs in the role Service '
        f"principal: Manager on it ({host}, Settings, Identity and access, Service principals, Permissions)."
    )


def summary(visit: Visit, unwell: int, unasked: int, commits: int) -> str:
    """How many jobs there are, and as whom that was seen.

    Args:
        visit: what was found.
        unwell: jobs with lines of their own.
        unasked: jobs whose repositories were not asked for.
        commits: jobs at a commit of which nobody could tell whether it exists.
    """
    number = len(visit.found)
    said = [f"{count(number, 'job') if number else 'no job'} with a Git source in Azure DevOps"]
    if number:
        said[0] += f", {number - unwell or 'none'} of them in order" if unwell else ", all in order"
    if visit.elsewhere:
        said.append(f"{count(visit.elsewhere, 'job')} with one elsewhere")
    if commits:
        said.append(f"of {commits} at a commit, only the repository was looked at")
    if unasked:
        said.append(f"of {unasked}, the repository was not asked for: no setting names its host")
    if unknown := sum(each.kept is True and each.has_one is None for each in visit.standings.values()):
        said.append(f"of {count(unknown, 'principal')} the Git credentials could not be looked at")
    why = " (your own sign-in may not list them)" if visit.refused else ""
    admin = ", an admin" if visit.caller.admin else f", who is no admin: {_CAN_VIEW}"
    said.append(f"seen as {shown(visit.caller.name)}{why}{admin}")
    return "; ".join(said)
