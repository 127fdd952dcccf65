"""`make run`: from a fleet of which nothing is granted to a job that runs, on the embedded cloud.

`check` is red, an admin types `onboard` and `deploy`, and the app does its job: with a commit and a dead token in between, and a workspace
that fails. In the end `runs` shows what has happened, from the app's own logs.
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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
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
    PAUSE,
    UngrantedFleet,
    ZonedFleet,
    seed_ungranted,
)
from localcloud.people import laptop
from localcloud.worker import Worker

APP = Path(__file__).parent.parent
CHANGED = "/Repos/etl/prod"
LIST = "workspaces.json"
SETTINGS = ("--settings", LIST)
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
    """The app's log lines: of the call in progress, and what the demo shows of them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[datetime, str, str]] = []
        self.runs: list[dict[str, Any]] = []
        self.failures: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(
            (datetime.fromtimestamp(record.created, UTC), record.levelname, record.getMessage())
        )
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
            os.environ.update({**cloud.environment(), **fleet.app.settings})
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
    _deploy(cloud, fleet)
    job = _job(fleet)
    expect(_run(fleet, job) is not None, "a job cannot clone before there is a credential")
    fire = partial(_fire, cloud, fleet, worker, events)
    states = fire("First tick of the timer, through the real Functions worker")
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
    states = fire("Next tick", failing=broken)
    for index, workspace in enumerate(fleet.workspaces):
        if workspace is not third:
            expect(states[index].token not in {None, before[index].token}, f"{workspace.host} is fresh")
            expect(states[index].commits[CHANGED] == commits[index], f"{workspace.host} has the new commit")
    expect(_run(fleet, job) is None, "a job with the fresh credential works")

    third.federate(FEDERATED_CLIENT_ID, **policy)
    say("That is mended with the command above.")
    fixed = fire("Next tick")[2]
    expect(fixed.token not in {None, states[2].token}, f"{third.host} has a fresh credential")
    expect(fixed.commits[CHANGED] == commits[2], f"{third.host} has {CHANGED} at the new commit")
    _look_back(cloud, fleet, broken)


def _fire(  # what every call of it has in common comes first
    cloud: Cloud, fleet: ZonedFleet, worker: Worker, events: _Events, title: str, failing: str | None = None
) -> list[State]:
    before = [state_of(workspace) for workspace in fleet.workspaces]
    events.failures.clear()
    events.lines.clear()
    began = datetime.now(UTC)
    with waiting(f"the function to end, for {len(fleet.workspaces)} workspaces"):
        outcome = worker.fire_timer("refresh_git")
    ended = datetime.now(UTC)
    logs = cloud.logs.of(fleet.component)
    logs.invocation("refresh_git", events.lines, began=began, ended=ended, ok=outcome.ok)
    after = [state_of(workspace) for workspace in fleet.workspaces]
    console.print(_table(f"{title} ({(ended - began).total_seconds():.1f} s)", fleet, before, after))
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
    red = _type(cloud, fleet, 1, "check", "--quiet", *SETTINGS)
    console.print(Text(f"  {red[-1]}\n", "red"))
    told = _type(cloud, fleet, 0, "onboard", "--apply", "--yes", *SETTINGS)
    for line in sorted(line for line in told[: told.index("")] if line.startswith("  ✓ ")):
        console.print(Text(line, "green"), soft_wrap=False, no_wrap=True, overflow="ellipsis")
    say(f"  and check follows by itself: {next(line for line in told if ' checks: ' in line)}")


def _deploy(cloud: Cloud, fleet: UngrantedFleet) -> None:
    """Set the list in the app, which has none yet: from then on it has these settings, and is not paused."""
    expect("WORKSPACES" not in fleet.app.settings, "the app has no list yet")
    told = _type(cloud, fleet, 0, "deploy", LIST, "--app", fleet.app.name, "--apply", "--yes")
    _print(line for line in told if line.startswith(("+", "~", "Set:")))
    expect(fleet.app.restarts == 1, "the app has restarted")
    expect(all(rule.enabled for rule in fleet.app.group.alert_rules), "its alerts are on")
    os.environ.pop(PAUSE, None)
    os.environ.update(fleet.app.settings)


def _look_back(cloud: Cloud, fleet: UngrantedFleet, broken: str) -> None:
    """What whoever is on call reads the next morning."""
    say("What has happened? Whoever is on call types:")
    told = _type(cloud, fleet, 0, "runs", "--app", fleet.app.name)
    _print(told)
    rows = [line for line in told if line.startswith("20")]
    failed = [row for row in rows if " failed " in row]
    expect((len(rows), len(failed)) == (3, 1), "there were three runs, and one failed")
    expect(any(broken in line for line in told), f"{broken} is named")


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=False, no_wrap=True, overflow="ellipsis")
    console.print()


def _type(cloud: Cloud, fleet: UngrantedFleet, code: int, *arguments: str) -> list[str]:
    """A command of ours on her laptop; for what the app may do, `check` asks as the app's identities, as in Azure."""
    az = fleet.admin.sign_in(cloud.directory / "laptop")
    (az / LIST).write_text(json.dumps(dict(fleet.settings)), encoding="utf-8")
    own = {name: value for name, value in cloud.environment().items() if name.startswith("IDENTITY")}
    kept = {name: value for name, value in os.environ.items() if name not in fleet.app.settings}
    environ = laptop({**kept, **cloud.environment()}, az) | own | {"PYTHONPATH": str(APP)}
    console.print(Text(f"$ git-refresh {' '.join(arguments)}", "bold"))
    with waiting("the command"):
        done = subprocess.run(  # noqa: S603  # this interpreter, and words of ours
            [sys.executable, "-m", "git_refresh", *arguments],
            cwd=az,
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
