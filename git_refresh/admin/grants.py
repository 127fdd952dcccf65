"""A right that a run needs: as a value, with how it stands with it, and what somebody else would have to type."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Literal

from git_refresh.diagnosis.explain import Diagnosis, Facts, explain, finding, what_happened
from git_refresh.diagnosis.table import UNKNOWN
from git_refresh.shell import NO_COMMAND, Command
from git_refresh.symptom import ServiceError, Symptom
from git_refresh.values import json_of

Kind = Literal[
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
Status = Literal["there", "planned", "done", "failed", "skipped"]
"""`there`: nothing to do. `skipped`: not looked at or not done, since something else failed; or nobody's to do here."""


class NotGrantedError(Exception):
    """What gives a right has found out by itself why it cannot."""

    def __init__(self, why: Diagnosis) -> None:
        super().__init__(why.code)
        self.why = why


@dataclass(slots=True)
class Grant:
    """One right, and how it stands with it."""

    kind: Kind
    where: str
    """Whose it is to give: "Azure DevOps contoso", "data-1"."""
    what: str
    """As it reads after a sign that tells whether it is there: "service principal …: Can Manage on …"."""
    who: str = ""
    """Who can give it: "a workspace admin of data-1"."""
    command: Command = NO_COMMAND
    """What that person types."""
    status: Status = "planned"
    why: str = ""
    """Of one that is skipped; of one that was given, what there is to know besides."""
    client_id: str | None = None
    """Of a service principal that was made: its application id."""
    error: Diagnosis | None = None
    facts: Facts = field(default_factory=Facts, repr=False)
    keys: tuple[Key, ...] = ()
    """What it is about, the same however it is worded as long as a part of it is missing; once it was given, all of these are there."""
    do: Callable[[], None] | None = field(default=None, repr=False)
    """Gives it, once or more often; raises `ServiceError` or `NotGrantedError`."""
    needs: "tuple[Grant, ...]" = field(default=(), repr=False)
    """Of these, one has to be there before."""

    def there(self, *, is_: bool) -> "Grant":
        """The same, told whether it is there."""
        self.status = "there" if is_ else "planned"
        return self

    def skipped(self, why: str) -> "Grant":
        """The same, left out."""
        self.status, self.why = "skipped", why
        return self

    def failed(self, why: Diagnosis | ServiceError | NotGrantedError) -> "Grant":
        """The same, which could not be looked at or given."""
        self.status = "failed"
        match why:
            case ServiceError():
                self.error = self._told(why.symptom)
            case NotGrantedError():
                self.error = why.why
            case _:
                self.error = why
        return self

    def _told(self, symptom: Symptom) -> Diagnosis:
        """Mostly, that it takes somebody else."""
        told = explain(symptom, self.facts)
        denied = symptom.status in _REFUSED or _DENIED in symptom.message
        if denied and told.code in _GENERAL and self.kind != "oauth_secret":
            facts = replace(self.facts, who=self.who, command=self.command)
            return finding("grant_refused", facts, happened=what_happened(symptom))
        return told

    @property
    def blocked(self) -> str:
        """Why it cannot be given, if what it needs is not there."""
        if not self.needs or any(grant.status in {"there", "planned", "done"} for grant in self.needs):
            return ""
        first = self.needs[0]
        return f"this failed: {first.what}" if first.status == "failed" else first.why

    def as_dict(self) -> dict[str, Any]:
        """As `--json` has it."""
        return {
            "kind": self.kind,
            "where": self.where,
            "what": self.what,
            "status": self.status,
            "why": self.why,
            "error": json_of(self.error) if self.error else None,
            "who": self.who,
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
"""What a refusal is told as that says nothing nearer: not a firewall's, nor of a sign-in that has ended."""
