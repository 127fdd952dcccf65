"""A simulated vault and workspace for rotations, with state, faults and time."""

import itertools
import threading
from collections.abc import Callable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, override

from pydantic import SecretStr

from git_refresh.admin.rotation.decide import MAX_OAUTH_SECRETS, PREVIOUS_SECRET_GRACE, RotationTarget
from git_refresh.admin.rotation.report import SecretReport
from git_refresh.admin.rotation.work import Rotation
from git_refresh.admin.values import Current, NewSecret, OAuthSecret, Version, place_of
from git_refresh.failures.diagnosis import DiagnosisContext
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline, Event
from git_refresh.run.pool import Executor
from tests.support.fakes import NOW, FakeClock

CLIENT_ID = "5a1e0000-0000-4000-8000-000000000001"
NAME = "databricks-oauth-secret"
VAULT = "https://contoso.vault.azure.net"
PLACE = place_of(VAULT, NAME)
TARGET = RotationTarget(NAME, CLIENT_ID, ("https://adb-1.1.azuredatabricks.net",), ("data-1", "data-2"))
PRINCIPAL = 70_000_000_000_001

FAULTS = ("refused", "trouble", "lost", "not_done", "late", "crash_before", "crash_after")
"""Refusal; 503; lost response, with or without effect; delayed effect; a crash before or after."""


HOSTS = (*TARGET.hosts, *(f"https://adb-{number}.1.azuredatabricks.net" for number in (2, 3, 4)))
FLEET = replace(TARGET, hosts=HOSTS)


@dataclass(frozen=True)
class Lies:
    """False statements of services; the defaults are the truth.

    `sign_ins`: workspaces, by host, that accept anything (`accepts`), reject it (`rejects`) or hang
    (`hangs`).
    `creation`: the response has another `value` or `id`, the ID of a `known` secret, or an early expiration
    (`soon`).
    `listing`: it `hides` all, `adds` others, or reports ages (`aged`), lifetimes (`short`) or expirations
    (`ended`).
    `vault`: days by which a clock is ahead: the vault's, Databricks', and the machine's; None: it has none.
    """

    sign_ins: Mapping[str, str] = field(default_factory=dict)
    creation: str = ""
    listing: str = ""
    vault: float | None = 0.0
    databricks: float | None = 0.0
    machine: float = 0.0


@dataclass
class MachineClock:
    """The clock of the machine that runs a rotation."""

    world: "World"

    def now(self) -> datetime:
        return self.world.clock.now() + timedelta(days=self.world.lies.machine)

    def monotonic(self) -> float:
        return self.world.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self.world.clock.sleep(seconds)

    def event(self) -> Event:
        return self.world.clock.event()


@dataclass
class Databricks:
    """The OAuth secrets in the workspace's API, with a clock that differs from the vault's."""

    world: "World"

    def now(self) -> datetime | None:
        return self.world.time(self.world.lies.databricks)

    def principal_id(self, client_id: str) -> int:
        return self.world.principal_id(client_id)

    def list(self, principal: int) -> Sequence[OAuthSecret]:
        return self.world.list(principal)

    def create(self, principal: int, lifetime: timedelta | None, scopes: tuple[str, ...]) -> NewSecret:
        return self.world.create(principal, lifetime, scopes)

    def delete(self, principal: int, secret_id: str) -> None:
        self.world.delete(principal, secret_id)


class CrashError(BaseException):
    """The process has crashed."""


@dataclass
class Stored:
    """A version and its time in the world."""

    version: Version
    value: str
    at: float


