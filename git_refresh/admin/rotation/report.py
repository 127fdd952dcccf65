"""The report of a rotation, planned or done."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from git_refresh.admin.values import SignIn
from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.model.values import Problem, json_of

RotationAction = Literal["rotate", "rotated", "unchanged", "failed"]
"""`rotate`: planned."""


@dataclass(frozen=True, slots=True)
class PreviousSecretReport:
    """A previous OAuth secret that this product created."""

    id: str
    created_at: datetime | None
    action: Literal["delete", "deleted", "kept", "failed"]
    """`delete`: planned. `kept`: until `kept_until`, or for `reason`."""
    kept_until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UnmanagedSecretReport:
    """An unexpired OAuth secret of the service principal, not known to belong to this product."""

    id: str
    created_at: datetime | None
    expires_at: datetime | None
    note: Diagnosis


@dataclass(frozen=True, slots=True)
class NotSignedIn:
    """A workspace that did not accept the new secret or, if none was created, the stored one."""

    host: str
    result: SignIn
    error: Diagnosis


@dataclass(frozen=True, slots=True)
class SecretReport:
    """The result for one secret of Key Vault."""

    name: str
    client_id: str
    host: str
    workspaces: tuple[str, ...]
    action: RotationAction
    reason: str = ""
    expires_at: datetime | None = None
    """Expiration of the stored secret."""
    new_id: str | None = None
    """ID of the new OAuth secret, if it was stored."""
    previous: tuple[PreviousSecretReport, ...] = ()
    unmanaged: tuple[UnmanagedSecretReport, ...] = ()
    not_signed_in: tuple[NotSignedIn, ...] = ()
    steps: tuple[str, ...] = ()
    errors: tuple[Diagnosis, ...] = ()

    @property
    def acts(self) -> bool:
        return self.action == "rotate" or any(each.action == "delete" for each in self.previous)


@dataclass(frozen=True, slots=True)
class RotationReport:
    secrets: tuple[SecretReport, ...]
    problems: tuple[Problem, ...] = ()
    applied: bool = False
    interrupted: bool = False

    @property
    def result(self) -> Literal["ok", "failed"]:
        """`failed` also for problems of the list, and after an interrupt."""
        failed = self.problems or self.interrupted or any(secret.errors for secret in self.secrets)
        return "failed" if failed else "ok"

    def summary(self) -> str:
        actions = [secret.action for secret in self.secrets]
        previous = [each.action for secret in self.secrets for each in secret.previous]
        counts = (
            {"rotated": actions.count("rotated"), "deleted": previous.count("deleted")}
            if self.applied
            else {"to rotate": actions.count("rotate"), "to delete": previous.count("delete")}
        )
        counts |= {
            "unchanged": actions.count("unchanged"),
            "failed": sum(bool(secret.errors) for secret in self.secrets) + len(self.problems),
        }
        counted = [f"{number} {what}" for what, number in counts.items() if number or what != "failed"]
        return f"{'Done' if self.applied else 'Plan'}: OAuth secrets: {', '.join(counted)}."

    def as_dict(self) -> dict[str, Any]:
        return {
            "version": 1,
            "result": self.result,
            "applied": self.applied,
            "secrets": [json_of(secret) for secret in self.secrets],
            "problems": [json_of(problem) for problem in self.problems],
        }
