"""OAuth sign-in to a workspace, with a service principal's secret or by token federation.

Both functions use the workspace's session, and raise `ServiceError` on failure.
"""

from collections.abc import Callable
from dataclasses import replace

import requests
from pydantic import SecretStr

from git_refresh.clients import responses
from git_refresh.clients.responses import signature_of
from git_refresh.clients.rest import read_response
from git_refresh.clients.retry import call
from git_refresh.clients.session import BoundedSession, Network
from git_refresh.failures.failure import Operation, Service, ServiceError
from git_refresh.model.values import Token
from git_refresh.output.mask import SecretFilter

SIGN_IN_LIMIT = 20.0
"""Seconds, including retries."""


def sign_in(
    session: BoundedSession,
    host: str,
    client_id: str,
    secret: SecretStr,
    network: Network,
) -> SecretStr:
    """Exchange a service principal's OAuth secret for an access token (OAuth M2M), valid for an hour."""
    form = {"grant_type": "client_credentials", "scope": "all-apis"}
    known = secret.get_secret_value()

    def ask() -> SecretStr:
        return _access_token(session.post(f"{host}{_TOKEN}", data=form, auth=(client_id, known)), known)

    return _call(Operation.SIGN_IN, ask, network)


def exchange(
    session: BoundedSession,
    host: str,
    client_id: str,
    assertion: Token,
    network: Network,
) -> SecretStr:
    """Exchange the identity's token for an access token of a service principal that trusts the identity.

    Facts: https://learn.microsoft.com/azure/databricks/dev-tools/auth/oauth-federation-exchange
    """
    known = assertion.value.get_secret_value()
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": known,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "client_id": client_id,
        "scope": "all-apis",
    }

    def ask() -> SecretStr:
        return _access_token(session.post(f"{host}{_TOKEN}", data=form), signature_of(known))

    try:
        return _call(Operation.EXCHANGE_TOKEN, ask, network)
    except ServiceError as error:
        failure = replace(error.failure, claims=assertion.claims)
    raise ServiceError(failure)


def _call(what: Operation, ask: Callable[[], SecretStr], network: Network) -> SecretStr:
    deadline = network.deadline.within(SIGN_IN_LIMIT)
    return call(Service.DATABRICKS, what.of(), ask, deadline=deadline, secrets=network.secrets)


_TOKEN = "/oidc/v1/token"  # noqa: S105  # a path


def _access_token(answer: requests.Response, sent: str) -> SecretStr:
    return SecretStr(read_response(answer, responses.SignedIn, SecretFilter([sent])).access_token)
