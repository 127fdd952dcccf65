"""Databricks SDK without its own configuration, lookups, retries and HTTP.

`retry.call` retries within the operation's time, and all HTTP uses a `BoundedSession`.
Only the needed modules are loaded. The whole package has clients of a hundred services.
They would take two seconds of CPU at each cold start, and a third of the app's memory.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, override

from pydantic import SecretStr

from git_refresh import __version__
from git_refresh.clients.session import BoundedSession


@contextmanager
def _without_its_init() -> Iterator[None]:
    """Import modules of the package without its `__init__`. Later imports load the package as usual."""
    name = "databricks.sdk"
    if name in sys.modules or (spec := importlib.util.find_spec(name)) is None:
        yield
        return
    sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        del sys.modules[name]


with _without_its_init():
    from databricks.sdk.clock import Clock
    from databricks.sdk.core import ApiClient, Config
    from databricks.sdk.credentials_provider import CredentialsStrategy
    from databricks.sdk.service.workspace import (
        GitCredentialsAPI,
        ReposAPI,
        SparseCheckout,
        WorkspaceAPI,
    )

__all__ = ["SparseCheckout", "WorkspaceClient"]


class WorkspaceClient:
    """The SDK's clients for one workspace, with a token and a session."""

    def __init__(self, host: str, token: Callable[[], SecretStr], session: BoundedSession) -> None:
        config = _SealedConfig(
            host=host,
            credentials_strategy=_Bearer(token),
            clock=_NoRetries(),
            product="databricks-git-refresh",
            product_version=__version__,
        )
        self.api_client = ApiClient(config)
        inner: Any = self.api_client._api_client  # noqa: SLF001  # the SDK has no public session parameter
        session.auth = inner._authenticate  # noqa: SLF001
        inner._session = session  # noqa: SLF001
        self.git_credentials = GitCredentialsAPI(self.api_client)  # type: ignore[no-untyped-call]
        self.repos = ReposAPI(self.api_client)  # type: ignore[no-untyped-call]
        self.workspace = WorkspaceAPI(self.api_client)  # type: ignore[no-untyped-call]


class _NoRetries(Clock):
    """Raises the failure that the SDK would retry, at the first sleep of its retry loop."""

    @override
    def time(self) -> float:
        return 0.0

    @override
    def sleep(self, seconds: float) -> None:
        raise  # noqa: PLE0704  # called inside the loop's `except`


Config.attributes()  # fills the settings table, which a subclass would build from its own names


class _SealedConfig(Config):
    """Configuration without DATABRICKS_* and ARM_* variables, ~/.databrickscfg and host metadata."""

    @override
    def _load_from_env(self) -> None: ...

    @override
    def _resolve_host_metadata(self) -> None: ...


class _Bearer(CredentialsStrategy):
    def __init__(self, token: Callable[[], SecretStr]) -> None:
        self._token = token

    @override
    def auth_type(self) -> str:
        return "git-refresh"

    @override
    def __call__(self, cfg: Config) -> Callable[[], dict[str, str]]:
        return lambda: {"Authorization": f"Bearer {self._token().get_secret_value()}"}
