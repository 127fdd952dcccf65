"""The parts of a check that depend on time, on the signed-in account, and on internal errors."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from git_refresh.cli.check import check_clouds
from git_refresh.cli.check_settings import check_settings
from git_refresh.cli.checks import Check, CheckReport
from git_refresh.cli.files import read_settings
from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.failures.failure import Service
from git_refresh.model.clock import Deadline
from git_refresh.model.values import GitFolder, Problem, StoredCredential
from git_refresh.output.log import RedactingLogger
from git_refresh.run.refresh import refresh
from git_refresh.settings.load import Settings, load
from tests.support.fake_fleet import NEW, OLD, URL, behind, frozen, host
from tests.support.fakes import FakeClock, FakeServices, FakeWorkspace, failure


def look(services: FakeServices, clock: FakeClock | None = None, **more: Any) -> list[Check]:
    settings = listed(services, more.get("entry", {}), more.get("settings", {}))
    interval = more.get("interval", timedelta(minutes=15))
    return check_clouds(settings, services, Deadline.after(540, clock or FakeClock()), interval=interval)


def listed(
    services: FakeServices, entry: Mapping[str, Any], changes: Mapping[str, str] | None = None
) -> Settings:
    entries = [
        {
            "host": key,
            "client_id": "5a1e0000-0000-4000-8000-000000000001",
            "client_secret_name": "secret",
            "folders": [{"path": "/Repos/etl/prod", "url": URL, "branch": "main"}],
            **entry,
        }
        for key in services.workspaces
    ]
    vault = {"KEY_VAULT_URL": "https://v.vault.azure.net"}
    return load({"WORKSPACES": json.dumps(entries), **vault, **(changes or {})})


def fleet(**changes: Any) -> FakeServices:
    return FakeServices({host(1): FakeWorkspace(at=behind())}, {"main": NEW}, **changes)


def only(checks: list[Check], layer: str) -> list[Check]:
    return [check for check in checks if check.layer == layer]


def test_check_names_the_sign_in_it_used() -> None:
    (managed,) = only(look(fleet()), "identity")
    assert managed.subject == "system-assigned managed identity"
    assert managed.message == (
        "object ID object-id, token for Azure DevOps expires at 13:00 UTC, in 60 minutes"
    )
    client_id = "00000000-0000-4000-8000-000000000001"
    (user_assigned,) = only(look(fleet(), settings={"AZURE_CLIENT_ID": client_id}), "identity")
    assert user_assigned.subject == f"managed identity {client_id}"
    (laptop,) = only(look(fleet(identity=Service.AZURE_CLI)), "identity")
    assert laptop.subject == "Azure CLI"
    assert "(your account; " in laptop.message


@pytest.mark.parametrize(("minutes", "direction"), [(3, "behind"), (-3, "ahead")])
def test_a_wrong_clock_is_a_warning(minutes: int, direction: str) -> None:
    lines = only(look(fleet(behind=timedelta(minutes=minutes))), "identity")
    assert [(line.status, line.message) for line in lines[1:]] == [
        ("warning", f"This machine's clock is 3 minutes {direction}.")
    ]


def test_the_token_is_held_against_the_longest_pause_between_two_runs() -> None:
    assert len(only(look(fleet(), interval=timedelta(minutes=50)), "identity")) == 1
    _, line = only(look(fleet(), interval=timedelta(hours=11, minutes=15)), "identity")
    assert line.error is not None
    assert (line.status, line.error.code) == ("failed", "token_expires_before_next_run")
    assert line.message.endswith("in 60 minutes, and up to 675 minutes pass between two runs.")


def test_a_personal_token_proves_less_about_the_app() -> None:
    services = fleet(identity=Service.AZURE_CLI)
    _, line = only(look(services, interval=timedelta(hours=2)), "identity")
    assert line.error
    assert (line.status, line.error.code) == ("warning", "token_expires_before_next_run")
    assert "of your account" in line.message


def test_a_mistake_of_ours_costs_one_workspace_s_lines() -> None:
    def broken(what: str) -> None:
        if what == "credentials":
            raise ZeroDivisionError

    services = FakeServices(
        {host(1): FakeWorkspace(at=behind(), before=broken), host(2): FakeWorkspace(at=behind())},
        {"main": NEW},
    )
    first, second = only(look(services), "workspace")
    assert first.error is not None
    assert (first.status, first.error.code, second.status) == ("failed", "internal_error", "ok")


@pytest.mark.parametrize("folder", ["/Repos/etl/prod", "/Repos/*"])
def test_a_folder_that_nothing_brings_up_to_date_is_a_warning(folder: str) -> None:
    services = FakeServices({host(1): FakeWorkspace(at=frozen())}, {"main": NEW})
    (line,) = only(look(services, entry={"folders": [folder]}), "folder")
    assert line.error is not None
    assert (line.subject, line.status, line.error.code) == (
        "adb-1 /Repos/etl/prod",
        "warning",
        "folder_detached",
    )


def test_odd_credentials_of_a_further_principal_are_reported_by_its_name() -> None:
    theirs = [
        StoredCredential(8, "azureDevOpsServicesAad", ""),
        StoredCredential(9, "azureDevOpsServices", "alice"),
        StoredCredential(10, "AzureDevOpsServices", "bob"),
    ]
    services = FakeServices({host(1): FakeWorkspace(at=behind(), others={4711: theirs})}, {"main": NEW})
    _, *lines = only(look(services, entry={"additional_principal_ids": [4711]}), "credential")
    assert [(line.status, line.error and line.error.code) for line in lines] == [
        ("ok", None),
        ("warning", "federated_credential"),
        ("warning", "foreign_credential"),
        ("warning", "second_credential"),
    ]
    assert {line.subject for line in lines} == {"adb-1, principal 4711"}
    assert all("service principal 4711 (additional_principal_ids)" in str(line.error) for line in lines[1:])


def test_a_token_rejected_for_a_detached_folder_fails_as_in_a_run() -> None:
    rejected = failure(Service.AZURE_DEVOPS, 401, message="TF401444: ...")
    services = FakeServices({host(1): FakeWorkspace(at=frozen())}, devops_failure=rejected)
    checks = look(services, entry={"folders": ["/Repos/etl/prod"]})
    assert [(line.layer, line.error.code) for line in checks if line.error and line.status == "failed"] == [
        ("azure_devops", "devops_not_a_member")
    ]
    assert [line.status for line in only(checks, "credential")] == ["skipped"]


def test_a_rejected_token_is_one_line_for_azure_devops() -> None:
    rejected = failure(Service.AZURE_DEVOPS, 401, message="TF401444: ...")
    for at, folder in (
        (behind(), {"path": "/Repos/etl/prod"}),
        (frozen(), {"path": "/Repos/etl/prod", "url": URL}),
    ):
        services = FakeServices({host(1): FakeWorkspace(at=at)}, devops_failure=rejected)
        checks = look(services, entry={"folders": [folder]})
        assert [check.layer for check in checks if check.status == "failed"] == ["azure_devops"]
        (line,) = only(checks, "credential")
        assert line.status == "skipped"


def test_a_secret_is_read_once_however_many_workspaces_use_it() -> None:
    services = FakeServices({host(n): FakeWorkspace(at=behind()) for n in range(3)}, {"main": NEW})
    assert len(only(look(services), "key_vault")) == 1
    assert services.asked == ["contoso/Data Platform/etl main"] * len(services.asked)


def fleet_of_two(**changes: Any) -> FakeServices:
    """Return workspaces with an outdated folder and with an empty path, each with a pattern."""
    workspaces = {host(1): FakeWorkspace(at=behind()), host(2): FakeWorkspace()}
    return FakeServices(workspaces, {"main": NEW}, **changes)


LISTED = {"folders": [{"path": "/Repos/etl/prod", "url": URL, "branch": "main"}, "/Shared/*"]}


def test_a_check_writes_nothing_and_asks_what_a_plan_asks() -> None:
    checked, planned = fleet_of_two(), fleet_of_two()
    settings = listed(checked, LISTED)
    look(checked, entry=LISTED)
    plan = refresh(
        settings, planned, Deadline.after(540, FakeClock()), logger=RedactingLogger(), dry_run=True
    )
    assert [report.result for report in plan.workspaces] == ["ok", "ok"]
    assert {key: sorted(each.log) for key, each in checked.workspaces.items()} == {
        key: sorted(each.log) for key, each in planned.workspaces.items()
    }
    assert sorted(checked.asked) == sorted(planned.asked)
    asked = {what for each in checked.workspaces.values() for what in each.log}
    assert asked == {"sign_in", "credentials", "folders", "find", "children"}


def test_a_folder_that_the_app_cannot_manage_fails_if_a_run_would_move_it() -> None:
    class Unmanaged(FakeWorkspace):
        def folders(self, prefix: str) -> Iterator[list[GitFolder | None]]:
            yield []

    for commit, status in ((OLD, "failed"), (NEW, "warning")):
        at: dict[str, Any] = {"/Repos/etl/prod": GitFolder(1, "/Repos/etl/prod", URL, "main", commit)}
        (line,) = only(look(FakeServices({host(1): Unmanaged(at=at)}, {"main": NEW})), "folder")
        assert (line.status, line.error and line.error.code) == (status, "folder_permission")


def test_what_ends_a_run_before_all_folders_are_found_fails_a_check() -> None:
    def stop(what: str) -> None:
        if what == "children":
            raise TimeoutError

    services = FakeServices({host(1): FakeWorkspace(at=behind(), before=stop)}, {"main": NEW})
    lines = only(look(services, entry=LISTED), "workspace")
    assert [(line.status, line.error and line.error.code) for line in lines] == [
        ("ok", None),
        ("failed", "out_of_time"),
    ]


def test_a_failed_identity_is_reported_once_and_the_rest_is_skipped() -> None:
    checks = look(fleet(identity_failure=failure(Service.IDENTITY, 400)))
    assert [(check.layer, check.status) for check in checks] == [
        ("identity", "failed"),
        *((layer, "skipped") for layer in ("key_vault", "azure_devops", "workspace", "credential", "folder")),
    ]
    assert {check.message for check in checks[1:]} == {
        "skipped, because the identity cannot get a token for Azure DevOps"
    }


def test_the_settings_lines_name_each_problem_with_a_code() -> None:
    problems = [
        Problem("WORKSPACES[0].host", "is missing"),
        Problem("WORKSPACES[0].folders[1].path", "is missing"),
    ]
    checks = check_settings({"REFRESH_SCHEDULE": "0 */15 * * * *"}, problems, None)
    assert [(check.subject, check.status, check.error.code if check.error else "") for check in checks] == [
        ("WORKSPACES[0].host", "failed", "invalid_settings"),
        ("WORKSPACES[0].folders[1].path", "failed", "invalid_folder"),
    ]


@pytest.mark.parametrize("environ", [{}, {"REFRESH_SCHEDULE": " "}])
def test_settings_without_a_schedule_are_wrong(environ: dict[str, str]) -> None:
    settings = load({"WORKSPACES": json.dumps([{"host": host(1), "auth": "managed_identity"}])})
    (line,) = check_settings(environ, (), settings)
    assert (line.subject, line.status) == ("REFRESH_SCHEDULE", "failed")
    assert line.message.startswith("is missing, ")
    (list_alone,) = check_settings(environ, (), settings, scheduled=False)
    assert list_alone.status == "ok"


def test_a_run_in_slices_needs_a_queue_and_reports_its_slice_count() -> None:
    entries = [{"host": host(number), "auth": "managed_identity"} for number in range(51)]
    environ = {"REFRESH_SCHEDULE": "0 */15 * * * *", "WORKSPACES": json.dumps(entries), "FAN_OUT": "queue"}
    (line,) = check_settings(environ, (), load(environ))
    assert (line.subject, line.status) == ("AzureWebJobsStorage", "failed")
    (line,) = check_settings(environ, (), load(environ), scheduled=False)
    assert line.message == "51 workspaces, 0 Git folders, in 2 slices"
    with_queue = {**environ, "AzureWebJobsStorage__accountName": "stcontoso"}
    (line,) = check_settings(with_queue, (), load(with_queue))
    assert (line.status, line.message) == ("ok", "51 workspaces, 0 Git folders, in 2 slices")


@pytest.mark.parametrize(
    ("schedule", "subjects"),
    [
        ("*/30 * * * * *", ["REFRESH_SCHEDULE"]),
        ("* * * * * *", ["REFRESH_SCHEDULE"]),
        ("0,20 0 6 * * *", ["REFRESH_SCHEDULE"]),
        ("0,59 * * * * *", ["REFRESH_SCHEDULE"]),
        ("0 * * * * *", []),
        ("0 */15 * * * *", []),
        ("0 0 6 * * 1", []),
    ],
)
def test_a_schedule_on_which_no_slice_could_begin_is_refused(schedule: str, subjects: list[str]) -> None:
    environ = {
        "REFRESH_SCHEDULE": schedule,
        "WORKSPACES": json.dumps([{"host": host(1), "auth": "managed_identity"}]),
        "AzureWebJobsStorage__accountName": "stcontoso",
    }
    queued = {**environ, "FAN_OUT": "queue"}
    lines = check_settings(queued, (), load(queued))
    assert [line.subject for line in lines if line.status == "failed"] == subjects
    assert "failed" not in {line.status for line in check_settings(environ, (), load(environ))}


def test_unknown_names_in_a_file_and_misspelled_names_are_reported() -> None:
    environ = {
        "WORKSPACES": json.dumps([{"host": host(1), "auth": "managed_identity"}]),
        "REFRESH_SCHEDULE": "0 */15 * * * *",
        "CONCURRENCY": "8",
        "SLACK_URL": "x",
        "WEBSITE_RUN_FROM_PACKAGE": "1",
    }

    def pointed_out(**named: Any) -> list[tuple[str, str, str]]:
        lines = check_settings(environ, (), load(environ), **named)
        return [(line.subject, line.status, line.error.code) for line in lines if line.error]

    misspelled = ("CONCURRENCY", "warning", "misspelled_setting")
    assert pointed_out() == [misspelled]
    assert pointed_out(named=environ) == [misspelled, ("SLACK_URL", "warning", "unknown_setting")]
    environ["REFRESH_CONCURRENCY"] = "8"
    assert pointed_out(named=environ) == [
        ("CONCURRENCY", "warning", "unknown_setting"),
        ("SLACK_URL", "warning", "unknown_setting"),
    ]


GUID = "5a1e0000-0000-4000-8000-000000000001"


HOST_SETTINGS: dict[str, tuple[dict[str, str], list[str]]] = {
    "a time zone of Windows": ({"WEBSITE_TIME_ZONE": "W. Europe Standard Time"}, ["time_zone_ignored"]),
    "a time zone of Linux": ({"TZ": "Europe/Berlin"}, ["time_zone_ignored"]),
    "both": ({"WEBSITE_TIME_ZONE": "x", "TZ": "UTC"}, ["time_zone_ignored"] * 2),
    "none": ({"WEBSITE_TIME_ZONE": " ", "TZ": ""}, []),
    "the timer, on Windows": ({"AzureWebJobs.refresh_git.Disabled": "true"}, ["function_disabled"]),
    "the timer, on Linux": ({"AzureWebJobs__refresh_git__Disabled": "1"}, ["function_disabled"]),
    "the queue's, in any case": ({"azurewebjobs.Refresh_Slice.disabled": "TRUE"}, ["function_disabled"]),
    "not disabled": ({"AzureWebJobs.refresh_git.Disabled": "false"}, []),
    "another function": ({"AzureWebJobs.other.Disabled": "true"}, []),
}


@pytest.mark.parametrize(("values", "codes"), HOST_SETTINGS.values(), ids=HOST_SETTINGS)
def test_a_setting_of_the_host_that_changes_when_it_runs_is_a_warning(
    values: dict[str, str], codes: list[str], tmp_path: Path
) -> None:
    listed = json.dumps([{"host": host(1), "auth": "managed_identity"}])
    file = tmp_path / "local.settings.json"
    every = {"WORKSPACES": listed, "REFRESH_SCHEDULE": "0 */15 * * * *", **values}
    file.write_text(json.dumps({"Values": every}))
    read = read_settings(file)
    lines = check_settings(read.values, (), load(read.values), named=read.names)
    assert [(line.status, line.error.code) for line in lines if line.error] == [
        ("warning", code) for code in codes
    ]


def test_the_time_zone_of_a_laptop_is_its_own() -> None:
    listed = json.dumps([{"host": host(1), "auth": "managed_identity"}])
    environ = {"WORKSPACES": listed, "REFRESH_SCHEDULE": "0 */15 * * * *", "TZ": "Asia/Tokyo"}
    assert [line.status for line in check_settings(environ, (), load(environ))] == ["ok"]


def test_an_unused_secret_name_is_reported_at_its_place() -> None:
    def pointed_out(**defaults: str) -> list[str]:
        entries = [
            {"host": host(number), "auth": auth, "client_id": GUID, "client_secret_name": "s"}
            for number, auth in enumerate(["oauth_secret", "federated", "managed_identity", "federated"])
        ]
        environ = {
            "WORKSPACES": json.dumps(entries),
            "WORKSPACE_DEFAULTS": json.dumps(defaults),
            "KEY_VAULT_URL": "https://v.vault.azure.net",
        }
        lines = check_settings(environ, (), load(environ), scheduled=False)
        return [line.message for line in lines if line.error and line.error.code == "unused_secret_name"]

    assert pointed_out() == [
        "client_secret_name of adb-1 and 1 more is not used: auth is federated.",
        "client_secret_name of adb-2 is not used: auth is managed_identity.",
    ]
    assert pointed_out(client_secret_name="t") == [], "in a mixed fleet the defaults are for the others"


def test_a_report_is_failed_by_a_failure_and_by_nothing_less() -> None:
    error = Diagnosis("c", "m", "c", "r")
    lines = [Check("folder", "x", status, "m", error) for status in ("ok", "warning", "skipped")]
    assert CheckReport(tuple(lines)).result == "ok"
    assert CheckReport((*lines, Check("folder", "x", "failed", "m", error))).result == "failed"
