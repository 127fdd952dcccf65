"""Decides what to do about one OAuth secret: pure, over a snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from git_refresh.admin.rotation.report import PreviousSecretReport
from git_refresh.admin.values import OAuthSecret, SignIn, Version
from git_refresh.output.redact import redact
from git_refresh.output.text import closest, first_of
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings

MAX_OAUTH_SECRETS = 5
"""OAuth secrets that a service principal may have. The fifth is left for an emergency."""

PREVIOUS_SECRET_GRACE = timedelta(days=1)
"""How long the previous secret is kept after a new one was stored. A run that has read the previous one takes less."""

MAX_LIFETIME = timedelta(days=730)
"""The longest lifetime of an OAuth secret in Databricks, and its default."""


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
    siblings: tuple[str, ...] = ()
    """Other secrets of the list with the same service principal."""
    shared_by: tuple[str, ...] = ()
    """Application IDs, if the list has several service principals for this secret. Such a secret is not rotated."""

    @property
    def host(self) -> str:
        """The workspace that makes and deletes its OAuth secrets: the first."""
        return self.hosts[0]


@dataclass(frozen=True, slots=True)
class SecretSnapshot:
    """The state of a secret in Key Vault, in Databricks and at the workspaces."""

    target: RotationTarget
    place: str
    """Where it is stored, as our tags write it."""
    current: Version
    sign_ins: Mapping[str, SignIn]
    """The response of each workspace to the value of that version, by host."""
    versions: Sequence[Version]
    """All of this name."""
    siblings: Mapping[str, Sequence[Version]]
    """The versions of the target's siblings, by name."""
    principal: int
    secrets: Sequence[OAuthSecret]
    """All of the service principal."""
    held: Mapping[str, str] = field(default_factory=dict)
    """IDs of replaced ones whose value is in use all the same, or might be, with the reason."""
    vault_time: datetime | None = None
    databricks_time: datetime | None = None
    """The time by each service's own clock; None if its responses have none."""

    @property
    def now(self) -> datetime | None:
        """The earlier of the two times, so neither service can make time pass; None if one of them is not known."""
        if self.vault_time is None or self.databricks_time is None:
            return None
        return min(self.vault_time, self.databricks_time)

    def hosts(self, result: SignIn) -> list[str]:
        """Return the workspaces with this result."""
        return [host for host, found in self.sign_ins.items() if found is result]

    def names(self, version: Version) -> str | None:
        """Return the ID of the target's OAuth secret that a version's tags name."""
        return version.names(self.target.client_id)

    def stored_by_us(self, version: Version) -> str | None:
        """Return the same ID, if a command of ours has stored the version at this place."""
        return version.stored_by_us(self.target.client_id, self.place)

    @property
    def current_secret(self) -> OAuthSecret | None:
        """The OAuth secret that the current version names."""
        current_id = self.names(self.current)
        return next((each for each in self.secrets if each.id == current_id), None)

    @property
    def named_by_siblings(self) -> set[str | None]:
        """The IDs that versions of other names have."""
        return {self.names(version) for versions in self.siblings.values() for version in versions}

    def unclaimed(self, now: datetime) -> tuple[OAuthSecret, ...]:
        """Return live secrets that no version proves to be ours, and no version that is in use names. Their owner is unknown."""
        known = {self.names(self.current)} | self.named_by_siblings
        for version in self.versions:
            if not _is_older(version, self.current):
                known.add(self.names(version))
            known.add(self.stored_by_us(version))
        return tuple(
            each
            for each in self.secrets
            if each.id not in known and (each.expires_at is None or each.expires_at > now)
        )

    @property
    def replaced(self) -> tuple[OAuthSecret, ...]:
        """Those that the current one has replaced, by all tags: it is ours and exists, and an older version of ours names them.

        Tags are not enough: only the values show which are in use, and only the workspaces whether the current one works.
        """
        current_id = self.stored_by_us(self.current)
        if all(each.id != current_id for each in self.secrets):
            return ()
        return tuple(each for each in self._previous if each.id not in self.named_by_siblings)

    @property
    def expired(self) -> tuple[OAuthSecret, ...]:
        """Previous ones that have expired by both services: each has an expiration date and a clock."""
        now = self.now
        if now is None:
            return ()
        valid = {
            self.names(version)
            for version in self.versions
            if version.expires_on is None or version.expires_on > now
        }
        return tuple(
            each
            for each in self._previous
            if each.id not in valid and each.expires_at is not None and each.expires_at <= now
        )

    @property
    def _previous(self) -> list[OAuthSecret]:
        """Those that only older versions than the current one name, and one of ours among them."""
        older: set[str | None] = set()
        in_use = {self.names(self.current)}
        for version in self.versions:
            if _is_older(version, self.current):
                older.add(self.stored_by_us(version))
            else:
                in_use.add(self.names(version))
        return [each for each in self.secrets if each.id in older - in_use]

    @property
    def why_kept(self) -> str:
        """Why previous ones might still be needed after the grace period, whatever their values; empty if they are not."""
        if not self._ages:
            return "the time at Key Vault or at Databricks is not known"
        if rejecting := self.hosts(SignIn.REJECTED):
            return f"{places(rejecting)} {_verb(rejecting)} not accept the current one"
        untried = [host for host in self.target.hosts if self.sign_ins.get(host) is not SignIn.ACCEPTED]
        return f"the current one could not be tried at {places(untried)}" if untried else ""

    @property
    def kept_until(self) -> datetime | None:
        """The end of the grace period; None if that is over, or not known."""
        ages = self._ages
        if all(now - since >= PREVIOUS_SECRET_GRACE for since, now in ages):
            return None
        return max(min(since, _LAST) + PREVIOUS_SECRET_GRACE for since, _ in ages)

    @property
    def _ages(self) -> list[tuple[datetime, datetime]]:
        """When the current one was created, and the time now, by each service; empty if not known of both."""
        vault = self.current.created_on, self.vault_time
        current = self.current_secret
        databricks = current.created_at if current else None, self.databricks_time
        known = [(since, now) for since, now in (vault, databricks) if since is not None and now is not None]
        return known if len(known) == 2 else []  # noqa: PLR2004  # both

    @property
    def untagged_sibling(self) -> str | None:
        """Another name whose latest version has no tags: its value might be any secret that no version names."""
        return next((name for name, versions in self.siblings.items() if not _is_tagged(versions)), None)


