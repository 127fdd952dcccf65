"""People: who administers things in the cloud, and is signed in to the Azure CLI."""

import json
import os
import shlex
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

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

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""The Azure CLI's own application id, which its tokens name."""

RESOURCES = (
    DEVOPS_RESOURCE,
    DATABRICKS_RESOURCE,
    VAULT_RESOURCE,
    GRAPH_RESOURCE,
    MANAGEMENT_RESOURCE,
    LOGS_RESOURCE,
)


class Person:
    """Somebody with an account in Entra; nothing lets her in anywhere yet.

    Attributes:
        tenant_id: where her account is.
        token_lifetime: seconds that a newly issued token lives.
    """

    def __init__(self, name: str, authority: Authority, tenant_id: str = TENANT) -> None:
        self.name = name
        self.user_name = f"{name}@contoso.com"
        self.tenant_id = tenant_id
        self.object_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"person/{name}"))
        self.token_lifetime = 3900.0
        self._authority = authority

    def token(self, resource: str, tenant_id: str | None = None) -> str:
        """A token for this resource, as the Azure CLI gets it; of another tenant, as the guest that she is there."""
        tenant = tenant_id or self.tenant_id
        claims = {"oid": self.object_id, "sub": self.object_id, "tid": tenant, "upn": self.user_name}
        claims |= {"appid": AZURE_CLI, "idtyp": "user"}
        return self._authority.issue(entra(tenant), resource, self.token_lifetime, claims)

    def sign_in(self, place: Path, tenants: Sequence[str] = (), *, only: Sequence[str] = RESOURCES) -> Path:
        """Write a stand-in for `az` into a directory, as somebody has left it after `az login`; the directory, to be put on PATH.

        Args:
            place: the directory, made if need be.
            tenants: others than her own that she may have tokens of.
            only: the resources that there are tokens for.
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
        refusal = "echo 'ERROR: AADSTS50020: User account does not exist in tenant' >&2; exit 1"
        script = "\n".join(["#!/bin/sh", 'case "$*" in', *cases, f"*) {refusal};;", "esac", ""])
        az = place / "az"
        az.write_text(script, encoding="utf-8")
        az.chmod(0o755)
        return place


def laptop(environ: dict[str, str], az: Path) -> dict[str, str]:
    """The environment of a laptop where `Person.sign_in` has left its `az`: there is no managed identity."""
    kept = {
        name: value for name, value in environ.items() if name not in {"IDENTITY_ENDPOINT", "IDENTITY_HEADER"}
    }
    return kept | {"PATH": os.pathsep.join([str(az), kept.get("PATH", os.defpath)])}
