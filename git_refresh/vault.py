"""The OAuth secrets of Databricks service principals, in Key Vault."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.secrets import SecretClient
from pydantic import SecretStr

from git_refresh.clock import Deadline
from git_refresh.hosts import TrustedHosts
from git_refresh.identity import Identity, VaultCredential
from git_refresh.once import Once
from git_refresh.service import Service, ServiceError, Symptom, UnexpectedAnswerError, call
from git_refresh.transport import BoundedSession

LIMIT = 20.0
"""Seconds for one secret, its sign-in challenge and a second attempt included."""


@dataclass(frozen=True, slots=True)
class Secret:
    """The latest version of a secret."""

    value: SecretStr
    expires_at: datetime | None


class Vault:
    """One Key Vault, read with the app's identity; each secret once per run."""

    def __init__(
        self,
        url: str | None,
        identity: Identity,
        trusted: TrustedHosts,
        tls: ssl.SSLContext,
        deadline: Deadline,
    ) -> None:
        self._deadline = deadline
        self._secrets: Once[str, Secret] = Once(deadline)
        url = url or "https://no-key-vault-url.invalid"  # the settings see to it that nothing is read then
        self._client = SecretClient(
            url,
            VaultCredential(identity),
            transport=RequestsTransport(
                session=BoundedSession([url], tls, connections=8), session_owner=False
            ),
            retry_total=0,
            # Behind a name that only TRUSTED_HOSTS vouches for, the challenge names another domain than the URL.
            verify_challenge_resource=not trusted.trusts(urlsplit(url).hostname or ""),
        )

    def secret(self, name: str) -> Secret:
        """The latest version of a secret.

        Raises:
            ServiceError: it cannot be read, or has expired (Key Vault hands out expired secrets without a word).
        """
        return self._secrets.get(name, lambda: self._fetch(name))

    def _fetch(self, name: str) -> Secret:
        what = f'read the secret "{name}"'
        secret = call(
            Service.KEY_VAULT, what, lambda: self._read(name), deadline=self._deadline.within(LIMIT)
        )
        if secret.expires_at is not None and secret.expires_at <= self._deadline.clock.now():
            raise ServiceError(Symptom(Service.KEY_VAULT, what, "lapsed"))
        return secret

    def _read(self, name: str) -> Secret:
        found = self._client.get_secret(name)
        if not isinstance(found.value, str) or not found.value:
            raise UnexpectedAnswerError
        return Secret(SecretStr(found.value.strip()), found.properties.expires_on)
