"""Builds the commands that remove grants, and describes their side effects. Runs none of them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from git_refresh.admin import commands
from git_refresh.admin.deployment import is_paused, listed_hosts
from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.model.values import json_of
from git_refresh.output.shell import NO_COMMAND, Command
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings

if TYPE_CHECKING:
    from git_refresh.admin.resource_manager import FunctionApp

RemovalKind = Literal[
    "app",
    "credential",
    "folder",
    "oauth_secret",
    "federation_policy",
    "workspace",
    "vault_secret",
    "project",
    "organization",
    "principal",
]
ORDER: tuple[RemovalKind, ...] = get_args(RemovalKind)
"""Order of removal: a kind precedes those that its command needs, such as the principal."""

RemovalStatus = Literal["remove", "stays", "skipped", "failed"]
"""`stays`: others need it, or onboard did not grant it. `skipped`: not checked."""


@dataclass(frozen=True, slots=True)
class Removal:
    """An existing object or permission, with the command that removes it."""

    kind: RemovalKind
    location: str
    description: str
    required_role: str = ""
    command: Command = NO_COMMAND
    status: RemovalStatus = "remove"
    used_by: tuple[str, ...] = ()
    """Remaining workspaces of the list that need it."""
    affects: tuple[str, ...] = ()
    """Side effects of the removal."""
    reason: str = ""
    """Reason that it stays or was skipped, or a note on its removal."""
    error: Diagnosis | None = None

    def unless_used(self, names: tuple[str, ...]) -> "Removal":
        return replace(self, status="stays", used_by=names, command=NO_COMMAND, reason="") if names else self

    def stays(self, why: str) -> "Removal":
        return replace(self, status="stays", command=NO_COMMAND, reason=why)

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "location": self.location,
            "description": self.description,
            "status": self.status,
            "command": self.command,
            "required_role": self.required_role,
            "used_by": list(self.used_by),
            "affects": list(self.affects),
            "reason": self.reason,
            "error": json_of(self.error) if self.error else None,
        }


def remaining(settings: Settings) -> list[Entry]:
    """Return the entries that stay in the list. `settings.entries` has those to remove."""
    removed = {entry.name for entry in settings.entries}
    return [entry for entry in settings.listed if isinstance(entry, Entry) and entry.name not in removed]


def users(entries: list[Entry], uses: Callable[[Entry], bool]) -> tuple[str, ...]:
    return tuple(entry.name for entry in entries if uses(entry))


def of_app(
    app: "FunctionApp", deployed: Mapping[str, str], removed: Collection[str], deploy: Command | None
) -> Removal:
    """Return the removal that stops the app from storing Git credentials again.

    `deployed` has its app settings, `removed` the URLs of the workspaces to remove. `deploy` is the command that deploys the rest of the
    list; None if nothing remains.
    """
    listed = sorted(listed_hosts(deployed) & set(removed))
    removal = Removal("app", f"function app {app.name}", "", "a Contributor of its resource group")
    if is_paused(deployed):
        return replace(removal, description="is paused").stays("it starts no runs")
    if not listed:
        return replace(removal, description="has none of these workspaces").stays(
            "its runs do not change them"
        )
    removal = replace(
        removal,
        description=f"refreshes {', '.join(listed)}",
        command=deploy or commands.pause(app.name, app.group, app.subscription_id),
    )
    if deploy is None:
        return replace(
            removal, affects=("the credentials of all its workspaces, which expire within 24 hours",)
        )
    return replace(removal, reason="First remove their entries from the list.")
