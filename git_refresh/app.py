"""The one place where real clouds are wired to the run; the timer and the command line both come in here."""

import logging
import ssl
from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import SecretStr

from git_refresh import workspace as databricks
from git_refresh.clock import Clock, Deadline, Skew, SystemClock
from git_refresh.devops import DevOps
from git_refresh.identity import Identity, Token
from git_refresh.problems import Problem
from git_refresh.redact import shown, silence_sdk_logs
from git_refresh.refresh import refresh
from git_refresh.report import Report, log_settings_error
from git_refresh.schedule import DEFAULT_INTERVAL, late_by, next_run_after
from git_refresh.seams import Heads, Watcher
from git_refresh.service import Service
from git_refresh.settings import Settings, SettingsError, load
from git_refresh.transport import tls_context
from git_refresh.vault import Secret, Vault

_log = logging.getLogger("git_refresh")


class RunFailedError(Exception):
    """Something in the run failed. Raised last, since a raising function is what the portal and alerts see."""


class CloudServices:
    """The real clouds of one run (`seams.Services`), all reached through bounded sessions and one TLS context."""

    def __init__(self, settings: Settings, deadline: Deadline, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._deadline = deadline
        self._tls = _tls(environ)
        self._skew = Skew(deadline.clock)
        self._identity = Identity(settings.client_id, self._tls, deadline, environ)
        self._vault = Vault(settings.key_vault_url, self._identity, settings.trusted, self._tls, deadline)

    @property
    def identity(self) -> Service:
        return self._identity.service

    def token(self, resource: str) -> Token:
        return self._identity.token(resource)

    def secret(self, name: str) -> Secret:
        return self._vault.secret(name)

    def heads(self, token: Token) -> Heads:
        return DevOps(
            token, self._tls, self._deadline, connections=self._settings.concurrency, skew=self._skew
        )

    def sign_in(self, host: str, client_id: str, secret: SecretStr) -> SecretStr:
        return databricks.sign_in(
            host, client_id, secret, tls=self._tls, deadline=self._deadline, skew=self._skew
        )

    def clock_behind(self) -> timedelta:
        return self._skew.behind()

    def workspace(self, host: str, token: SecretStr) -> databricks.WorkspaceApi:
        return databricks.WorkspaceApi(host, token, tls=self._tls, deadline=self._deadline)


def connect(settings: Settings, deadline: Deadline, environ: Mapping[str, str]) -> CloudServices:
    """The real clouds, with what their SDKs log kept from everybody.

    Raises:
        SettingsError: the certificates to trust cannot be read.
    """
    silence_sdk_logs()
    return CloudServices(settings, deadline, environ)


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


def run(
    environ: Mapping[str, str],
    *,
    next_run: datetime | None = None,
    late: timedelta = timedelta(),
    dry_run: bool = False,
    watcher: Watcher | None = None,
    clock: Clock | None = None,
) -> Report:
    """One run with the settings in `environ`.

    Args:
        environ: the app settings.
        next_run: when the next run is due, if that is known; else it is taken to be 15 minutes away.
        late: how much later than scheduled this run begins.
        dry_run: write nothing.
        watcher: who is shown what is under way.
        clock: the time.

    Raises:
        SettingsError: the settings are wrong; nothing was run.
    """
    clock = clock or SystemClock()
    settings = load(environ)
    deadline = Deadline.after(settings.timeout_s, clock)
    services = connect(settings, deadline, environ)
    due = next_run or clock.now() + DEFAULT_INTERVAL
    return refresh(settings, services, deadline, next_run=due, late=late, dry_run=dry_run, watcher=watcher)


def tick(environ: Mapping[str, str], schedule_status: Mapping[str, object] | None) -> None:
    """What the timer does: run, and raise when anything failed.

    Raises:
        RunFailedError: something failed, or the settings are wrong; its text is one line for people, without secrets.
    """
    clock = SystemClock()
    _log.setLevel(logging.INFO)
    try:
        now = clock.now()
        due, late = (
            next_run_after(now, schedule_status, environ.get("REFRESH_SCHEDULE")),
            late_by(now, schedule_status),
        )
        report = run(environ, next_run=due, late=late, clock=clock)
    except SettingsError as error:
        log_settings_error(error.problems)
        failure = (
            f"Nothing was run, because the app settings are wrong. {'; '.join(map(str, error.problems))}"
        )
    else:
        failure = "" if report.result == "ok" else report.summary()
    if failure:
        raise RunFailedError(failure)
