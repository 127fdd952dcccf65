"""Decides the steps for one OAuth secret. Pure functions over a snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from git_refresh.admin.rotation.report import PreviousSecretReport
from git_refresh.admin.values import OAuthSecret, SignIn, Version
from git_refresh.output.redact import redact
from git_refresh.output.text import closest, count, first_of
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings

MAX_OAUTH_SECRETS = 5
"""Databricks' limit for a service principal. rotate leaves the last one free for an emergency."""

PREVIOUS_SECRET_GRACE = timedelta(days=1)
"""Time to keep the previous secret after a new one was stored. No run that read it takes longer."""

MAX_LIFETIME = timedelta(days=730)
"""Databricks' limit for an OAuth secret, and its default."""


@dataclass(frozen=True, slots=True)
class RotationTarget:
    """A secret in Key Vault, with the workspaces of the list that use it."""

    name: str
    client_id: str
    hosts: tuple[str, ...]
    """Distinct URLs of the workspaces."""
    workspaces: tuple[str, ...]
    """Names of the workspaces."""
    siblings: tuple[str, ...] = ()
    """Names of the list's other secrets of the same service principal."""
    shared_by: tuple[str, ...] = ()
    """Application IDs, if several service principals use this secret. Such a secret is not rotated."""

    @property
    def host(self) -> str:
        """The workspace whose API creates and deletes the OAuth secrets."""
        return self.hosts[0]


@dataclass(frozen=True, slots=True)
class SecretSnapshot:
    """The state of a secret in Key Vault and in Databricks."""

    target: RotationTarget
    place: str
    """Value of the tag `STORED_AS`: vault and name."""
    current: Version
    sign_ins: Mapping[str, SignIn]
    """Results of signing in with the current version, by host."""
    versions: Sequence[Version]
    """All versions of this name."""
    siblings: Mapping[str, Sequence[Version]]
    """The versions of the target's siblings, by name."""
    principal: int
    secrets: Sequence[OAuthSecret]
    """All OAuth secrets of the service principal."""
    held: Mapping[str, str] = field(default_factory=dict)
    """Reasons to keep previous secrets that are or might be in use, by ID."""
    vault_time: datetime | None = None
    databricks_time: datetime | None = None
    """Times by the services' own responses; None if unknown."""

    @property
    def now(self) -> datetime | None:
        """The earlier time of both services, so one wrong clock cannot end a grace period. None: unknown."""
        if self.vault_time is None or self.databricks_time is None:
            return None
        return min(self.vault_time, self.databricks_time)

    def hosts(self, result: SignIn) -> list[str]:
        return [host for host, found in self.sign_ins.items() if found is result]

    def names(self, version: Version) -> str | None:
        """Return the OAuth secret's ID in a version's tags; None unless it is of the same service principal."""
        return version.names(self.target.client_id)

    def stored_by_us(self, version: Version) -> str | None:
        """Return the same as `names`, but None unless this product stored the version under this name."""
        return version.stored_by_us(self.target.client_id, self.place)

    @property
    def current_secret(self) -> OAuthSecret | None:
        """The OAuth secret that the current version names."""
        current_id = self.names(self.current)
        return next((each for each in self.secrets if each.id == current_id), None)

    @property
    def named_by_siblings(self) -> set[str | None]:
        """IDs of OAuth secrets that the versions of the siblings name."""
        return {self.names(version) for versions in self.siblings.values() for version in versions}

    def unclaimed(self, now: datetime) -> tuple[OAuthSecret, ...]:
        """Return unexpired OAuth secrets that tags identify neither as this product's nor as in use."""
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
        """Secrets that the current one has replaced according to the tags.

        Tags are not proof: only values show which secret is in use, and only a sign-in shows whether the current one works.
        """
        current_id = self.stored_by_us(self.current)
        if all(each.id != current_id for each in self.secrets):
            return ()
        return tuple(each for each in self._previous if each.id not in self.named_by_siblings)

    @property
    def expired(self) -> tuple[OAuthSecret, ...]:
        """Previous secrets that have expired by the dates and clocks of both services."""
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
        """Secrets that only older versions name, at least one of them stored by this product."""
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
        """Reason to keep all previous secrets after the grace period; empty if they can be deleted."""
        if not self._ages:
            return "the time of Key Vault or Databricks is unknown"
        if rejecting := self.hosts(SignIn.REJECTED):
            return f"{places(rejecting)} {_verb(rejecting)} not accept the current one"
        untried = [host for host in self.target.hosts if self.sign_ins.get(host) is not SignIn.ACCEPTED]
        return f"the current one could not be tested in {places(untried)}" if untried else ""

    @property
    def kept_until(self) -> datetime | None:
        """The end of the grace period; None if it is over or unknown."""
        ages = self._ages
        if all(now - since >= PREVIOUS_SECRET_GRACE for since, now in ages):
            return None
        return max(min(since, _LAST) + PREVIOUS_SECRET_GRACE for since, _ in ages)

    @property
    def _ages(self) -> list[tuple[datetime, datetime]]:
        """Creation time of the current secret and current time, by each service. Empty if one is unknown."""
        vault = self.current.created_on, self.vault_time
        current = self.current_secret
        databricks = current.created_at if current else None, self.databricks_time
        known = [(since, now) for since, now in (vault, databricks) if since is not None and now is not None]
        return known if len(known) == 2 else []  # noqa: PLR2004  # both

    @property
    def untagged_sibling(self) -> str | None:
        """A sibling whose latest version has no tags, so it can contain any OAuth secret; None without one."""
        return next((name for name, versions in self.siblings.items() if not _is_tagged(versions)), None)


