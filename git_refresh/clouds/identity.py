"""Microsoft Entra tokens for the app's own identity."""

import os
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests
from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import AzureCliCredential, ManagedIdentityCredential
from pydantic import SecretStr

from git_refresh.clock import Deadline
from git_refresh.clouds.answers import IdentityToken, claims_of, read
from git_refresh.clouds.guard import call
from git_refresh.clouds.once import Once
from git_refresh.clouds.transport import BoundedSession, proxy_of
from git_refresh.masking import Secrets
from git_refresh.symptom import Service, ServiceError, Symptom
from git_refresh.values import AZURE_DATABRICKS, AZURE_DEVOPS, KEY_VAULT, Token

LIMIT = 20.0
"""Seconds for a token: the endpoint is on the same machine; `az` needs a few."""


def identity_of(environ: Mapping[str, str]) -> Service:
    """Who is asked for tokens on this machine: only Azure gives its apps an identity endpoint."""
    return Service.IDENTITY if environ.get("IDENTITY_ENDPOINT") else Service.AZURE_CLI


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
        secrets: Secrets,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.service = identity_of(environ)
        """Who is asked for tokens."""
        self._client_id = client_id
        self._tls = tls
        self._deadline = deadline
        self._endpoint = environ.get("IDENTITY_ENDPOINT", "")
        self._header = environ.get("IDENTITY_HEADER", "")
        self._in_azure = "WEBSITE_SITE_NAME" in environ
        self._secrets = secrets
        self._secrets.learn(self._header)
        self._tokens: Once[str, Token] = Once(deadline)

    def token(self, resource: str) -> Token:
        """A token for a resource, given as its id or URL; the same one all through the run.

        Raises:
            ServiceError: there is none, or the one that was given has already expired.
        """
        return self._tokens.get(resource, lambda: self._fetch(resource))

    def _fetch(self, resource: str) -> Token:
        what = _what(resource)
        deadline = self._deadline.within(LIMIT)
        answer = call(
            self.service, what, lambda: self._answer(resource), deadline=deadline, secrets=self._secrets
        )
        self._secrets.learn(answer.token)
        claims = claims_of(answer.token)
        ends = min(answer.expires_on, claims.exp or answer.expires_on)
        if ends <= self._deadline.clock.now():
            raise ServiceError(Symptom(self.service, what, "lapsed"))
        return Token(SecretStr(answer.token), ends, claims.oid or "")

    def _answer(self, resource: str) -> IdentityToken:
        found = self._ask(resource)
        answer = {"token": found.token, "expires_on": found.expires_on}
        # Not against the run's other tokens: those of one identity have pieces in common.
        return read(IdentityToken, answer, Secrets([self._header]))

    def _ask(self, resource: str) -> AccessToken:
        scope = f"{resource}/.default"
        if not self._endpoint:
            return self._ask_cli(resource, scope)
        parts = urlsplit(self._endpoint)
        session = BoundedSession([f"{parts.scheme}://{parts.netloc}"], self._tls)
        session.trust_env = False  # plain http on the same machine: never through a proxy
        transport = RequestsTransport(session=session, session_owner=False)
        with session:
            managed: TokenCredential = ManagedIdentityCredential(
                client_id=self._client_id, transport=transport, retry_total=0
            )
            return managed.get_token(scope)

    def _ask_cli(self, resource: str, scope: str) -> AccessToken:
        """From the Azure CLI; of what keeps it from answering, this is what its own exceptions tell apart by their words alone.

        Raises:
            ServiceError: it is not there, nobody is signed in to it, or it has not reached Microsoft Entra.
        """
        cli: TokenCredential = AzureCliCredential(process_timeout=int(LIMIT))
        try:
            return cli.get_token(scope)
        except ClientAuthenticationError as error:
            kind = next((kind for words, kind in _CLI_SAYS.items() if words in str(error)), None)
            if kind is None:
                raise
        service = Service.AZURE_CLI
        if kind == "proxy":
            proxy = proxy_of(_ENTRA, requests.utils.get_environ_proxies(_ENTRA))
            raise ServiceError(Symptom(service, _what(resource), kind if proxy else "refused", proxy=proxy))
        if (
            kind == "not_installed" and self._in_azure
        ):  # nobody installs it there: it is the identity that is missing
            service, kind = Service.IDENTITY, "not_assigned"
        raise ServiceError(Symptom(service, _what(resource), kind))


_CLI_SAYS = {
    "Azure CLI not found": "not_installed",
    "Please run 'az login'": "signed_out",
    "Max retries exceeded": "proxy",
    "ensure you have network connection": "proxy",
}
_ENTRA = "https://login.microsoftonline.com"


def _what(resource: str) -> str:
    return f"get a token for {_NAMES.get(resource, resource)}"


_NAMES = {
    AZURE_DEVOPS: "Azure DevOps",
    AZURE_DATABRICKS: "Azure Databricks",
    KEY_VAULT: "Key Vault",
}


class VaultCredential:
    """The identity as azure-core wants it, for the client of Key Vault."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        """Key Vault's token, and no other: which resource it is for is not the challenge's to say."""
        token = self._identity.token(KEY_VAULT)
        return AccessToken(token.value.get_secret_value(), int(token.expires_at.timestamp()))
