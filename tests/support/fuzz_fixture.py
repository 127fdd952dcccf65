"""A fleet for many examples, and all output of each run."""

import io
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from git_refresh import app
from git_refresh.run.refresh import refresh
from git_refresh.run.report import Report
from git_refresh.settings.names import SETTINGS
from localcloud import Cloud, Fault, Fleet, seed
from localcloud.authority import OTHER_TENANT, TENANT, entra_v2
from localcloud.fleet import CLIENT_ID, SECRET_NAME
from tests.support import warm
from tests.support.app import run_app
from tests.support.mutations import Change, mutate
from tests.support.oracle import Outcome
from tests.support.short_limits import shorten

OAUTH_SECRET = "doseCANARY+0/oauth=1~secret%2canary3"
LIMIT_S, BUDGET_S = 2.0, 6.0
SDKS = ("azure", "azure.identity", "azure.core", "msal", "databricks.sdk", "urllib3", "requests")

type Service = Literal["identity", "keyvault", "devops", "databricks", "login"]
type State = Literal["credential missing", "folder missing", "folder behind", "federated"]


@dataclass(frozen=True, slots=True)
class Strike:
    """Changes to responses of a service. `route` is a regular expression; None matches everything.

    The default service is the example's.
    """

    changes: tuple[Change, ...]
    route: str | None = None
    method: str | None = None
    nth: int | None = None
    service: Service | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One run: the changed responses (of workspaces, only data-2's) and the state of data-2.

    With `debug`, every logger has a lower level, so SDKs log more.
    """

    service: Service
    strikes: tuple[Strike, ...]
    before: tuple[State, ...] = ()
    debug: bool = False

    def services(self) -> set[Service]:
        """Return the services with changed responses."""
        return {strike.service or self.service for strike in self.strikes}


class Stage:
    """Three workspaces; the second has a folder of every kind and the workspace faults.

    In a federated example it has its own trust zone. With a hostile login host, its repository is in another
    tenant.

    `environ`: the app's settings and the environment of the cloud.
    `passed`: examples without a finding.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.passed: set[Example] = set()
        self._fleet = seed(cloud)
        self.victim = self._fleet.workspaces[1]
        self._first = self._fleet.repositories[0].head()
        self._furnish(self._fleet)
        self.environ = {**os.environ, **self._settings()}
        self._federated, self._abroad = self._zones()
        report = run_app(self.environ)
        assert report.result == "ok", report.summary()
        self._stored = {ws.host: ws.credentials for ws in self._fleet.workspaces}
        self._folders = dict(self.victim._tree.folders)
        cloud.remember_secrets()

    def _furnish(self, fleet: Fleet) -> None:
        etl, _ = fleet.repositories
        fleet.vault.set(SECRET_NAME, OAUTH_SECRET, expires_on=datetime.now(UTC) + timedelta(days=300))
        for workspace in fleet.workspaces:
            workspace.service_principal(CLIENT_ID, OAUTH_SECRET)
        etl.commit({"jobs/more.py": "print('more')\n"})
        self.victim.add_folder("/Repos/cli/prod", etl)
        self.victim.add_folder("/Repos/mirror/one", etl, git_cli=False)
        self.victim.add_folder("/Repos/mirror/two", etl)

    def _settings(self) -> dict[str, str]:
        entries = json.loads(self._fleet.settings["WORKSPACES"])
        explicit, missing = entries[1]["folders"]
        for entry in entries:
            entry["folders"] = [explicit]
        entries[1]["folders"] = [explicit, "/Repos/cli/prod", missing, "/Repos/mirror/*"]
        return {**self._fleet.settings, "WORKSPACES": json.dumps(entries)}

    def _zones(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return settings with data-2 federated, in the same and in another tenant."""
        identity = self.cloud.add_identity("second-zone")
        self.cloud.devops.organization("contoso").add_member(identity.object_id)
        self.victim.federate(CLIENT_ID, issuer=entra_v2(TENANT), subject=identity.object_id)
        application = self.cloud.app_registration("git-refresh")
        application.trust(identity.object_id)
        other = self.cloud.devops.organization("fabrikam", OTHER_TENANT)
        other.add_member(application.consent(OTHER_TENANT))
        self.victim.add_folder(
            "/Repos/notes/prod", self.cloud.devops.repository("fabrikam", "Notes", "notes")
        )
        federated = {"auth": "federated", "identity": identity.client_id}
        devops = {"tenant_id": OTHER_TENANT, "client_id": application.client_id}
        abroad = {**federated, "devops": devops, "folders": ["/Repos/notes/prod"]}
        return self._with(federated), self._with(abroad)

    def _with(self, changes: Mapping[str, object]) -> dict[str, str]:
        entries = json.loads(self.environ["WORKSPACES"])
        entries[1] |= changes
        client_id = self.cloud.identity.client_id
        return {**self.environ, "WORKSPACES": json.dumps(entries), "AZURE_CLIENT_ID": client_id}

    def _settings_for(self, example: Example) -> dict[str, str]:
        if "login" in {example.service, *example.services()}:
            return self._abroad
        return self._federated if "federated" in example.before else self.environ

    def secrets(self) -> list[str]:
        """Return every secret of the last run."""
        return [OAUTH_SECRET, self.cloud.identity.header, *self.cloud.issued]

    def tick(self, example: Example) -> Outcome:
        """Run the timer in this process."""
        before = self._prepare(example)
        reports: list[Report] = []
        real = refresh

        def run(*arguments: Any, **options: Any) -> Report:
            reports.append(real(*arguments, **options))
            return reports[-1]

        raised = None
        began = time.monotonic()
        with _listening(debug=example.debug) as heard, pytest.MonkeyPatch.context() as patch:
            patch.setattr(app, "refresh", run)
            try:
                app.run_scheduled(self._settings_for(example), None)
            except Exception as error:  # noqa: BLE001  # the oracle judges it
                raised = error
        took = time.monotonic() - began
        printed = json.dumps(reports[0].as_dict(), indent=2, ensure_ascii=False) if reports else ""
        return Outcome(
            lines=tuple(heard.lines),
            printed=printed,
            raised=raised,
            words="\n".join(heard.words),
            lost=tuple(heard.lost),
            debug=example.debug,
            took_s=took,
            budget_s=BUDGET_S,
            stale=self._stale(example, before),
        )

    def process(self, example: Example) -> Outcome:
        """Run `python -m git_refresh run --json`, with the real limits."""
        before = self._prepare(example)
        budget = 30.0
        environ = {**self._settings_for(example), "REFRESH_TIMEOUT_SECONDS": f"{budget:.0f}"}
        began = time.monotonic()
        done = warm.run("run", "--json", environ=environ, timeout=budget + 20)
        out, err = (stream.decode(errors="surrogateescape") for stream in (done.stdout, done.stderr))
        lost = () if done.returncode in (0, 1) else (f"exit code {done.returncode}",)
        return Outcome(
            lines=tuple(err.removesuffix("\n").split("\n")),
            printed=out,
            words=err,
            lost=lost,
            printed_is_final=True,
            took_s=time.monotonic() - began,
            budget_s=budget + 5,
            stale=self._stale(example, before),
        )

    def _prepare(self, example: Example) -> dict[str, str | None]:
        """Reset the state, inject the faults, and return the stored tokens of the workspaces."""
        self.cloud.clear_faults()
        self.cloud.remember_secrets()
        for workspace in self._fleet.workspaces:
            workspace._credentials.stored[:] = self._stored[workspace.host]
        folders = self.victim._tree.folders
        folders.clear()
        folders.update(self._folders)
        if "credential missing" in example.before:
            self.victim._credentials.stored.clear()
        if "folder missing" in example.before:
            del folders["/Repos/reports/prod"]
        if "folder behind" in example.before:
            head = folders["/Repos/etl/prod"].directory / ".git/refs/heads/main"
            head.write_text(self._first + "\n")
        for strike in example.strikes:
            service = strike.service or example.service
            self.cloud.inject(
                Fault(
                    mutate(*strike.changes),
                    service=service,
                    host=self.victim.host if service == "databricks" else None,
                    method=strike.method,
                    # A workspace runs git, not the app; the app uses Azure DevOps' REST API only.
                    route=strike.route or ("/_apis/" if service == "devops" else None),
                    nth=strike.nth,
                )
            )
        return self._tokens()

    def _tokens(self) -> dict[str, str | None]:
        return {ws.host: ws.credentials[0].token if ws.credentials else None for ws in self._fleet.workspaces}

    def _stale(self, example: Example, before: dict[str, str | None]) -> tuple[str, ...]:
        if example.services() - {"databricks", "login"}:
            return ()
        after = self._tokens()
        return tuple(
            f"data-{number}"
            for number, ws in enumerate(self._fleet.workspaces, start=1)
            if ws is not self.victim and after[ws.host] in (None, before[ws.host])
        )


@contextmanager
def staged() -> Iterator[Stage]:
    """Yield a stage with its own environment and short limits."""
    with pytest.MonkeyPatch.context() as patch, Cloud() as cloud:
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        for name, value in cloud.environment().items():
            patch.setenv(name, value)
        stage = Stage(cloud)
        shorten(patch, limit_s=LIMIT_S, budget_s=BUDGET_S)
        yield stage


class _Heard(logging.Handler):
    """Every record of every logger, written to a strict UTF-8 stream like the Functions worker's."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []
        self.words: list[str] = []
        self.lost: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName == "localcloud" or record.name.startswith(("aiohttp", "asyncio")):
            return  # the emulator's own
        try:
            line = self.format(record)
            line.encode()
        except (ValueError, TypeError) as error:
            self.lost.append(f"a log record could not be written: {error!r}")
            return
        own = record.name.partition(".")[0] == "git_refresh"
        (self.lines if own else self.words).append(line)
        if record.args or record.exc_info:
            self.words.append(repr(record.args) + repr(record.exc_info))


@contextmanager
def _listening(*, debug: bool) -> Iterator[_Heard]:
    """Capture all loggers, stdout and stderr, and exceptions in threads."""
    heard, out = _Heard(), io.StringIO()
    root = logging.getLogger()
    level, hook = root.level, threading.excepthook
    handlers, root.handlers = root.handlers, [heard]  # pytest's handlers would store everything again
    listened: Sequence[logging.Logger] = [logging.getLogger(name) for name in SDKS]
    for logger in listened:
        logger.addHandler(heard)
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    threading.excepthook = lambda died: heard.lost.append(f"a thread died: {died.exc_value!r}")
    try:
        with redirect_stdout(out), redirect_stderr(out):
            yield heard
    finally:
        threading.excepthook = hook
        root.setLevel(level)
        root.handlers = handlers
        for logger in listened:
            logger.removeHandler(heard)
        heard.words.append(out.getvalue())
