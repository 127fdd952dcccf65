"""`make run`: from a fleet of which nothing is granted to a job that runs, on the embedded cloud.

`check` is red, an admin types `onboard`, and the app does its job: with a commit and a dead token in between, and a workspace that fails.
Nothing is staged but the cloud: the real Functions worker runs the real app, the real SDKs talk TLS to production host names,
the workspaces pull with real Git, and jobs clone with it.
Nobody wants to watch an hour: the cloud lets every token end when the demo says so.
It shows what the workspaces contain before and after, not what the app reports.
"""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from localcloud.authority import TENANT, entra_v2
from localcloud.cloud import Cloud
from localcloud.databricks.federation import FederationPolicy
from localcloud.databricks.jobs import Job
from localcloud.databricks.workspace import Workspace
from localcloud.fleet import (
    CLIENT_ID,
    FEDERATED_CLIENT_ID,
    UngrantedFleet,
    ZonedFleet,
    seed_ungranted,
)
from localcloud.people import laptop
from localcloud.worker import Worker

APP = Path(__file__).parent.parent
CHANGED = "/Repos/etl/prod"
NEXT = """\
What to try next:
  .venv/bin/python -m localcloud --settings local.settings.json
      a cloud to play with; paste its export lines into another shell, then:
  .venv/bin/python -m git_refresh check --settings local.settings.json
  docs/setup.md leads to the same in Azure."""

console = Console()


class NotAsToldError(Exception):
    """Something did not happen as the demo says it does."""


