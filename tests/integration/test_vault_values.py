"""Values in Key Vault that are not OAuth secrets: reported as such, never sent or shown."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from localcloud import Cloud, Fleet
from localcloud.fleet import SECRET
from tests.support import warm
from tests.support.app import run_app
from tests.support.secret_values import WRONG

NAME = "databricks-oauth-secret"


def test_a_value_that_is_no_oauth_secret_is_refused_before_it_is_sent(cloud: Cloud, fleet: Fleet) -> None:
    for value, said in WRONG.items():
        fleet.vault.set(NAME, value)
        report = run_app({**os.environ, **fleet.settings})
        errors = [found.error for found in report.workspaces]
        assert {error and error.code for error in errors} == {"secret_value_wrong"}, said
        assert errors[0] is not None
        assert said in errors[0].message
        assert "report" not in errors[0].remedy.lower()
        assert not value.strip() or value.strip() not in str(report)
    assert not [request for request in cloud.requests if request.service == "databricks"]


def test_check_says_it_of_the_vault_and_skips_what_is_signed_in_to(cloud: Cloud, fleet: Fleet) -> None:
    fleet.vault.set(NAME, '{"secret": "dosecanary00canary00"}')
    done = warm.run("check", "--json", environ={**os.environ, **fleet.settings})
    checks = json.loads(done.stdout)["checks"]
    failed = [(each["layer"], each["error"]["code"]) for each in checks if each["status"] == "failed"]
    assert failed == [("key_vault", "secret_value_wrong")]
    assert b"canary" not in done.stdout + done.stderr
    assert not [request for request in cloud.requests if request.service == "databricks"]


def test_a_refused_secret_that_is_not_active_yet_is_not_to_be_rotated(fleet: Fleet) -> None:
    begins = datetime.now(UTC) + timedelta(days=3)
    fleet.vault.set(NAME, "dose" + "0" * 32, not_before=begins)
    error = run_app({**os.environ, **fleet.settings}).workspaces[0].error
    assert error is not None
    assert error.code == "oauth_secret_not_active"
    assert "401 invalid_client" in error.message
    assert "rotate" not in error.remedy


@pytest.mark.parametrize("around", ["{}", "\ufeff{}", "{}\r\n", "  {}  "])
def test_what_an_editor_has_put_around_a_secret_counts_for_nothing(fleet: Fleet, around: str) -> None:
    fleet.vault.set(NAME, around.format(SECRET))
    assert run_app({**os.environ, **fleet.settings}).result == "ok"
