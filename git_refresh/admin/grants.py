"""A permission that a run needs, with its state and the command that grants it."""

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
"""`exists`: already granted. `skipped`: a required grant failed, or onboard does not grant it."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The result of a grant."""

    client_id: str | None = None
    """Application ID of a new service principal."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """One permission and its state."""

    kind: GrantKind
    location: str
    """Where it is granted: "Azure DevOps contoso", "data-1"."""
    description: str
    required_role: str = ""
    """Role that can grant it: "a workspace admin of data-1"."""
    command: Command = NO_COMMAND
    """Command that grants it."""
    status: GrantStatus = "planned"
    reason: str = ""
    """Reason that it was skipped, or a note on the granted permission."""
    client_id: str | None = None
    """See `Granted`."""
    error: Diagnosis | None = None
    context: DiagnosisContext = field(default_factory=DiagnosisContext, repr=False)
    keys: tuple[Key, ...] = ()
    """The permissions that it consists of. A later read finds them even if the description differs."""
    do: Callable[[], Granted | None] | None = field(default=None, repr=False)
    """Grant it. Can be repeated. Raises `ServiceError` or `DiagnosedError`."""
    undo: Callable[[], Iterable[Removal]] | None = field(default=None, repr=False)
    """Return the removals of its existing parts. Raises like `do`. None if nothing can be removed."""
    needs: "tuple[Grant, ...]" = field(default=(), repr=False)
    """At least one of these must be granted first."""

    def existing(self, *, is_: bool) -> "Grant":
        return replace(self, status="exists" if is_ else "planned")

    def checked(self, exists: Callable[[], bool]) -> "Grant":
        """Set the status to `exists`, `planned`, or `failed` by the result of a lookup."""
        try:
            return self.existing(is_=exists())
        except (ServiceError, DiagnosedError) as error:
            return self.failed(error)

    def skipped(self, why: str) -> "Grant":
        return replace(self, status="skipped", reason=why)

    def lacks(self, code: str, **values: object) -> "Grant":
        """Mark the grant as failed with a finding of the app."""
        return self.failed(DiagnosedError(finding(code, self.context, **values)))

    def failed(self, error: Exception) -> "Grant":
        match error:
            case ServiceError():
                diagnosis = self._explain(error.failure)
            case DiagnosedError():
                diagnosis = error.diagnosis
            case _:
                diagnosis = internal(error, self.context)
        return replace(self, status="failed", error=diagnosis)

    def _explain(self, failure: ServiceFailure) -> Diagnosis:
        diagnosis = explain(failure, self.context)
        denied = failure.status in _REFUSED or _DENIED in failure.message
        if denied and diagnosis.code in _GENERAL and self.kind != "oauth_secret":
            context = replace(self.context, who=self.required_role, command=self.command)
            return finding("grant_refused", context, happened=what_happened(failure))
        return diagnosis

    @property
    def blocked(self) -> str:
        """Reason that it cannot be granted yet; empty if it can."""
        if not self.needs or any(grant.status in {"exists", "planned", "granted"} for grant in self.needs):
            return ""
        first = self.needs[0]
        return f"this failed: {first.description}" if first.status == "failed" else first.reason

    def as_dict(self) -> dict[str, Any]:
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
"""Azure DevOps' text for a refusal with status 200."""
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
"""Codes that `grant_refused` replaces. Codes with a specific cause, such as a firewall, stay."""
