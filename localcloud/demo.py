"""`make run`: the demo on the local emulator, from workspaces without permissions to a running job.

`check` fails, an admin runs `onboard` and `deploy`, and the app refreshes the workspaces, one of which fails. `runs` shows the result.
The Functions worker, the app, the SDKs and Git are real. The tables show the content of the workspaces, not the app's report.
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
from rich.table import Table
from rich.text import Text

from git_refresh.cli.findings import explain, fold
from git_refresh.failures.diagnosis import logged
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
Next steps:
  Start the emulator, and paste its export lines into another shell:
      .venv/bin/python -m localcloud --settings local.settings.json
  Run a check in that shell:
      .venv/bin/python -m git_refresh check --settings local.settings.json
  To set up the app in Azure, see docs/setup.md."""

console = Console()


class DemoError(Exception):
    """A check of the demo failed."""


class _Events(logging.Handler):
    """A collector of the app's log lines."""

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
    """The content of a workspace: its credential's token, and the commit of each Git folder."""

    token: str | None
    commits: Mapping[str, str]

    @property
    def expires_at(self) -> str:
        claims = jwt.decode(self.token or "", options={"verify_signature": False})
        return f"{datetime.fromtimestamp(claims['exp'], UTC):%H:%M:%S}"


def main() -> None:
    """Run the demo, and exit with 1 if a check fails."""
    try:
        with Cloud() as cloud:
            with waiting("three workspaces with their repositories"):
                fleet = seed_ungranted(cloud)
            os.environ.update({**cloud.environment(), **fleet.app.settings})
            events = _Events()
            logging.getLogger("git_refresh").addHandler(events)
            logging.getLogger("git_refresh").propagate = False
            logging.getLogger().addHandler(logging.NullHandler())  # for the worker's own messages
            with waiting("the Functions worker and the SDKs"):
                worker = Worker(APP)
            with worker:
                _run_demo(cloud, fleet, worker, events)
    except DemoError as error:
        console.print(Text(f"✗ Check failed: {error}", "bold red"))
        sys.exit(1)
    console.print(Text("Demo finished. All checks passed.", "bold green"))
    console.print()
    console.print(Text(NEXT))


def _run_demo(cloud: Cloud, fleet: UngrantedFleet, worker: Worker, events: _Events) -> None:
    say(
        "The local emulator is running, with the production host names. It has three workspaces, Azure DevOps, Key Vault, Entra, "
        "and two managed identities. The app signs in to data-1 with an OAuth secret, and to data-2 as its managed identity. It signs in "
        "to data-3 by token federation, with an additional identity. It has no permissions yet."
    )
    _grant_access(cloud, fleet)
    _deploy(cloud, fleet)
    job = _job(fleet)
    expect(_run(fleet, job) is not None, "a job without a credential fails")
    fire = partial(_fire, cloud, fleet, worker, events)
    states = fire("First scheduled run, in the real Functions worker")
    for workspace, state in zip(fleet.workspaces, states, strict=True):
        expect(state.token is not None, f"{workspace.host} has a credential")
        expect("/Repos/reports/prod" in state.commits, f"{workspace.host} has the missing folder")
    expect(_run(fleet, job) is None, "a job clones with the new credential")
    owners = [jwt.decode(state.token or "", options={"verify_signature": False})["oid"] for state in states]
    expect(owners[0] == owners[1] == cloud.identity.object_id, "the first two have the app's token")
    expect(owners[2] == fleet.identity.object_id, "the third has the additional identity's token")

    commit = fleet.repositories[0].commit({"jobs/load.py": "print('load, faster')\n"}, message="Load faster")
    other = fleet.repositories[2].commit({"jobs/load.py": "print('load it')\n"}, message="Load it")
    commits = [commit, commit, other]
    say(f"A developer pushes {commit[:8]} and {other[:8]}. All tokens expire now instead of in an hour.")
    cloud.identity.expire_tokens()
    fleet.identity.expire_tokens()
    expect(_run(fleet, job) is not None, "a job with the expired token fails")

    third, broken = fleet.workspaces[2], names_of(fleet)[2]
    policy = {"issuer": entra_v2(TENANT), "subject": fleet.identity.object_id}
    _policies(cloud).clear()
    say(f"An admin deletes the federation policy of {broken}.")
    before = states
    states = fire("Next scheduled run", failing=broken)
    for index, workspace in enumerate(fleet.workspaces):
        if workspace is not third:
            expect(
                states[index].token not in {None, before[index].token}, f"{workspace.host} has a new token"
            )
            expect(states[index].commits[CHANGED] == commits[index], f"{workspace.host} has the new commit")
    expect(_run(fleet, job) is None, "a job with the new token succeeds")

    third.federate(FEDERATED_CLIENT_ID, **policy)
    say("An admin creates the policy again with the command above.")
    fixed = fire("Next scheduled run")[2]
    expect(fixed.token not in {None, states[2].token}, f"{third.host} has a new token")
    expect(fixed.commits[CHANGED] == commits[2], f"{third.host} has {CHANGED} at the new commit")
    _look_back(cloud, fleet, broken)


