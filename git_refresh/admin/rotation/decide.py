"""What is to be done about one OAuth secret: pure, over what was found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from git_refresh.admin.values import OAuthSecret, Version
from git_refresh.output.redact import redact
from git_refresh.output.text import closest, first_of
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings

MAX_OAUTH_SECRETS = 5
"""OAuth secrets that a service principal may have. The fifth is left for somebody in need."""

PREVIOUS_SECRET_GRACE = timedelta(days=1)
"""How long the former secret is kept after a new one was stored: longer than a run, which has read the former one, can take."""

MAX_LIFETIME = timedelta(days=730)
"""What Databricks lets an OAuth secret live, and does where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class RotationTarget:
    """A secret in Key Vault that workspaces of the list sign in with."""

    name: str
    client_id: str
    """Of the service principal whose OAuth secret it is."""
    hosts: tuple[str, ...]
    """Of the workspaces, each once."""
    workspaces: tuple[str, ...]
    """Their names."""

    @property
    def host(self) -> str:
        """Of the first of the workspaces: there it is looked after."""
        return self.hosts[0]


class SignIn(StrEnum):
    """What a workspace said to a secret."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    """Neither: there was no answer, or one that is not about the secret."""


@dataclass(frozen=True, slots=True)
class SecretSnapshot:
    """What was found of it."""

    place: str
    """Where it is stored, as our tags write it."""
    current: Version
    sign_ins: Mapping[str, SignIn]
    """What each workspace said to the value of that version, by host."""
    versions: Sequence[Version]
    """All of this name."""
    beside: Mapping[str, Sequence[Version]]
    """Those of other names of the list that stand with the same service principal, by name."""
    principal: int
    secrets: Sequence[OAuthSecret]
    """All of the service principal."""
    held: Mapping[str, str] = field(default_factory=dict)
    """Ids of replaced ones whose value is, or may be, in use none the less, with the reason."""
    vault_time: datetime | None = None
    databricks_time: datetime | None = None
    """The time by each service's own clock; None if its answers have none."""

    @property
    def now(self) -> datetime | None:
        """The earlier of the two times, so neither service can make time pass; None if one of them is not known."""
        if self.vault_time is None or self.databricks_time is None:
            return None
        return min(self.vault_time, self.databricks_time)

    def hosts(self, said: SignIn) -> list[str]:
        """The workspaces that said so."""
        return [host for host, answer in self.sign_ins.items() if answer is said]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and why.

    Attributes:
        ends: when the current secret ends, as far as that is known.
        why: why a new one is made, or why none is.
        create: whether one is.
        lifetime: how long it is to live; None: as long as Databricks lets it.
        scopes: what it may be used for.
        stop: what keeps one from being made that may have to be: there is no `room`, the old `scopes` or the `end` are not known, what
            is stored is that of another `principal`.
        delete: former ones whose time is over.
        later: former ones that are deleted from `later_from` on.
        held: former ones that may be in use none the less, each with the reason.
        known: whether it is known which of them is the current one.
    """

    ends: datetime | None
    why: str
    create: bool = False
    lifetime: timedelta | None = None
    scopes: tuple[str, ...] = ()
    stop: str = ""
    delete: tuple[OAuthSecret, ...] = ()
    later: tuple[OAuthSecret, ...] = ()
    later_from: datetime | None = None
    held: tuple[tuple[OAuthSecret, str], ...] = ()
    known: bool = True

    @property
    def acts(self) -> bool:
        """Whether anything is to be done."""
        return self.create or bool(self.delete)


def decide(
    target: RotationTarget,
    seen: SecretSnapshot,
    now: datetime,
    within: timedelta,
    lifetime: timedelta | None = None,
    *,
    force: bool = False,
) -> Decision:
    """What is to be done, when secrets that end within so long, or all (`force`), are to be replaced.

    New ones live for `lifetime`; None: for as long as the old one.
    """
    current_id = seen.current.names(target.client_id)
    current = next((each for each in seen.secrets if each.id == current_id), None)
    ends = _end(seen.current, current)
    ended = expired(target, seen)
    former = tuple(each for each in replaced(target, seen) if each not in ended)
    later_from, why_not = kept_until(target, seen), why_kept(target, seen)
    later, over = (former, ()) if later_from else ((), former)
    reasons = {each.id: why_not for each in over if why_not} | dict(seen.held)
    held = tuple((each, reasons[each.id]) for each in (*ended, *over) if each.id in reasons)
    delete = tuple(each for each in (*ended, *over) if each.id not in reasons)
    due, why = (True, _FORCED) if force else _due(seen, current, ends, now, within)
    stop, scopes = "", current.scopes if current else ()
    if due and current is None:
        stop, scopes = _common_scopes(seen.secrets)
    if due and len(seen.secrets) - len(delete) >= MAX_OAUTH_SECRETS - 1:
        stop = "room"
    if due and seen.current.whose not in {None, target.client_id.lower()}:
        stop = "principal"
    if not due and ends is None:
        stop = "end"
    return Decision(
        ends,
        why,
        create=due and not stop,
        lifetime=lifetime or _lifetime(seen.current, current),
        scopes=scopes,
        stop=stop,
        delete=delete,
        later=later,
        later_from=later_from if later else None,
        held=held,
        known=current_id is not None,
    )


def unclaimed(target: RotationTarget, seen: SecretSnapshot, now: datetime) -> tuple[OAuthSecret, ...]:
    """Live secrets of which no version proves that they are ours, and none that is in use names them. Whose they are, nobody can tell."""
    known = {seen.current.names(target.client_id)}
    for version in seen.versions:
        if not _is_older(version, seen.current):
            known.add(version.names(target.client_id))
        known.add(version.stored_by_us(target.client_id, seen.place))
    known |= _named(target, seen.beside)
    return tuple(each for each in seen.secrets if each.id not in known and _is_live(each, now))


def replaced(target: RotationTarget, seen: SecretSnapshot) -> tuple[OAuthSecret, ...]:
    """Those that the current one has replaced, by all tags: it is ours and there, and an older version of ours names them.

    Tags are not all: whose value is still in use, only the values tell, and whether the current one works, only the workspaces.
    """
    current_id = seen.current.stored_by_us(target.client_id, seen.place)
    if all(each.id != current_id for each in seen.secrets):
        return ()
    beside = _named(target, seen.beside)
    return tuple(each for each in _former(target, seen) if each.id not in beside)


def expired(target: RotationTarget, seen: SecretSnapshot) -> tuple[OAuthSecret, ...]:
    """Former ones that have expired by both services: each says when they do, and each has a clock."""
    now = seen.now
    if now is None:
        return ()
    valid = {
        version.names(target.client_id)
        for version in seen.versions
        if version.expires_on is None or version.expires_on > now
    }
    former = [each for each in _former(target, seen) if each.id not in valid]
    return tuple(each for each in former if each.expires_at is not None and each.expires_at <= now)


def _former(target: RotationTarget, seen: SecretSnapshot) -> list[OAuthSecret]:
    """Those that only older versions than the current one name, and one of ours among them."""
    older: set[str | None] = set()
    in_use = {seen.current.names(target.client_id)}
    for version in seen.versions:
        if _is_older(version, seen.current):
            older.add(version.stored_by_us(target.client_id, seen.place))
        else:
            in_use.add(version.names(target.client_id))
    return [each for each in seen.secrets if each.id in older - in_use]


def why_kept(target: RotationTarget, seen: SecretSnapshot) -> str:
    """Why former ones may still be needed, whatever their values say, once their day has passed; empty if they are not."""
    if not _ages(target, seen):
        return "the time at Key Vault or at Databricks is not known"
    if rejecting := seen.hosts(SignIn.REJECTED):
        return f"{places(rejecting)} {_verb(rejecting)} not accept the current one"
    untried = [host for host in target.hosts if seen.sign_ins.get(host) is not SignIn.ACCEPTED]
    return f"the current one could not be tried at {places(untried)}" if untried else ""


def kept_until(target: RotationTarget, seen: SecretSnapshot) -> datetime | None:
    """Until when a run may use former ones: a day after the current one was stored; None if that is over, or not known."""
    ages = _ages(target, seen)
    if all(now - since >= PREVIOUS_SECRET_GRACE for since, now in ages):
        return None
    return max(min(since, _LAST) + PREVIOUS_SECRET_GRACE for since, _ in ages)


def _ages(target: RotationTarget, seen: SecretSnapshot) -> list[tuple[datetime, datetime]]:
    """Since when the current one is there, and the time now, by each service; empty if not known of both."""
    current_id = seen.current.names(target.client_id)
    current = next((each for each in seen.secrets if each.id == current_id), None)
    vault = seen.current.created_on, seen.vault_time
    databricks = current.created_at if current else None, seen.databricks_time
    known = [(since, now) for since, now in (vault, databricks) if since is not None and now is not None]
    return known if len(known) == 2 else []  # noqa: PLR2004  # both


_LAST = datetime.max.replace(tzinfo=UTC) - PREVIOUS_SECRET_GRACE


def _is_older(version: Version, current: Version) -> bool:
    """For certain: Key Vault's times are whole seconds."""
    if version.created_on is None or current.created_on is None:
        return False
    return version.created_on < current.created_on


