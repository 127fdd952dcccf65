"""The Databricks account: its service principals, whichever workspaces they are assigned to, and who administers it."""

import base64
import itertools
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from localcloud.databricks.federation import ACCOUNT_ID, FederationPolicy
from localcloud.directory import Directory
from localcloud.lag import Lag

MANAGER = "roles/servicePrincipal.manager"

_NAMESPACE = UUID(ACCOUNT_ID)


MOST_LIFETIME = 63_072_000
"""Seconds that an OAuth secret lives, unless for fewer: two years."""


@dataclass(slots=True)
class OAuthSecret:
    """An OAuth secret of a service principal; times are Unix seconds.

    Attributes:
        scopes: what a token of it can be for; none: everything.
        works_from: when it begins to work.
    """

    id: str
    value: str = field(repr=False)
    created: float
    expires: float
    scopes: tuple[str, ...] = ()
    works_from: float = 0.0

    @property
    def ends(self) -> datetime:
        return datetime.fromtimestamp(self.expires, UTC)

    @property
    def works(self) -> bool:
        return self.works_from <= time.time() < self.expires

    def age(self, days: float) -> None:
        """Let it have been made so much earlier."""
        self.created -= days * 86_400
        self.expires -= days * 86_400


def new_secret(
    lifetime: float = MOST_LIFETIME, scopes: tuple[str, ...] = (), delay: float = 0.0
) -> OAuthSecret:
    """One that nobody has yet, in the form that Databricks gives them."""
    now = time.time()
    identifier, value = uuid.uuid4().hex * 2, f"dose{uuid.uuid4().hex}"
    return OAuthSecret(identifier, value, now, now + lifetime, scopes, now + delay)


@dataclass(slots=True)
class AccountPrincipal:
    """A service principal of the account.

    Attributes:
        id: the number that `principal_id` takes; the same in every workspace.
        client_id: its application id.
        name: its display name, which others may have too.
        policies: the federation policies that account admins have given it.
        active: off, it signs in nowhere.
        secrets: its OAuth secrets, which sign in wherever it is assigned.
    """

    id: int
    client_id: str
    name: str
    policies: list[FederationPolicy] = field(default_factory=list)
    active: bool = True
    secrets: list[OAuthSecret] = field(default_factory=list)

    def signs_in(self, secret: str | None) -> bool:
        """Whether one of its OAuth secrets is this, and good."""
        return self.active and any(known.value == secret and known.works for known in self.secrets)


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
        secret_delay: seconds until a new OAuth secret works.
        policy_delay: seconds until a federation policy that was just written acts.
        rule_sets: who has which role on a service principal, by the names of its rule sets.
    """

    id = ACCOUNT_ID

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.admins: set[str] = set()
        self.secret_delay = 0.0
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

    def remove(self, principal: AccountPrincipal) -> None:
        del self._principals[principal.client_id]

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