_LAST = datetime.max.replace(tzinfo=UTC) - PREVIOUS_SECRET_GRACE


@dataclass(frozen=True, slots=True)
class Decision:
    """The steps for one secret, with the reason."""

    expires_at: datetime | None
    """Expiration of the current secret; None if unknown."""
    why: str
    """The reason to create a secret, or to create none."""
    create: bool = False
    lifetime: timedelta | None = None
    """Lifetime of the new secret; None for the longest that Databricks allows."""
    scopes: tuple[str, ...] = ()
    stop: str = ""
    """Obstacle to a new secret: `room` (limit), `scopes` or `end` (unknown), or `principal` (another's)."""
    delete: tuple[OAuthSecret, ...] = ()
    """Previous secrets to delete: expired, or past the grace period."""
    kept: tuple[PreviousSecretReport, ...] = ()
    """The other previous secrets."""
    known: bool = True
    """False if no tag identifies the current OAuth secret."""

    @property
    def acts(self) -> bool:
        return self.create or bool(self.delete)


def decide(
    seen: SecretSnapshot,
    now: datetime,
    within: timedelta,
    lifetime: timedelta | None = None,
    *,
    force: bool = False,
) -> Decision:
    """Decide the steps. A secret is due if it expires `within` this time, is rejected, or with `force`.

    `lifetime` is that of a new secret; None for the lifetime of the current one.
    """
    current, expired = seen.current_secret, seen.expired
    expires_at = min(
        (
            end
            for end in (seen.current.expires_on, current.expires_at if current else None)
            if end is not None
        ),
        default=None,
    )
    previous = tuple(each for each in seen.replaced if each not in expired)
    until, why_not = seen.kept_until, seen.why_kept
    later, over = (previous, ()) if until else ((), previous)
    reasons = {each.id: why_not for each in over if why_not} | dict(seen.held)
    kept = [PreviousSecretReport(each.id, each.created_at, "kept", until) for each in later]
    kept += [
        PreviousSecretReport(each.id, each.created_at, "kept", reason=reasons[each.id])
        for each in (*expired, *over)
        if each.id in reasons
    ]
    delete = tuple(each for each in (*expired, *over) if each.id not in reasons)
    due, why = (True, "--force was set") if force else _due(seen, current, expires_at, now, within)
    stop, scopes = "", current.scopes if current else ()
    if due and current is None:
        stop, scopes = _common_scopes(seen.secrets)
    if due and len(seen.secrets) - len(delete) >= MAX_OAUTH_SECRETS - 1:
        stop = "room"
    if due and seen.current.owner not in {None, seen.target.client_id.lower()}:
        stop = "principal"
    if not due and expires_at is None:
        stop = "end"
    return Decision(
        expires_at,
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
    """Return whether a version is certainly older. Key Vault returns times in whole seconds."""
    if version.created_on is None or current.created_on is None:
        return False
    return version.created_on < current.created_on


def _is_tagged(versions: Sequence[Version]) -> bool:
    """Return whether the latest version has tags. Any version of the last second might be the latest."""
    created = [version.created_on for version in versions if version.created_on]
    if len(created) < len(versions):
        return False
    return all(version.owner for version in versions if version.created_on == max(created))


def _due(
    seen: SecretSnapshot,
    current: OAuthSecret | None,
    expires_at: datetime | None,
    now: datetime,
    within: timedelta,
) -> tuple[bool, str]:
    if expires_at is not None and expires_at <= now:
        return True, f"the previous one expired on {_day(expires_at)}"
    if rejecting := seen.hosts(SignIn.REJECTED):
        return True, f"{places(rejecting)} {_verb(rejecting)} not accept the previous one"
    if expires_at is None:
        return False, "its expiration date is unknown"
    if (lifetime := _lifetime(seen.current, current)) is not None:
        within = min(within, lifetime / 2)  # or a new secret would be due at once
    due, left = expires_at - now <= within, count((expires_at - now).days, "day")
    return due, f"{'the previous one' if due else 'it'} expires on {_day(expires_at)}, in {left}"


def _lifetime(version: Version, secret: OAuthSecret | None) -> timedelta | None:
    """Return the longer lifetime by Databricks and Key Vault; None if one is unknown."""
    if secret is None or secret.created_at is None or secret.expires_at is None:
        return None
    if version.created_on is None or version.expires_on is None:
        return None
    longer = max(secret.expires_at - secret.created_at, version.expires_on - version.created_on)
    lived = timedelta(seconds=round(longer.total_seconds()))
    return min(lived, MAX_LIFETIME) if lived > timedelta() else None


def _common_scopes(secrets: Sequence[OAuthSecret]) -> tuple[str, tuple[str, ...]]:
    """Return the reason to stop, or "" and the scopes that all OAuth secrets have."""
    found = {tuple(sorted(each.scopes)) for each in secrets}
    if len(found) == 1:
        return "", found.pop()
    return "" if found <= _EVERYTHING else "scopes", ()


_EVERYTHING: set[tuple[str, ...]] = {(), ("all-apis",)}
"""Both grant all scopes."""


def places(hosts: Sequence[str]) -> str:
    return first_of(hosts, 1, "workspace")


def _verb(hosts: Sequence[str]) -> str:
    return "do" if hosts[1:] else "does"


def _day(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d}"


_MAX_NAMES = 5


def targets_of(settings: Settings) -> list[RotationTarget]:
    """Return the secrets of the list, starting with those that several service principals share."""
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


def why_not_listed(name: str, listed: Sequence[str], settings: Settings) -> str:
    """Return the message for a name that no secret of the list has."""
    given = f'"{redact(name)}"'
    for entry in settings.entries:
        if isinstance(entry, Entry) and entry.name == name:
            oauth = entry.workspace.oauth
            if oauth is not None:
                return f"{given} is a workspace; write the name of its secret: {oauth.secret_name}"
            return f"{given} is a workspace that signs in without an OAuth secret (auth is {entry.workspace.auth})"
    if not listed:
        return f"{given} is not a secret of the list: no workspace in it signs in with one"
    if near := closest(name, listed):
        return f'{given} is not a secret of the list; did you mean "{near[0]}"?'
    return f"{given} is not a secret of the list; write one of {first_of(listed, _MAX_NAMES)}"