@dataclass
class World:
    """The state of the services. Faults have the number of a request since the last `begin`.

    `lag`: seconds until a read of the vault shows a new version.
    `delay`: seconds until a new OAuth secret works.
    `list_lag`: seconds until a new OAuth secret is listed.
    `turn`: called before each request.
    `stored`: versions of the secret; `others`: those of other names.
    `unreadable`: names and version IDs that cannot be read.
    `lies`: false statements of services.
    `shortened`: IDs of secrets with a false early expiration.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    lag: float = 0.0
    delay: float = 0.0
    list_lag: float = 0.0
    secrets: dict[str, OAuthSecret] = field(default_factory=dict)
    works_from: dict[str, float] = field(default_factory=dict)
    stored: list[Stored] = field(default_factory=list)
    others: dict[str, list[Stored]] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    url: str = VAULT
    faults: dict[int, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    landing: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    turn: Callable[[], None] = lambda: None
    broken: list[str] = field(default_factory=list)
    made_here: set[str] = field(default_factory=set)
    lies: Lies = field(default_factory=Lies)
    shortened: set[str] = field(default_factory=set)
    _ids: itertools.count = field(default_factory=lambda: itertools.count(1))  # type: ignore[type-arg]
    _count: int = 0

    # Manual changes

    def by_hand(self, *, days: float = 30, scopes: tuple[str, ...] = (), stored: bool = False) -> str:
        """Create an OAuth secret that expires in this many days; if stored, without tags."""
        secret = self._new(timedelta(days=730), scopes, began=timedelta(days=days - 730))
        if stored:
            self._put(_value(secret.id), secret.expires_at, {})
        return secret.id

    def put(self, value_of: str, tags: Mapping[str, str], name: str = NAME) -> Version:
        """Store an OAuth secret's value with these tags."""
        return self._put(_value(value_of), self.secrets[value_of].expires_at, tags, name)

    def wait(self, days: float) -> None:
        self.clock.at += days * 86_400

    def begin(self, faults: Mapping[int, str] | None = None) -> None:
        self.faults, self._count = dict(faults or {}), 0
        self.made_here = set()

    @property
    def answering(self) -> list[str]:
        """The workspaces that report the truth."""
        return [host for host in HOSTS if host not in self.lies.sign_ins]

    @property
    def latest(self) -> Stored:
        return self.stored[-1]

    # Services

    def oauth_secrets(self, host: str) -> Databricks:
        return Databricks(self)

    def principal_id(self, client_id: str) -> int:
        return self._do("principal", lambda: PRINCIPAL)

    def list(self, principal: int) -> Sequence[OAuthSecret]:
        until = self.clock.now() - timedelta(seconds=self.list_lag)
        listed = [each for each in self.secrets.values() if (each.created_at or until) <= until]
        return self._do("list", lambda: self._shown(listed))

    def create(self, principal: int, lifetime: timedelta | None, scopes: tuple[str, ...]) -> NewSecret:
        def create() -> NewSecret:
            if len(self.secrets) >= MAX_OAUTH_SECRETS:
                raise _failure(400, "RESOURCE_LIMIT_EXCEEDED")
            made = self._new(lifetime or timedelta(days=730), scopes)
            self.works_from[made.id] = self.clock.at + self.delay
            return self._answer(made)

        made = self._do("create", create)
        self.made_here.add(made.about.id)
        return made

    def delete(self, principal: int, secret_id: str) -> None:
        self._do("delete", lambda: self._delete(secret_id))

    def now(self) -> datetime | None:
        return self.time(self.lies.vault)

    def time(self, ahead: float | None) -> datetime | None:
        return None if ahead is None else self.clock.now() + timedelta(days=ahead)

    def try_secret(self, host: str, client_id: str, secret: SecretStr, deadline: Deadline) -> None:
        def try_it() -> None:
            lie = self.lies.sign_ins.get(host)
            if lie == "hangs":
                raise _failure(None, "", "sign in")
            if lie == "rejects" or (lie is None and not self.works(secret.get_secret_value())):
                raise _failure(401, "invalid_client", "sign in")

        self._do("sign in", try_it)

    def works(self, value: str) -> bool:
        now = self.clock.now()
        return any(
            _value(each.id) == value
            and (each.expires_at is None or each.expires_at > now)
            and self.works_from.get(each.id, 0.0) <= self.clock.at
            for each in self.secrets.values()
        )

    def current(self, name: str) -> Current | None:
        def read() -> Current | None:
            self._readable(name)
            seen = self._visible(name)
            return Current(seen[-1].version, SecretStr(seen[-1].value)) if seen else None

        return self._do("read", read)

    def value(self, name: str, version: str | None = None) -> SecretStr:
        def read() -> SecretStr:
            self._readable(version or name)
            return next(
                SecretStr(each.value) for each in self._visible(name) if version in {None, each.version.id}
            )

        return self._do("read one", read)

    def versions(self, name: str) -> Sequence[Version]:
        return self._do("versions", lambda: [each.version for each in self._visible(name)])

    def store(
        self, name: str, value: SecretStr, expires_on: datetime | None, tags: Mapping[str, str]
    ) -> Version:
        def store() -> Version:
            before = self._of(name)[-1].version.expires_on if self._of(name) else None
            if before and expires_on and expires_on < before - timedelta(days=1):
                self.broken.append(f"stored what expires before the former one: {value.get_secret_value()}")
            return self._put(value.get_secret_value(), expires_on, tags, name)

        return self._do("store", store)

    # Internals

    def _of(self, name: str) -> MutableSequence[Stored]:
        return self.stored if name == NAME else self.others.setdefault(name, [])

    def _visible(self, name: str) -> Sequence[Stored]:
        return [each for each in self._of(name) if each.at + self.lag <= self.clock.at]

    def _readable(self, what: str) -> None:
        if what in self.unreadable:
            raise _failure(403, "SecretDisabled", "read")

    def _answer(self, made: OAuthSecret) -> NewSecret:
        """Return the response to a creation, possibly a lie."""
        named = {version.version.names(CLIENT_ID) for version in self.stored} - {None, made.id}
        match self.lies.creation:
            case "value":
                return NewSecret(made, SecretStr("dose-of-another"))
            case "id":
                made = replace(made, id=f"another-{made.id}")
                return NewSecret(made, SecretStr(_value(made.id.removeprefix("another-"))))
            case "known" if named:
                return NewSecret(replace(made, id=min(each for each in named if each)), SecretStr("dose"))
            case "soon":
                self.shortened.add(made.id)
                short = replace(made, expires_at=self.clock.now() + timedelta(days=1))
                return NewSecret(short, SecretStr(_value(made.id)))
        return NewSecret(made, SecretStr(_value(made.id)))

    def _shown(self, listed: Sequence[OAuthSecret]) -> Sequence[OAuthSecret]:
        """Return a list of secrets, possibly a lie."""
        past = timedelta(days=3)
        match self.lies.listing:
            case "hides":
                return []
            case "adds":
                return [*listed, replace(next(iter(listed), OAuthSecret("")), id="of-another")]
            case "aged":
                return [
                    replace(each, created_at=each.created_at and each.created_at - past) for each in listed
                ]
            case "short":
                return [
                    replace(each, expires_at=(each.created_at or self.clock.now()) + timedelta(minutes=1))
                    for each in listed
                ]
            case "ended":
                return [replace(each, expires_at=NOW - past) for each in listed]
        return listed

    def _new(
        self, lifetime: timedelta, scopes: tuple[str, ...], began: timedelta = timedelta()
    ) -> OAuthSecret:
        number, made = next(self._ids), self.clock.now() + began
        secret = OAuthSecret(f"secret-{number}", made, made + lifetime, scopes)
        self.secrets[secret.id] = secret
        return secret

    def _put(
        self, value: str, expires_on: datetime | None, tags: Mapping[str, str], name: str = NAME
    ) -> Version:
        created, there = self.clock.now().replace(microsecond=0), self._of(name)
        version = Version(f"{len(there):032x}", created, expires_on, tags=dict(tags))
        there.append(Stored(version, value, self.clock.at))
        if not self.works(value) and self.answering:
            self.broken.append(f"stored what does not work: {value}")
        return version

    def _delete(self, secret_id: str) -> None:
        if secret_id in self.secrets and self.works(_value(secret_id)):
            self._judge(secret_id)
        self.secrets.pop(secret_id, None)

    def _judge(self, secret_id: str) -> None:
        """Fail if a working secret must not be deleted."""
        stored = {each.value for each in self.stored}
        left = [each for each in self.secrets if each != secret_id and _value(each) in stored]
        misled = secret_id in self.shortened and not self.answering
        if _value(secret_id) in stored and not misled and not any(self.works(_value(each)) for each in left):
            self.broken.append(f"deleted the last one that works: {secret_id}")
        named = [each for each in self.stored if each.version.stored_by_us(CLIENT_ID, PLACE) == secret_id]
        holding = [each for each in self.stored if each.value == _value(secret_id)]
        if not named and secret_id not in self.made_here:
            self.broken.append(f"deleted what no tag names: {secret_id}")
        for each, following in zip(self.stored, [*self.stored[1:], None], strict=True):
            in_use = (
                following is None or following.at > self.clock.at - PREVIOUS_SECRET_GRACE.total_seconds() + 1
            )
            if each in holding and in_use:
                self.broken.append(f"deleted what is in use: {secret_id}")
        for name, versions in self.others.items():
            if versions and versions[-1].value == _value(secret_id):
                self.broken.append(f"deleted what is in use: {secret_id}, as {name}")

    def _do[T](self, what: str, effect: Callable[[], T]) -> T:
        self.turn()
        self._count += 1
        self.clock.at += 0.4
        for due, land in [each for each in self.landing if each[0] <= len(self.log)]:
            self.landing.remove((due, land))
            land()
        self.log.append(what)
        fault = self.faults.pop(self._count, "")
        if fault == "late" and what != "store":
            fault = "not_done"
        match fault:
            case "refused" | "blocked" | "trouble" | "not_done":
                raise _failure(*_ANSWERS[fault], what)
            case "crash_before":
                raise CrashError
            case "late":
                self.landing.append((len(self.log) + 4, lambda: _ignore(effect)))
                raise _failure(None, "", what)
        result = effect()
        if fault == "lost":
            raise _failure(None, "", what)
        if fault == "crash_after":
            raise CrashError
        return result


