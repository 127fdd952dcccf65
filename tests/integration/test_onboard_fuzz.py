"""Any response to an admin's command becomes a failure with a code, in time, without leaks."""

import json
import os
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.admin.onboarding import Onboarding, OnboardOptions
from git_refresh.admin.services import AdminServices
from git_refresh.clients import key_vault as vault_limits
from git_refresh.clients import rest
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.output.log import RedactingLogger
from git_refresh.run.pool import Executor
from git_refresh.settings.load import load
from localcloud import Cloud, Fault
from localcloud.fleet import UngrantedFleet, seed_ungranted
from localcloud.people import laptop
from tests.support.fuzz_settings import FUZZ, some
from tests.support.hostile_responses import changes
from tests.support.mutations import Change, mutate
from tests.support.oracle import INVISIBLE
from tests.support.planted_secrets import pieces

pytestmark = pytest.mark.timeout(0 if FUZZ else 240)

ROUTES = (
    ("graph", "servicePrincipals"),
    ("devops", "/_apis/projects/"),
    ("devops", "/graph/serviceprincipals"),
    ("devops", "/graph/storagekeys/"),
    ("devops", "/serviceprincipalentitlements"),
    ("databricks", "databricks-config"),
    ("databricks", "scim/v2/ServicePrincipals"),
    ("databricks", "scim/v2/Groups"),
    ("databricks", "get-status"),
    ("databricks", "/repos/"),
    ("databricks", "/api/2.0/permissions/"),
    ("databricks", "federationPolicies"),
    ("databricks", "permissionassignments"),
    ("keyvault", "/secrets/"),
)
WRITTEN = (
    ("devops", "/serviceprincipalentitlements", "POST"),
    ("databricks", "scim/v2/ServicePrincipals", "POST"),
    ("databricks", "permissionassignments/principals/", "PUT"),
    ("databricks", "federationPolicies", "POST"),
    ("databricks", "credentials/secrets", "POST"),
    ("databricks", "mkdirs", "POST"),
    ("databricks", "/permissions/", "PATCH"),
    ("keyvault", "/secrets/", "PUT"),
)
LIMIT_S = 0.6


@dataclass(frozen=True, slots=True)
class Strike:
    """The service with changed responses, and the change."""

    service: str
    route: str
    changes: tuple[Change, ...]
    method: str | None = None


@st.composite
def strikes(draw: st.DrawFn) -> Strike:
    service, route = draw(st.sampled_from(ROUTES))
    return Strike(service, route, draw(changes(route)))


@st.composite
def strikes_at_writes(draw: st.DrawFn) -> Strike:
    service, route, method = draw(st.sampled_from(WRITTEN))
    return Strike(service, route, draw(changes(route)), method)


def at_laptop(patch: pytest.MonkeyPatch, cloud: Cloud, fleet: UngrantedFleet) -> None:
    az = fleet.admin.sign_in(cloud.directory / "laptop")
    for name, value in laptop({**os.environ, **cloud.environment()}, az).items():
        patch.setenv(name, value)


def with_short_limits(patch: pytest.MonkeyPatch) -> None:
    """Shorten timeouts for hundreds of faults. A busy machine can exceed them without a fault."""
    patch.setattr(rest, "CALL_LIMIT_S", LIMIT_S)
    patch.setattr("git_refresh.clients.databricks.LOOKUP_LIMIT", LIMIT_S)
    patch.setattr(vault_limits, "SECRET_LIMIT_S", LIMIT_S)
    for module in ("admin.onboarding", "model.clock"):
        patch.setattr(f"git_refresh.{module}.READ_LAG_S", 2.0)
        patch.setattr(f"git_refresh.{module}.POLL_PAUSE_S", 0.1)
    patch.setattr("git_refresh.admin.rotation.work.SIGN_IN_S", 2.0)
    patch.setattr("git_refresh.admin.rotation.work.READ_BACK_S", 1.0)


@pytest.fixture(scope="module")
def granted() -> Iterator[tuple[Cloud, UngrantedFleet]]:
    with Cloud() as cloud, pytest.MonkeyPatch.context() as patch:
        fleet = seed_ungranted(cloud)
        at_laptop(patch, cloud, fleet)
        print_of(fleet, give=True)
        cloud.remember_secrets()
        with_short_limits(patch)
        yield cloud, fleet


def print_of(fleet: UngrantedFleet, *, give: bool) -> str:
    """Return the output of `onboard --json` for its grants, in this process."""
    logger = RedactingLogger()
    deadline = Deadline.after(600, SystemClock())
    chosen = load(fleet.settings)
    services = AdminServices(deadline, os.environ, logger)
    onboarding = Onboarding(chosen, services, OnboardOptions(), Executor(4, deadline))
    try:
        onboarding.plan()
        if give:
            onboarding.apply_all(lambda _: None)
    finally:
        services.close()
    return logger.json({"grants": [grant.as_dict() for grant in onboarding.grants]})


def check(text: str, cloud: Cloud, took_s: float) -> None:
    """Check that the text is readable, bounded, no internal error, and without secrets."""
    assert took_s < 30, took_s
    grants = json.loads(text)["grants"]
    assert grants
    for grant in grants:
        assert (grant["error"] is not None) == (grant["status"] == "failed")
        assert not grant["error"] or grant["error"]["code"] != "internal_error", grant
        for value in (
            grant["location"],
            grant["description"],
            grant["reason"],
            grant["command"],
            str(grant["error"]),
        ):
            assert len(value) < 9000
            assert not [letter for letter in value if unicodedata.category(letter) in INVISIBLE]
    for secret in cloud.issued:
        assert not [piece for piece in pieces(secret) if piece in text]


@given(strike=strikes())
@some(60)
def test_whatever_a_look_meets(granted: tuple[Cloud, UngrantedFleet], strike: Strike) -> None:
    cloud, fleet = granted
    cloud.clear_faults()
    cloud.inject(Fault(mutate(*strike.changes), service=strike.service, route=strike.route))
    began = time.monotonic()
    text = print_of(fleet, give=False)
    check(text, cloud, time.monotonic() - began)


@given(strike=strikes_at_writes())
@some(25)
def test_whatever_a_write_meets(strike: Strike) -> None:
    with Cloud() as cloud, pytest.MonkeyPatch.context() as patch:
        fleet = seed_ungranted(cloud)
        at_laptop(patch, cloud, fleet)
        cloud.remember_secrets()
        cloud.inject(
            Fault(mutate(*strike.changes), service=strike.service, route=strike.route, method=strike.method)
        )
        with patch.context() as short:
            with_short_limits(short)
            began = time.monotonic()
            text = print_of(fleet, give=True)
            check(text, cloud, time.monotonic() - began)
        cloud.clear_faults()
        grants = json.loads(print_of(fleet, give=True))["grants"]
        assert not [grant for grant in grants if grant["error"]], "the next attempt ends it"
