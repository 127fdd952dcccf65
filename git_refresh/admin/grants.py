"""A permission that a run needs, with its state, and the command for another person who can grant it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Literal

from git_refresh.admin.removal import Removal
from git_refresh.admin.values import DiagnosedError
from git_refresh.failures.diagnosis import (
    Diagnosis,
    DiagnosisContext,
    explain,
    finding,
    internal,
    what_happened,
)
from git_refresh.failures.failure import ServiceError, ServiceFailure
from git_refresh.failures.table import UNKNOWN
from git_refresh.model.values import json_of
from git_refresh.output.shell import NO_COMMAND, Command

GrantKind = Literal[
    "identity",
    "organization",
    "project",
    "principal",
    "manager",
    "workspace_access",
    "federation_policy",
    "oauth_secret",
    "folder",
]
type Key = tuple[str, ...]
GrantStatus = Literal["exists", "planned", "granted", "failed", "skipped"]
"""`exists`: nothing to do. `skipped`: not looked at or not done, since something else failed; or this command does not do it."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What there is to know after a right was granted."""

    client_id: str | None = None
    """Of a service principal that was created: its application ID."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """One right, and its state."""

    kind: GrantKind
    location: str
    """Whose it is to give: "Azure DevOps contoso", "data-1"."""
    description: str
    """As it reads after a sign that tells whether it is there: "service principal …: Can Manage on …"."""
    required_role: str = ""
    """Who can give it: "a workspace admin of data-1"."""
    command: Command = NO_COMMAND
    """What that person types."""
    status: GrantStatus = "planned"
    reason: str = ""
    """Of one that is skipped; of one that was given, what there is to know besides."""
    client_id: str | None = None
    """See `Granted`."""
    error: Diagnosis | None = None
    context: DiagnosisContext = field(default_factory=DiagnosisContext, repr=False)
    keys: tuple[Key, ...] = ()
    """What it is about, the same however it is worded as long as a part of it is missing; once it was given, all of these are there."""
    do: Callable[[], Granted | None] | None = field(default=None, repr=False)
    """Gives it, once or more often; raises `ServiceError` or `DiagnosedError`."""
    undo: Callable[[], Iterable[Removal]] | None = field(default=None, repr=False)
    """Reads what of it exists, complete or not, and returns what removes it; raises as `do` does. None: there is nothing to read."""
    needs: "tuple[Grant, ...]" = field(default=(), repr=False)
    """One of these must exist before; in the state of the look-up."""

    def existing(self, *, is_: bool) -> "Grant":
        """Return the same right, which exists or is planned."""
        return replace(self, status="exists" if is_ else "planned")

    def checked(self, look: Callable[[], bool]) -> "Grant":
        """Return the same right, which exists if a look-up says so; or failed, if that cannot be done."""
        try:
            return self.existing(is_=look())
        except (ServiceError, DiagnosedError) as error:
            return self.failed(error)

    def skipped(self, why: str) -> "Grant":
        """Return the same right, left out."""
        return replace(self, status="skipped", reason=why)

    def lacks(self, code: str, **values: object) -> "Grant":
        """Return the same right, failed for a reason that the app has found itself."""
        return self.failed(DiagnosedError(finding(code, self.context, **values)))

    def failed(self, error: Exception) -> "Grant":
        """Return the same right, which could not be checked or granted."""
        match error:
            case ServiceError():
                diagnosis = self._explain(error.failure)
            case DiagnosedError():
                diagnosis = error.diagnosis
            case _:
                diagnosis = internal(error, self.context)
        return replace(self, status="failed", error=diagnosis)

    def _explain(self, failure: ServiceFailure) -> Diagnosis:
        """Usually, that another person must grant it."""
        diagnosis = explain(failure, self.context)
        denied = failure.status in _REFUSED or _DENIED in failure.message
        if denied and diagnosis.code in _GENERAL and self.kind != "oauth_secret":
            context = replace(self.context, who=self.required_role, command=self.command)
            return finding("grant_refused", context, happened=what_happened(failure))
        return diagnosis

    @property
    def blocked(self) -> str:
        """Why it cannot be given, if what it needs is not there."""
        if not self.needs or any(grant.status in {"exists", "planned", "granted"} for grant in self.needs):
            return ""
        first = self.needs[0]
        return f"this failed: {first.description}" if first.status == "failed" else first.reason

    def as_dict(self) -> dict[str, Any]:
        """As `--json` has it."""
        return {
            "kind": self.kind,
            "location": self.location,
            "description": self.description,
            "status": self.status,
            "reason": self.reason,
            "error": json_of(self.error) if self.error else None,
            "required_role": self.required_role,
            "command": self.command,
            "client_id": self.client_id,
        }


_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_DENIED = "Access Denied"
"""How Azure DevOps refuses in an answer that says 200."""
_GENERAL = frozenset(
    {
        "permission_denied",
        "not_in_workspace",
        "devops_not_a_member",
        "devops_no_access",
        "devops_token_rejected",
        "devops_refusal_unexplained",
        "devops_project_not_found",
        "registration_rejected",
        UNKNOWN.code,
    }
)
"""Codes of a refusal without a closer reason, such as a firewall or an expired sign-in."""
