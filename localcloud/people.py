"""People who administer the cloud and are signed in to the Azure CLI.

Facts: azure-cli's `azure.cli.core._profile`, for its record of an account.
"""

import json
import os
import shlex
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from localcloud.authority import (
    DATABRICKS_RESOURCE,
    DEVOPS_RESOURCE,
    GRAPH_RESOURCE,
    LOGS_RESOURCE,
    MANAGEMENT_RESOURCE,
    TENANT,
    VAULT_RESOURCE,
    Authority,
    entra,
)
from localcloud.resource_manager import Subscription

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""The Azure CLI's application ID, which its tokens name."""

RESOURCES = (
    DEVOPS_RESOURCE,
    DATABRICKS_RESOURCE,
    VAULT_RESOURCE,
    GRAPH_RESOURCE,
    MANAGEMENT_RESOURCE,
    LOGS_RESOURCE,
)


type Subscriptions = Callable[[str, str], Sequence[Subscription]]
"""From object ID and tenant to the subscriptions in which that person has a role."""


class Person:
    """A user in Entra; a new one has no permissions.

    `tenant_id`: the home tenant.
    `token_lifetime`: seconds that a new token is valid.
    """

    def __init__(
        self,
        name: str,
        authority: Authority,
        tenant_id: str = TENANT,
        subscriptions: Subscriptions | None = None,
    ) -> None:
        self.name = name
        self.user_name = f"{name}@contoso.com"
        self.tenant_id = tenant_id
        self.object_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"person/{name}"))
        self.token_lifetime = 3900.0
        self._authority = authority
        self._subscriptions = subscriptions

    def token(self, resource: str, tenant_id: str | None = None) -> str:
        """Return a token for this resource as the Azure CLI gets it; in another tenant, for the guest user."""
        tenant = tenant_id or self.tenant_id
        claims = {"oid": self.object_id, "sub": self.object_id, "tid": tenant, "upn": self.user_name}
        claims |= {"appid": AZURE_CLI, "idtyp": "user"}
        return self._authority.issue(entra(tenant), resource, self.token_lifetime, claims)

    def sign_in(
        self,
        place: Path,
        tenants: Sequence[str] = (),
        *,
        only: Sequence[str] = RESOURCES,
        subscription: str | None = None,
    ) -> Path:
        """Write a stand-in for `az`, signed in as this person, and return its directory for PATH.

        It supports `az account get-access-token`, `show` and `list`.

        `place`: the directory, created if missing.
        `tenants`: further tenants with tokens.
        `only`: the resources with tokens.
        `subscription`: the name of the selected one. The default is the first in which the person has a role.
        """
        place.mkdir(parents=True, exist_ok=True)
        ends = int(time.time() + self.token_lifetime)
        cases = []
        for number, (tenant, resource) in enumerate(
            (tenant, resource) for tenant in (*tenants, None) for resource in only
        ):
            answer = {"accessToken": self.token(resource, tenant), "expires_on": ends}
            answer |= {"tenant": tenant or self.tenant_id, "tokenType": "Bearer"}
            file = place / f"token-{number}.json"
            file.write_text(json.dumps(answer), encoding="utf-8")
            file.chmod(0o600)
            asked = f"--resource {resource} --tenant {tenant}" if tenant else f"--resource {resource}"
            own = "" if tenant else f"|*'{asked} --tenant {self.tenant_id}'"
            cases.append(f"*'{asked}'{own}) cat {shlex.quote(str(file))};;")
        accounts = self._accounts(tenants, subscription)
        chosen = next(account for account in accounts if account["isDefault"])
        for name, shown in (("show", chosen), ("list", accounts)):
            file = place / f"account-{name}.json"
            file.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
            cases.append(f"'account {name}'*) cat {shlex.quote(str(file))};;")
        refusal = "echo 'ERROR: AADSTS50020: User account does not exist in tenant' >&2; exit 1"
        unknown = "echo \"ERROR: '$*' is not in this stand-in for the Azure CLI\" >&2; exit 2"
        cases += [f"'account get-access-token'*) {refusal};;", f"*) {unknown};;"]
        az = place / "az"
        az.write_text("\n".join(["#!/bin/sh", 'case "$*" in', *cases, "esac", ""]), encoding="utf-8")
        az.chmod(0o755)
        return place

    def _accounts(self, tenants: Sequence[str], chosen: str | None) -> list[dict[str, Any]]:
        """Return the Azure CLI's records of subscriptions; without one it records the tenant."""
        owned = self._subscriptions or (lambda *_: ())
        places = (self.tenant_id, *tenants)
        found = [
            (each.subscription_id, each.name, tenant)
            for tenant in places
            for each in owned(self.object_id, tenant)
        ]
        found = found or [(self.tenant_id, "N/A(tenant level account)", self.tenant_id)]
        default = chosen or found[0][1]
        return [
            {
                "environmentName": "AzureCloud",
                "homeTenantId": tenant,
                "id": identifier,
                "isDefault": name == default,
                "managedByTenants": [],
                "name": name,
                "state": "Enabled",
                "tenantId": tenant,
                "user": {"name": self.user_name, "type": "user"},
            }
            for identifier, name, tenant in found
        ]


def laptop(environ: dict[str, str], az: Path) -> dict[str, str]:
    """Return the environment of a laptop with the `az` of `Person.sign_in`, without managed identity."""
    kept = {
        name: value for name, value in environ.items() if name not in {"IDENTITY_ENDPOINT", "IDENTITY_HEADER"}
    }
    return kept | {"PATH": os.pathsep.join([str(az), kept.get("PATH", os.defpath)])}