def _fire(
    cloud: Cloud, fleet: ZonedFleet, worker: Worker, events: _Events, title: str, failing: str | None = None
) -> list[State]:
    before = [state_of(workspace) for workspace in fleet.workspaces]
    events.failures.clear()
    events.lines.clear()
    began = datetime.now(UTC)
    with waiting(f"the function to refresh {len(fleet.workspaces)} workspaces"):
        outcome = worker.fire_timer("refresh_git")
    ended = datetime.now(UTC)
    logs = cloud.logs.of(fleet.component)
    logs.invocation("refresh_git", events.lines, began=began, ended=ended, ok=outcome.ok)
    after = [state_of(workspace) for workspace in fleet.workspaces]
    console.print(_table(f"{title} ({(ended - began).total_seconds():.1f} s)", fleet, before, after))
    if failing is None:
        expect(outcome.ok, f"the function succeeds (its message: {outcome.message})")
    else:
        expect(not outcome.ok, "the function fails")
        expect([found["location"] for found in events.failures] == [failing], f"only {failing} fails")
    run = events.runs[-1]
    console.print(
        f"  logged: {run['event']} {run['result']}, {run['workspaces_ok']} of {run['workspaces']} workspaces, "
        f"Git folders: {run['folders_created']} created, {run['folders_updated']} updated, {run['folders_unchanged']} unchanged, "
        f"tokens valid for {run['min_token_remaining_s']} s\n",
        highlight=False,
    )
    for failure in events.failures:
        _show(failure)
    return after


def _show(failure: Mapping[str, str]) -> None:
    error = logged(failure["code"], failure["message"], failure["cause"], failure["remedy"])
    what = Text(f"{failure['location']}: {failure['message']}  ({failure['code']})", "red")
    fold(Text("  ✗ ", "red"), what, console)
    explain(error, console, Text(" " * 6))
    console.print()


@contextmanager
def waiting(what: str) -> Iterator[None]:
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
    for heading in ("Workspace", "Credential (UTC)", "Git folder", "From → to"):
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
        return Text("unchanged" if new.token else "none", "dim")
    action = "updated" if old.token else "created"
    return Text(f"{action}, expires {new.expires_at}", "green")


def _move(old: str | None, new: str) -> Text:
    if old == new:
        return Text(new[:8], "dim")
    return Text(f"{old[:8] if old else 'created'} → {new[:8]}", "green")


def _grant_access(cloud: Cloud, fleet: UngrantedFleet) -> None:
    say("An admin runs these commands on a laptop, after az login:")
    failed = _command(cloud, fleet, 1, "check", "--quiet", *SETTINGS)
    console.print(Text(f"  {failed[-1]}\n", "red"))
    printed = _command(cloud, fleet, 0, "onboard", "--apply", "--yes", *SETTINGS)
    for line in sorted(line for line in printed[: printed.index("")] if line.startswith("  ✓ ")):
        console.print(Text(line, "green"), soft_wrap=False, no_wrap=True, overflow="ellipsis")
    say(f"  onboard also runs check. Its summary: {next(line for line in printed if ' checks: ' in line)}")


def _deploy(cloud: Cloud, fleet: UngrantedFleet) -> None:
    """Deploy the list to the paused app, which has no list yet."""
    expect("WORKSPACES" not in fleet.app.settings, "the app has no list yet")
    printed = _command(cloud, fleet, 0, "deploy", LIST, "--app", fleet.app.name, "--apply", "--yes")
    _print(line for line in printed if line.startswith(("+", "~", "Set:")))
    expect(fleet.app.restarts == 1, "the app has restarted")
    expect(all(rule.enabled for rule in fleet.app.group.alert_rules), "its alerts are enabled")
    os.environ.pop(PAUSE, None)
    os.environ.update(fleet.app.settings)


def _look_back(cloud: Cloud, fleet: UngrantedFleet, broken: str) -> None:
    say("The on-call engineer shows the runs:")
    printed = _command(cloud, fleet, 0, "runs", "--app", fleet.app.name)
    _print(printed)
    rows = [line for line in printed if line.startswith("20")]
    failed = [row for row in rows if " failed " in row]
    expect((len(rows), len(failed)) == (3, 1), "runs shows three runs, one of them failed")
    expect(any(broken in line for line in printed), f"runs names {broken}")


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=False, no_wrap=True, overflow="ellipsis")
    console.print()


def _command(cloud: Cloud, fleet: UngrantedFleet, code: int, *arguments: str) -> list[str]:
    """Run a command on the admin's laptop, where the app's identities are available as well."""
    az = fleet.admin.sign_in(cloud.directory / "laptop")
    (az / LIST).write_text(json.dumps(dict(fleet.settings)), encoding="utf-8")
    own = {name: value for name, value in cloud.environment().items() if name.startswith("IDENTITY")}
    kept = {name: value for name, value in os.environ.items() if name not in fleet.app.settings}
    environ = laptop({**kept, **cloud.environment()}, az) | own | {"PYTHONPATH": str(APP)}
    environ.pop("FORCE_COLOR", None)
    console.print(Text(f"$ git-refresh {' '.join(arguments)}", "bold"))
    with waiting("the command"):
        done = subprocess.run(  # noqa: S603  # fixed program and arguments
            [sys.executable, "-m", "git_refresh", *arguments],
            cwd=az,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    expect(done.returncode == code, f"{arguments[0]} exits with {code} (its output: {done.stdout})")
    return done.stdout.splitlines()


def _job(fleet: UngrantedFleet) -> Job:
    """Create a job in data-1 that clones a repository, and runs as the app's principal."""
    first = fleet.workspaces[0]
    principal = next(known for known in first.service_principals if known.client_id == CLIENT_ID)
    return first.add_job("load", principal, fleet.repositories[0], ref={"git_branch": "main"})


def _run(fleet: UngrantedFleet, job: Job) -> str | None:
    """Run the job, and return the reason of a failure, or None."""
    run = fleet.workspaces[0].run_job(job)
    fine = run.result == "SUCCESS"
    what = (
        f"{run.result}, cloned {run.used_commit[:8]}"
        if fine
        else f"{run.result}: {run.message.partition('. ')[0]}."
    )
    console.print(Text(f"  job load in {names_of(fleet)[0]}: {what}", "green" if fine else "red"))
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
        raise DemoError(what)


if __name__ == "__main__":
    main()
