"""What takes one grant back: the command for it, and who loses by it. Nothing here removes anything."""

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
"""What comes first needs what comes later: a workspace deletes OAuth secrets only of its own principals."""

RemovalStatus = Literal["remove", "stays", "skipped", "failed"]
"""`remove`: its command takes it back. `stays`: others need it, or onboard did not grant it. `skipped`: it was not looked at."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that exists, with the command that removes it."""

    kind: RemovalKind
    location: str
    description: str
    required_role: str = ""
    command: Command = NO_COMMAND
    status: RemovalStatus = "remove"
    used_by: tuple[str, ...] = ()
    """Workspaces of the list that need it, and are not removed."""
    affects: tuple[str, ...] = ()
    """What else is lost."""
    reason: str = ""
    """Why it stays or was not looked at; of what is removed, what follows."""
    error: Diagnosis | None = None

    def unless_used(self, names: tuple[str, ...]) -> "Removal":
        """Return the same, which stays if workspaces need it."""
        return replace(self, status="stays", used_by=names, command=NO_COMMAND, reason="") if names else self

    def stays(self, why: str) -> "Removal":
        """Return the same, which stays for this reason."""
        return replace(self, status="stays", command=NO_COMMAND, reason=why)

    def as_dict(self) -> dict[str, Any]:
        """As `--json` has it."""
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
    """Return the entries of the list that are not removed, where the settings have those that are."""
    removed = {entry.name for entry in settings.entries}
    return [entry for entry in settings.listed if isinstance(entry, Entry) and entry.name not in removed]


def users(entries: list[Entry], uses: Callable[[Entry], bool]) -> tuple[str, ...]:
    """Return the names of those that use something."""
    return tuple(entry.name for entry in entries if uses(entry))


def of_app(
    app: "FunctionApp", deployed: Mapping[str, str], removed: Collection[str], deploy: Command | None
) -> Removal:
    """Return what keeps the app from storing Git credentials again.

    Args:
        app: the function app.
        deployed: its app settings.
        removed: the addresses of the workspaces that are removed.
        deploy: what deploys the list without them; None: nothing of the list is left.
    """
    there = sorted(listed_hosts(deployed) & set(removed))
    removal = Removal("app", f"function app {app.name}", "", "a Contributor of its resource group")
    if is_paused(deployed):
        return replace(removal, description="is paused").stays("it starts no run")
    if not there:
        return replace(removal, description="has none of these workspaces").stays("its runs leave them alone")
    removal = replace(
        removal,
        description=f"is on, and refreshes {', '.join(there)}",
        command=deploy or commands.pause(app.name, app.group, app.subscription_id),
    )
    if deploy is None:
        return replace(
            removal, affects=("the credentials of all its workspaces: they expire within 24 hours",)
        )
    return replace(removal, reason="First take their entries out of the list.")
