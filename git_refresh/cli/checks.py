"""The result of `check`: one line for each checked subject."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.model.values import json_of

Status = Literal["ok", "warning", "failed", "skipped"]
Layer = Literal[
    "settings", "identity", "key_vault", "azure_devops", "workspace", "credential", "folder", "job"
]
LAYERS: tuple[Layer, ...] = get_args(Layer)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the result of `check`."""

    layer: Layer
    subject: str
    status: Status
    message: str
    error: Diagnosis | None = None
    kind: str = field(default="", compare=False)
    """Message for a group of lines that differ only in IDs and values. Empty: `message`. Not in the JSON."""
    about: str = field(default="", compare=False)
    """Name of the workspace, or empty. Not in the JSON."""
    whole_layer: bool = field(default=False, compare=False)
    """True if the line replaces all lines of its layer. Not in the JSON."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The result of `check`: its lines, ordered by layer."""

    checks: tuple[Check, ...]

    @property
    def result(self) -> Literal["ok", "failed"]:
        return "failed" if any(check.status == "failed" for check in self.checks) else "ok"

    @property
    def interrupted(self) -> bool:
        return any(check.error is not None and check.error.code == "interrupted" for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        return {"version": 1, "result": self.result, "checks": [json_of(check) for check in self.checks]}


def failed(layer: Layer, subject: str, error: Diagnosis) -> Check:
    return Check(layer, subject, "failed", error.message, error)


def warning(layer: Layer, subject: str, error: Diagnosis) -> Check:
    return Check(layer, subject, "warning", error.message, error)


def skipped(layer: Layer, subject: str, because: str, *, in_general: str = "") -> Check:
    """Return the line of a subject that was not checked because of an earlier failure.

    `in_general` is the reason without names and values.
    """
    kind = f"skipped, because {in_general}" if in_general else ""
    return Check(layer, subject, "skipped", f"skipped, because {because}", kind=kind)
