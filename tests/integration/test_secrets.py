"""No secret leaks: canaries everywhere, all loggers at DEBUG, all faults, a search in all output."""

import base64
import io
import itertools
import json
import logging
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from git_refresh import app
from git_refresh.run import refresh
from git_refresh.run.errors import RunFailedError
from git_refresh.run.report import Report
from localcloud import Cloud, Fault, Fleet, faults
from localcloud.authority import DATABRICKS_RESOURCE, DEVOPS_RESOURCE, VAULT_RESOURCE
from localcloud.faults import NAMED
from localcloud.fleet import CLIENT_ID, SECRET_NAME
from tests.support.app import run_app
from tests.support.failure_kinds import ONE_OF_EACH
from tests.support.planted_secrets import (
    Everything,
    assert_clean,
    everything_raised,
    lower_every_level,
)
from tests.support.short_limits import shorten

OAUTH_SECRET = "dosecanary0oauth1secret2canary3"

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def canaries(cloud: Cloud, fleet: Fleet) -> Callable[[], list[str]]:
    """Return every secret of the run."""
    fleet.vault.set(SECRET_NAME, OAUTH_SECRET, expires_on=datetime.now(UTC) + timedelta(days=300))
    for ws in fleet.workspaces:
        ws.service_principal(CLIENT_ID, OAUTH_SECRET)
    cloud.identity.cached = True  # so the test gets the same tokens again

    def canaries() -> list[str]:
        tokens = [
            cloud.identity.token(resource)
            for resource in (DEVOPS_RESOURCE, DATABRICKS_RESOURCE, VAULT_RESOURCE)
        ]
        stored = [credential.token or "" for ws in fleet.workspaces for credential in ws.credentials]
        return [OAUTH_SECRET, cloud.identity.header, *tokens, *stored]

    return canaries


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, limit_s=0.5, budget_s=2)


def echo() -> faults.Action:
    """Quote the whole request in an error, as error pages do."""

    async def act(request: object, _: faults.Proceed) -> object:
        from aiohttp import web  # noqa: PLC0415

        assert isinstance(request, web.Request)
        text = f"{request.headers} {await request.text()}"
        return web.json_response(
            {"error_code": text, "message": text, "error_description": text}, status=400, reason="Bad"
        )

    return act  # type: ignore[return-value]


QUOTES = "quotes the request in its error"
ALL = {QUOTES: echo, **NAMED}
OTHERS = ("identity", "keyvault", "devops", "databricks credential")


@pytest.mark.usefixtures("brisk")
@pytest.mark.parametrize(
    ("service", "what"),
    [*(("databricks", what) for what in ALL), *itertools.product(OTHERS, [QUOTES, *ONE_OF_EACH])],
)
def test_no_secret_comes_out_when_a_service(
    cloud: Cloud,
    fleet: Fleet,
    canaries: Callable[[], list[str]],
    everything: Everything,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    service: str,
) -> None:
    action = ALL[what]()
    name, _, credential = service.partition(" ")
    route = "git-credentials" if credential else None
    cloud.inject(Fault(action, service=name, route=route, method="POST" if credential else None))
    secrets = canaries()
    real = refresh.refresh

    reports: list[Report] = []

    def with_every_level_lowered(*arguments: Any, **options: Any) -> Report:
        lower_every_level()
        reports.append(real(*arguments, **options))
        return reports[-1]

    monkeypatch.setattr(app, "refresh", with_every_level_lowered)
    first = json.dumps(json.loads(fleet.settings["WORKSPACES"])[:1])
    for key, value in {**fleet.settings, "WORKSPACES": first}.items():
        monkeypatch.setenv(key, value)
    out, raised = io.StringIO(), None
    with redirect_stdout(out), redirect_stderr(out):
        try:
            app.run_scheduled(os.environ, None)
        except RunFailedError as error:
            raised = error
    (report,) = reports
    cloud.clear_faults()
    secrets += canaries()
    came_out = [
        out.getvalue(),
        "\n".join(everything.lines),
        everything_raised(raised),
        json.dumps(report.as_dict()),
        repr(report),
    ]
    assert everything.lines
    assert_clean("\n".join(came_out), secrets)


def test_a_run_that_goes_well_says_no_secret_either(
    fleet: Fleet, canaries: Callable[[], list[str]], everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in fleet.settings.items():
        monkeypatch.setenv(key, value)
    app.run_scheduled(os.environ, None)
    lower_every_level()
    app.run_scheduled(os.environ, None)
    assert logging.getLogger("databricks.sdk").isEnabledFor(logging.DEBUG), "the levels are really lowered"
    assert [line for line in everything.lines if "git_refresh.run" in line]
    assert [line for line in everything.lines if "withheld" in line]
    assert_clean("\n".join(everything.lines), canaries())


def test_the_search_finds_a_piece_of_a_secret_in_every_form() -> None:
    secret = "0123456789abcdefghij"
    for text in (
        f"token={secret[4:16]}",
        base64.b64encode(f"user:{secret}".encode()).decode(),
        base64.b64encode(f"{secret}".encode()).decode(),
    ):
        with pytest.raises(AssertionError, match="came out"):
            assert_clean(text, [secret])


def test_no_secret_is_in_a_url_or_a_process_s_arguments(
    cloud: Cloud, fleet: Fleet, canaries: Callable[[], list[str]]
) -> None:
    seen: list[str] = []

    def look(_: object) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(process.read_bytes().decode(errors="replace"))
            except OSError:
                continue

    cloud.on_request = look
    report = run_app({**os.environ, **fleet.settings})
    cloud.on_request = None
    assert report.result == "ok"
    urls = "\n".join(f"{request.path} {request.query}" for request in cloud.requests)
    assert_clean(urls + "\n".join(set(seen)), canaries())
