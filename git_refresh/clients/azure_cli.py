"""Reads the Azure CLI's subscription, and diagnoses why the Azure CLI returned no token.

Facts: azure-identity's `AzureCliCredential`, azure-cli's `azure.cli.core.util.handle_exception` and `auth.util.aad_error_handler`.
"""

import os
import re
import shutil
import subprocess
from dataclasses import replace

import requests
from azure.identity import CredentialUnavailableError

from git_refresh.clients.connections import bundle_variable
from git_refresh.clients.proxies import proxy_flaw, proxy_variable
from git_refresh.clients.responses import Guid, Response, UnexpectedAnswerError, read, read_json
from git_refresh.clients.session import proxy_of
from git_refresh.failures.failure import (
    AADSTS,
    FailureKind,
    Operation,
    Service,
    ServiceError,
    ServiceFailure,
)
from git_refresh.output.mask import SecretFilter

_MAX_STDERR_CHARS = 64 * 1024
"""Read from the end of stderr, because the last line of a traceback is the important one."""

_LOGIN = "https://login.microsoftonline.com"
_NETWORK = (
    (r"Tunnel connection failed: 407\b", FailureKind.PROXY_AUTH),
    (r"CERTIFICATE_VERIFY_FAILED|SSLError|Certificate verification failed", FailureKind.TLS),
    (
        r"InvalidProxyURL|LocationParseError|Failed to parse|SOCKS support|ProxySchemeUnknown",
        FailureKind.PROXY_UNUSABLE,
    ),
    (r"ProxyError|Cannot connect to proxy|Unable to connect to proxy", FailureKind.PROXY),
    (
        r"NameResolutionError|getaddrinfo|Failed to resolve|Name or service not known|nodename nor servname",
        FailureKind.DNS,
    ),
    (r"ConnectTimeout|timed out", FailureKind.CONNECT_TIMEOUT),
    (r"Connection refused|Max retries exceeded|ensure you have network connection", FailureKind.REFUSED),
    (r"Connection aborted|Connection reset|RemoteDisconnected", FailureKind.RESET),
)
"""In the order of the search, because one error can wrap another."""
_OPENSSL = re.compile(r"\[SSL: \w+\] (?:certificate verify failed: )?([^(\n]{1,120}?)\.? \(_ssl")
_TENANT = re.compile(r"az login[^\n]*? --tenant \"?([\w.-]{1,100})")
_EXCEPTION = re.compile(
    r"^(?:\w+\.)*([A-Z]\w{2,60}(?:Error|Exception|Interrupt|Exit|Warning))\b", re.MULTILINE
)


class _Account(Response):
    """Output of `az account show`. Without a subscription, both IDs are the tenant's."""

    id: Guid
    tenantId: Guid  # noqa: N815  # the Azure CLI's name


def chosen_subscription(limit: int) -> str:
    """Return the ID of the Azure CLI's current subscription, or "". Waits `limit` seconds at most.

    Raises:
        ServiceError: the Azure CLI returned no account.
    """
    what = Operation.READ_CHOSEN_SUBSCRIPTION.of()
    failure = ServiceFailure(Service.AZURE_CLI, what, FailureKind.BROKEN)
    az = shutil.which("az")
    if az is None:
        raise ServiceError(azure_cli_failure(failure, CredentialUnavailableError(), limit))
    try:
        shown = _run([az, "account", "show", "--output", "json"], limit)
        account = read(_Account, read_json(shown), SecretFilter())
    except CredentialUnavailableError as error:
        failure = azure_cli_failure(failure, error, limit)
    except UnexpectedAnswerError:
        failure = replace(failure, detail="it printed no JSON of an account")
    else:
        return account.id.lower() if account.id != account.tenantId else ""
    raise ServiceError(failure)


def _run(command: list[str], limit: int) -> bytes:
    """Return the output of an Azure CLI command.

    Raises:
        CredentialUnavailableError: the command failed. The cause is the same as in azure-identity.
    """
    environ = {**os.environ, "AZURE_CORE_NO_COLOR": "true"}
    try:
        return subprocess.run(  # noqa: S603  # fixed arguments
            command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=True
        ).stdout
    except subprocess.CalledProcessError as error:
        error.stderr = (error.stderr or b"").decode(errors="replace")
        raise CredentialUnavailableError from error
    except (subprocess.TimeoutExpired, OSError) as error:
        raise CredentialUnavailableError from error


def azure_cli_failure(failure: ServiceFailure, error: Exception, limit: int) -> ServiceFailure:
    """Return the failure for an exception of `AzureCliCredential`. Its text might quote a token."""
    cause = error.__cause__
    if isinstance(cause, subprocess.TimeoutExpired):
        return replace(failure, kind=FailureKind.SLOW, detail=f"{limit} second{'' if limit == 1 else 's'}")
    if isinstance(cause, subprocess.CalledProcessError):
        return _exited(failure, cause.returncode, str(vars(cause).get("stderr") or "")[-_MAX_STDERR_CHARS:])
    if isinstance(cause, OSError):
        return replace(failure, detail="it cannot be executed")
    if cause is not None or not isinstance(error, CredentialUnavailableError):
        return replace(failure, detail="it printed no JSON")
    if shutil.which("az", mode=os.F_OK):
        return replace(failure, detail="it cannot be executed")
    return replace(failure, kind=FailureKind.NOT_INSTALLED)


def _exited(failure: ServiceFailure, code: int, stderr: str) -> ServiceFailure:
    failure = replace(failure, message=stderr)
    if AADSTS.search(stderr):
        tenant = _TENANT.search(stderr)
        return replace(failure, kind=FailureKind.SIGN_IN, tenant=tenant[1] if tenant else failure.tenant)
    network = next((kind for words, kind in _NETWORK if re.search(words, stderr)), None)
    if network is not None:
        return _unreached(failure, network, stderr)
    if "Traceback (most recent call last)" in stderr or "Here is the traceback" in stderr:
        raised = _EXCEPTION.findall(stderr)
        return replace(failure, detail=f"it crashed with {raised[-1]}" if raised else "it crashed")
    if "az login" in stderr or "az account set" in stderr:
        return replace(failure, kind=FailureKind.SIGNED_OUT)
    return replace(failure, detail=f"it exited with code {code}")


def _unreached(failure: ServiceFailure, kind: FailureKind, stderr: str) -> ServiceFailure:
    """Return a network failure of the Azure CLI, which uses the proxy and CA variables of this process."""
    reason = _OPENSSL.search(stderr) if kind is FailureKind.TLS else None
    bundle = bundle_variable(os.environ) if kind is FailureKind.TLS else ""
    proxy = proxy_of(_LOGIN, requests.utils.get_environ_proxies(_LOGIN))
    if kind is FailureKind.PROXY_UNUSABLE:
        return replace(failure, kind=kind, detail=proxy_flaw(), proxy_variable=proxy_variable())
    if not proxy and kind in {FailureKind.PROXY, FailureKind.PROXY_AUTH}:
        kind = FailureKind.REFUSED
    detail = reason[1] if reason else ""
    found = replace(failure, kind=kind, detail=detail, bundle=bundle, proxy=proxy)
    return replace(found, proxy_variable=proxy_variable()) if proxy else found