class _Events(logging.Handler):
    """The app's log lines, which a query would find in Application Insights."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[dict[str, Any]] = []
        self.failures: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        event = json.loads(record.getMessage())
        if event["event"] == "git_refresh.run":
            self.runs.append(event)
        elif event["event"] == "git_refresh.workspace":
            self.failures += event["failures"]


@dataclass(frozen=True, slots=True)
class State:
    """What one workspace contains: its credential's token, and each folder's commit."""

    token: str | None
    commits: Mapping[str, str]

    @property
    def until(self) -> str:
        """When the token expires."""
        claims = jwt.decode(self.token or "", options={"verify_signature": False})
        return f"{datetime.fromtimestamp(claims['exp'], UTC):%H:%M:%S}"


def main() -> None:
    """Run the demo; exit with 1 if anything was not as told."""
    try:
        with Cloud() as cloud:
            with waiting("three workspaces and their repositories"):
                fleet = seed_ungranted(cloud)
            os.environ.update({**cloud.environment(), **fleet.settings})
            events = _Events()
            logging.getLogger("git_refresh").addHandler(events)
            logging.getLogger("git_refresh").propagate = False
            logging.getLogger().addHandler(logging.NullHandler())  # the worker's own notices
            with waiting("the Functions worker and the SDKs"):
                worker = Worker(APP)
            with worker:
                _tell(cloud, fleet, worker, events)
    except NotAsToldError as error:
        console.print(Text(f"✗ Not as told: {error}", "bold red"))
        sys.exit(1)
    console.print(Text("All as told.", "bold green"))
    console.print()
    console.print(Text(NEXT))


def _tell(cloud: Cloud, fleet: UngrantedFleet, worker: Worker, events: _Events) -> None:
    say(
        "An embedded cloud is up: three workspaces, Azure DevOps, Key Vault, Entra and two managed identities, under their production "
        "host names. The app is to sign in to data-1 with an OAuth secret, to data-2 as its managed identity, and to data-3 by token "
        "exchange, with an identity of data-3's own: nothing is shared with the first two. Nobody has granted it anything yet."
    )
    _let_in(cloud, fleet)
    job = _job(fleet)
    expect(_run(fleet, job) is not None, "a job cannot clone before there is a credential")
    states = _fire(fleet, worker, events, "First tick of the timer, through the real Functions worker")
    for workspace, state in zip(fleet.workspaces, states, strict=True):
        expect(state.token is not None, f"{workspace.host} has a credential")
        expect("/Repos/reports/prod" in state.commits, f"{workspace.host} has the folder that was missing")
    expect(_run(fleet, job) is None, "a job clones with the new credential")
    owners = [jwt.decode(state.token or "", options={"verify_signature": False})["oid"] for state in states]
    expect(owners[0] == owners[1] == cloud.identity.object_id, "the first two have the app's own token")
    expect(owners[2] == fleet.identity.object_id, "and the third has another identity's")

    commit = fleet.repositories[0].commit({"jobs/load.py": "print('load, faster')\n"}, message="Load faster")
    other = fleet.repositories[2].commit({"jobs/load.py": "print('load it')\n"}, message="Load it")
    commits = [commit, commit, other]
    say(
        f"Somebody pushes {commit[:8]} and {other[:8]}, and what takes an hour happens now: the tokens expire."
    )
    cloud.identity.expire_tokens()
    fleet.identity.expire_tokens()
    expect(_run(fleet, job) is not None, "a job with the old credential fails")

    third, broken = fleet.workspaces[2], names_of(fleet)[2]
    policy = {"issuer": entra_v2(TENANT), "subject": fleet.identity.object_id}
    _policies(cloud).clear()
    say(f"And somebody deletes the federation policy by which {broken} lets the app in.")
    before = states
    states = _fire(fleet, worker, events, "Next tick", failing=broken)
    for index, workspace in enumerate(fleet.workspaces):
        if workspace is not third:
            expect(states[index].token not in {None, before[index].token}, f"{workspace.host} is fresh")
            expect(states[index].commits[CHANGED] == commits[index], f"{workspace.host} has the new commit")
    expect(_run(fleet, job) is None, "a job with the fresh credential works")

    third.federate(FEDERATED_CLIENT_ID, **policy)
    say("That is mended with the command above.")
    fixed = _fire(fleet, worker, events, "Next tick")[2]
    expect(fixed.token not in {None, states[2].token}, f"{third.host} has a fresh credential")
    expect(fixed.commits[CHANGED] == commits[2], f"{third.host} has {CHANGED} at the new commit")


def _fire(
    fleet: ZonedFleet, worker: Worker, events: _Events, title: str, failing: str | None = None
) -> list[State]:
    before = [state_of(workspace) for workspace in fleet.workspaces]
    events.failures.clear()
    started = time.monotonic()
    with waiting(f"the function to end, for {len(fleet.workspaces)} workspaces"):
        outcome = worker.fire_timer("refresh_git")
    took = time.monotonic() - started
    after = [state_of(workspace) for workspace in fleet.workspaces]
    console.print(_table(f"{title} ({took:.1f} s)", fleet, before, after))
    if failing is None:
        expect(outcome.ok, f"the function succeeds, and it said: {outcome.message}")
    else:
        expect(not outcome.ok, "the function fails")
        expect([found["location"] for found in events.failures] == [failing], f"{failing} alone fails")
    run = events.runs[-1]
    console.print(
        f"  logged: {run['event']} {run['result']}, {run['workspaces_ok']} of {run['workspaces']} workspaces, "
        f"{run['folders_created']} folders created, {run['folders_updated']} updated, {run['folders_unchanged']} unchanged, "
        f"token good for {run['min_token_remaining_s']} s\n",
        highlight=False,
    )
    for failure in events.failures:
        _show(failure)
    return after


def _show(failure: Mapping[str, str]) -> None:
    """A failure as its log line has it: what happened, why, and what to do."""
    what = Text(f"✗ {failure['location']}: {failure['message']} ({failure['code']})", "red")
    console.print(Padding(what, (0, 0, 0, 2)))
    console.print(Padding(Text(f"{failure['cause']}\n→ {failure['remedy']}\n"), (0, 0, 0, 6)))


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say what is waited for, as long as it is."""
    text = f"Waiting for {what} …"
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        console.print(text, highlight=False)
        yield


def state_of(workspace: Workspace) -> State:
    tokens = [credential.token for credential in workspace.credentials if credential.token]
    return State(tokens[0] if tokens else None, {folder.path: folder.head for folder in workspace.folders})


