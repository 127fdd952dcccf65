"""The measured cases: fleets of equal workspaces, and the state that a run finds."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

type Situation = Literal["quiet", "pulled", "first"]
SITUATIONS: tuple[Situation, ...] = get_args(Situation.__value__)
"""The state before a run.

`quiet`: only the token must be stored. `pulled`: each folder is behind its branch. `first`: credentials and folders
are missing.
"""

type Kind = Literal["legacy", "git-cli"]
KINDS: tuple[Kind, ...] = get_args(Kind.__value__)
"""Git folders that are in the list of Git folders, or that have Git CLI access and are not."""

type Client = Literal["app", "asyncio"]
CLIENTS: tuple[Client, ...] = get_args(Client.__value__)

VAULT = "https://contoso.vault.azure.net"
PROJECT_URL = "https://dev.azure.com/contoso/Data%20Platform"
SECRET_NAME = "databricks-oauth-secret"  # noqa: S105  # a name
CLIENT_ID = "5a1e0000-0000-4000-8000-000000000001"

_PATHS: Mapping[Kind, str] = {"legacy": "/Repos/etl-{}/prod", "git-cli": "/Shared/etl-{}"}
"""Each legacy Git folder has its own directory below `/Repos`. Folders with Git CLI access share one."""


@dataclass(frozen=True, slots=True)
class Case:
    """A fleet in one situation; its services respond after `latency` milliseconds."""

    workspaces: int
    folders: int
    latency: int
    situation: Situation
    kind: Kind = "legacy"

    def __str__(self) -> str:
        return f"{self.workspaces} x {self.folders} {self.kind}, {self.latency} ms, {self.situation}"

    @property
    def hosts(self) -> list[str]:
        return [
            f"adb-{number:016}.{number % 20}.azuredatabricks.net" for number in range(1, self.workspaces + 1)
        ]

    @property
    def settings(self) -> Mapping[str, str]:
        """The app settings of the fleet."""
        path = _PATHS[self.kind]
        folders = [
            {"path": path.format(number), "url": f"{PROJECT_URL}/_git/etl-{number}", "branch": "main"}
            for number in range(self.folders)
        ]
        defaults = {"client_id": CLIENT_ID, "client_secret_name": SECRET_NAME, "folders": folders}
        return {
            "WORKSPACES": json.dumps([f"https://{host}" for host in self.hosts]),
            "WORKSPACE_DEFAULTS": json.dumps(defaults),
            "KEY_VAULT_URL": VAULT,
            "REFRESH_SCHEDULE": "0 */15 * * * *",
        }


@dataclass(frozen=True, slots=True)
class Measurement:
    """A case, its clients, and the number of runs per client."""

    case: Case
    times: int
    clients: tuple[Client, ...] = CLIENTS

    def turns(self) -> Iterator[Client]:
        """Return the clients in turn, so other work of the machine affects them equally."""
        for _ in range(self.times):
            yield from self.clients


def grid() -> list[Measurement]:
    """Return all cases, which take about fifteen minutes."""
    alone = [Measurement(Case(1, folders, 50, "quiet"), 3) for folders in (0, 2, 5)]
    few = [Measurement(Case(100, folders, 50, "quiet"), 3) for folders in (0, 2)]
    middle = [
        Measurement(Case(100, 5, latency, situation), 3 if latency <= _USUAL else 1)
        for latency in (0, 50, 200)
        for situation in SITUATIONS
    ]
    large = [
        Measurement(Case(1000, folders, latency, situation), 1) for folders, latency, situation in _LARGE
    ]
    legacy = [*alone, *few, *middle, *large]
    return [*legacy, *(_git_cli(each) for each in legacy if _size(each.case) in _IN_BOTH_KINDS)]


def _git_cli(measurement: Measurement) -> Measurement:
    return replace(measurement, case=replace(measurement.case, kind="git-cli"))


def _size(case: Case) -> tuple[int, int, int]:
    return case.workspaces, case.folders, case.latency


def quick() -> list[Measurement]:
    """Return the cases with a promised ratio, and one workspace; they take two minutes."""
    cases = [Case(1, 2, 50, "quiet"), *(Case(100, 5, 50, situation) for situation in SITUATIONS[:2])]
    legacy = [Measurement(case, 3) for case in cases]
    return [*legacy, *map(_git_cli, legacy)]


_USUAL = 50
_IN_BOTH_KINDS = {(1, 2, _USUAL), (100, 5, _USUAL), (1000, 2, _USUAL)}
"""Workspaces, folders and milliseconds of the cases with a promise, and of one workspace."""
_LARGE: tuple[tuple[int, int, Situation], ...] = (
    (0, 50, "quiet"),
    (2, 0, "quiet"),
    (2, 50, "quiet"),
    (2, 50, "pulled"),
    (2, 50, "first"),
    (2, 200, "quiet"),
    (5, 50, "quiet"),
)
