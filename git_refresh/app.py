"""The one place where real clouds are wired to the run; the timer and the command line both come in here."""

import ssl
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import SecretStr

from git_refresh.clock import Clock, Deadline, Skew, SystemClock
from git_refresh.clouds import databricks
from git_refresh.clouds.connections import tls_context
from git_refresh.clouds.devops import DevOps
from git_refresh.clouds.identity import Identity, identity_of
from git_refresh.clouds.vault import Vault
from git_refresh.diagnosis.explain import Facts, internal
from git_refresh.masking import Secrets
from git_refresh.outlet import Outlet, log_to_platform
from git_refresh.redact import shown, silence_sdk_logs
from git_refresh.report import Report, log_nothing_done
from git_refresh.run.refresh import refresh
from git_refresh.schedule import DEFAULT_INTERVAL, late_by, next_run_after
from git_refresh.seams import Heads, Watcher
from git_refresh.settings.load import Settings, SettingsError, load
from git_refresh.symptom import Service
from git_refresh.values import Problem, Secret, Token


class RunFailedError(Exception):
    """Something in the run failed. Raised last, since a raising function is what the portal and alerts see."""


class CloudServices:
    """The real clouds of one run (`seams.Services`), all reached through bounded sessions and one TLS context."""

    def __init__(
        self, settings: Settings, deadline: Deadline, environ: Mapping[str, str], secrets: Secrets
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._deadline = deadline
        self._tls = _tls(environ)
        self._skew = Skew(deadline.clock)
        self._identity = Identity(settings.client_id, self._tls, deadline, secrets, environ)
        self._vault = Vault(
            settings.key_vault_url, self._identity, settings.trusted, self._tls, deadline, secrets
        )
        self._devops: DevOps | None = None
        self._keeps_connections = _descriptors() > len(settings.entries) + 4 * settings.concurrency

    @property
    def identity(self) -> Service:
        return self._identity.service

    def token(self, resource: str) -> Token:
        return self._identity.token(resource)

    def secret(self, name: str) -> Secret:
        return self._vault.secret(name)

    def heads(self, token: Token) -> Heads:
        self._devops = DevOps(token, self._tls, self._deadline, skew=self._skew, secrets=self._secrets)
        return self._devops

    def sign_in(self, host: str, client_id: str, secret: SecretStr) -> SecretStr:
        return databricks.sign_in(
            host,
            client_id,
            secret,
            tls=self._tls,
            deadline=self._deadline,
            secrets=self._secrets,
            skew=self._skew,
        )

    def clock_behind(self) -> timedelta:
        return self._skew.behind()

    def workspace(self, host: str, token: SecretStr) -> databricks.WorkspaceApi:
        return databricks.WorkspaceApi(
            host,
            token,
            tls=self._tls,
            deadline=self._deadline,
            secrets=self._secrets,
            keeps_connections=self._keeps_connections,
        )

    def close(self) -> None:
        self._vault.close()
        if self._devops is not None:
            self._devops.close()


def connect(
    settings: Settings, deadline: Deadline, environ: Mapping[str, str], outlet: Outlet
) -> CloudServices:
    """The real clouds, with what their SDKs log kept from everybody, and what is secret known to the outlet.

    Raises:
        SettingsError: the certificates to trust cannot be read.
    """
    silence_sdk_logs()
    return CloudServices(settings, deadline, environ, outlet.secrets)


def is_somebody(environ: Mapping[str, str]) -> bool:
    """Whether a run would act as the person who has signed in to the Azure CLI here, not as the app's own identity."""
    return identity_of(environ) is Service.AZURE_CLI


_RESERVED = 40
"""Descriptors that the worker and the libraries use."""
_PLENTY = 1_000_000


def _descriptors() -> int:
    """How many files and connections this process may open."""
    try:
        import resource  # noqa: PLC0415
    except ImportError:  # Windows, where somebody may use the command line: it has no such limit
        return _PLENTY
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit - _RESERVED if limit != resource.RLIM_INFINITY else _PLENTY


def _affordable(settings: Settings) -> Settings:
    """The settings with no more operations at once than there are descriptors for: each may use one, and leave one open after it."""
    return replace(settings, concurrency=max(1, min(settings.concurrency, _descriptors() // 2)))


def _tls(environ: Mapping[str, str]) -> ssl.SSLContext:
    try:
        return tls_context(environ)
    except OSError as error:  # ssl.SSLError is one: a file without certificates
        name = next(name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environ.get(name))
        reason = (
            error.strerror
            if isinstance(error, FileNotFoundError | PermissionError)
            else "no certificates in it"
        )
        advice = "write the path of a file of certificates (PEM), or remove it"
        raise SettingsError(
            [Problem(name, f'"{shown(environ[name])}" cannot be read ({reason}); {advice}')]
        ) from None


def run(  # noqa: PLR0913  # each a fact of its own, given by name
    settings: Settings,
    environ: Mapping[str, str],
    *,
    outlet: Outlet | None = None,
    next_run: datetime | None = None,
    late: timedelta = timedelta(),
    dry_run: bool = False,
    watcher: Watcher | None = None,
    clock: Clock | None = None,
) -> Report:
    """One run with these settings.

    Args:
        settings: what `load` has read.
        environ: the environment: where the identity's endpoint is, and which certificates to trust.
        outlet: what goes out, goes out there; it learns the run's secrets.
        next_run: when the next run is due, if that is known; else it is taken to be 15 minutes away.
        late: how much later than scheduled this run begins.
        dry_run: write nothing.
        watcher: who is shown what is under way.
        clock: the time.

    Raises:
        SettingsError: the certificates to trust cannot be read; nothing was run.
    """
    clock, outlet = clock or SystemClock(), outlet or Outlet()
    settings = _affordable(settings)
    deadline = Deadline.after(settings.timeout_s, clock)
    services = connect(settings, deadline, environ, outlet)
    due = next_run or clock.now() + DEFAULT_INTERVAL
    try:
        return refresh(
            settings,
            services,
            deadline,
            next_run=due,
            outlet=outlet,
            late=late,
            dry_run=dry_run,
            watcher=watcher,
        )
    finally:
        services.close()


def tick(environ: Mapping[str, str], schedule_status: Mapping[str, object] | None) -> None:
    """What the timer does: run, and raise when anything failed. Whatever happens, there is one run line.

    Raises:
        RunFailedError: something failed, or the settings are wrong; its text is one line for people, without secrets.
    """
    outlet = Outlet()
    log_to_platform()
    failure = _tick(environ, schedule_status, outlet)
    if failure:
        raise RunFailedError(outlet.text(failure, LONGEST_MESSAGE))


LONGEST_MESSAGE = 4_000
"""Characters of what is raised."""


def _tick(environ: Mapping[str, str], schedule_status: Mapping[str, object] | None, outlet: Outlet) -> str:
    """One run; why it failed, or nothing."""
    clock = SystemClock()
    try:
        now = clock.now()
        due = next_run_after(now, schedule_status, environ.get("REFRESH_SCHEDULE"))
        late = late_by(now, schedule_status)
        report = run(load(environ), environ, outlet=outlet, next_run=due, late=late, clock=clock)
    except SettingsError as error:
        log_nothing_done(error.problems, outlet)
        problems = "; ".join(map(str, error.problems))
        return f"Nothing was run, because the app settings are wrong. {problems}"
    except Exception as error:  # noqa: BLE001  # a mistake of ours: without this there would be no run line
        problem = Problem("run", str(internal(error, Facts())))
        log_nothing_done([problem], outlet)
        return str(problem)
    return "" if report.result == "ok" else report.summary()
