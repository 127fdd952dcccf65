"""Composition root: connects runs and commands to the services."""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial

from pydantic import SecretStr

from git_refresh.clients import oauth
from git_refresh.clients.connections import bundle_variable, tls_context
from git_refresh.clients.databricks import DatabricksWorkspaceApi, folder_lists, workspace_session
from git_refresh.clients.devops import AzureDevOps
from git_refresh.clients.identity import LOGIN, ForeignIdentity, Identity, identity_of
from git_refresh.clients.key_vault import KeyVault
from git_refresh.clients.proxies import Flaw, portless_proxy, proxy_problems, proxy_variable, unusable_proxy
from git_refresh.clients.session import BoundedSession, Network
from git_refresh.failures.failure import Service
from git_refresh.model.clock import Clock, Deadline, SystemClock
from git_refresh.model.schedule import interval, late_by, next_run_after
from git_refresh.model.values import AZURE_DEVOPS, Problem, Secret, Token, Zone
from git_refresh.output.log import RedactingLogger, log_to_platform
from git_refresh.output.mask import SecretFilter
from git_refresh.output.redact import redact, silence_sdk_logs
from git_refresh.run.errors import failure_of, raise_failure
from git_refresh.run.pool import MAX_THREADS
from git_refresh.run.ports import AdminAccess, RefResolver, SliceClaims
from git_refresh.run.refresh import lateness, refresh
from git_refresh.run.report import Report
from git_refresh.run.slices import QUEUE
from git_refresh.settings.functions_host import CONNECTION, read_storage
from git_refresh.settings.load import Settings, SettingsError, load


class AllClouds:
    """Clients of all services for one run (`ports.Clouds`), with bounded sessions and one TLS context.

    Zones with the same identity share its tokens and secrets. Zones with different identities share neither.
    """

    def __init__(
        self,
        settings: Settings,
        deadline: Deadline,
        environ: Mapping[str, str],
        secrets: SecretFilter,
        *,
        jobs_client_shares_token: bool,
        admin: Callable[[Network], AdminAccess] | None,
    ) -> None:
        """Prepare the clients. They open connections at their first requests.

        Set `jobs_client_shares_token` if other clients also send the workspace tokens.
        The tokens then count as secrets that no response can repeat.
        """
        self.settings = settings
        self.deadline = deadline
        self.environ = environ
        self.jobs_client_shares_token = jobs_client_shares_token
        self.network = Network(usable_network(environ, _addresses(settings, environ)), deadline, secrets)
        self.admin = admin(self.network) if admin and uses_azure_cli(environ) else None
        self.lists = folder_lists(len(settings.entries))
        self.threads = _max_threads()
        self.keep_alive = _descriptors() > len(settings.entries) + self.threads + 3 * settings.concurrency
        self._lock = threading.Lock()
        self._own: dict[str | None, tuple[Identity, KeyVault]] = {}
        self._services: dict[Zone, ZoneServices] = {}

    def services(self, zone: Zone) -> "ZoneServices":
        with self._lock:
            if zone.identity not in self._own:
                identity = Identity(zone.identity, self.network, self.environ)
                vault = KeyVault(self.settings.key_vault_url, identity, self.network)
                self._own[zone.identity] = identity, vault
            if zone not in self._services:
                self._services[zone] = ZoneServices(zone, self, *self._own[zone.identity])
            return self._services[zone]

    def clock_behind(self) -> timedelta:
        return self.network.skew.behind()

    def close(self) -> None:
        with self._lock:
            for services in self._services.values():
                services.close()
            for _, vault in self._own.values():
                vault.close()


