"""The lines of a check: what was looked at, and what came of it."""

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
    """One line: what was looked at, and what came of it."""

    layer: Layer
    subject: str
    status: Status
    message: str
    error: Diagnosis | None = None
    kind: str = field(default="", compare=False)
    """What is said of many lines that differ from this one in ids and values alone; empty: the message. Not in the JSON."""
    about: str = field(default="", compare=False)
    """The name of the workspace that it is about; empty: none. Not in the JSON."""
    whole_layer: bool = field(default=False, compare=False)
    """Whether it stands for all of its layer. Not in the JSON."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All the lines, in the layers' order."""

    checks: tuple[Check, ...]

    @property
    def result(self) -> Literal["ok", "failed"]:
        return "failed" if any(check.status == "failed" for check in self.checks) else "ok"

    @property
    def interrupted(self) -> bool:
        """Whether it was ended early."""
        return any(check.error is not None and check.error.code == "interrupted" for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """As the contract writes it."""
        return {"version": 1, "result": self.result, "checks": [json_of(check) for check in self.checks]}


def failed(layer: Layer, subject: str, error: Diagnosis) -> Check:
    """A line with a failure and its remedy."""
    return Check(layer, subject, "failed", error.message, error)


def warning(layer: Layer, subject: str, error: Diagnosis) -> Check:
    """A line with something that will fail one day, or may."""
    return Check(layer, subject, "warning", error.message, error)


def skipped(layer: Layer, subject: str, because: str, *, in_general: str = "") -> Check:
    """A line for what a failure above keeps from being looked at; the reason without names and values, where it has some."""
    kind = f"skipped, because {in_general}" if in_general else ""
    return Check(layer, subject, "skipped", f"skipped, because {because}", kind=kind)