class OneByOne(Executor):
    """A pool that runs everything on the caller's thread."""

    def __init__(self) -> None:
        self.interrupted = False

    @override
    def each[T, R](
        self,
        items: Sequence[T],
        work: Callable[[T], R],
        at_once: int | None = None,
        until: Deadline | None = None,
    ) -> list[tuple[T, R | None]]:
        return [(item, work(item)) for item in items]


def rotation(
    world: World, within: float = 60, target: RotationTarget = TARGET, seconds: float = 540, **more: Any
) -> Rotation:
    return Rotation(
        replace(target, siblings=tuple(name for name in (NAME, *world.others) if name != target.name)),
        vault=world,
        services=world,
        executor=OneByOne(),
        deadline=Deadline.after(seconds, MachineClock(world)),
        within=timedelta(days=within),
        context=DiagnosisContext(vault=VAULT),
        **more,
    )


def rotate(world: World, within: float = 60, **more: Any) -> SecretReport:
    """Run like `rotate --apply --yes`."""
    report, decision = rotation(world, within, **more).plan()
    if decision is None or not decision.acts:
        return report
    return rotation(world, within, **more).apply(decision)


class Turns:
    """Lets one of several threads make a request at a time, in a random order."""

    def __init__(self, order: Sequence[int], threads: int) -> None:
        self._order = list(order)
        self._alive = set(range(threads))
        self._turn: int | None = None
        self._waiting: set[int] = set()
        self._changed = threading.Condition()
        self._mine = threading.local()

    def run(self, work: Sequence[Callable[[], object]]) -> None:
        threads = [threading.Thread(target=self._work, args=[n, each]) for n, each in enumerate(work)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not self._alive, "nobody waits for ever"

    def wait(self) -> None:
        """Wait for this thread's turn, when all others wait or have finished."""
        me = self._mine.number
        with self._changed:
            self._waiting.add(me)
            if self._turn == me:
                self._turn = None
            self._next()
            while self._turn != me:
                if not self._changed.wait(20):
                    raise TimeoutError
            self._waiting.discard(me)

    def _work(self, number: int, work: Callable[[], object]) -> None:
        self._mine.number = number
        try:
            work()
        except CrashError:
            pass
        finally:
            with self._changed:
                self._alive.discard(number)
                if self._turn == number:
                    self._turn = None
                self._next()

    def _next(self) -> None:
        if self._turn is None and self._alive and self._waiting >= self._alive:
            drawn = self._order.pop(0) if self._order else 0
            self._turn = sorted(self._alive)[drawn % len(self._alive)]
            self._changed.notify_all()


def _value(secret_id: str) -> str:
    return f"dose-{secret_id}"


def _ignore(effect: Callable[[], object]) -> None:
    effect()


_ANSWERS: dict[str, tuple[int | None, str]] = {
    "refused": (403, "PERMISSION_DENIED"),
    "blocked": (403, "BLOCKED"),
    "trouble": (503, ""),
    "not_done": (None, ""),
}


_OPERATIONS = {
    "principal": Operation.FIND_PRINCIPAL,
    "list": Operation.LIST_OAUTH_SECRETS,
    "create": Operation.CREATE_OAUTH_SECRET,
    "delete": Operation.DELETE_OAUTH_SECRET,
    "sign in": Operation.SIGN_IN,
    "read": Operation.READ_LATEST_VERSION,
    "read one": Operation.READ_FORMER_VERSION,
    "versions": Operation.LIST_VERSIONS,
    "store": Operation.STORE_SECRET,
}


def _failure(status: int | None, code: str, what: str = "do it") -> ServiceError:
    service = Service.KEY_VAULT if what in {"read", "read one", "versions", "store"} else Service.DATABRICKS
    said = "Source IP address: 10.0.0.1 is blocked by Databricks IP ACL" if code == "BLOCKED" else ""
    kind = FailureKind.ANSWER if status else FailureKind.RESET
    return ServiceError(
        ServiceFailure(service, _OPERATIONS.get(what, Operation.READ_JOB).of(), kind, status, code, said)
    )