def _named(target: RotationTarget, beside: Mapping[str, Iterable[Version]]) -> set[str | None]:
    return {version.names(target.client_id) for versions in beside.values() for version in versions}


def untagged(seen: SecretSnapshot) -> str | None:
    """Another name of which nobody knows whose secret its latest version is: it may be each that no version names."""
    return next((name for name, versions in seen.beside.items() if not _latest_is_told(versions)), None)


def _latest_is_told(versions: Sequence[Version]) -> bool:
    """Whether the tags of the latest version tell whose secret it is. Of those of one second each may be the latest."""
    if any(version.created_on is None for version in versions):
        return False
    last = max((version.created_on for version in versions if version.created_on), default=None)
    return all(version.whose for version in versions if version.created_on == last)


_FORCED = "--force asks for one"


def _due(
    seen: SecretSnapshot, current: OAuthSecret | None, ends: datetime | None, now: datetime, within: timedelta
) -> tuple[bool, str]:
    if ends is not None and ends <= now:
        return True, f"the previous one ended on {_day(ends)}"
    if rejecting := seen.hosts(SignIn.REJECTED):
        return True, f"{places(rejecting)} {_verb(rejecting)} not accept the previous one"
    if ends is None:
        return False, "nobody knows when it ends"
    if (lifetime := _lifetime(seen.current, current)) is not None and lifetime / 2 < within:
        within = lifetime / 2  # or a new one would be due at once
    due = ends - now <= within
    return due, f"{'the previous one' if due else 'it'} ends on {_day(ends)}, in {_days(ends - now)}"


