"""A fleet in virtual time with hanging parts: the real scheduling and guard over simulated services."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from math import inf
from random import Random
from typing import Any, Literal, cast, override
from uuid import UUID

import pytest
import urllib3
from pydantic import SecretStr

from git_refresh.clients import databricks, devops, identity, key_vault, oauth
from git_refresh.clients.connections import CONNECT_LIMIT
from git_refresh.clients.responses import Response, UnexpectedAnswerError, read
from git_refresh.clients.retry import Retry, call
from git_refresh.clients.session import LastResponse, Network
from git_refresh.clients.single_flight import SingleFlight
from git_refresh.failures.failure import Attempt, Operation, Service
from git_refresh.model import waiting
from git_refresh.model.clock import Deadline, current_operation
from git_refresh.model.repository import Repository
from git_refresh.model.values import (
    AZURE_DEVOPS,
    GitFolder,
    ListedObject,
    OtherObject,
    Ref,
    Secret,
    StoredCredential,
    Token,
    TokenClaims,
    Zone,
)
from git_refresh.output.log import RedactingLogger
from git_refresh.output.mask import SecretFilter
from git_refresh.run.pool import MAX_THREADS, Pool, Priority
from git_refresh.run.ports import AdminAccess
from git_refresh.run.refresh import refresh
from git_refresh.run.report import Report
from git_refresh.settings.load import Settings, load
from tests.support.virtual_time import VirtualTime

type Place = Literal[
    "token",
    "key",
    "devops",
    "sign_in",
    "credentials",
    "store",
    "list",
    "directory",
    "find",
    "move",
    "clone",
    "folder",
]
type Manner = Literal["hang", "drip", "connect", "late", "slow"]

CREDENTIAL_PATH: tuple[Place, ...] = ("token", "key", "sign_in", "credentials", "store")
FOLDER_PATH: tuple[Place, ...] = ("devops", "list", "directory", "find", "move", "clone", "folder")
MANNERS: tuple[Manner, ...] = ("hang", "drip", "connect", "late")
OLD, NEW = "a" * 40, "b" * 40


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a part of the fleet.

    `place`: the affected requests.
    `manner`: no response; a byte per second; no connection; a late 503; a slow success.
    `share`: the part of the fleet, from 0 to 1.
    `after_s`: when it starts.
    `late_s`: the delay of `late` and `slow`.
    `times`: affected requests per workspace; None: all.
    """

    place: Place
    manner: Manner
    share: float
    after_s: float = 0.0
    late_s: float = 20.0
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One run of one fleet.

    `pattern`: folders come from a path ending in `/*`.
    `zones`: the number of identities, secrets and organizations, each shared by a part of the fleet.
    `latency_s`: of a response. None: without faults, the fleet needs a quarter of the budget.
    """

    workspaces: int
    folders: int
    concurrency: int
    budget_s: int
    faults: tuple[Fault, ...]
    seed: int = 0
    zones: int = 20
    pattern: bool = False
    latency_s: float | None = None
    threads: int = MAX_THREADS

    @property
    def latency(self) -> float:
        """Seconds of a response."""
        if self.latency_s is not None:
            return self.latency_s
        requests = self.workspaces * (6 + 4 * self.folders)
        return min(0.5, 0.9 * self.budget_s / 4 * self.concurrency / requests)


@dataclass(eq=False)
class World:
    """The services of one case, and their records."""

    case: Case
    time: VirtualTime = field(default_factory=VirtualTime)
    stored: dict[str, float] = field(default_factory=dict)
    """The time of each workspace's stored credential."""
    under_way: int = 0
    most: int = 0
    """The highest number of concurrent requests."""
    asked: Counter[tuple[str, Place]] = field(default_factory=Counter)
    _struck: dict[str, dict[Place, Fault]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        random = Random(self.case.seed)  # noqa: S311  # not for security
        hosts = [host(number) for number in range(self.case.workspaces)]
        for fault in self.case.faults:
            groups: dict[object, list[str]] = {}
            for number, name in enumerate(hosts):
                shared = fault.place in {"token", "key", "devops"}
                groups.setdefault(number % self.case.zones if shared else number, []).append(name)
            chosen = list(groups)
            random.shuffle(chosen)
            left = round(fault.share * len(hosts))
            for key in chosen:
                if len(groups[key]) > left:
                    continue
                left -= len(groups[key])
                for name in groups[key]:
                    self._struck.setdefault(name, {})[fault.place] = fault

    def works(self, name: str, places: Sequence[Place]) -> bool:
        """Return whether no fault affects these places of a workspace."""
        struck = self._struck.get(name, {})
        return all(place not in struck or struck[place].manner == "slow" for place in places)

    def ask(self, name: str, place: Place) -> None:
        """Make one request, waiting like a socket."""
        fault = self._struck.get(name, {}).get(place)
        self.asked[name, place] += 1
        if fault is not None and (
            self.time.at < fault.after_s or (fault.times and self.asked[name, place] > fault.times)
        ):
            fault = None
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            self._wait(fault)
        finally:
            self.under_way -= 1

    def _wait(self, fault: Fault | None) -> None:
        operation = current_operation()
        left = operation.seconds_left()
        if fault is not None and fault.manner == "connect":
            self.time.sleep(waiting.at_once(min(left, CONNECT_LIMIT)))
            raise urllib3.exceptions.ConnectTimeoutError
        seconds = self.case.latency
        if fault is not None:
            seconds = fault.late_s if fault.manner in {"late", "slow"} else inf
        while seconds > 0:
            slice_ = min(seconds, waiting.turn(operation.seconds_left()))
            self.time.sleep(slice_)
            seconds -= slice_
        if fault is not None and fault.manner != "slow":
            operation.answer = LastResponse(503, {}, b"")
            raise UnexpectedAnswerError


def host(number: int) -> str:
    return f"https://adb-{number}.1.azuredatabricks.net"


def _guid(number: int) -> str:
    return f"5a1e0000-0000-4000-8000-{number:012d}"


@cache
def _settings(workspaces: int, folders: int, concurrency: int, zones: int, *, pattern: bool) -> Settings:
    entries = []
    for number in range(workspaces):
        url = f"https://dev.azure.com/org-{number % zones}/p/_git/etl"
        paths: list[Any] = [f"/Repos/etl/{folder}" for folder in range(folders)]
        if pattern:
            paths = ["/Repos/etl/*"]
        elif number % 3 == 0:  # some folders must be cloned, some need no look-up
            paths = [{"path": path, "url": url, "branch": "main"} for path in paths]
        entries.append(
            {
                "host": host(number),
                "client_id": _guid(number),
                "client_secret_name": f"secret-{number % zones}",
                "identity": _guid(number % zones),
                "folders": paths,
            }
        )
    environ = {
        "WORKSPACES": json.dumps(entries),
        "KEY_VAULT_URL": "https://v.vault.azure.net",
        "REFRESH_CONCURRENCY": str(concurrency),
    }
    return load(environ)


@dataclass(eq=False)
class Clouds:
    """`ports.Clouds`."""

    world: World
    deadline: Deadline
    made: dict[Zone, "Services"] = field(default_factory=dict)
    admin: AdminAccess | None = None

    def services(self, zone: Zone) -> "Services":
        return self.made.setdefault(zone, Services(self.world, self.deadline, zone))

    def clock_behind(self) -> timedelta:
        return timedelta()

    def close(self) -> None: ...


class Heads(devops.AzureDevOps):
    """The real look-ups without a session."""

    def __init__(self, world: World, token: Token, deadline: Deadline) -> None:
        super().__init__(token, Network(cast("Any", None), deadline, SecretFilter()))
        self._world = world

    @override
    def _get[M: Response](
        self, repository: Repository, what: Attempt, resource: str, model: type[M], query: Any, **_: Any
    ) -> M:
        number = int(repository.organization.removeprefix("org-"))
        deadline, secrets = self._network.deadline.within(devops.REF_LIMIT_S), SecretFilter()
        ask = partial(self._world.ask, host(number), "devops")
        call(Service.AZURE_DEVOPS, what, ask, deadline=deadline, secrets=secrets)
        return read(model, {"value": [{"name": f"refs/{query['filter']}", "objectId": NEW}]}, secrets)


class Services:
    """`ports.Services`. A group's first workspace determines its tokens and secrets."""

    identity = Service.IDENTITY

    def __init__(self, world: World, deadline: Deadline, zone: Zone) -> None:
        self._world = world
        self._deadline = deadline
        self._first = host(int((zone.identity or "").rpartition("-")[2]))
        self._tokens: SingleFlight[str, Token] = SingleFlight(deadline)
        self._secrets: SingleFlight[str, Secret] = SingleFlight(deadline)

    def _call[T](self, service: Service, place: Place, limit: float, value: T) -> T:
        def request() -> T:
            self._world.ask(self._first, place)
            return value

        deadline = self._deadline.within(limit)
        return call(service, Operation.READ_JOB.of(), request, deadline=deadline, secrets=SecretFilter())

    def token(self, resource: str) -> Token:
        token = Token(SecretStr("token"), self._world.time.now() + timedelta(hours=1), TokenClaims())
        assert resource == AZURE_DEVOPS
        return self._tokens.get(
            resource, lambda: self._call(Service.IDENTITY, "token", identity.TOKEN_LIMIT_S, token)
        )

    def secret(self, name: str) -> Secret:
        secret = Secret(SecretStr("secret"), None)
        return self._secrets.get(
            name, lambda: self._call(Service.KEY_VAULT, "key", key_vault.SECRET_LIMIT_S, secret)
        )

    def heads(self, token: Token) -> Heads:
        return Heads(self._world, token, self._deadline)

    def sign_in(self, host: str, client_id: str, secret: SecretStr) -> "Api":
        api = Api(self._world, host, self._deadline)
        api._call("sign_in", oauth.SIGN_IN_LIMIT)
        return api

    def exchange(self, host: str, client_id: str, assertion: Token) -> "Api":
        raise NotImplementedError

    def workspace(self, host: str, token: SecretStr) -> "Api":
        raise NotImplementedError


class Api:
    """`ports.WorkspaceApi` with the limits and retries of the real one."""

    def __init__(self, world: World, host: str, deadline: Deadline) -> None:
        self._world = world
        self._host = host
        self._deadline = deadline
        number = int(host.split("-")[1].split(".", maxsplit=1)[0])
        zones = world.case.zones
        url = f"https://dev.azure.com/org-{number % zones}/p/_git/etl"
        self._at = {
            path: GitFolder(folder, path, url, "main", OLD)
            for folder in range(world.case.folders)
            for path in [f"/Repos/etl/{folder}"]
            if number % 3 or folder % 2  # the others must be cloned
        }
        self._unlisted = {path for path, folder in self._at.items() if folder.id % 5 == 4}

    def _call(self, place: Place, limit: float, repeat: Retry = Retry.IDEMPOTENT) -> None:
        deadline = self._deadline.within(limit)
        ask: Callable[[], None] = lambda: self._world.ask(self._host, place)  # noqa: E731  # a request
        call(
            Service.DATABRICKS,
            Operation.READ_JOB.of(),
            ask,
            deadline=deadline,
            secrets=SecretFilter(),
            repeat=repeat,
        )

    def credentials(self, principal_id: int | None) -> list[StoredCredential]:
        self._call("credentials", databricks.CREDENTIAL_LIMIT)
        return [StoredCredential(5, "azureDevOpsServices", "git-refresh")]

    def update_credential(self, id_: int, username: str, token: SecretStr, principal_id: int | None) -> None:
        self._call("store", databricks.CREDENTIAL_LIMIT)
        self._world.stored[self._host] = self._world.time.at

    def create_credential(self, username: str, token: SecretStr, principal_id: int | None) -> int:
        raise NotImplementedError

    def release_idle_connections(self) -> None: ...

    def close(self) -> None: ...

    def folders(self, prefix: str) -> Iterator[list[GitFolder | None]]:
        self._call("list", databricks.LOOKUP_LIMIT)
        yield [folder for path, folder in self._at.items() if path not in self._unlisted]

    def children(self, path: str) -> list[ListedObject | None]:
        self._call("directory", databricks.LISTING_LIMIT)
        return [
            ListedObject(path, folder.id, "DIRECTORY", git_folder=True)
            if path in self._unlisted
            else ListedObject(path, folder.id, "REPO")
            for path, folder in self._at.items()
        ]

    def examine(self, found: ListedObject) -> GitFolder | OtherObject:
        return self.folder(found.id)

    def find(self, path: str) -> GitFolder | OtherObject | None:
        self._call("find", databricks.LOOKUP_LIMIT)
        return self._at.get(path)

    def folder(self, id_: int) -> GitFolder:
        self._call("folder", databricks.LOOKUP_LIMIT)
        return next(folder for folder in self._at.values() if folder.id == id_)

    def make_parent(self, path: str) -> None: ...

    def create_folder(
        self, path: str, url: str, sparse: tuple[str, ...] | None, credential_id: int | None
    ) -> GitFolder:
        self._call("clone", inf, Retry.IF_THROTTLED)
        made = self._at[path] = GitFolder(1000 + len(self._at), path, url, "main", NEW)
        return made

    def move_folder(self, id_: int, ref: Ref, *, discard: bool, credential_id: int | None) -> None:
        self._call("move", inf, Retry.IF_THROTTLED)
        folder = self.folder_of(id_)
        self._at[folder.path] = GitFolder(id_, folder.path, folder.url, "main", NEW)

    def folder_of(self, id_: int) -> GitFolder:
        return next(folder for folder in self._at.values() if folder.id == id_)


class Quiet(RedactingLogger):
    """A logger without output and masking, which other tests cover and which would take most of the time."""

    @override
    def redact[T](self, value: T) -> T:
        return value

    @override
    def log(self, event: Mapping[str, Any], *many: str, ok: bool) -> None: ...


class CheckedPool(Pool):
    """The real pool, with a check of the order."""

    @override
    def _take(self) -> Any:
        taken = super()._take()
        if taken is not None:
            assert self._working <= self.limits.concurrency
            assert self._threads <= self.limits.threads
            assert taken[1].priority is Priority.CREDENTIALS or not self._queues[Priority.CREDENTIALS]
        return taken


def simulate(case: Case, patch: pytest.MonkeyPatch) -> tuple[World, Report]:
    """Run a case. Operations check for cancellation only a hundred times per budget."""
    world = World(case)
    time = world.time
    patch.setattr(waiting, "SLICE_S", max(waiting.SLICE_S, case.budget_s / 100))
    patch.setattr("git_refresh.run.refresh.Pool", CheckedPool)
    patch.setattr("git_refresh.run.refresh.uuid4", lambda: UUID(int=case.seed))
    deadline = Deadline.after(case.budget_s, time)
    settings = _settings(case.workspaces, case.folders, case.concurrency, case.zones, pattern=case.pattern)
    ended: list[float] = []

    def run() -> Report:
        report = refresh(
            settings,
            Clouds(world, deadline),
            deadline,
            next_run=time.now() + timedelta(minutes=15),
            logger=Quiet(),
            threads=case.threads,
            start=time.start,
        )
        ended.append(time.at)
        return report

    report = time.play(run)
    assert ended[0] <= case.budget_s + 5, "it ends in time"
    assert time.threads == 0, "no thread is left behind"
    return world, report
