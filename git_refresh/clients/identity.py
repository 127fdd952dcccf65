"""Microsoft Entra tokens for the app's own identity."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import AzureCliCredential, ClientAssertionCredential, ManagedIdentityCredential
from pydantic import SecretStr

from git_refresh.clients.azure_cli import azure_cli_failure
from git_refresh.clients.responses import IdentityToken, claims_of, read, signature_of
from git_refresh.clients.retry import call
from git_refresh.clients.session import BoundedSession, Network
from git_refresh.clients.single_flight import SingleFlight
from git_refresh.failures.failure import (
    Attempt,
    FailureKind,
    Operation,
    Service,
    ServiceError,
    ServiceFailure,
)
from git_refresh.model.values import (
    AZURE_DATABRICKS,
    AZURE_DEVOPS,
    AZURE_STORAGE,
    KEY_VAULT,
    RESOURCE_MANAGER,
    TOKEN_EXCHANGE,
    Registration,
    Token,
    TokenClaims,
)
from git_refresh.output.mask import SecretFilter

LOGIN = "https://login.microsoftonline.com"

TOKEN_LIMIT_S = 20.0
"""The identity endpoint is on the same machine, but `az` can take seconds."""


def identity_of(environ: Mapping[str, str]) -> Service:
    """Return the source of tokens: the identity endpoint in an Azure app, otherwise the Azure CLI."""
    return Service.IDENTITY if environ.get("IDENTITY_ENDPOINT") else Service.AZURE_CLI


class Identity:
    """The managed identity in an Azure app, otherwise the account of the Azure CLI.

    Each token has a new credential object, because an old one can return a cached token that expires in minutes.
    The platform caches too, so this adds one local request per run.
    """

    def __init__(
        self,
        client_id: str | None,
        network: Network,
        environ: Mapping[str, str] = os.environ,
        *,
        tenant_id: str = "",
    ) -> None:
        """Use the Azure CLI's account in `tenant_id`, if set, where it is a guest."""
        self.service = identity_of(environ)
        self._client_id = client_id
        self._tenant_id = tenant_id
        self.network = network
        self._endpoint = environ.get("IDENTITY_ENDPOINT", "")
        self._header = environ.get("IDENTITY_HEADER", "")
        self._in_azure = "WEBSITE_SITE_NAME" in environ
        network.secrets.add(self._header)
        self._tokens: SingleFlight[str, Token] = SingleFlight(network.deadline)

    def token(self, resource: str) -> Token:
        """Return a token for a resource (ID or URL), cached for the run.

        Raises:
            ServiceError: the identity returned no token, or an expired one.
        """
        return self._tokens.get(resource, lambda: self._fetch(resource))

    def _fetch(self, resource: str) -> Token:
        what = _what(resource)
        # Without the run's other secrets, because the tokens of one identity have common parts.
        sent = SecretFilter([self._header])
        return _fetched(self.service, what, lambda: self._ask(resource), sent, self.network)

    def _ask(self, resource: str) -> AccessToken:
        scope = f"{resource}/.default"
        if not self._endpoint and resource == TOKEN_EXCHANGE:
            raise ServiceError(ServiceFailure(self.service, _what(resource), FailureKind.A_PERSON))
        if not self._endpoint:
            return self._ask_cli(resource, scope)
        parts = urlsplit(self._endpoint)
        session = BoundedSession([f"{parts.scheme}://{parts.netloc}"], self.network.tls)
        session.trust_env = False  # plain HTTP on the same machine, never through a proxy
        transport = RequestsTransport(session=session, session_owner=False)
        with session:
            managed: TokenCredential = ManagedIdentityCredential(
                client_id=self._client_id, transport=transport, retry_total=0
            )
            return managed.get_token(scope)

    def _ask_cli(self, resource: str, scope: str) -> AccessToken:
        limit = max(1, int(self.network.deadline.within(TOKEN_LIMIT_S).remaining()))
        cli: TokenCredential = AzureCliCredential(tenant_id=self._tenant_id, process_timeout=limit)
        try:
            return cli.get_token(scope)
        except Exception as error:  # noqa: BLE001  # azure-identity raises anything for unexpected output
            what = ServiceFailure(
                self.service, _what(resource), FailureKind.BROKEN, tenant=self._tenant_id, scope=scope
            )
            failure = azure_cli_failure(what, error, limit)
        # In an Azure app, a missing Azure CLI means that no identity is assigned.
        if failure.kind is FailureKind.NOT_INSTALLED and self._in_azure:
            failure = ServiceFailure(Service.IDENTITY, failure.attempt, FailureKind.NOT_ASSIGNED)
        raise ServiceError(failure)


