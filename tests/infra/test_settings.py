"""App settings after a first or later deployment, and after manual changes."""

from collections.abc import Mapping

import pytest

from tools import snapshots

PAUSE = "AzureWebJobs.refresh_git.Disabled"
OUTPUTS = snapshots.read("settings").outputs
CASES: Mapping[str, Mapping[str, str]] = OUTPUTS["cases"]
RUNNING: dict[str, str] = OUTPUTS["before"]
LIST = "WORKSPACES"


def test_a_new_app_without_a_list_is_paused() -> None:
    first = CASES["first"]
    assert (first[PAUSE], LIST in first, first["KEY_VAULT_URL"]) == (
        "true",
        False,
        "https://kv-new.vault.azure.net",
    )
    assert CASES["second"] == first


@pytest.mark.parametrize("case", ["firstWithList", "secondWithList", "madeByHand"])
def test_a_deployment_with_a_list_ends_the_first_pause(case: str) -> None:
    assert (PAUSE in CASES[case], CASES[case][LIST]) == (False, RUNNING[LIST])


def test_a_deployment_that_is_given_no_settings_keeps_them() -> None:
    own = {"REFRESH_SCHEDULE": "0 0 * * * *", "AZURE_CLIENT_ID": "5a1e0000-0000-4000-8000-000000000003"}
    assert CASES["fromFreshCheckout"] == RUNNING | own


@pytest.mark.parametrize(
    ("case", "changed"),
    [
        ("withList", {LIST: '["https://adb-2.2.azuredatabricks.net"]'}),
        ("withTimeout", {"REFRESH_TIMEOUT_SECONDS": "540"}),
        ("vaultByHand", {"KEY_VAULT_URL": "https://kv-hand.vault.azure.net"}),
        ("vaultGiven", {"KEY_VAULT_URL": "https://kv-given.vault.azure.net"}),
        ("vaultEmpty", {}),
        ("pausedByHand", {PAUSE: "1"}),
        ("pausedByHandWithList", {PAUSE: "1"}),
        ("listEmptied", {LIST: " "}),
    ],
)
def test_a_deployment_changes_what_it_is_given_alone(case: str, changed: dict[str, str]) -> None:
    assert CASES[case] == RUNNING | changed


def test_an_app_that_lost_its_list_goes_on_failing() -> None:
    assert CASES["listDeleted"] == {name: value for name, value in RUNNING.items() if name != LIST}


def test_alerts_are_off_where_an_app_is_paused_without_a_list() -> None:
    waiting = {name for name, waits in OUTPUTS["waiting"].items() if waits}
    assert waiting == {"first", "second", "listDeletedAndPaused"}
