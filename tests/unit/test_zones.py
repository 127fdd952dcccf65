"""Trust zones: the values of each identity and tenant, which other zones never get."""

import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr

from git_refresh.cli.check import check_clouds
from git_refresh.cli.status import look
from git_refresh.failures.failure import Service, ServiceError
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.values import GitFolder, Registration, StoredCredential, Token, TokenClaims, Zone
from git_refresh.output.log import RedactingLogger
from git_refresh.run.ports import AdminAccess
from git_refresh.run.refresh import refresh
from git_refresh.run.report import Report
from git_refresh.settings.load import Settings, load
from tests.support.fake_fleet import host
from tests.support.fakes import NOW, FakeClock, FakeServices, FakeWorkspace, failure

A, B = "5a1e0000-0000-4000-8000-00000000000a", "5a1e0000-0000-4000-8000-00000000000b"
TENANT, APP = "5a1e0000-0000-4000-8000-00000000000c", "5a1e0000-0000-4000-8000-00000000000d"
URL = "https://dev.azure.com/contoso/p/_git/etl"
OWN = StoredCredential(7, "azureDevOpsServices", "git-refresh")
NEW = "b" * 40


class Identity(FakeServices):
    """An identity with its own token only."""

    def __init__(self, zone: Zone, workspaces: dict[str, FakeWorkspace]) -> None:
        super().__init__(workspaces, {"main": NEW})
        self.zone = zone
        self.wait: Callable[[], None] = lambda: None

    def token(self, resource: str) -> Token:
        self.wait()
        found = super().token(resource)
        return Token(SecretStr(f"token of {self.zone}"), found.expires_at, TokenClaims(tenant_id="home"))


@dataclass
class FakeClouds:
    """Each zone with its own services, over the same workspaces."""

    workspaces: dict[str, FakeWorkspace]
    made: dict[Zone, Identity] = field(default_factory=dict)
    admin: AdminAccess | None = None

    def services(self, zone: Zone) -> Identity:
        return self.made.setdefault(zone, Identity(zone, self.workspaces))

    def clock_behind(self) -> timedelta:
        return timedelta()

    def close(self) -> None: ...


def fleet(*entries: dict[str, Any]) -> tuple[FakeClouds, dict[str, str]]:
    """Return workspaces with managed identity, each with a Git folder that is behind."""
    at = {"/Repos/etl/prod": GitFolder(1, "/Repos/etl/prod", URL, "main", "a" * 40)}
    workspaces = {
        host(number): FakeWorkspace(stored=[OWN], at=dict(at), heads={"main": NEW})
        for number in range(len(entries))
    }
    listed = [
        {
            "host": host(number),
            "name": f"data-{number}",
            "auth": "managed_identity",
            "folders": ["/Repos/etl/prod"],
            **entry,
        }
        for number, entry in enumerate(entries)
    ]
    return FakeClouds(workspaces), {"WORKSPACES": json.dumps(listed), "AZURE_CLIENT_ID": A}


def run(clouds: FakeClouds, environ: dict[str, str], **options: Any) -> Report:
    options.setdefault("next_run", NOW + timedelta(minutes=15))
    deadline = Deadline.after(540, FakeClock())
    return refresh(load(environ), clouds, deadline, logger=RedactingLogger(), **options)


def stored(clouds: FakeClouds) -> list[str]:
    return [workspace.tokens.get((None, 7), "") for workspace in clouds.workspaces.values()]


FOREIGN = {"devops": {"tenant_id": TENANT, "client_id": APP}}


def test_each_workspace_gets_the_token_of_its_own_identity_and_tenant() -> None:
    clouds, environ = fleet({}, {"identity": B}, {"identity": A.upper()}, FOREIGN, {"identity": B, **FOREIGN})
    report = run(clouds, environ)
    assert report.result == "ok"
    foreign = Registration(TENANT, APP)
    zones = [Zone(A), Zone(B), Zone(A), Zone(A, foreign), Zone(B, foreign)]
    assert stored(clouds) == [f"token of {zone}" for zone in zones]
    assert [(token.identity, token.tenant, token.workspaces) for token in report.tokens] == [
        (A, "home", 2),
        (B, "home", 1),
        (A, TENANT, 1),
        (B, TENANT, 1),
    ]


def test_each_zone_looks_a_ref_up_for_itself() -> None:
    clouds, environ = fleet({}, {"identity": B}, {"identity": B})
    assert run(clouds, environ).result == "ok"
    assert [set(services.asked) for services in clouds.made.values()] == [{"contoso/p/etl main"}] * 2


def test_an_identity_that_fails_costs_its_own_workspaces_alone() -> None:
    clouds, environ = fleet({"identity": B}, {}, {"identity": B}, {})
    clouds.services(Zone(B)).identity_failure = failure(Service.IDENTITY, 400)
    report = run(clouds, environ)
    assert [found.result for found in report.workspaces] == ["failed", "ok", "failed", "ok"]
    errors = [found.error for found in report.workspaces if found.error]
    assert {error.code for error in errors} == {"identity_not_assigned"}
    assert all(f"identity ({B})" in error.remedy for error in errors), "not AZURE_CLIENT_ID, which is right"
    assert [token.identity for token in report.tokens] == [A]


def test_an_identity_that_hangs_delays_no_other_zone() -> None:
    clouds, environ = fleet({"identity": B}, {})
    other = threading.Event()
    clouds.services(Zone(B)).wait = lambda: assert_(other.wait(10))
    clouds.workspaces[host(1)].before = lambda what: other.set() if what == "move_folder" else None
    report = run(clouds, {**environ, "REFRESH_CONCURRENCY": "2"})
    assert report.result == "ok"
    assert stored(clouds) == [f"token of {Zone(B)}", f"token of {Zone(A)}"]


