"""What a rotation would do, or has done: of each secret, as people and programs read it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from git_refresh.admin.values import SignIn
from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.model.values import Problem, json_of

RotationAction = Literal["rotate", "rotated", "unchanged", "failed"]
"""`rotate`: would be rotated."""


@dataclass(frozen=True, slots=True)
class PreviousSecretReport:
    """A former OAuth secret, which a version of ours names."""

    id: str
    created_at: datetime | None
    action: Literal["delete", "deleted", "kept", "failed"]
    """`delete`: would be. `kept`: until the time in `kept_until` has come, or for the reason in `why`."""
    kept_until: datetime | None = None
    reason: str = ""
    """Why it is kept, where that is not for its time."""


@dataclass(frozen=True, slots=True)
class UnmanagedSecretReport:
    """A live OAuth secret of the service principal that is not known to be ours."""

    id: str
    created_at: datetime | None
    expires_at: datetime | None
    note: Diagnosis


@dataclass(frozen=True, slots=True)
class NotSignedIn:
    """A workspace that the secret could not sign in to: the new one if one was made, else the stored one."""

    host: str
    result: SignIn
    error: Diagnosis


@dataclass(frozen=True, slots=True)
class SecretReport:
    """One secret of Key Vault.

    Attributes:
        expires_at: when the one that is stored ends.
        new_id: the id of the OAuth secret that was made and stored.
        steps: each thing that was done, in order.
    """

    name: str
    client_id: str
    host: str
    workspaces: tuple[str, ...]
    action: RotationAction
    reason: str = ""
    expires_at: datetime | None = None
    new_id: str | None = None
    previous: tuple[PreviousSecretReport, ...] = ()
    unmanaged: tuple[UnmanagedSecretReport, ...] = ()
    not_signed_in: tuple[NotSignedIn, ...] = ()
    steps: tuple[str, ...] = ()
    errors: tuple[Diagnosis, ...] = ()

    @property
    def acts(self) -> bool:
        """Whether anything is to be done."""
        return self.action == "rotate" or any(each.action == "delete" for each in self.previous)


@dataclass(frozen=True, slots=True)
class RotationReport:
    """All of them, and what is wrong with the list."""

    secrets: tuple[SecretReport, ...]
    problems: tuple[Problem, ...] = ()
    applied: bool = False
    interrupted: bool = False

    @property
    def result(self) -> Literal["ok", "failed"]:
        """`failed` as soon as anything failed or needs another person."""
        failed = self.problems or self.interrupted or any(secret.errors for secret in self.secrets)
        return "failed" if failed else "ok"

    def summary(self) -> str:
        """How much of each, in one line."""
        actions = [secret.action for secret in self.secrets]
        former = [each.action for secret in self.secrets for each in secret.previous]
        counts = (
            {"rotated": actions.count("rotated"), "deleted": former.count("deleted")}
            if self.applied
            else {"to rotate": actions.count("rotate"), "to delete": former.count("delete")}
        )
        counts |= {
            "unchanged": actions.count("unchanged"),
            "failed": sum(bool(secret.errors) for secret in self.secrets) + len(self.problems),
        }
        counted = [f"{number} {what}" for what, number in counts.items() if number or what != "failed"]
        return f"{'Done' if self.applied else 'Plan'}: OAuth secrets: {', '.join(counted)}."

    def as_dict(self) -> dict[str, Any]:
        """As the contract writes it."""
        return {
            "version": 1,
            "result": self.result,
            "applied": self.applied,
            "secrets": [json_of(secret) for secret in self.secrets],
            "problems": [json_of(problem) for problem in self.problems],
        }
