"""Client for the OAuth secrets in Key Vault."""

from collections.abc import Callable
from datetime import datetime

from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.secrets import SecretClient
from pydantic import SecretStr

from git_refresh.clients.identity import Identity, OneResource
from git_refresh.clients.responses import VaultSecret, read
from git_refresh.clients.retry import Retry, call
from git_refresh.clients.secret_value import flaw_of
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
from git_refresh.model.clock import ServiceTime
from git_refresh.model.values import KEY_VAULT, Secret
from git_refresh.output.mask import SecretFilter

SECRET_LIMIT_S = 20.0
"""Seconds for one secret, including the authentication challenge and retries."""


def judge(value: object, name: str, sent: SecretFilter) -> None:
    """Raise a `ServiceError` for a value that is not an OAuth secret, so the app never sends it."""
    if not isinstance(value, str) or sent.contains(value):
        return  # an invalid response, which `read` reports
    if flaw := flaw_of(value):
        raise ServiceError(
            ServiceFailure(
                Service.KEY_VAULT, Operation.USE_SECRET.of(name), FailureKind.VALUE, detail=f"it {flaw}"
            )
        )


class KeyVault:
    """One Key Vault, read with one identity. Methods raise `ServiceError` on failure."""

    def __init__(
        self,
        url: str | None,
        identity: Identity,
        network: Network,
        *,
        connections: int = 8,
    ) -> None:
        # Without a URL, the settings name no secret, so the client sends nothing.
        self.url = url or "https://no-key-vault-url.invalid"
        self._network = network
        self._identity = identity
        self._time = ServiceTime(network.deadline.clock)
        self._secrets: SingleFlight[str, Secret] = SingleFlight(network.deadline)
        self._session = BoundedSession([self.url], network.tls, connections=connections, skew=self._time)
        self._client = SecretClient(
            self.url,
            OneResource(identity, KEY_VAULT),
            transport=RequestsTransport(session=self._session, session_owner=False),
            retry_total=0,
            # Security: `OneResource` ignores the challenge, and the session reaches only this vault.
            verify_challenge_resource=False,
        )

    def close(self) -> None:
        self._session.close()

    def now(self) -> datetime | None:
        """Return the vault's time; None before its first response."""
        return self._time.now()

    def secret(self, name: str) -> Secret:
        """Return the latest version of a secret, cached for the run.

        Raises:
            ServiceError: the secret cannot be read, or has expired (Key Vault also returns expired secrets).
        """
        return self._secrets.get(name, lambda: self._fetch(name))

    def _fetch(self, name: str) -> Secret:
        secret = self._call(Operation.READ_SECRET.of(name), lambda: self._read(name))
        if secret.expires_at is not None and secret.expires_at <= self._network.deadline.clock.now():
            use = Operation.USE_SECRET.of(name)
            raise ServiceError(
                ServiceFailure(Service.KEY_VAULT, use, FailureKind.LAPSED, ended=secret.expires_at)
            )
        self._network.secrets.add(secret.value.get_secret_value())
        return secret

    def _read(self, name: str) -> Secret:
        found = self._client.get_secret(name)
        answer = {
            "value": found.value,
            "expires_on": found.properties.expires_on,
            "not_before": found.properties.not_before,
        }
        sent = self._sent()
        judge(found.value, name, sent)
        secret = read(VaultSecret, answer, sent)
        return Secret(SecretStr(secret.value), secret.expires_on, secret.not_before)

    def _sent(self) -> SecretFilter:
        """Return a filter for the token that the vault received, so a response cannot repeat it."""
        return SecretFilter([self._identity.token(KEY_VAULT).value.get_secret_value()])

    def _call[T](self, what: Attempt, request: Callable[[], T], repeat: Retry = Retry.IDEMPOTENT) -> T:
        deadline, secrets = self._network.deadline.within(SECRET_LIMIT_S), self._network.secrets
        return call(Service.KEY_VAULT, what, request, deadline=deadline, secrets=secrets, repeat=repeat)
