"""The federation policies by which a workspace exchanges foreign tokens.

Facts: https://learn.microsoft.com/azure/databricks/dev-tools/auth/oauth-federation-policy. The responses are
as users report them. Unrecorded: the responses to malformed and expired tokens.
"""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt

from localcloud.answers import ApiError
from localcloud.authority import Authority

ACCOUNT_ID = "0d26daa6-5e44-4c97-a497-ef015f91254a"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:jwt"  # noqa: S105  # a name
ISSUED_TYPE = "urn:ietf:params:oauth:token-type:access_token"
LIFETIME = 3599

_NO_POLICY = "TOKEN_INVALID (Ensure a valid federation policy has been configured)"


@dataclass(slots=True)
class FederationPolicy:
    """A policy that lets tokens of an issuer and subject act as one service principal.

    `active`: if False, it is ignored; a new one takes a minute or two to act.
    `acts_from`: when it starts to act, on the monotonic clock.
    `id`: its name; its uid is never reused.
    """

    issuer: str
    subject: str
    audiences: tuple[str, ...] = (ACCOUNT_ID,)
    active: bool = True
    acts_from: float = 0.0
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    description: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def acts(self) -> bool:
        return self.active and self.acts_from <= time.monotonic()


def check(authority: Authority, policies: Iterable[FederationPolicy], token: str) -> None:
    """Raise the workspace's error unless one of the principal's policies accepts the token."""
    try:
        claims = authority.claims(token)
    except jwt.ExpiredSignatureError:
        raise refusal("TOKEN_EXPIRED (Token is expired)") from None
    except jwt.InvalidTokenError:
        raise refusal("TOKEN_INVALID (Token is not a valid JWT)") from None
    from_issuer = [policy for policy in policies if policy.acts and policy.issuer == claims["iss"]]
    if not from_issuer:
        raise refusal(f"{_NO_POLICY}. Valid federation policy for provided token: {_wanted(claims)}")
    for_audience = [policy for policy in from_issuer if claims["aud"] in policy.audiences]
    if not for_audience:
        accepted = ", ".join(f"{{{_accepted(policy)}}}" for policy in from_issuer)
        raise refusal(
            f"TOKEN_AUDIENCE_INVALID (Token audience '{claims['aud']}' invalid). Accepted: {accepted}"
        )
    if not any(policy.subject == claims["sub"] for policy in for_audience):
        expected = ", ".join(f"'{policy.subject}'" for policy in for_audience)
        raise refusal(
            f"TOKEN_SUBJECT_INVALID (Token subject '{claims['sub']}' invalid). Expected subject: {expected}"
        )


def refusal(text: str) -> ApiError:
    return ApiError(400, {"error": "invalid_grant", "error_description": f"Failed to process token: {text}"})


def _wanted(claims: Mapping[str, Any]) -> str:
    return f"{{issuer: '{claims['iss']}', subject: '{claims['sub']}', audience: '{claims['aud']}'}}"


def _accepted(policy: FederationPolicy) -> str:
    return f"issuer: '{policy.issuer}', audiences: {list(policy.audiences)}"
