"""The Databricks account: its service principals, whichever workspaces they are assigned to, and who administers it."""

import base64
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from localcloud.databricks.federation import ACCOUNT_ID, FederationPolicy
from localcloud.directory import Directory
from localcloud.lag import Lag

MANAGER = "roles/servicePrincipal.manager"

_NAMESPACE = UUID(ACCOUNT_ID)


@dataclass(slots=True)
class AccountPrincipal:
    """A service principal of the account.

    Attributes:
        id: the number that `principal_id` takes; the same in every workspace.
        client_id: its application id.
        name: its display name, which others may have too.
        policies: the federation policies that account admins have given it.
        active: off, it signs in nowhere.
    """

    id: int
    client_id: str
    name: str
    policies: list[FederationPolicy] = field(default_factory=list)
    active: bool = True


@dataclass(slots=True)
class RuleSet:
    """Who has which role on something; each version has an etag of its own."""

    grant_rules: list[dict[str, Any]] = field(default_factory=list)
    version: int = 0

    @property
    def etag(self) -> str:
        return base64.b64encode(f"localcloud-{self.version}".encode()).decode()


class Account:
    """The one account that all workspaces of a cloud belong to.

    Attributes:
        directory: Entra's, whose applications may be principals of the account.
        admins: the object ids of the people and principals that administer it.
        policy_delay: seconds until a federation policy that was just written acts.
        rule_sets: who has which role on a service principal, by the names of its rule sets.
    """

    id = ACCOUNT_ID

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.admins: set[str] = set()
        self.policy_delay = 0.0
        self.rule_sets: dict[str, RuleSet] = {}
        self.lagging = Lag()
        self._principals: dict[str, AccountPrincipal] = {}
        self._ids = itertools.count(70_000_000_000_001)

    @property
    def lag(self) -> float:
        """Seconds for which reads of principals and policies do not show what was written."""
        return self.lagging.seconds

    @lag.setter
    def lag(self, seconds: float) -> None:
        self.lagging.seconds = seconds

    @property
    def principals(self) -> list[AccountPrincipal]:
        return list(self._principals.values())

    def add(self, client_id: str, name: str) -> AccountPrincipal:
        """The principal with this application id, created if need be."""
        if client_id not in self._principals:
            self._keep(AccountPrincipal(self.next_id(), client_id, name))
        return self._principals[client_id]

    def create(self, name: str) -> AccountPrincipal:
        """A new principal, managed by Databricks: it has an application id of its own, whatever its name."""
        number = self.next_id()
        client_id = str(uuid5(_NAMESPACE, str(number)))
        return self._keep(AccountPrincipal(number, client_id, name))

    def find(self, client_id: str) -> AccountPrincipal | None:
        return self._principals.get(client_id)

    def by_id(self, number: int) -> AccountPrincipal | None:
        return next((known for known in self._principals.values() if known.id == number), None)

    def manages(self, principal: str, client_id: str) -> bool:
        """Whether somebody, as rule sets call her, has the role of a manager of a service principal."""
        rules = self.rule_sets.get(f"accounts/{self.id}/servicePrincipals/{client_id}/ruleSets/default")
        return rules is not None and any(
            rule.get("role") == MANAGER and principal in rule.get("principals", [])
            for rule in rules.grant_rules
        )

    def next_id(self) -> int:
        """A number that no principal or user has yet."""
        return next(self._ids)

    def named(self, name: str) -> Iterable[AccountPrincipal]:
        """Those with this display name: there may be several."""
        return [known for known in self._principals.values() if known.name == name]

    def _keep(self, principal: AccountPrincipal) -> AccountPrincipal:
        self.lagging.writing(principal.id, before=False)
        self._principals[principal.client_id] = principal
        return principal
