"""Expiration times of tokens as the identity endpoint reports them, and wrong clocks."""

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import pytest

from git_refresh.model import clock
from git_refresh.model.clock import SystemClock
from git_refresh.run.refresh import lateness
from git_refresh.run.report import Report
from localcloud import Cloud, Fault, Fleet, faults, seed
from localcloud.observer import Request
from tests.support.app import run_app

Run = Callable[..., Report]


def answering(expires_on: object) -> faults.Action:
    def change(body: bytes) -> bytes:
        answer = json.loads(body)
        if expires_on is None:
            del answer["expires_on"]
        else:
            answer["expires_on"] = expires_on
        return json.dumps(answer).encode()

    return faults.replace_body(change)


HOUR = int(time.time()) + 3600


@pytest.mark.parametrize("expires_on", [HOUR, str(HOUR)], ids=["a number", "text"])
def test_the_end_is_read_in_every_form_that_the_endpoint_uses(
    cloud: Cloud, run: Run, expires_on: object
) -> None:
    cloud.inject(Fault(answering(expires_on), service="identity"))
    report = run()
    assert report.result == "ok", report.summary()
    assert report.token
    assert report.token.expires_at == datetime.fromtimestamp(HOUR, UTC)


@pytest.mark.parametrize("expires_on", ["2030-06-20T02:57:58Z", None, 1e300, -1], ids=repr)
def test_an_end_that_cannot_be_read_is_one_typed_failure(
    cloud: Cloud, fleet: Fleet, run: Run, expires_on: object
) -> None:
    cloud.inject(Fault(answering(expires_on), service="identity"))
    report = run()
    codes = {error.code for workspace in report.workspaces for _, error in workspace.failures()}
    assert "internal_error" not in codes
    if report.token is None:
        assert codes <= {"identity_unavailable", "identity_token_expired", "unexpected_answer"}, codes
        assert not any(workspace.credentials for workspace in fleet.workspaces)
    else:
        assert report.token.expires_at <= datetime.now(UTC) + timedelta(seconds=3901), (
            "never later than the token itself says"
        )


@pytest.mark.parametrize("hours", [5 / 60, 25])
def test_tokens_of_every_length_are_stored(cloud: Cloud, fleet: Fleet, run: Run, hours: float) -> None:
    cloud.identity.token_lifetime = hours * 3600
    report = run()
    assert all(workspace.credentials for workspace in fleet.workspaces)
    assert report.result == ("failed" if hours < 0.25 else "ok")


class WrongClock(SystemClock):
    """A machine with a wrong clock."""

    def __init__(self, minutes: float) -> None:
        super().__init__()
        self._off = timedelta(minutes=minutes)

    def now(self) -> datetime:
        return super().now() + self._off


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_that_is_off_is_pointed_out_and_the_fleet_is_fresh(fleet: Fleet, minutes: int) -> None:
    report = run_app({**os.environ, **fleet.settings}, clock=WrongClock(minutes))
    assert report.result == "ok", report.summary()
    (said,) = report.problems
    assert said.location == "clock"
    assert f"10 minutes {'behind' if minutes < 0 else 'ahead'}" in said.message


class SteppedTime(datetime):
    """A wall clock that changes during the test."""

    step = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + cls.step


REQUESTS = 13
"""The requests of a run over one workspace, without the workspace's own Git."""


@pytest.mark.parametrize(("hours", "first"), [(-25, 0.0), (3, 2.0)])
def test_a_clock_that_is_set_in_mid_run_changes_nothing(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, hours: float, first: float
) -> None:
    """The clock changes between any two requests, and is right at first or wrong by `first` hours."""
    monkeypatch.setattr(clock, "datetime", SteppedTime)
    monkeypatch.setattr(SteppedTime, "step", timedelta())
    fleet = seed(cloud, 1)
    environ = {**os.environ, **fleet.settings}
    assert run_app(environ).result == "ok"
    cloud.identity.token_lifetime = 5 * 60 + first * 3600  # expires in five minutes by this machine's clock
    for last in range(REQUESTS + 1):
        SteppedTime.step, asked = timedelta(hours=first), list[str]()

        def step(request: Request, last: int = last, asked: list[str] = asked) -> None:
            asked.append(request.path)
            if len(asked) == last:
                SteppedTime.step = timedelta(hours=hours)

        cloud.on_request = step
        report = run_app(environ, next_run=datetime.now(UTC) + timedelta(hours=first, minutes=15))
        assert len(asked) == REQUESTS, asked
        (token,) = report.tokens
        assert 290 <= token.remaining_s <= 300
        assert [problem.location for problem in report.problems] == ["clock" if first else "token"]
        assert [workspace.result for workspace in report.workspaces] == ["ok"]


def test_a_clock_that_is_behind_does_not_hide_a_short_token(fleet: Fleet, cloud: Cloud) -> None:
    cloud.identity.token_lifetime = 12 * 60  # expires in 22 minutes by a clock that is 10 minutes behind
    report = run_app({**os.environ, **fleet.settings}, clock=WrongClock(-10))
    assert report.result == "failed"
    assert "token_expires_before_next_run" in report.problems[0].message


def test_an_expired_token_replaces_no_stored_one_under_a_wrong_clock(
    fleet: Fleet, cloud: Cloud, run: Run
) -> None:
    run()
    stored = [workspace.credentials[0].token for workspace in fleet.workspaces]
    cloud.identity.token_lifetime = -60
    report = run_app({**os.environ, **fleet.settings}, clock=WrongClock(-10))
    assert {workspace.credential.action for workspace in report.workspaces if workspace.credential} <= {
        "kept",
        "failed",
    }
    assert [workspace.credentials[0].token for workspace in fleet.workspaces] == stored


def test_a_run_that_comes_late_after_a_missed_tick_says_so(run: Run) -> None:
    report = run(notes=lateness(timedelta(minutes=20), past_due=False))
    assert report.result == "ok"
    assert [problem.location for problem in report.problems] == ["timer"]
    assert "20 minutes late" in report.problems[0].message
