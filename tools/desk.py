"""An admin's laptop, with a task done on it: what is typed there, and what the terminal then shows."""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud import Cloud, Fleet, seed
from localcloud.databricks.folder import Folder
from localcloud.fleet import ORGANIZATION
from localcloud.people import Person
from tools import warm
from tools.screen import plain, show, stable

LIST = "workspaces.json"
COLUMNS, NARROW = 100, 60
DEPLOYED = "az functionapp config appsettings list --name APP --resource-group GROUP --output json"


class Desk:
    """An admin's laptop, signed in to an embedded cloud, with a list of workspaces.

    Attributes:
        cloud: what there is in Azure.
        fleet: its workspaces, repositories and vault.
        listed: what is in workspaces.json: as deployed, until a task changes it.
        environ: of the terminal.
        place: where it is typed.
        you: who sits there.
        afterwards: what a task has to put right again.
    """

    def __init__(self, cloud: Cloud, place: Path) -> None:
        self.cloud = cloud
        self.fleet = _furnished(seed(cloud))
        self.place = place
        self.afterwards = ExitStack()
        self.listed = self.deployed()
        self.environ = {**os.environ, **cloud.environment(), "PATH": f"{place}/bin:{os.environ['PATH']}"}
        for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", *self.fleet.settings):
            self.environ.pop(name, None)
        self.you = _signed_in(cloud, self.fleet, place / "bin")

    def deployed(self) -> dict[str, Any]:
        """The settings, as they stand in a workspaces.json."""
        return {n: json.loads(v) if v[0] in "[{" else v for n, v in self.fleet.settings.items()}

    def entry(self, index: int) -> dict[str, Any]:
        """An entry of the list, to be changed."""
        found: dict[str, Any] = self.listed["WORKSPACES"][index]
        return found

    def folder(self, index: int, path: str = "/Repos/etl/prod") -> Folder:
        """A workspace's Git folder, as it is there."""
        return next(folder for folder in self.fleet.workspaces[index].folders if folder.path == path)

    def write(self, change: Callable[[str], str] = str) -> None:
        """Save the list."""
        (self.place / LIST).write_text(change(json.dumps(self.listed, indent=2)), encoding="utf-8")


def _furnished(fleet: Fleet) -> Fleet:
    """With a tag, and the main branch a commit ahead of it and of all folders."""
    etl = fleet.repositories[0]
    etl.tag("v1.0.0")
    etl.commit({"jobs/load.py": "print('load, faster')\n"})
    return fleet


def _signed_in(cloud: Cloud, fleet: Fleet, place: Path) -> Person:
    """The admin, with a stand-in for `az` that `az login` has left: she administers all that there is."""
    you = cloud.person("you")
    cloud.devops.organization(ORGANIZATION).add_administrator(you.object_id)
    cloud.account.admins.add(you.object_id)
    fleet.vault.allow_writing(you.object_id)
    for workspace in fleet.workspaces:
        workspace.add_user(you, admin=True)
    you.sign_in(place)
    return you


@dataclass(frozen=True, slots=True)
class Task:
    """What somebody wants to do, what he types, and what was before it."""

    title: str
    sentence: str
    typed: str
    """Our command, into which the deployed settings may be piped, or which may be piped into another."""
    before: Callable[[Desk], None] = Desk.write
    """Saves the list, at least, and lets things go wrong."""
    code: int = 0
    """How our command ends."""
    columns: int = COLUMNS
    keys: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)

    def section(self, desk: Desk) -> str:
        """Its part of the page, for which it is done.

        Raises:
            RuntimeError: the command ended with another exit code.
        """
        desk.listed = desk.deployed()
        with desk.afterwards:
            self.before(desk)
            shown = self._shown(desk)
        lines = [f"$ {self.typed}", *shown]
        return "\n".join([f"## {self.title}", "", self.sentence, "", "```text", *lines, "```", ""])

    def _shown(self, desk: Desk) -> list[str]:
        environ = {**desk.environ, **self.environ}
        piped = None
        first, bar, then = self.typed.partition(" | ")
        if first == DEPLOYED:
            piped = desk.place / "deployed"
            piped.write_text(json.dumps([{"name": n, "value": v} for n, v in desk.fleet.settings.items()]))
        elif bar:
            done = warm.run(*_words(first), environ=environ, folder=desk.place, program=warm.SCRIPT)
            if done.returncode != self.code:
                raise RuntimeError(done.stderr.decode())
            command = ["/bin/sh", "-c", then]
            read = subprocess.run(command, input=done.stdout, stdout=subprocess.PIPE, check=True)  # noqa: S603  # ours
            return read.stdout.decode().splitlines()
        shown = show(
            _words(then or first),
            environ,
            self.code,
            folder=desk.place,
            columns=self.columns,
            wide=True,
            stdin=piped,
            keys=self.keys,
        )
        return [plain(line) for line in stable(shown)]


def _words(typed: str) -> list[str]:
    _, *words = shlex.split(typed)
    return words