_LAST = datetime.max.replace(tzinfo=UTC) - PREVIOUS_SECRET_GRACE


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why.

    Attributes:
        ends: when the current secret expires, as far as that is known.
        why: why a new one is made, or why none is.
        create: whether one is.
        lifetime: of the new one; None: as long as Databricks allows.
        scopes: of the new one.
        stop: what prevents a new one that might be due: there is no `room`, the old `scopes` or the `end` are not known, what is
            stored is that of another `principal`.
        delete: previous ones whose grace period is over.
        kept: the other previous ones.
        known: whether it is known which of them is the current one.
    """

    ends: datetime | None
    why: str
    create: bool = False
    lifetime: timedelta | None = None
    scopes: tuple[str, ...] = ()
    stop: str = ""
    delete: tuple[OAuthSecret, ...] = ()
    kept: tuple[PreviousSecretReport, ...] = ()
    known: bool = True

    @property
    def acts(self) -> bool:
        """Whether there is anything to do."""
        return self.create or bool(self.delete)


def decide(
    seen: SecretSnapshot,
    now: datetime,
    within: timedelta,
    lifetime: timedelta | None = None,
    *,
    force: bool = False,
) -> Decision:
    """Decide what to do, if secrets that expire within this time, or all (`force`), are replaced.

    New ones are valid for `lifetime`; None: for as long as the old one.
    """
    current, ended = seen.current_secret, seen.expired
    ends = min(
        (
            end
            for end in (seen.current.expires_on, current.expires_at if current else None)
            if end is not None
        ),
        default=None,
    )
    previous = tuple(each for each in seen.replaced if each not in ended)
    until, why_not = seen.kept_until, seen.why_kept
    later, over = (previous, ()) if until else ((), previous)
    reasons = {each.id: why_not for each in over if why_not} | dict(seen.held)
    kept = [PreviousSecretReport(each.id, each.created_at, "kept", until) for each in later]
    kept += [
        PreviousSecretReport(each.id, each.created_at, "kept", reason=reasons[each.id])
        for each in (*ended, *over)
        if each.id in reasons
    ]
    delete = tuple(each for each in (*ended, *over) if each.id not in reasons)
    due, why = (True, "--force asks for one") if force else _due(seen, current, ends, now, within)
    stop, scopes = "", current.scopes if current else ()
    if due and current is None:
        stop, scopes = _common_scopes(seen.secrets)
    if due and len(seen.secrets) - len(delete) >= MAX_OAUTH_SECRETS - 1:
        stop = "room"
    if due and seen.current.owner not in {None, seen.target.client_id.lower()}:
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
        kept=tuple(kept),
        known=seen.names(seen.current) is not None,
    )


def _is_older(version: Version, current: Version) -> bool:
    """For certain: Key Vault's times are whole seconds."""
    if version.created_on is None or current.created_on is None:
        return False
    return version.created_on < current.created_on


