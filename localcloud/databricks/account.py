"""The Databricks account: its service principals and its admins."""

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
"""Seconds: the default and longest lifetime of an OAuth secret, two years."""


@dataclass(slots=True)
class OAuthSecret:
    """An OAuth secret of a service principal; times are Unix seconds.

    `scopes`: the scopes that its tokens can have; empty: all.
    `works_from`: the time from which it is accepted.
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
        """Move the secret's creation and expiration this many days into the past."""
        self.created -= days * 86_400
        self.expires -= days * 86_400


def new_secret(
    lifetime: float = MOST_LIFETIME, scopes: tuple[str, ...] = (), delay: float = 0.0
) -> OAuthSecret:
    """Return a new secret in the format of Databricks."""
    now = time.time()
    identifier, value = uuid.uuid4().hex * 2, f"dose{uuid.uuid4().hex}"
    return OAuthSecret(identifier, value, now, now + lifetime, scopes, now + delay)


@dataclass(slots=True)
class AccountPrincipal:
    """A service principal of the account.

    `id`: the number that `principal_id` takes, the same in every workspace.
    `client_id`: its application ID.
    `name`: its display name, which need not be unique.
    `policies`: its federation policies.
    `active`: if False, it cannot authenticate.
    `secrets`: its OAuth secrets, valid in each workspace that it is assigned to.
    """

    id: int
    client_id: str
    name: str
    policies: list[FederationPolicy] = field(default_factory=list)
    active: bool = True
    secrets: list[OAuthSecret] = field(default_factory=list)

    def signs_in(self, secret: str | None) -> bool:
        """Return whether this is one of its valid OAuth secrets."""
        return self.active and any(known.value == secret and known.works for known in self.secrets)


@dataclass(slots=True)
class RuleSet:
    """The roles that principals have on something; each version has a new etag."""

    grant_rules: list[dict[str, Any]] = field(default_factory=list)
    version: int = 0

    @property
    def etag(self) -> str:
        return base64.b64encode(f"localcloud-{self.version}".encode()).decode()


class Account:
    """The account of all workspaces of a cloud.

    `directory`: Entra's directory, whose applications can be principals of the account.
    `admins`: object IDs of the account admins.
    `secret_delay`: seconds until a new OAuth secret works.
    `policy_delay`: seconds until a new federation policy acts.
    `rule_sets`: roles on service principals, by the name of the rule set.
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
        """Seconds for which reads of principals and policies do not show a write."""
        return self.lagging.seconds

    @lag.setter
    def lag(self, seconds: float) -> None:
        self.lagging.seconds = seconds

    @property
    def principals(self) -> list[AccountPrincipal]:
        return list(self._principals.values())

    def add(self, client_id: str, name: str) -> AccountPrincipal:
        """Return the principal with this application ID, created if missing."""
        if client_id not in self._principals:
            self._keep(AccountPrincipal(self.next_id(), client_id, name))
        return self._principals[client_id]

    def create(self, name: str) -> AccountPrincipal:
        """Create a principal managed by Databricks, with an application ID of its own."""
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
        """Return whether a principal, named as in rule sets, is a manager of a service principal."""
        rules = self.rule_sets.get(f"accounts/{self.id}/servicePrincipals/{client_id}/ruleSets/default")
        return rules is not None and any(
            rule.get("role") == MANAGER and principal in rule.get("principals", [])
            for rule in rules.grant_rules
        )

    def next_id(self) -> int:
        return next(self._ids)

    def named(self, name: str) -> Iterable[AccountPrincipal]:
        """Return the principals with this display name, which need not be unique."""
        return [known for known in self._principals.values() if known.name == name]

    def _keep(self, principal: AccountPrincipal) -> AccountPrincipal:
        self.lagging.writing(principal.id, before=False)
        self._principals[principal.client_id] = principal
        return principal
