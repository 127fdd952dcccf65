"""The OAuth secrets of Databricks service principals, in Key Vault."""

import ssl

from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.secrets import SecretClient
from pydantic import SecretStr

from git_refresh.clients.identity import Identity, OneResource
from git_refresh.clients.responses import VaultSecret, read
from git_refresh.clients.retry import call
from git_refresh.clients.secret_value import flaw_of
from git_refresh.clients.session import BoundedSession
from git_refresh.clients.single_flight import SingleFlight
from git_refresh.failures.failure import Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline
from git_refresh.model.hosts import TrustedHosts
from git_refresh.model.values import KEY_VAULT, Secret
from git_refresh.output.mask import SecretFilter

LIMIT = 20.0
"""Seconds for one secret, its sign-in challenge and a second attempt included."""


def secret_client(
    url: str,
    identity: Identity,
    trusted: TrustedHosts,  # noqa: ARG001  # goes with the admin's vault, which passes it too
    session: BoundedSession,
) -> SecretClient:
    """The SDK's client of a vault, over a bounded session, and without attempts of its own."""
    return SecretClient(
        url,
        OneResource(identity, KEY_VAULT),
        transport=RequestsTransport(session=session, session_owner=False),
        retry_total=0,
        # A challenge decides nothing, not even one that the SDK keeps for the process: OneResource ignores what it names, and the session
        # reaches this vault alone. So an odd challenge of a previous run needs no removal from the SDK's private cache.
        verify_challenge_resource=False,
    )


def judge(value: object, name: str, sent: SecretFilter) -> None:
    """Refuse a value that can be no OAuth secret: nothing is signed in to with it.

    Raises:
        ServiceError: it is something else, and this says what.
    """
    if not isinstance(value, str) or sent.contains(value):
        return  # no answer that the vault's client promises
    if flaw := flaw_of(value):
        raise ServiceError(
            ServiceFailure(Service.KEY_VAULT, f'use the secret "{name}"', "value", detail=f"it {flaw}")
        )


class KeyVault:
    """One Key Vault, read with the app's identity; each secret once per run."""

    def __init__(
        self,
        url: str | None,
        identity: Identity,
        trusted: TrustedHosts,
        tls: ssl.SSLContext,
        deadline: Deadline,
        secrets: SecretFilter,
    ) -> None:
        self._deadline = deadline
        self._identity = identity
        self._known = secrets
        self._secrets: SingleFlight[str, Secret] = SingleFlight(deadline)
        url = url or "https://no-key-vault-url.invalid"  # the settings see to it that nothing is read then
        self._session = BoundedSession([url], tls, connections=8)
        self._client = secret_client(url, identity, trusted, self._session)

    def close(self) -> None:
        """Let go of its connections."""
        self._session.close()

    def secret(self, name: str) -> Secret:
        """The latest version of a secret.

        Raises:
            ServiceError: it cannot be read, or has expired (Key Vault hands out expired secrets without a word).
        """
        return self._secrets.get(name, lambda: self._fetch(name))

    def _fetch(self, name: str) -> Secret:
        what = f'read the secret "{name}"'
        secret = call(
            Service.KEY_VAULT,
            what,
            lambda: self._read(name),
            deadline=self._deadline.within(LIMIT),
            secrets=self._known,
        )
        if secret.expires_at is not None and secret.expires_at <= self._deadline.clock.now():
            use = f'use the secret "{name}"'
            raise ServiceError(ServiceFailure(Service.KEY_VAULT, use, "lapsed", ended=secret.expires_at))
        self._known.add(secret.value.get_secret_value())
        return secret

    def _read(self, name: str) -> Secret:
        found = self._client.get_secret(name)
        answer = {
            "value": found.value,
            "expires_on": found.properties.expires_on,
            "not_before": found.properties.not_before,
        }
        sent = SecretFilter([self._identity.token(KEY_VAULT).value.get_secret_value()])
        judge(found.value, name, sent)
        secret = read(VaultSecret, answer, sent)
        return Secret(SecretStr(secret.value), secret.expires_on, secret.not_before)