class ForeignIdentity:
    """App registration in another tenant that trusts the identity. Tokens are for the app registration.

    Facts: https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
    """

    def __init__(self, identity: Identity, registration: Registration) -> None:
        self._identity = identity
        self._registration = registration
        self._network = identity.network
        self._tokens: SingleFlight[str, Token] = SingleFlight(self._network.deadline)

    def token(self, resource: str) -> Token:
        """Return a token for a resource in that tenant, cached for the run.

        Raises:
            ServiceError: the identity returned no assertion, or Microsoft Entra did not exchange it.
        """
        return self._tokens.get(resource, lambda: self._fetch(resource))

    def _fetch(self, resource: str) -> Token:
        what = _what(resource, f" in tenant {self._registration.tenant_id}")
        assertion = self._identity.token(TOKEN_EXCHANGE)
        sent = SecretFilter([signature_of(assertion.value.get_secret_value())])

        def ask() -> AccessToken:
            with BoundedSession([LOGIN], self._network.tls) as session:
                credential = ClientAssertionCredential(
                    self._registration.tenant_id,
                    self._registration.client_id,
                    assertion.value.get_secret_value,
                    transport=RequestsTransport(session=session, session_owner=False),
                    retry_total=0,
                    disable_instance_discovery=True,
                )
                return credential.get_token(f"{resource}/.default")

        try:
            return _fetched(Service.ENTRA, what, ask, sent, self._network)
        except ServiceError as error:
            failure = replace(error.failure, claims=assertion.claims)
        raise ServiceError(failure)


def _fetched(
    service: Service, what: Attempt, ask: Callable[[], AccessToken], sent: SecretFilter, network: Network
) -> Token:
    """Return a token, and add it to the run's secrets.

    Raises:
        ServiceError: the service returned none, or an expired one.
    """

    def checked() -> IdentityToken:
        found = ask()
        return read(IdentityToken, {"token": found.token, "expires_on": found.expires_on}, sent)

    limit = network.deadline.within(TOKEN_LIMIT_S)
    answer = call(service, what, checked, deadline=limit, secrets=network.secrets)
    network.secrets.add(answer.token)
    found = claims_of(answer.token)
    ends = min(answer.expires_on, found.exp or answer.expires_on)
    if ends <= network.deadline.clock.now():
        raise ServiceError(ServiceFailure(service, what, FailureKind.LAPSED))
    claims = TokenClaims(found.oid or "", found.tid or "", found.iss or "", found.sub or "", found.aud or "")
    return Token(SecretStr(answer.token), ends, claims)


def _what(resource: str, place: str = "") -> Attempt:
    return Operation.GET_TOKEN.of(f"{_NAMES.get(resource, resource)}{place}")


_NAMES = {
    AZURE_DEVOPS: "Azure DevOps",
    AZURE_DATABRICKS: "Azure Databricks",
    KEY_VAULT: "Key Vault",
    AZURE_STORAGE: "Azure Storage",
    RESOURCE_MANAGER: "Azure Resource Manager",
    TOKEN_EXCHANGE: "token federation",
}


class OneResource:
    """Credential (azure-core) for the client of one service."""

    def __init__(self, identity: Identity, resource: str) -> None:
        self._identity = identity
        self._resource = resource

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        """Return this service's token. Security: a challenge cannot select another resource."""
        token = self._identity.token(self._resource)
        return AccessToken(token.value.get_secret_value(), int(token.expires_at.timestamp()))
