"""Signed tokens, as Microsoft Entra ID and a workspace's own OAuth issue them."""

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

TENANT = "72f988bf-0000-4000-8000-2d7cd011db47"
ENTRA = f"https://sts.windows.net/{TENANT}/"

DEVOPS_RESOURCE = "499b84ac-1321-427f-aa17-267ca6975798"
DATABRICKS_RESOURCE = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
VAULT_RESOURCE = "https://vault.azure.net"


class Authority:
    """Issues and verifies JSON web tokens with one key, generated once.

    `verify` raises `jwt.ExpiredSignatureError` for a token that has lapsed and another
    `jwt.InvalidTokenError` for any other fault.
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._serial = itertools.count(1)
        self._lapsed: dict[str, int] = {}

    def issue(self, issuer: str, audience: str, lifetime: float, claims: Mapping[str, str]) -> str:
        """A token that lapses `lifetime` seconds from now; a negative lifetime has already lapsed."""
        now = time.time()
        standard = {
            "iss": issuer,
            "aud": audience,
            "iat": int(now),
            "nbf": min(int(now), int(now + lifetime)),
            "exp": int(now + lifetime),
            "uti": next(self._serial),
        }
        return jwt.encode(standard | dict(claims), self._key, algorithm="ES256")

    def verify(self, token: str, audiences: Sequence[str], issuers: Sequence[str]) -> dict[str, Any]:
        """The claims of a live token of one of these audiences and issuers."""
        claims: dict[str, Any] = jwt.decode(
            token, self._key.public_key(), algorithms=["ES256"], audience=audiences, issuer=issuers
        )
        if claims["uti"] <= self._lapsed.get(claims["iss"], 0):
            raise jwt.ExpiredSignatureError("Signature has expired")
        return claims

    def expire(self, issuer: str) -> None:
        """Let every token that this issuer has issued so far lapse now."""
        self._lapsed[issuer] = next(self._serial)
