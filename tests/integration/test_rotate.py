"""`rotate` for admins and pipelines: real SDKs, their own session, and the local emulator."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from git_refresh.admin import services
from git_refresh.admin.rotation import work
from git_refresh.admin.values import place_of, tags_of
from git_refresh.cli import rotate as rotate_command
from git_refresh.cli.ask import NO_TERMINAL, NOT_WITH_JSON, after_interrupt
from git_refresh.cli.main import main
from git_refresh.model.clock import Deadline
from git_refresh.output.redact import silence_sdk_logs
from localcloud import Cloud, Fault, Fleet, faults, seed
from localcloud.databricks.account import AccountPrincipal, OAuthSecret
from localcloud.fleet import CLIENT_ID, SECRET_NAME, real_secret
from localcloud.keyvault import Secret
from localcloud.observer import Request
from localcloud.people import Person
from tests.support import warm
from tests.support.admin_laptop import admin_of, laptop_of, principal_of
from tests.support.app import run_app
from tests.support.planted_secrets import (
    Everything,
    assert_clean,
    everything_raised,
    lower_every_level,
)

pytestmark = pytest.mark.timeout(60)


@dataclass
class Stage:
    """A fleet whose manually created secret expires in twenty days; and the admin's laptop."""

    cloud: Cloud
    fleet: Fleet
    admin: Person
    environ: dict[str, str]
    old: OAuthSecret

    @property
    def principal(self) -> AccountPrincipal:
        return principal_of(self.cloud)

    @property
    def stored(self) -> list[Secret]:
        return self.fleet.vault.versions(SECRET_NAME)

    @property
    def latest(self) -> Secret:
        return self.stored[-1]

    @property
    def works(self) -> bool:
        """True if the app can authenticate everywhere in this state."""
        return run_app({**os.environ, **self.fleet.settings}).result == "ok"

    @property
    def written(self) -> list[str]:
        """The requests that change something, without challenges and authentication."""
        return [
            f"{seen.method} {seen.service}"
            for seen in self.cloud.requests
            if seen.method != "GET" and "/oidc/" not in seen.path and seen.status != 401
        ]

    def rotate(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
        return warm.run("rotate", *arguments, environ={**self.environ, **more})

    def apply(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
        return self.rotate("--apply", "--yes", *arguments, **more)

    def report(self, *arguments: str, **more: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rotate("--json", *arguments, **more).stdout)
        return found

    def pass_days(self, days: float) -> None:
        self.fleet.vault.age(SECRET_NAME, timedelta(days=days))
        for secret in self.principal.secrets:
            secret.age(days)


@pytest.fixture
def stage(cloud: Cloud, tmp_path: Path) -> Stage:
    fleet = seed(cloud, 2)
    old = real_secret(cloud, fleet, scopes=("all-apis",))
    admin = admin_of(cloud, fleet)
    environ = laptop_of(admin, cloud, tmp_path / "az") | dict(fleet.settings)
    return Stage(cloud, fleet, admin, environ, old)


def assert_sound(stage: Stage) -> None:
    """Check that the stored secret works, and that only it and its predecessor exist."""
    assert stage.principal.signs_in(stage.latest.value)
    assert len(stage.principal.secrets) <= 4
    assert stage.old in stage.principal.secrets, "made by hand: never ours to delete"


# Effects


def test_without_apply_it_shows_what_it_would_do_and_changes_nothing(stage: Stage) -> None:
    done = stage.rotate()
    shown = done.stdout.decode()
    (planned,) = [line for line in shown.splitlines() if line.startswith("  + ")]
    assert f"expires on {stage.old.ends:%Y-%m-%d}, in 19 days" in planned
    assert "(untagged_oauth_secret)" in shown
    assert (
        f"DATABRICKS_HOST={stage.fleet.workspaces[0].url} "
        f"databricks service-principal-secrets-proxy delete {stage.principal.id} {stage.old.id}\n"
    ) in shown
    assert "1 to rotate, 0 to delete, 0 unchanged" in shown
    assert "--apply" in shown.splitlines()[-1]
    assert (done.returncode, done.stderr.count(b"\n"), stage.written) == (0, 1, [])


def test_it_makes_tries_stores_and_says_each_thing(stage: Stage) -> None:
    done = stage.apply()
    assert done.returncode == 0, done.stderr
    new = stage.principal.secrets[-1]
    assert new is not stage.old
    _, *said = [line.partition(": ")[2] for line in done.stderr.decode().splitlines()]
    assert said == [
        f"created OAuth secret {new.id}, which expires on {new.ends:%Y-%m-%d}",
        "signed in with it to 2 of 2 workspaces",
        f"stored it in Key Vault as version {stage.latest.version}",
        "read it back",
    ]
    assert (
        f"  + created and stored OAuth secret {new.id}, which expires on {new.ends:%Y-%m-%d}"
        in done.stdout.decode()
    )
    assert "(unknown_oauth_secret)" in done.stdout.decode()
    assert done.stdout.decode().endswith("Done: OAuth secrets: 1 rotated, 0 deleted, 0 unchanged.\n")
    assert stage.latest.value == new.value
    assert stage.latest.tags == tags_of(new.id, CLIENT_ID, place_of(stage.fleet.vault.url, SECRET_NAME))
    assert abs((stage.latest.expires or 0) - new.expires) < 1
    assert new.scopes == ("all-apis",)
    assert stage.written == ["POST databricks", "PUT keyvault"]
    assert stage.works


def test_a_later_call_deletes_the_previous_secret_after_a_day(
    stage: Stage,
) -> None:
    assert stage.apply().returncode == 0
    first = stage.latest.tags["databricks-secret-id"]
    stage.pass_days(700)
    assert stage.apply().returncode == 0
    second = stage.latest.tags["databricks-secret-id"]
    report = stage.report("--apply", "--yes")
    (secret,) = report["secrets"]
    assert [(each["id"], each["action"]) for each in secret["previous"]] == [(first, "kept")]
    stage.pass_days(1.001)
    done = stage.apply()
    assert (
        done.stderr.decode()
        == f"Settings: the environment.\n{SECRET_NAME}: deleted the previous OAuth secret {first}\n"
    )
    assert f"  - deleted previous OAuth secret {first} of " in done.stdout.decode()
    assert [each.id for each in stage.principal.secrets if each is not stage.old] == [second]
    report = stage.report("--apply", "--yes")
    assert (report["result"], report["applied"]) == ("ok", True)
    assert [secret["action"] for secret in report["secrets"]] == ["unchanged"]
    assert stage.works


def test_json_has_all_of_it(stage: Stage) -> None:
    report = stage.report("--apply", "--yes")
    new = stage.principal.secrets[-1]
    (secret,) = report.pop("secrets")
    assert report == {"version": 1, "result": "ok", "applied": True, "problems": []}
    unknown = secret.pop("unmanaged")
    assert [each["id"] for each in unknown] == [stage.old.id]
    assert unknown[0]["note"]["code"] == "unknown_oauth_secret"
    assert len(secret.pop("steps")) == 4
    assert secret == {
        "name": SECRET_NAME,
        "client_id": CLIENT_ID,
        "host": stage.fleet.workspaces[0].url,
        "workspaces": ["data-1", "data-2"],
        "action": "rotated",
        "reason": f"the previous one expires on {stage.old.ends:%Y-%m-%d}, in 19 days",
        "expires_at": f"{datetime.fromisoformat(secret['expires_at']):%Y-%m-%dT%H:%M:%SZ}",
        "new_id": new.id,
        "previous": [],
        "not_signed_in": [],
        "errors": [],
    }


def test_what_ends_later_is_left_alone(stage: Stage) -> None:
    done = stage.apply("--within", "10d")
    assert (done.returncode, stage.written) == (0, [])
    assert "  = unchanged: it expires on " in done.stdout.decode()


def test_a_secret_that_has_leaked_is_rotated_at_once_by_its_name(stage: Stage) -> None:
    stage.apply()
    healthy = stage.latest.value
    assert "0 to rotate" in stage.rotate(SECRET_NAME).stdout.decode()
    assert stage.rotate("--force").returncode == 2, "not all of the list by mistake"
    done = stage.apply("--force", SECRET_NAME)
    assert done.returncode == 0, done.stdout
    assert stage.latest.value != healthy
    assert stage.works
    assert_sound(stage)


def test_a_secret_that_takes_its_time_is_tried_again(stage: Stage) -> None:
    stage.cloud.account.secret_delay = 2.0
    stage.fleet.vault.lag = 1.0
    assert stage.apply().returncode == 0
    assert_sound(stage)


def test_two_admins_at_once_both_end_with_a_secret_that_works(stage: Stage, tmp_path: Path) -> None:
    other = laptop_of(admin_of(stage.cloud, stage.fleet, "grace"), stage.cloud, tmp_path / "grace")
    codes: list[int] = []

    def together(environ: dict[str, str]) -> None:
        codes.append(warm.run("rotate", "--apply", "--yes", environ=environ).returncode)

    threads = [
        threading.Thread(target=together, args=[environ])
        for environ in (stage.environ, other | dict(stage.fleet.settings))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert codes == [0, 0]
    assert_sound(stage)
    assert stage.works
    stage.pass_days(2)
    assert stage.apply().returncode == 0
    left = {each.id for each in stage.principal.secrets} - {stage.old.id}
    if stage.stored[-2].created != stage.latest.created:  # equal creation times do not show the previous one
        assert left == {stage.latest.tags["databricks-secret-id"]}
    assert stage.works


# Settings and options


def test_no_terminal_and_no_yes_changes_nothing(stage: Stage) -> None:
    done = stage.rotate("--apply")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == f"Settings: the environment.\n✗ rotate --apply: {NO_TERMINAL}\n"
    assert stage.written == []
    assert stage.apply("--within", "10d").returncode == 0, "nobody is asked where there is nothing to do"
    assert stage.rotate("--apply", "--within", "10d").returncode == 0


@pytest.mark.parametrize(
    ("keys", "code", "written"), [("y\n", 0, 2), ("n\n", 2, 0), ("\n", 2, 0), ("\x04", 130, 0)]
)
def test_a_person_at_a_terminal_is_asked(stage: Stage, keys: str, code: int, written: int) -> None:
    environ = {**stage.environ, "TERM": "dumb"}
    done = warm.on_terminal("rotate", "--apply", environ=environ, columns=200, keys={"[y/N]": keys})
    shown = done.stdout.decode()
    assert (done.returncode, len(stage.written)) == (code, written), shown
    assert "This creates and stores 1 OAuth secret. Continue? [y/N]" in shown
    assert "  + create and store a new OAuth secret: the previous one expires on" in shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("databricks-oauth-secrt", f'is not a secret of the list; did you mean "{SECRET_NAME}"?'),
        ("data-2", f"is a workspace; write the name of its secret: {SECRET_NAME}"),
        ("x", f"is not a secret of the list; write one of {SECRET_NAME}"),
    ],
)
def test_an_unknown_name_is_reported_and_nothing_is_read(stage: Stage, name: str, said: str) -> None:
    done = stage.apply(SECRET_NAME, name)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == f'Settings: the environment.\n✗ NAME: "{name}" {said}\n'
    assert stage.cloud.requests == []
    assert json.loads(stage.rotate("--json", name).stdout)["problems"][0]["location"] == "NAME"


def test_an_invalid_list_is_reported_and_nothing_is_read(stage: Stage) -> None:
    done = stage.apply(WORKSPACES="[")
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[1].startswith("✗ WORKSPACES: is not valid JSON")
    assert stage.apply("--within", "soon").returncode == 2
    assert stage.cloud.requests == []


def with_entries(stage: Stage, *more: dict[str, Any]) -> str:
    return json.dumps([*json.loads(stage.fleet.settings["WORKSPACES"]), *more])


def test_a_rejected_entry_is_reported_and_the_others_go_on(stage: Stage) -> None:
    done = stage.apply(WORKSPACES=with_entries(stage, {"hots": 1}))
    assert done.returncode == 1
    assert "✗ WORKSPACES[2]" in done.stdout.decode()
    assert stage.latest.tags
    assert stage.works


def test_a_secret_of_two_principals_is_reported_and_not_rotated(stage: Stage) -> None:
    host = stage.cloud.workspace("adb-9.9.azuredatabricks.net").url
    mixed = with_entries(stage, {"host": host, "client_id": "5a1e0000-0000-4000-8000-00000000000f"})
    done = stage.apply(WORKSPACES=mixed)
    assert done.returncode == 1
    assert "(secret_shared_by_principals)" in done.stdout.decode()
    assert stage.cloud.requests == []


def test_a_list_without_secrets_has_nothing_to_rotate(stage: Stage) -> None:
    host = stage.fleet.workspaces[0].url
    done = stage.apply(WORKSPACES=json.dumps([{"host": host, "auth": "managed_identity"}]))
    assert (done.returncode, stage.cloud.requests) == (0, [])
    assert done.stdout.decode() == (
        "Nothing to rotate: no workspace of the list signs in with an OAuth secret.\n"
    )


def test_a_missing_or_deleted_secret_is_reported(stage: Stage) -> None:
    stage.fleet.vault.deletion_s = 0
    stage.fleet.vault.delete(SECRET_NAME)
    assert "(secret_deleted)" in stage.apply().stdout.decode()
    stage.fleet.vault._deleted.clear()
    assert "(secret_not_found)" in stage.apply().stdout.decode()
    assert stage.written == []


def test_a_person_without_a_sign_in_gets_advice_to_sign_in(stage: Stage, tmp_path: Path) -> None:
    az = tmp_path / "az" / "az"
    az.write_text("#!/bin/sh\necho \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1\n")
    done = stage.apply()
    assert done.returncode == 1
    assert "(azure_cli_not_signed_in)" in done.stdout.decode()


# Two names


SECOND = "databricks-oauth-second"


def two_names(stage: Stage) -> str:
    """The second workspace's entry has its own secret of the same principal: the stored one, untagged."""
    entries = json.loads(stage.fleet.settings["WORKSPACES"])
    entries[1]["client_secret_name"] = SECOND
    stage.fleet.vault.set(SECOND, stage.latest.value, expires_on=stage.old.ends)
    return json.dumps(entries)


def test_while_an_entry_of_the_list_is_wrong_nothing_is_deleted(stage: Stage) -> None:
    """The invalid entry was not read, and it uses the secret that another name still has."""
    assert stage.apply().returncode == 0
    first = stage.latest.tags["databricks-secret-id"]
    entries = json.loads(two_names(stage))
    entries[-1]["clientid"] = entries[-1].pop("client_id", CLIENT_ID)
    stage.pass_days(700)
    assert stage.apply(SECRET_NAME, WORKSPACES=json.dumps(entries)).returncode == 1
    stage.pass_days(2)
    done = stage.apply(SECRET_NAME, WORKSPACES=json.dumps(entries))
    assert done.returncode == 1
    assert ": an entry of the list is invalid, and might use it" in done.stdout.decode()
    assert first in {each.id for each in stage.principal.secrets}


@pytest.mark.parametrize("mixed", [False, True])
def test_a_secret_that_an_untagged_name_might_hold_is_not_called_unclaimed(
    stage: Stage,
    mixed: bool,  # noqa: FBT001
) -> None:
    hand = real_secret(stage.cloud, stage.fleet, scopes=("all-apis",))
    entries = json.loads(two_names(stage))
    if mixed:
        host = stage.cloud.workspace("adb-9.9.azuredatabricks.net").url
        other = {"client_id": "5a1e0000-0000-4000-8000-00000000000f", "client_secret_name": SECOND}
        entries.append({"host": host, **other})
    report = stage.report(SECRET_NAME, "--apply", "--yes", WORKSPACES=json.dumps(entries))
    (secret,) = report["secrets"]
    notes = {each["id"]: each["note"] for each in secret["unmanaged"]}
    assert notes[hand.id]["code"] == "untagged_oauth_secret"
    assert SECOND in notes[hand.id]["cause"]
    tags = tags_of(hand.id, CLIENT_ID, "")
    stage.fleet.vault.set(SECOND, hand.value, expires_on=hand.ends, tags=tags)
    report = stage.report(SECRET_NAME, WORKSPACES=json.dumps(entries))
    assert hand.id not in {each["id"] for each in report["secrets"][0]["unmanaged"]}


def test_a_life_that_is_asked_for_is_what_the_new_one_gets(stage: Stage) -> None:
    assert stage.apply("--lifetime", "180d").returncode == 0
    new = stage.principal.secrets[-1]
    assert round((new.expires - new.created) / 86_400) == 180
    assert stage.apply("--lifetime", "0d").returncode == 2


# Faults

SECRETS = "credentials/secrets"
STEPS: dict[str, dict[str, str]] = {
    "who it is": {"service": "databricks", "route": "scim"},
    "listing": {"service": "databricks", "method": "GET", "route": SECRETS},
    "making": {"service": "databricks", "method": "POST", "route": SECRETS},
    "signing in": {"service": "databricks", "route": "/oidc/v1/token"},
    "reading": {"service": "keyvault", "method": "GET", "route": rf"/{SECRET_NAME}/?$"},
    "versions": {"service": "keyvault", "method": "GET", "route": "versions"},
    "storing": {"service": "keyvault", "method": "PUT"},
}
REFUSED = {
    "databricks": faults.status(403, {"error_code": "PERMISSION_DENIED", "message": "no"}),
    "keyvault": faults.status(
        403, {"error": {"code": "Forbidden", "message": "no", "innererror": {"code": "ForbiddenByRbac"}}}
    ),
}
CODES = {
    "who it is": "oauth_secrets_forbidden",
    "listing": "oauth_secrets_forbidden",
    "making": "oauth_secrets_forbidden",
    "reading": "key_vault_admin_forbidden",
    "versions": "key_vault_admin_forbidden",
    "storing": "key_vault_admin_forbidden",
}


@pytest.mark.parametrize("step", STEPS)
def test_a_refused_step_is_reported_and_succeeds_once_allowed(stage: Stage, step: str) -> None:
    stage.cloud.inject(Fault(REFUSED[STEPS[step]["service"]], **STEPS[step]))  # type: ignore[arg-type]
    done = stage.apply("--json")
    assert done.returncode == 1
    (secret,) = json.loads(done.stdout)["secrets"]
    (error,) = secret["errors"]
    if step in CODES:
        assert error["code"] == CODES[step]
    assert stage.latest.value == stage.old.value
    assert stage.principal.secrets == [stage.old], "what is stored nowhere is deleted again"
    stage.cloud.clear_faults()
    assert stage.apply().returncode == 0
    assert_sound(stage)
    assert stage.works


@pytest.mark.parametrize("step", ["listing", "making", "signing in", "storing"])
def test_an_answer_that_is_lost_costs_nothing_that_is_in_use(stage: Stage, step: str) -> None:
    lost = Fault(faults.act_then(faults.reset()), nth=1, **STEPS[step])  # type: ignore[arg-type]
    stage.cloud.inject(lost)
    stage.apply()
    stage.cloud.clear_faults()
    assert_sound(stage)
    assert stage.apply().returncode == 0
    assert_sound(stage)
    assert stage.latest.tags
    assert stage.works


def test_a_previous_secret_that_cannot_be_deleted_is_deleted_later(stage: Stage) -> None:
    stage.apply()
    stage.pass_days(700)
    stage.apply()
    stage.pass_days(2)
    stage.cloud.inject(Fault(REFUSED["databricks"], method="DELETE"))
    done = stage.apply()
    assert done.returncode == 1
    assert "✗ could not delete previous OAuth secret" in done.stdout.decode()
    stage.cloud.clear_faults()
    stage.cloud.inject(Fault(faults.act_then(faults.reset()), method="DELETE", nth=1))
    assert stage.apply().returncode == 0
    assert len(stage.principal.secrets) == 2


OTHER_TENANT = "Expected iss claim to be: https://sts.windows.net/a/, but was: https://sts.windows.net/b/."


@pytest.mark.parametrize(
    ("step", "status", "body", "code"),
    [
        ("who it is", 401, {"error_code": "401", "message": OTHER_TENANT}, "workspace_admin_token_rejected"),
        ("who it is", 400, {"error_code": "BAD", "message": OTHER_TENANT}, "workspace_admin_token_rejected"),
        (
            "versions",
            401,
            {"error": {"code": "Unauthorized", "message": "AKV10032: Invalid issuer. Expected one of …"}},
            "key_vault_admin_wrong_tenant",
        ),
    ],
)
def test_a_sign_in_to_another_tenant_is_reported(
    stage: Stage, step: str, status: int, body: dict[str, Any], code: str
) -> None:
    stage.cloud.inject(Fault(faults.status(status, body), **STEPS[step]))  # type: ignore[arg-type]
    (secret,) = stage.report("--apply", "--yes")["secrets"]
    (error,) = secret["errors"]
    assert error["code"] == code
    assert "az login --tenant" in error["remedy"]
    assert stage.written == []


def test_a_validity_that_a_policy_forbids_is_reported_with_a_command(stage: Stage) -> None:
    inner = {"code": "Forbidden", "message": "policy", "innererror": {"code": "ForbiddenByPolicy"}}
    stage.cloud.inject(Fault(faults.status(403, {"error": inner}), **STEPS["storing"]))  # type: ignore[arg-type]
    (error,) = stage.report("--apply", "--yes")["secrets"][0]["errors"]
    assert error["code"] == "key_vault_policy_violation"
    assert f"rotate {SECRET_NAME} --lifetime 180d --apply" in error["remedy"]
    assert stage.principal.secrets == [stage.old]


def test_a_missing_role_is_reported_with_its_owner(stage: Stage) -> None:
    stage.fleet.vault.deny(stage.admin.object_id)
    (error,) = stage.report()["secrets"][0]["errors"]
    assert f"--assignee {stage.admin.object_id} " in error["remedy"]


# No single source is trusted


@dataclass
class Here:
    """The command in this process, with short timeouts."""

    stage: Stage
    patch: pytest.MonkeyPatch
    limit_s: float = 1.0

    def __post_init__(self) -> None:
        for name, value in self.stage.environ.items():
            self.patch.setenv(name, value)
        for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
            self.patch.delenv(name)
        for name in ("SIGN_IN_S", "REACH_S", "ONE_TRY_S"):
            self.patch.setattr(work, name, self.limit_s)

    def apply(self, *arguments: str) -> dict[str, Any]:
        """Return the report on the only secret."""
        done = CliRunner().invoke(main, ["rotate", "--apply", "--yes", "--json", *arguments])
        (secret,) = json.loads(done.stdout)["secrets"]
        assert done.exit_code == (1 if secret["errors"] else 0)
        return dict(secret)


@pytest.fixture
def here(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(stage, monkeypatch)


TOKEN = "/oidc/v1/token"  # a path


def codes(secret: dict[str, Any]) -> list[str]:
    return [error["code"] for error in secret["errors"]]


def test_an_unreachable_workspace_stops_the_storing_unless_allowed(here: Here, stage: Stage) -> None:
    here.apply()
    first = stage.latest.tags["databricks-secret-id"]
    stage.pass_days(700)
    lost = stage.fleet.workspaces[1].host
    stage.cloud.inject(Fault(faults.Connect.REFUSE, host=lost))
    written = stage.written
    secret = here.apply()
    assert codes(secret) == ["new_secret_untried"]
    assert secret["errors"][0]["remedy"].endswith(f"rotate {SECRET_NAME} --apply --allow-unreachable")
    assert stage.written == written
    secret = here.apply("--allow-unreachable")
    assert (secret["action"], codes(secret)) == ("rotated", [])
    assert [(each["host"], each["result"]) for each in secret["not_signed_in"]] == [
        (f"https://{lost}", "unreachable")
    ]
    stage.pass_days(2)
    (former,) = here.apply("--allow-unreachable")["previous"]
    assert (former["id"], former["action"]) == (first, "kept")
    assert lost in former["reason"]
    stage.cloud.clear_faults()
    (former,) = here.apply()["previous"]
    assert (former["id"], former["action"]) == (first, "deleted")
    assert_sound(stage)


@pytest.mark.parametrize(("keys", "code", "written"), [("y\n", 0, 2), ("n\n", 2, 0)])
def test_at_a_terminal_a_question_decides_about_what_cannot_be_reached(
    stage: Stage, keys: str, code: int, written: int
) -> None:
    trouble = faults.status(500, {"error_code": "INTERNAL_ERROR", "message": "oops"})
    stage.cloud.inject(Fault(trouble, host=stage.fleet.workspaces[1].host, route=TOKEN, nth=1, times=3))
    unreachable = stage.fleet.workspaces[1].url
    environ = {**stage.environ, "TERM": "dumb"}
    done = warm.on_terminal(
        "rotate",
        "--apply",
        environ=environ,
        columns=200,
        keys=dict.fromkeys((f"{unreachable} cannot test. Continue? [y/N]", "secret. Continue? [y/N]"), keys),
    )
    shown = done.stdout.decode()
    assert (done.returncode, len(stage.written)) == (code, written), shown
    assert f"{unreachable} cannot test." in shown


def test_many_that_hang_are_tried_together_and_not_for_long(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = seed(cloud, 20)
    old = real_secret(cloud, fleet, scopes=("all-apis",))
    admin = admin_of(cloud, fleet)
    environ = laptop_of(admin, cloud, tmp_path / "az") | dict(fleet.settings)
    stage = Stage(cloud, fleet, admin, environ, old)
    for workspace in fleet.workspaces[5:]:
        cloud.inject(Fault(faults.hang(), host=workspace.host, route=TOKEN))
    began = time.monotonic()
    # The five others sign in at the same time, which takes a busy machine more than a second.
    secret = Here(stage, monkeypatch, limit_s=3.0).apply("--allow-unreachable")
    assert time.monotonic() - began < 30, "one after the other they would take 45 seconds"
    assert secret["action"] == "rotated"
    assert [each["host"] for each in secret["not_signed_in"]] == [
        workspace.url for workspace in fleet.workspaces[5:]
    ]


def replaced(here: Here) -> str:
    """The first managed secret, replaced half a day ago by the second."""
    stage = here.stage
    here.apply()
    first = stage.latest.tags["databricks-secret-id"]
    stage.pass_days(700)
    here.apply()
    stage.pass_days(0.5)
    return first


@pytest.mark.parametrize("service", ["databricks", "keyvault"])
def test_the_date_of_one_service_deletes_nothing(here: Here, service: str) -> None:
    first = replaced(here)
    here.stage.cloud.inject(Fault(faults.dated("Fri, 31 Dec 2100 23:59:59 GMT"), service=service))
    (former,) = here.apply()["previous"]
    assert (former["id"], former["action"]) == (first, "kept")
    here.stage.pass_days(1.001)
    here.stage.cloud.clear_faults()
    (former,) = here.apply()["previous"]
    assert (former["id"], former["action"]) == (first, "deleted")


# Killed


def made(stage: Stage) -> bool:
    return len(stage.principal.secrets) > 1


def is_store(request: Request) -> bool:
    return request.method == "PUT" and bool(request.body_keys)


KILLED: dict[str, Callable[[Stage, Request], bool]] = {
    "before anything is made": lambda _, request: request.method == "POST" and SECRETS in request.path,
    "while the new one is tried": lambda stage, request: made(stage) and TOKEN in request.path,
    "while it is stored": lambda _, request: is_store(request),
    "while it is read back": lambda stage, request: request.method == "GET" and len(stage.stored) > 1,
}
"""All requests between two writes leave the same state. The simulation kills at each of them."""


@pytest.mark.parametrize("when", KILLED.values(), ids=KILLED)
def test_killed(stage: Stage, when: Callable[[Stage, Request], bool]) -> None:
    running: list[ForkServerProcess] = []
    killed = threading.Event()

    def kill(request: Request) -> None:
        if not killed.is_set() and when(stage, request):
            killed.set()
            running[0].kill()

    stage.cloud.on_request = kill
    running.append(warm.start("rotate", "--apply", "--yes", environ=stage.environ))
    running[0].join(50)
    assert running[0].exitcode == -signal.SIGKILL
    stage.cloud.on_request = None
    assert_sound(stage)

    report = stage.report("--apply", "--yes")
    assert report["result"] == "ok"
    assert_sound(stage)
    assert stage.latest.tags
    named = {version.tags.get("databricks-secret-id") for version in stage.stored}
    orphans = {each.id for each in stage.principal.secrets} - named
    assert {each["id"] for each in report["secrets"][0]["unmanaged"]} == orphans
    assert len(orphans) <= 2
    assert stage.works


def test_ctrl_c_says_what_was_done(stage: Stage) -> None:
    running: list[ForkServerProcess] = []

    def interrupt(request: Request) -> None:
        if is_store(request):
            os.kill(running[0].pid or 0, signal.SIGINT)

    stage.cloud.on_request = interrupt
    stage.cloud.latency = 0.3
    running.append(warm.start("rotate", "--apply", "--yes", environ=stage.environ))
    running[0].join(50)
    assert running[0].exitcode == 130
    stage.cloud.on_request, stage.cloud.latency = None, 0
    assert stage.apply().returncode == 0
    assert_sound(stage)


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_while_it_looks_says_that_nothing_was_done(
    stage: Stage,
    tmp_path: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    running: list[ForkServerProcess] = []
    listed = two_names(stage)

    def interrupt(request: Request) -> None:
        if request.path.endswith("/versions"):
            os.kill(running[0].pid or 0, signal.SIGINT)

    stage.cloud.on_request, stage.cloud.latency = interrupt, 0.3
    out = tmp_path / "out"
    arguments = ["rotate", "--apply", "--yes", *(["--json"] if as_json else [])]
    running.append(warm.start(*arguments, environ={**stage.environ, "WORKSPACES": listed}, stdout=out))
    running[0].join(50)
    assert (running[0].exitcode, stage.written) == (130, [])
    said = out.read_text()
    if as_json:
        report = json.loads(said)
        assert (report["applied"], report["result"]) == (False, "failed")
        told = {each["name"]: [error["code"] for error in each["errors"]] for each in report["secrets"]}
        assert told == {SECRET_NAME: ["interrupted"], SECOND: ["interrupted"]}
    else:
        assert said.endswith(f"{after_interrupt(changed=False)}\n")
        assert "Done" not in said
        assert said.count("(interrupted)") == 2


def test_json_output_asks_no_question(stage: Stage) -> None:
    done = warm.on_terminal("rotate", "--apply", "--json", environ=stage.environ, columns=200)
    assert (done.returncode, stage.written) == (2, [])
    assert NOT_WITH_JSON in done.stdout.decode()


def test_who_has_taken_long_can_still_take_back_what_cannot_be_stored(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Deadline] = {}
    real = services.AdminServices

    class Late(real):  # type: ignore[misc, valid-type]
        def __init__(self, deadline: Deadline, *arguments: Any) -> None:
            made["services"] = deadline
            super().__init__(deadline, *arguments)

    def noted(*_: object, **more: Any) -> Any:
        made["rotation"] = more["deadline"]
        raise KeyboardInterrupt

    for name, value in stage.environ.items():
        monkeypatch.setenv(name, value)
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("REFRESH_TIMEOUT_SECONDS", "30")
    monkeypatch.setattr(services, "AdminServices", Late)
    monkeypatch.setattr(rotate_command, "Rotation", noted)
    CliRunner().invoke(main, ["rotate"])
    assert made["services"].at - made["rotation"].at == pytest.approx(60)
    assert made["rotation"].remaining() > 500, "a run's budget would not do for one rotation"


# Secrets


def watched(seen: list[str], place: Path) -> Callable[[Request], None]:
    """Check, at each request, every process's arguments and environment, and every file in a directory."""

    def look(_: Request) -> None:
        for pattern in ("[0-9]*/cmdline", "[0-9]*/environ"):
            for process in Path("/proc").glob(pattern):
                try:
                    seen.append(process.read_bytes().decode(errors="replace"))
                except OSError:
                    continue
        seen.extend(file.read_text(errors="replace") for file in place.rglob("*") if file.is_file())

    return look


SPOILT: dict[str, Callable[[], Fault]] = {
    "nothing": lambda: Fault(faults.delay(0), service="databricks"),
    "an answer that is no JSON": lambda: Fault(
        faults.replace_body(lambda body: b"<html>" + body), method="POST", route=SECRETS
    ),
    "an answer without an id": lambda: Fault(
        faults.replace_body(lambda body: body.replace(b'"id"', b'"message"')), method="POST", route=SECRETS
    ),
    "a sign-in that quotes what it was sent": lambda: Fault(
        _quotes(401), route="/oidc/v1/token", nth=2, times=3
    ),
    "a vault that quotes what it was sent": lambda: Fault(_quotes(400), service="keyvault", method="PUT"),
    "a lost answer to storing": lambda: Fault(
        faults.act_then(faults.reset()), service="keyvault", method="PUT"
    ),
    "a vault in trouble": lambda: Fault(_quotes(503), service="keyvault", method="PUT"),
}


def _quotes(status: int) -> faults.Action:
    async def act(request: Any, proceed: faults.Proceed) -> Any:
        from aiohttp import web  # noqa: PLC0415

        if "Authorization" not in request.headers:
            return await proceed()
        text = f"{request.headers} {await request.text()}"
        return web.json_response({"error": {"code": text, "message": text}, "message": text}, status=status)

    return act


@pytest.mark.parametrize(
    ("what", "options"),
    [
        *((what, ["--verbose"]) for what in SPOILT),  # all output for people, and more
        ("nothing", ["--json"]),
        ("a vault that quotes what it was sent", ["--json"]),
    ],
)
def test_no_secret_comes_out(stage: Stage, tmp_path: Path, what: str, options: list[str]) -> None:
    stage.cloud.remember_secrets()
    place, seen = tmp_path / "tmp", list[str]()
    place.mkdir()
    stage.cloud.inject(SPOILT[what]())
    stage.cloud.on_request = watched(seen, place)
    done = stage.apply(*options, TMPDIR=str(place), AZURE_LOG_LEVEL="DEBUG", DEBUG="1")
    stage.cloud.on_request = None
    came_out = [done.stdout.decode(), done.stderr.decode(), *seen]
    came_out += [file.read_text(errors="replace") for file in place.rglob("*") if file.is_file()]
    secrets = {issued for issued in stage.cloud.issued if issued.startswith("dose")}
    assert {secret.value for secret in stage.principal.secrets} <= secrets
    assert len(secrets) >= 2
    for secret in secrets:
        for start in range(len(secret) - 11):
            piece = secret[start : start + 12]
            assert not any(piece in text for text in came_out), f"a piece of a secret came out: {what}"
    tags = json.dumps([dict(version.tags) for version in stage.stored])
    assert not any(secret[4:16] in tags for secret in secrets)


@pytest.mark.parametrize("what", [what for what in SPOILT if "sign-in" not in what])
def test_no_logger_gets_to_see_a_secret(
    stage: Stage,
    everything: Everything,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    for name, value in stage.environ.items():
        monkeypatch.setenv(name, value)
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.delenv(name)

    def silence_and_lower() -> None:
        silence_sdk_logs()
        lower_every_level()

    monkeypatch.setattr(services, "silence_sdk_logs", silence_and_lower)
    monkeypatch.setattr(work, "READ_BACK_S", 1.0)
    stage.cloud.remember_secrets()
    stage.cloud.inject(SPOILT[what]())
    done = CliRunner().invoke(main, ["rotate", "--apply", "--yes"])
    assert done.exit_code in {0, 1}, done.output
    assert [line for line in everything.lines if "withheld" in line]
    secrets = [issued for issued in stage.cloud.issued if issued.startswith("dose")]
    assert {secret.value for secret in stage.principal.secrets} <= set(secrets)
    raised = everything_raised(done.exception)
    assert_clean("\n".join([*everything.lines, done.output, done.stderr, raised]), stage.cloud.secrets)