class ZoneServices:
    """Clients that one trust zone can use (`ports.Services`)."""

    def __init__(self, zone: Zone, clouds: AllClouds, identity: Identity, vault: KeyVault) -> None:
        self._clouds = clouds
        self._identity = identity
        self._vault = vault
        self._foreign = ForeignIdentity(identity, zone.devops) if zone.devops else None
        self._devops: AzureDevOps | None = None

    @property
    def identity(self) -> Service:
        return self._identity.service

    def token(self, resource: str) -> Token:
        if self._foreign is not None and resource == AZURE_DEVOPS:
            return self._foreign.token(resource)
        return self._identity.token(resource)

    def secret(self, name: str) -> Secret:
        return self._vault.secret(name)

    def heads(self, token: Token) -> RefResolver:
        self._devops = AzureDevOps(token, self._clouds.network)
        return self._devops

    def sign_in(self, host: str, client_id: str, secret: SecretStr) -> DatabricksWorkspaceApi:
        return self._signed_in(host, partial(oauth.sign_in, client_id=client_id, secret=secret))

    def exchange(self, host: str, client_id: str, assertion: Token) -> DatabricksWorkspaceApi:
        return self._signed_in(host, partial(oauth.exchange, client_id=client_id, assertion=assertion))

    def _signed_in(self, host: str, sign_in: Callable[..., SecretStr]) -> DatabricksWorkspaceApi:
        """Return a client that sends its requests over the connection of the sign-in."""
        session = workspace_session(host, self._clouds.network)
        try:
            token = sign_in(session, host, network=self._clouds.network)
        except BaseException:
            session.close()
            raise
        return self._api(session, host, token)

    def workspace(self, host: str, token: SecretStr) -> DatabricksWorkspaceApi:
        return self._api(workspace_session(host, self._clouds.network), host, token)

    def _api(self, session: BoundedSession, host: str, token: SecretStr) -> DatabricksWorkspaceApi:
        clouds = self._clouds
        if clouds.jobs_client_shares_token:
            clouds.network.secrets.add(token.get_secret_value())
        return DatabricksWorkspaceApi(
            session,
            host,
            token,
            clouds.network,
            lists=clouds.lists,
            keeps_connections=clouds.keep_alive,
        )

    def close(self) -> None:
        if self._devops is not None:
            self._devops.close()


def connect(
    settings: Settings,
    environ: Mapping[str, str],
    logger: RedactingLogger,
    clock: Clock | None = None,
    *,
    jobs_client_shares_token: bool = False,
    admin: Callable[[Network], AdminAccess] | None = None,
) -> AllClouds:
    """Return clients for a run that starts now. The caller must close them.

    Limits the concurrency to what the process's file descriptors allow, and withholds SDK logs.
    The clients add their tokens to the logger's secrets.
    `admin` is for commands that only read. It is called only if the run uses the Azure CLI account.

    Raises:
        SettingsError: the CA certificates cannot be read, or the proxy cannot be used.
    """
    silence_sdk_logs()
    deadline = Deadline.after(settings.work_s, clock or SystemClock())
    return AllClouds(
        _with_limited_concurrency(settings),
        deadline,
        environ,
        logger.secrets,
        jobs_client_shares_token=jobs_client_shares_token,
        admin=admin,
    )


def claims(environ: Mapping[str, str], logger: RedactingLogger, clock: Clock) -> SliceClaims:
    """Return the client for claims on slices, in the storage account of the queue.

    Raises:
        SettingsError: the storage settings are invalid, or the CA certificates cannot be read.
    """
    from git_refresh.clients.slice_claims import BlobClaims  # noqa: PLC0415  # an SDK that only FAN_OUT needs

    silence_sdk_logs()
    storage = read_storage(environ)
    if isinstance(storage, Problem):
        raise SettingsError([storage])
    network = Network(trusted_certificates(environ), Deadline.after(CLAIMS_S, clock), logger.secrets)
    try:
        return BlobClaims(storage, QUEUE, Identity(storage.client_id, network, environ))
    except ValueError:  # the SDK's text quotes the connection string
        problem = Problem(CONNECTION, "is not a connection string of a storage account; copy it again")
    raise SettingsError([problem])


