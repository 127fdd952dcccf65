"""Many runs in one process over a changing list: no state, no growth, and each list is respected."""

import gc
import json
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from git_refresh.run.report import Report, WorkspaceReport
from localcloud import Cloud, Fault, Fleet, faults, seed
from localcloud.databricks.workspace import Workspace
from tests.support.app import run_app

pytestmark = pytest.mark.timeout(120)

HOSTS, RUNS = 6, 25
ETL, REPORTS = "/Repos/etl/prod", "/Repos/reports/prod"
BREAKS = ("malformed", "no such secret", "bad folder", "forbidden", "no such branch")


@dataclass
class Listed:
    """A workspace's entry in the list, and its mistake."""

    workspace: Workspace
    name: str
    broken: str = ""
    wants_reports: bool = False

    def entry(self, reports_url: str) -> dict[str, object]:
        branch = "none" if self.broken == "no such branch" else "main"
        reports = {"path": REPORTS, "url": reports_url, "branch": branch}
        folders: list[object] = [ETL, reports] if self.wants_reports or branch == "none" else [ETL]
        if self.broken == "bad folder":
            folders.append({"branch": "main"})
        host = self.workspace.url if self.broken != "malformed" else f"http://{self.workspace.host}"
        secret = {"client_secret_name": "none"} if self.broken == "no such secret" else {}
        return {"host": host, "name": self.name, "folders": folders, **secret}


@dataclass
class World:
    """The fleet, the list, and the random numbers."""

    cloud: Cloud
    fleet: Fleet
    dice: random.Random
    listed: list[Listed] = field(default_factory=list)
    names: int = 0

    def add(self) -> None:
        known = {each.workspace.host for each in self.listed}
        free = [workspace for workspace in self.fleet.workspaces if workspace.host not in known]
        if free:
            self.listed.append(Listed(self.dice.choice(free), self.new_name()))

    def new_name(self) -> str:
        self.names += 1
        return f"data {self.names}"

    def remove(self) -> None:
        if len(self.listed) > 1:
            self.listed.remove(self.dice.choice(self.listed))

    def rename(self) -> None:
        self.dice.choice(self.listed).name = self.new_name()

    def shuffle(self) -> None:
        self.dice.shuffle(self.listed)

    def toggle(self) -> None:
        each = self.dice.choice(self.listed)
        each.wants_reports = not each.wants_reports

    def break_(self) -> None:
        self.dice.choice(self.listed).broken = self.dice.choice(BREAKS)

    def mend(self) -> None:
        self.dice.choice(self.listed).broken = ""

    def commit(self) -> None:
        repository = self.dice.choice(self.fleet.repositories)
        repository.commit({"changed.txt": str(self.dice.random())})

    def forget_credential(self) -> None:
        self.dice.choice(self.fleet.workspaces)._credentials.stored.clear()

    def run(self) -> Report:
        """Run the app with the current list."""
        self.cloud.clear_faults()
        for each in self.listed:
            if each.broken == "forbidden":
                fault = Fault(faults.status(403), host=each.workspace.host, route="git-credentials")
                self.cloud.inject(fault)
        entries = [each.entry(self.fleet.repositories[1].url) for each in self.listed]
        return run_app({**os.environ, **self.fleet.settings, "WORKSPACES": json.dumps(entries)})


CHANGES: tuple[Callable[[World], None], ...] = (
    World.add,
    World.remove,
    World.rename,
    World.shuffle,
    World.toggle,
    World.break_,
    World.mend,
    World.mend,
    World.commit,
    World.forget_credential,
)


def stored(workspace: Workspace) -> list[str | None]:
    return [credential.token for credential in workspace.credentials]


def assert_as_listed(
    world: World, each: Listed, report: WorkspaceReport, before: dict[str, list[str | None]]
) -> None:
    """Compare the result and the report of one entry."""
    workspace, (etl, reports) = each.workspace, world.fleet.repositories
    result = {"": "ok", "malformed": "rejected"}.get(each.broken, "failed")
    assert (report.name, report.result) == (each.name, result)
    if each.broken in {"malformed", "no such secret", "forbidden"}:
        assert stored(workspace) == before[workspace.host]
        return
    (token,) = stored(workspace)
    assert token not in before[workspace.host]
    assert report.credential is not None
    assert report.credential.action == ("updated" if before[workspace.host] else "created")
    folder = workspace.folder(ETL)
    assert folder is not None
    assert folder.head == etl.head("main")
    if each.wants_reports and each.broken != "no such branch":
        folder = workspace.folder(REPORTS)
        assert folder is not None
        assert folder.head == reports.head("main")


def walk(world: World, runs: int) -> None:
    world.add()
    for _ in range(runs):
        for change in world.dice.choices(CHANGES, k=world.dice.randint(0, 3)):
            change(world)
        before = {workspace.host: stored(workspace) for workspace in world.fleet.workspaces}
        heads = {
            workspace.host: {folder.path: folder.head for folder in workspace.folders}
            for workspace in world.fleet.workspaces
        }
        report = world.run()
        assert report.result == ("failed" if any(each.broken for each in world.listed) else "ok")
        for each, found in zip(world.listed, report.workspaces, strict=True):
            assert_as_listed(world, each, found, before)
        listed = {each.workspace.host for each in world.listed}
        for workspace in world.fleet.workspaces:
            if workspace.host not in listed:
                assert stored(workspace) == before[workspace.host]
                assert {folder.path: folder.head for folder in workspace.folders} == heads[workspace.host]


def held() -> tuple[int, int]:
    """Return threads and descriptors of this process after garbage collection."""
    gc.collect()
    own = [each for each in threading.enumerate() if not each.name.startswith(("asyncio", "localcloud"))]
    return len(own), len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("seeded", [1, 7])
def test_each_list_gets_what_it_asks_for_whatever_the_lists_before_it_were(cloud: Cloud, seeded: int) -> None:
    world = World(cloud, seed(cloud, HOSTS), random.Random(seeded))  # noqa: S311  # no secret
    walk(world, 5)
    threads, descriptors = held()
    walk(world, RUNS)
    until = time.monotonic() + 5
    while held() > (threads, descriptors) and time.monotonic() < until:
        time.sleep(0.05)
    assert held()[0] <= threads
    assert held()[1] <= descriptors + 2
