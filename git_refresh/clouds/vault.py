"""The OAuth secrets of Databricks service principals, in Key Vault."""

import ssl
from urllib.parse import urlsplit

from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.secrets import SecretClient
from azure.keyvault.secrets._shared import http_challenge_cache
from pydantic import SecretStr

from git_refresh.clock import Deadline
from git_refresh.clouds.answers import VaultSecret, read
from git_refresh.clouds.guard import call
from git_refresh.clouds.identity import Identity, OneResource
from git_refresh.clouds.once import Once
from git_refresh.clouds.secret_value import flaw_of
from git_refresh.clouds.transport import BoundedSession
from git_refresh.hosts import TrustedHosts
from git_refresh.masking import Secrets
from git_refresh.symptom import Service, ServiceError, Symptom
from git_refresh.values import KEY_VAULT, Secret

LIMIT = 20.0
"""Seconds for one secret, its sign-in challenge and a second attempt included."""


def secret_client(
    url: str, identity: Identity, trusted: TrustedHosts, session: BoundedSession
) -> SecretClient:
    """The SDK's client of a vault, over a bounded session, and without attempts of its own."""
    http_challenge_cache.clear()  # the SDK keeps challenges for the process: an odd one would be believed in the next run
    return SecretClient(
        url,
        OneResource(identity, KEY_VAULT),
        transport=RequestsTransport(session=session, session_owner=False),
        retry_total=0,
        # Behind a name that only TRUSTED_HOSTS vouches for, the challenge names another domain than the URL.
        verify_challenge_resource=not trusted.trusts(urlsplit(url).hostname or ""),
    )


def judge(value: object, name: str, sent: Secrets) -> None:
    """Refuse a value that can be no OAuth secret: nothing is signed in to with it.

    Raises:
        ServiceError: it is something else, and this says what.
    """
    if not isinstance(value, str) or sent.are_in(value):
        return  # no answer that the vault's client promises
    if flaw := flaw_of(value):
        raise ServiceError(
            Symptom(Service.KEY_VAULT, f'use the secret "{name}"', "value", detail=f"it {flaw}")
        )


class Vault:
    """One Key Vault, read with the app's identity; each secret once per run."""

    def __init__(
        self,
        url: str | None,
        identity: Identity,
        trusted: TrustedHosts,
        tls: ssl.SSLContext,
        deadline: Deadline,
        secrets: Secrets,
    ) -> None:
        self._deadline = deadline
        self._identity = identity
        self._known = secrets
        self._secrets: Once[str, Secret] = Once(deadline)
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
            raise ServiceError(Symptom(Service.KEY_VAULT, use, "lapsed", ended=secret.expires_at))
        self._known.learn(secret.value.get_secret_value())
        return secret

    def _read(self, name: str) -> Secret:
        found = self._client.get_secret(name)
        answer = {
            "value": found.value,
            "expires_on": found.properties.expires_on,
            "not_before": found.properties.not_before,
        }
        sent = Secrets([self._identity.token(KEY_VAULT).value.get_secret_value()])
        judge(found.value, name, sent)
        secret = read(VaultSecret, answer, sent)
        return Secret(SecretStr(secret.value), secret.expires_on, secret.not_before)