CLAIMS_S = 3600.0
"""Time limit of the client for claims: longer than any slice takes."""


def uses_azure_cli(environ: Mapping[str, str]) -> bool:
    """Return whether a run uses the Azure CLI account instead of the app's own identity."""
    return identity_of(environ) is Service.AZURE_CLI


_RESERVED_DESCRIPTORS = 40
"""For the worker and the libraries."""
_UNLIMITED = 1_000_000


def _descriptors() -> int:
    try:
        import resource  # noqa: PLC0415
    except ImportError:  # Windows has no such limit
        return _UNLIMITED
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit - _RESERVED_DESCRIPTORS if limit != resource.RLIM_INFINITY else _UNLIMITED


def _max_threads() -> int:
    """Return the maximum number of threads. Each needs two file descriptors: one in use and one idle."""
    return max(2, min(MAX_THREADS, _descriptors() // 2))


def _with_limited_concurrency(settings: Settings) -> Settings:
    """Limit the concurrency to half of the threads. The other half is for operations that wait."""
    return replace(settings, concurrency=max(1, min(settings.concurrency, _max_threads() // 2)))


def usable_network(environ: Mapping[str, str], urls: Iterable[str]) -> ssl.SSLContext:
    """Return the TLS context for connections to these URLs.

    Raises:
        SettingsError: the CA certificates cannot be read, or the proxy cannot be used.
    """
    problems = proxy_problems(urls)
    try:
        tls = trusted_certificates(environ)
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(problems)
    return tls


def odd_proxy(settings: Settings, environ: Mapping[str, str], *, offline: bool) -> tuple[str, Flaw] | None:
    """Return the environment variable of a proxy with a flaw, and the flaw; None without one.

    An unusable proxy is returned only if `offline`. Otherwise, it has already stopped the command.
    """
    flaw = unusable_proxy(_addresses(settings, environ)) if offline else None
    if portless := portless_proxy(_addresses(settings, environ)):
        found = f"names the proxy {redact(portless)} without a port, so the default port is used"
        flaw = Flaw(found, "add the port, unless that is right")
    return (proxy_variable(), flaw) if flaw else None


def _addresses(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    yield from settings.addresses()
    if uses_azure_cli(environ) or any(zone.devops for zone in settings.zones()):
        yield LOGIN


def trusted_certificates(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return a TLS context with the configured CA certificates.

    Raises:
        SettingsError: the certificates cannot be read.
    """
    try:
        return tls_context(environ)
    except OSError as error:  # includes ssl.SSLError: no certificates in the file
        name = bundle_variable(environ)
        reason = (
            error.strerror
            if isinstance(error, FileNotFoundError | PermissionError)
            else "no certificates in it"
        )
        advice = "write the path of a file of certificates (PEM), or remove it"
        raise SettingsError(
            [Problem(name, f'"{redact(environ[name])}" cannot be read ({reason}); {advice}')]
        ) from None


def run_scheduled(
    environ: Mapping[str, str], schedule_status: Mapping[str, object] | None, *, past_due: bool = False
) -> None:
    """Run once for the timer, log one run line, and raise if anything failed.

    Raises:
        RunFailedError: something failed, or the settings are invalid. The text is one line without secrets.
    """
    logger = RedactingLogger()
    log_to_platform()

    def run() -> Report:
        clock = SystemClock()
        now = clock.now()
        schedule = environ.get("REFRESH_SCHEDULE")
        due = next_run_after(now, schedule_status, schedule)
        late = lateness(late_by(now, schedule_status), past_due=past_due)
        with closing(connect(load(environ), environ, logger, clock)) as clouds:
            return refresh(
                clouds.settings,
                clouds,
                clouds.deadline,
                next_run=due,
                interval=interval(now, due, schedule),
                logger=logger,
                notes=late,
                threads=clouds.threads,
            )

    raise_failure(failure_of(run, logger), logger)