def _table(title: str, fleet: ZonedFleet, before: list[State], after: list[State]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False
    )
    for heading in ("Workspace", "Credential", "Git folder", "From → to"):
        table.add_column(heading, no_wrap=True)
    for name, old, new in zip(names_of(fleet), before, after, strict=True):
        for index, path in enumerate(sorted(new.commits)):
            first = (name, _credential(old, new)) if index == 0 else ("", "")
            table.add_row(*first, path, _move(old.commits.get(path), new.commits[path]))
    return table


def names_of(fleet: ZonedFleet) -> list[str]:
    return [workspace["name"] for workspace in json.loads(fleet.settings["WORKSPACES"])]


def _credential(old: State, new: State) -> Text:
    if new.token in {None, old.token}:
        return Text("as before" if new.token else "none", "dim")
    return Text(f"{'updated' if old.token else 'created'}, until {new.until} UTC", "green")


def _move(old: str | None, new: str) -> Text:
    if old == new:
        return Text(new[:8], "dim")
    return Text(f"{old[:8] if old else 'created'} → {new[:8]}", "green")


def _let_in(cloud: Cloud, fleet: UngrantedFleet) -> None:
    """What an admin does once, with her own sign-in."""
    say("An admin types, on a laptop after az login:")
    red = _type(cloud, fleet, 1, "check", "--quiet")
    console.print(Text(f"  {red[-1]}\n", "red"))
    told = _type(cloud, fleet, 0, "onboard", "--apply", "--yes")
    for line in sorted(line for line in told[: told.index("")] if line.startswith("  ✓ ")):
        console.print(Text(line, "green"), soft_wrap=False, no_wrap=True, overflow="ellipsis")
    say(f"  and check follows by itself: {next(line for line in told if ' checks: ' in line)}")


def _type(cloud: Cloud, fleet: UngrantedFleet, code: int, *arguments: str) -> list[str]:
    """A command of ours on her laptop; for what the app may do, `check` asks as the app's identities, as in Azure."""
    az = fleet.admin.sign_in(cloud.directory / "laptop")
    own = {name: value for name, value in cloud.environment().items() if name.startswith("IDENTITY")}
    environ = laptop({**os.environ, **cloud.environment(), **fleet.settings}, az) | own
    console.print(Text(f"$ git-refresh {' '.join(arguments)}", "bold"))
    with waiting("the command"):
        done = subprocess.run(  # noqa: S603  # this interpreter, and words of ours
            [sys.executable, "-m", "git_refresh", *arguments],
            cwd=APP,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    expect(done.returncode == code, f"{arguments[0]} ends with {code}, and it said: {done.stdout}")
    return done.stdout.splitlines()


def _job(fleet: UngrantedFleet) -> Job:
    """A job in data-1 that clones a repository, as the principal whose credential is kept fresh."""
    first = fleet.workspaces[0]
    principal = next(known for known in first.service_principals if known.client_id == CLIENT_ID)
    return first.add_job("load", principal, fleet.repositories[0], ref={"git_branch": "main"})


def _run(fleet: UngrantedFleet, job: Job) -> str | None:
    """Run it; why it failed, or None."""
    run = fleet.workspaces[0].run_job(job)
    fine = run.result == "SUCCESS"
    what = (
        f"{run.result}, cloned {run.used_commit[:8]}"
        if fine
        else f"{run.result}: {run.message.partition('. ')[0]}."
    )
    console.print(Text(f"  the job load in {names_of(fleet)[0]}: {what}", "green" if fine else "red"))
    console.print()
    return None if fine else run.message


def _policies(cloud: Cloud) -> list[FederationPolicy]:
    principal = cloud.account.find(FEDERATED_CLIENT_ID)
    expect(principal is not None, "the account has the federated principal")
    return principal.policies if principal else []


def say(text: str) -> None:
    console.print(text, highlight=False)
    console.print()


def expect(fine: bool, what: str) -> None:  # noqa: FBT001  # reads as a sentence
    if not fine:
        raise NotAsToldError(what)


if __name__ == "__main__":
    main()