def assert_(fact: bool) -> None:  # noqa: FBT001
    assert fact


def test_a_late_zone_s_credentials_come_before_another_s_folders() -> None:
    clouds, environ = fleet({}, {}, {}, {"identity": B})
    moving, fresh = threading.Event(), threading.Event()

    def before(number: int, what: str) -> None:
        if what == "move_folder" and moving.is_set():
            assert_(fresh.wait(10))
        if what == "move_folder":
            moving.set()
        if (number, what) == (3, "update_credential"):
            fresh.set()

    clouds.services(Zone(B)).wait = lambda: assert_(moving.wait(10))
    for number, workspace in enumerate(clouds.workspaces.values()):
        workspace.before = partial(before, number)
    assert run(clouds, {**environ, "REFRESH_CONCURRENCY": "2"}).result == "ok"


def test_what_azure_devops_rejects_of_one_zone_says_nothing_about_another() -> None:
    clouds, environ = fleet({}, {"identity": B})
    clouds.services(Zone(B)).devops_failure = failure(Service.AZURE_DEVOPS, 401, message="TF400813: ...")
    report = run(clouds, environ)
    actions = [found.credential and found.credential.action for found in report.workspaces]
    assert actions == ["updated", "token_rejected"]
    assert stored(clouds) == [f"token of {Zone(A)}", ""]


def test_a_repository_that_only_one_zone_names_is_asked_by_no_other() -> None:
    elsewhere = "https://git.contoso.com/org/p/_git/etl"
    clouds, environ = fleet(
        {"folders": [{"path": "/Repos/etl/prod", "url": elsewhere, "branch": "main"}]}, {"identity": B}
    )
    for workspace in clouds.workspaces.values():
        workspace.at["/Repos/etl/prod"] = GitFolder(1, "/Repos/etl/prod", elsewhere, "main", "a" * 40)
    report = run(clouds, {**environ, "TRUSTED_HOSTS": "git.contoso.com"})
    assert report.result == "ok"
    assert clouds.made[Zone(A)].asked
    assert not clouds.made[Zone(B)].asked, "the workspace alone has said where it is"


def test_the_report_names_the_token_that_expires_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clouds, environ = fleet({}, {"identity": B})
    clouds.services(Zone(B)).token_life = timedelta(minutes=10)
    with caplog.at_level(logging.INFO, "git_refresh"):
        report = run(clouds, environ)
    assert report.result == "failed"
    assert report.token is not None
    assert (report.token.identity, report.token.remaining_s) == (B, 600)
    (problem,) = report.problems
    assert problem.location == "token"
    assert f"of managed identity {B}" in problem.message
    (line,) = [
        json.loads(record.message) for record in caplog.records if '"git_refresh.run"' in record.message
    ]
    assert line["min_token_remaining_s"] == 600


def test_a_mistake_of_ours_in_one_zone_stays_there() -> None:
    clouds, environ = fleet({"identity": B}, {})

    def stumble() -> None:
        raise ZeroDivisionError

    clouds.services(Zone(B)).wait = stumble
    report = run(clouds, environ)
    codes = [found.error and found.error.code for found in report.workspaces]
    assert codes == ["internal_error", None]


def test_a_missing_identity_is_reported_by_each_of_its_workspaces() -> None:
    clouds, environ = fleet({"identity": B})
    clouds.services(Zone(B)).identity_failure = ServiceError(failure(Service.IDENTITY, 500).failure)
    (found,) = run(clouds, environ).workspaces
    assert found.credential is not None
    assert (found.credential.action, [folder.action for folder in found.folders]) == ("failed", ["skipped"])


@pytest.fixture
def interrupted() -> Iterator[tuple[FakeClouds, Settings, Deadline]]:
    """Press Ctrl-C while a workspace of each zone is in progress."""
    clouds, environ = fleet({}, {"identity": B})
    both, over = threading.Barrier(2), threading.Event()

    def before(number: int, _: str) -> None:
        if not over.is_set():
            both.wait(10)
            if number == 0:
                os.kill(os.getpid(), signal.SIGINT)
            over.wait(10)

    for number, workspace in enumerate(clouds.workspaces.values()):
        workspace.before = partial(before, number)
    yield clouds, load(environ), Deadline.after(60, SystemClock())
    over.set()


def test_ctrl_c_ends_a_check_of_every_zone(
    interrupted: tuple[FakeClouds, Settings, Deadline],
) -> None:
    clouds, settings, deadline = interrupted
    lines = check_clouds(settings, clouds, deadline)
    told = {line.subject: line.error.code for line in lines if line.error and line.layer == "workspace"}
    assert told == {"data-0": "interrupted", "data-1": "interrupted"}


def test_ctrl_c_ends_the_status_of_every_zone(
    interrupted: tuple[FakeClouds, Settings, Deadline],
) -> None:
    clouds, settings, deadline = interrupted
    report = look(settings, clouds, deadline)
    assert [found.error and found.error.code for found in report.workspaces] == ["interrupted"] * 2


def test_a_check_asks_for_the_tokens_of_all_zones_at_once() -> None:
    clouds, environ = fleet({"identity": B}, {})
    other = threading.Event()
    clouds.services(Zone(B)).wait = lambda: assert_(other.wait(10))
    clouds.services(Zone(A)).wait = other.set
    checks = check_clouds(load(environ), clouds, Deadline.after(60, SystemClock()))
    assert {line.subject for line in checks if line.layer == "identity" and line.status == "ok"} == {
        str(Zone(A)),
        str(Zone(B)),
    }