def _is_tagged(versions: Sequence[Version]) -> bool:
    """Whether the latest version's tags name its OAuth secret. Each version of the same second might be the latest."""
    created = [version.created_on for version in versions if version.created_on]
    if len(created) < len(versions):
        return False
    return all(version.owner for version in versions if version.created_on == max(created))


def _due(
    seen: SecretSnapshot, current: OAuthSecret | None, ends: datetime | None, now: datetime, within: timedelta
) -> tuple[bool, str]:
    if ends is not None and ends <= now:
        return True, f"the previous one ended on {_day(ends)}"
    if rejecting := seen.hosts(SignIn.REJECTED):
        return True, f"{places(rejecting)} {_verb(rejecting)} not accept the previous one"
    if ends is None:
        return False, "nobody knows when it ends"
    if (lifetime := _lifetime(seen.current, current)) is not None:
        within = min(within, lifetime / 2)  # or a new one would be due at once
    due, days = ends - now <= within, (ends - now).days
    left = f"{days} day{'' if days == 1 else 's'}"
    return due, f"{'the previous one' if due else 'it'} ends on {_day(ends)}, in {left}"


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
    """The scopes that all have, if the current one is not known; or why none is made."""
    found = {tuple(sorted(each.scopes)) for each in secrets}
    if len(found) == 1:
        return "", found.pop()
    return "" if found <= _EVERYTHING else "scopes", ()


_EVERYTHING: set[tuple[str, ...]] = {(), ("all-apis",)}
"""Two ways to write the same scopes."""


def places(hosts: Sequence[str]) -> str:
    """Many workspaces in a few words."""
    return first_of(hosts, 1, "workspace")


def _verb(hosts: Sequence[str]) -> str:
    return "do" if hosts[1:] else "does"


def _day(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d}"


_MAX_NAMES = 5


def targets_of(settings: Settings) -> list[RotationTarget]:
    """Return the secrets of the list, those that several service principals share first."""
    users: dict[str, list[Entry]] = {}
    client_ids: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    for entry in settings.entries:
        if isinstance(entry, Entry) and (oauth := entry.workspace.oauth) is not None:
            key = oauth.secret_name.lower()
            names.setdefault(key, oauth.secret_name)
            users.setdefault(key, []).append(entry)
            client_ids.setdefault(key, {}).setdefault(oauth.client_id.lower(), oauth.client_id)
    targets = [
        RotationTarget(
            name,
            next(iter(client_ids[key].values())),
            tuple(dict.fromkeys(entry.workspace.host for entry in users[key])),
            tuple(entry.name for entry in users[key]),
            tuple(
                names[other] for other in names if other != key and client_ids[other].keys() & client_ids[key]
            ),
            tuple(client_ids[key]) if len(client_ids[key]) > 1 else (),
        )
        for key, name in names.items()
    ]
    return sorted(targets, key=lambda target: not target.shared_by)


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
