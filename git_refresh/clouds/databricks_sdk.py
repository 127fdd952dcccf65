"""Databricks' SDK, kept from what it does on its own.

It is used for what it knows of the API. It reads no ambient configuration, makes no look-ups, does not retry (`guard.call` does, within
the operation's time), and its HTTP goes through a `BoundedSession`.
"""

from collections.abc import Callable
from typing import Any, override

from databricks.sdk import WorkspaceClient
from databricks.sdk.clock import Clock
from databricks.sdk.core import Config
from databricks.sdk.credentials_provider import CredentialsStrategy
from pydantic import SecretStr

from git_refresh import __version__
from git_refresh.clouds.transport import BoundedSession


def workspace_client(host: str, token: SecretStr, session: BoundedSession) -> WorkspaceClient:
    """The SDK's client of one workspace, which sends this token through this session and nothing anywhere else."""
    config = _SealedConfig(
        host=host,
        credentials_strategy=_Bearer(token),
        clock=_NoRetries(),
        product="databricks-git-refresh",
        product_version=__version__,
    )
    client = WorkspaceClient(config=config)
    inner: Any = client.api_client._api_client  # noqa: SLF001  # the SDK has no public way to give it a session
    session.auth = inner._authenticate  # noqa: SLF001
    inner._session = session  # noqa: SLF001
    return client


class _NoRetries(Clock):
    """The SDK's retry loop sleeps between attempts: here that ends it, with the failure it was about to retry."""

    @override
    def time(self) -> float:
        return 0.0

    @override
    def sleep(self, seconds: float) -> None:
        raise  # noqa: PLE0704  # called inside the loop's `except`


Config.attributes()  # fills the table of settings that a subclass would otherwise make from its own names: none


class _SealedConfig(Config):
    """Built from its arguments alone: not from DATABRICKS_*, ARM_* or ~/.databrickscfg, and without asking the host."""

    @override
    def _load_from_env(self) -> None: ...

    @override
    def _resolve_host_metadata(self) -> None: ...


class _Bearer(CredentialsStrategy):
    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_type(self) -> str:
        return "git-refresh"

    @override
    def __call__(self, cfg: Config) -> Callable[[], dict[str, str]]:
        return lambda: {"Authorization": f"Bearer {self._token.get_secret_value()}"}
