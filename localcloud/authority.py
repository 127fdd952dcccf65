"""Signed tokens, as Microsoft Entra ID and a workspace's own OAuth issue them."""

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

TENANT = "72f988bf-0000-4000-8000-2d7cd011db47"
OTHER_TENANT = "fab91a4b-0000-4000-8000-4a93e45f571e"
TENANTS = (TENANT, OTHER_TENANT)
LOGIN_HOST = "login.microsoftonline.com"


def entra(tenant_id: str) -> str:
    """Return the issuer of a tenant's version 1.0 tokens, which most resources take."""
    return f"https://sts.windows.net/{tenant_id}/"


def entra_v2(tenant_id: str) -> str:
    """Return the issuer of a tenant's version 2.0 tokens, which federation takes."""
    return f"https://{LOGIN_HOST}/{tenant_id}/v2.0"


ENTRA = entra(TENANT)

DEVOPS_RESOURCE = "499b84ac-1321-427f-aa17-267ca6975798"
DATABRICKS_RESOURCE = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
VAULT_RESOURCE = "https://vault.azure.net"
STORAGE_RESOURCE = "https://storage.azure.com"
GRAPH_RESOURCE = "https://graph.microsoft.com"
MANAGEMENT_RESOURCE = "https://management.azure.com"
LOGS_RESOURCE = "https://api.loganalytics.io"
EXCHANGE_RESOURCE = "api://AzureADTokenExchange"
EXCHANGE_AUDIENCE = "fb60f99c-7a34-4190-8149-302f77469936"
"""The `aud` of a token for `EXCHANGE_RESOURCE`."""
MANAGEMENT_AUDIENCES = tuple(
    f"https://{host}{end}"
    for host in ("management.core.windows.net", "management.azure.com")
    for end in ("/", "")
)
"""The `aud` of a token for Azure Resource Manager repeats the requested resource."""


class Authority:
    """An issuer and verifier of JSON web tokens with one key, generated once.

    `verify` raises `jwt.ExpiredSignatureError` for an expired token and another `jwt.InvalidTokenError` for
    any other fault.
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._serial = itertools.count(1)
        self._lapsed: dict[tuple[str, str], int] = {}

    def issue(self, issuer: str, audience: str, lifetime: float, claims: Mapping[str, str]) -> str:
        """Return a token that expires in `lifetime` seconds; a negative lifetime has expired already."""
        now = time.time()
        standard = {
            "iss": issuer,
            "aud": audience,
            "iat": int(now),
            "nbf": min(int(now), int(now + lifetime)),
            "exp": int(now + lifetime),
            "uti": next(self._serial),
        }
        return jwt.encode(standard | dict(claims), self._key, algorithm="ES256", headers={"kid": _KEY_ID})

    @property
    def keys(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        key = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [key | {"use": "sig", "alg": "ES256", "kid": _KEY_ID}]}

    def verify(self, token: str, audiences: Sequence[str], issuers: Sequence[str]) -> dict[str, Any]:
        """Return the claims of a valid token of one of these audiences and issuers."""
        return self._decode(token, audience=audiences, issuer=issuers)

    def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a valid token of any issuer and audience."""
        return self._decode(token, options={"verify_aud": False})

    def expire(self, issuer: str, subject: str) -> None:
        """Expire every token that the issuer has issued to this subject."""
        self._lapsed[issuer, subject] = next(self._serial)

    def _decode(self, token: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401  # as `jwt.decode`
        claims: dict[str, Any] = jwt.decode(token, self._key.public_key(), algorithms=["ES256"], **options)
        if claims["uti"] <= self._lapsed.get((claims["iss"], claims["sub"]), 0):
            raise jwt.ExpiredSignatureError("Signature has expired")
        return claims


_KEY_ID = "localcloud-1"
