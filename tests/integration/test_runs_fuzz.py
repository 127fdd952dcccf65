"""Any response to `runs` becomes a list of runs or a failure with a code, in time, without leaks."""

import json
import os
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.admin import logs as limits
from git_refresh.admin.values import DiagnosedError
from git_refresh.cli.deployed import AppName, logs_of
from git_refresh.cli.runs import read_history
from git_refresh.clients import rest
from git_refresh.model.values import json_of
from git_refresh.output.log import RedactingLogger
from localcloud import Cloud, Fault, seed
from localcloud.fleet import APP, Fleet
from localcloud.people import laptop
from tests.support.fuzz_settings import FUZZ, some
from tests.support.hostile_responses import changes
from tests.support.mutations import Change, mutate
from tests.support.oracle import INVISIBLE
from tests.support.planted_secrets import pieces
from tests.support.reports import ERROR

pytestmark = pytest.mark.timeout(0 if FUZZ else 240)
LIMIT_S = 0.8
ROUTES = (("logs", "/query"), ("logs", "/query"), ("resource_manager", "/sites"))


@dataclass(frozen=True, slots=True)
class Strike:
    """The service with changed responses, and the change."""

    service: str
    route: str
    changes: tuple[Change, ...]


@st.composite
def strikes(draw: st.DrawFn) -> Strike:
    service, route = draw(st.sampled_from(ROUTES))
    return Strike(service, route, draw(changes(route)))


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Cloud, Fleet]]:
    with Cloud() as cloud, pytest.MonkeyPatch.context() as patch:
        fleet, person = seed(cloud, 1), cloud.person("ada")
        fleet.app.group.assign(person.object_id, "Reader", "Log Analytics Reader")
        az = person.sign_in(cloud.directory / "laptop")
        for name, value in laptop({**os.environ, **cloud.environment()}, az).items():
            patch.setenv(name, value)
        fill(cloud, fleet)
        cloud.remember_secrets()
        patch.setattr(rest, "CALL_LIMIT_S", LIMIT_S)
        patch.setattr(limits, "QUERY_LIMIT_S", LIMIT_S)
        yield cloud, fleet


def fill(cloud: Cloud, fleet: Fleet) -> None:
    """Store runs with and without fan-out, complete and incomplete, and lines of the host."""
    logs, now = cloud.logs.of(fleet.component), datetime.now(UTC)
    failure = {"location": "data-1", **json_of(ERROR), "count": 2, "places": ["data-1", "data-2"]}
    for ago in range(5, 120, 15):
        at = now - timedelta(minutes=ago)
        run = {"event": "git_refresh.run", "run_id": f"run {ago}", "result": "failed", "failures": [failure]}
        logs.trace(json.dumps(run | {"next_run": (at + timedelta(minutes=15)).isoformat()}), at=at)
    began = now - timedelta(hours=3)
    sliced = {"run_id": "sliced", "slices": 1, "valid_until": (began + timedelta(minutes=15)).isoformat()}
    logs.trace(json.dumps({"event": "git_refresh.dispatch", "workspaces": 2, **sliced}), at=began)
    logs.trace(
        json.dumps({"event": "git_refresh.queued", "slice": 1, "names": ["a", "b"], **sliced}), at=began
    )
    logs.trace(json.dumps({"event": "git_refresh.workspace", "run_id": "cut off", "name": "a"}), at=began)
    logs.trace("The listener was unable to start.", at=began, level="ERROR", function="")
    logs.invocation("refresh_git", [], began=began, ended=began + timedelta(minutes=1), ok=False)


def shown() -> str:
    """Return the output of `runs --json` in this process."""
    logger = RedactingLogger()
    try:
        with logs_of(AppName(APP), logger) as logs:
            return logger.json(read_history(logs, timedelta(hours=24)).as_dict(only_failed=False))
    except DiagnosedError as error:
        return logger.json({"error": json_of(error.diagnosis)})


def test_without_a_fault_all_of_it_is_read(stage: tuple[Cloud, Fleet]) -> None:
    stage[0].clear_faults()
    found = json.loads(shown())
    assert len(found["runs"]) == 10
    assert {failure["code"] for run in found["runs"] for failure in run["failures"]} == {
        ERROR.code,
        "slice_not_completed",
        "run_not_completed",
    }


@given(strike=strikes())
@some(80)
def test_whatever_a_query_meets(stage: tuple[Cloud, Fleet], strike: Strike) -> None:
    cloud, _ = stage
    cloud.clear_faults()
    cloud.inject(Fault(mutate(*strike.changes), service=strike.service, route=strike.route))
    began = time.monotonic()
    text = shown()
    assert time.monotonic() - began < 30
    found = json.loads(text)
    assert found.get("error", {}).get("code") != "internal_error"
    assert len(text) < 2_000_000
    plain = json.dumps(found, ensure_ascii=False)
    assert not [letter for letter in plain if unicodedata.category(letter) in INVISIBLE]
    for secret in cloud.issued:
        assert not [piece for piece in pieces(secret) if piece in text]
