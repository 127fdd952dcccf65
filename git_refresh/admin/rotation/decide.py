"""What is to be done about one OAuth secret: pure, over what was found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from git_refresh.admin.secrets import OAuthSecret, Version

MOST = 5
"""OAuth secrets that a service principal may have. The fifth is left for somebody in need."""

GRACE = timedelta(days=1)
"""How long the former secret is kept after a new one was stored: longer than a run, which has read the former one, can take."""

LONGEST = timedelta(days=730)
"""What Databricks lets an OAuth secret live, and does where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class Target:
    """A secret in Key Vault that workspaces of the list sign in with."""

    name: str
    client_id: str
    """Of the service principal whose OAuth secret it is."""
    host: str
    """Of the first of the workspaces: there it is looked after."""
    workspaces: tuple[str, ...]
    """Their names."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found of it."""

    current: Version
    works: bool
    """Whether the workspace lets the service principal in with the value of that version."""
    versions: Sequence[Version]
    """All of this name."""
    beside: Sequence[Version]
    """Those of other names of the list, with an OAuth secret of the same service principal."""
    principal: int
    secrets: Sequence[OAuthSecret]
    """All of the service principal."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and why.

    Attributes:
        ends: when the current secret ends, as far as that is known.
        why: why a new one is made, or why none is.
        create: whether one is.
        lifetime: how long it is to live; None: as long as Databricks lets it.
        scopes: what it may be used for.
        stop: what keeps one from being made that may have to be: there is no `room`, the old `scopes` or the `end` are not known.
        delete: former ones whose time is over.
        later: former ones that are deleted from `later_from` on.
        unknown: live ones of which no version says that they are ours.
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
    unknown: tuple[OAuthSecret, ...] = ()
    known: bool = True

    @property
    def acts(self) -> bool:
        """Whether anything is to be done."""
        return self.create or bool(self.delete)


def decide(target: Target, seen: Seen, now: datetime, within: timedelta) -> Decision:
    """What is to be done, when secrets that end within so long are to be replaced."""
    current_id = seen.current.names(target.client_id)
    current = next((each for each in seen.secrets if each.id == current_id), None)
    ends = _end(seen.current, current)
    former, later_from = _former(target, seen, current), (seen.current.created_on or now) + GRACE
    over = later_from <= now
    delete, later = (former, ()) if over else ((), former)
    due, why = _due(seen, current, ends, now, within)
    stop, scopes = "", current.scopes if current else ()
    if due and current is None:
        stop, scopes = _common_scopes(seen.secrets)
    if due and len(seen.secrets) - len(delete) >= MOST - 1:
        stop = "room"
    if not due and ends is None:
        stop = "end"
    return Decision(
        ends,
        why,
        create=due and not stop,
        lifetime=_lifetime(current),
        scopes=scopes,
        stop=stop,
        delete=delete,
        later=later,
        later_from=later_from if later else None,
        unknown=unknown_of(target, seen, now),
        known=current_id is not None,
    )


def unknown_of(target: Target, seen: Seen, now: datetime) -> tuple[OAuthSecret, ...]:
    """Live secrets that no version names: made by hand, or made and lost. Which, nobody can tell."""
    named = {version.names(target.client_id) for version in (*seen.versions, *seen.beside, seen.current)}
    return tuple(each for each in seen.secrets if each.id not in named and _is_live(each, now))


def _former(target: Target, seen: Seen, current: OAuthSecret | None) -> tuple[OAuthSecret, ...]:
    """Those that the current one has replaced for certain: it is tagged, there and works; and a version older than it names them."""
    if current is None or not seen.works or seen.current.created_on is None:
        return ()
    replaced: set[str | None] = set()
    in_use: set[str | None] = {current.id}
    for version in seen.versions:
        older = version.created_on is not None and version.created_on < seen.current.created_on
        (replaced if older else in_use).add(version.names(target.client_id))
    in_use |= {version.names(target.client_id) for version in seen.beside}
    return tuple(each for each in seen.secrets if each.id in replaced - in_use)


def _due(
    seen: Seen, current: OAuthSecret | None, ends: datetime | None, now: datetime, within: timedelta
) -> tuple[bool, str]:
    if ends is not None and ends <= now:
        return True, f"it ended on {_day(ends)}"
    if not seen.works:
        return True, "the workspace does not accept it"
    if ends is None:
        return False, "nobody knows when it ends"
    if (lifetime := _lifetime(current)) is not None and lifetime / 2 < within:
        within = lifetime / 2  # or a new one would be due at once
    left = f"it ends on {_day(ends)}, in {_days(ends - now)}"
    return ends - now <= within, left


def _end(version: Version, secret: OAuthSecret | None) -> datetime | None:
    """The earlier of what Key Vault and the workspace say."""
    told = [version.expires_on, secret.expires_at if secret else None]
    return min((end for end in told if end is not None), default=None)


def _lifetime(current: OAuthSecret | None) -> timedelta | None:
    if current is None or current.created_at is None or current.expires_at is None:
        return None
    lived = timedelta(seconds=round((current.expires_at - current.created_at).total_seconds()))
    return min(lived, LONGEST) if lived > timedelta() else None


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


def _day(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d}"


def _days(left: timedelta) -> str:
    return f"{left.days} day{'' if left.days == 1 else 's'}"
