"""Microsoft Entra tokens for the app's own identity."""

import base64
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import AzureCliCredential, ManagedIdentityCredential
from pydantic import SecretStr

from git_refresh.clock import Deadline
from git_refresh.once import Once
from git_refresh.service import Service, ServiceError, Symptom, call
from git_refresh.transport import BoundedSession

AZURE_DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798"
AZURE_DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"

LIMIT = 20.0
"""Seconds for a token: the endpoint is on the same machine; `az` needs a few."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and what it says of itself."""

    value: SecretStr
    expires_at: datetime
    object_id: str
    """The identity's id in Entra, which Azure DevOps and Databricks administrators grant access to; empty if not told."""


class Identity:
    """The managed identity where there is one (an Azure app), else the Azure CLI's sign-in (a laptop).

    One per run, and the credential inside is new for every token: a credential object keeps its answer until minutes before the end, which
    would store tokens with minutes to live. The platform has a cache of its own, so this costs one local request a run.
    """

    def __init__(
        self,
        client_id: str | None,
        tls: ssl.SSLContext,
        deadline: Deadline,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._client_id = client_id
        self._tls = tls
        self._deadline = deadline
        self._endpoint = environ.get("IDENTITY_ENDPOINT", "")
        self._tokens: Once[str, Token] = Once(deadline)

    @property
    def service(self) -> Service:
        """Who is asked for tokens."""
        return Service.IDENTITY if self._endpoint else Service.AZURE_CLI

    def token(self, resource: str) -> Token:
        """A token for a resource, given as its id or URL; the same one all through the run.

        Raises:
            ServiceError: there is none, or the one that was given has lapsed already.
        """
        return self._tokens.get(resource, lambda: self._fetch(resource))

    def _fetch(self, resource: str) -> Token:
        what = f"get a token for {_NAMES.get(resource, resource)}"
        deadline = self._deadline.within(LIMIT)
        answer = call(self.service, what, lambda: self._ask(resource), deadline=deadline)
        claims = _claims(answer.token)
        ends = [end for end in (answer.expires_on, claims.get("exp")) if isinstance(end, int)]
        token = Token(
            SecretStr(answer.token), datetime.fromtimestamp(min(ends), UTC), str(claims.get("oid", ""))
        )
        if token.expires_at <= self._deadline.clock.now():
            raise ServiceError(Symptom(self.service, what, "lapsed"))
        return token

    def _ask(self, resource: str) -> AccessToken:
        scope = f"{resource}/.default"
        if not self._endpoint:
            cli: TokenCredential = AzureCliCredential(process_timeout=int(LIMIT))
            return cli.get_token(scope)
        parts = urlsplit(self._endpoint)
        session = BoundedSession([f"{parts.scheme}://{parts.netloc}"], self._tls)
        session.trust_env = False  # plain http on the same machine: never through a proxy
        transport = RequestsTransport(session=session, session_owner=False)
        with session:
            managed: TokenCredential = ManagedIdentityCredential(
                client_id=self._client_id, transport=transport, retry_total=0
            )
            return managed.get_token(scope)


_NAMES = {
    AZURE_DEVOPS: "Azure DevOps",
    AZURE_DATABRICKS: "Azure Databricks",
    "https://vault.azure.net": "Key Vault",
}


class VaultCredential:
    """The identity as azure-core wants it, for the client of Key Vault."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def get_token(self, *scopes: str, **_options: object) -> AccessToken:
        token = self._identity.token(scopes[0].removesuffix("/.default"))
        return AccessToken(token.value.get_secret_value(), int(token.expires_at.timestamp()))


def _claims(token: str) -> Mapping[str, Any]:
    """What a JWT says, unverified: its reader is the service it is for. Empty when it is none."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