def _end(version: Version, secret: OAuthSecret | None) -> datetime | None:
    """The earlier of what Key Vault and the workspace say."""
    told = [version.expires_on, secret.expires_at if secret else None]
    return min((end for end in told if end is not None), default=None)


def _lifetime(version: Version, secret: OAuthSecret | None) -> timedelta | None:
    """The longer of what Databricks and Key Vault say: neither can let a new one expire early. None if one of them does not say."""
    if secret is None or secret.created_at is None or secret.expires_at is None:
        return None
    if version.created_on is None or version.expires_on is None:
        return None
    longer = max(secret.expires_at - secret.created_at, version.expires_on - version.created_on)
    lived = timedelta(seconds=round(longer.total_seconds()))
    return min(lived, MAX_LIFETIME) if lived > timedelta() else None


def _common_scopes(secrets: Sequence[OAuthSecret]) -> tuple[str, tuple[str, ...]]:
    """What all have, where it is not known which is the current one; or why none is made."""
    found = {tuple(sorted(each.scopes)) for each in secrets}
    if len(found) == 1:
        return "", found.pop()
    return "" if found <= _EVERYTHING else "scopes", ()


_EVERYTHING: set[tuple[str, ...]] = {(), ("all-apis",)}
"""Two ways to write the same scopes."""


def _is_live(secret: OAuthSecret, now: datetime) -> bool:
    return secret.expires_at is None or secret.expires_at > now


def places(hosts: Sequence[str]) -> str:
    """Many workspaces in a few words."""
    return first_of(hosts, 1, "workspace")


def _verb(hosts: Sequence[str]) -> str:
    return "do" if hosts[1:] else "does"


def _day(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d}"


def _days(left: timedelta) -> str:
    return f"{left.days} day{'' if left.days == 1 else 's'}"


_MAX_NAMES = 5


def targets_of(settings: Settings) -> tuple[list[RotationTarget], dict[str, list[str]]]:
    """The secrets of the list; and those that stand with several service principals, by name, with their application ids."""
    found: dict[str, list[Entry]] = {}
    for entry in settings.entries:
        if isinstance(entry, Entry) and entry.workspace.oauth is not None:
            found.setdefault(entry.workspace.oauth.secret_name.lower(), []).append(entry)
    targets, mixed = [], {}
    for entries in found.values():
        oauths = [entry.workspace.oauth for entry in entries if entry.workspace.oauth]
        client_ids = list(dict.fromkeys(oauth.client_id.lower() for oauth in oauths))
        name = oauths[0].secret_name
        if len(client_ids) > 1:
            mixed[name] = client_ids
        else:
            workspaces = tuple(entry.name for entry in entries)
            hosts = tuple(dict.fromkeys(entry.workspace.host for entry in entries))
            targets.append(RotationTarget(name, oauths[0].client_id, hosts, workspaces))
    return targets, mixed


def sibling_names(
    target: RotationTarget, targets: Sequence[RotationTarget], mixed: Mapping[str, Sequence[str]]
) -> list[str]:
    """The other names that stand with its service principal, be it among others: their secrets may be its, too."""
    client_id = target.client_id.lower()
    others = [
        each.name for each in targets if each.name != target.name and each.client_id.lower() == client_id
    ]
    return others + [name for name, client_ids in mixed.items() if client_id in client_ids]


def why_not_there(name: str, there: Sequence[str], settings: Settings) -> str:
    """What to write instead of a name that no secret of the list has."""
    given = f'"{redact(name)}"'
    for entry in settings.entries:
        if isinstance(entry, Entry) and entry.name == name:
            oauth = entry.workspace.oauth
            if oauth is not None:
                return f"{given} is a workspace; write the name of its secret: {oauth.secret_name}"
            return f"{given} is a workspace that signs in without an OAuth secret (auth is {entry.workspace.auth})"
    if not there:
        return f"{given} is no secret of the list: no workspace in it signs in with one"
    if near := closest(name, there):
        return f'{given} is no secret of the list; did you mean "{near[0]}"?'
    return f"{given} is no secret of the list; write one of {first_of(there, _MAX_NAMES)}"
