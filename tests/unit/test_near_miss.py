"""A missing path with a similar existing Git folder: the finding names it, and none is created."""

import json

import pytest

from git_refresh.cli.status import look
from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.model.clock import Deadline
from git_refresh.model.values import GitFolder, OtherObject
from git_refresh.output.log import RedactingLogger
from git_refresh.run.refresh import refresh
from git_refresh.settings.load import load
from tests.support.fake_fleet import NEW, URL, host
from tests.support.fakes import NOW, FakeClock, FakeServices, FakeWorkspace, failure

THERE = (
    "/Repos/Sales/forecast-prod",
    "/Shared/mirrors/etl",
    "/Repos/Sales/deep/er/model",
    "/Users/ada@contoso.com/notes",
)

NEAR = {
    "a letter too many": ("/Repos/Sales/forecasts-prod", THERE[0]),
    "two letters swapped": ("/Repos/Sales/forceast-prod", THERE[0]),
    "another case": ("/Repos/sales/Forecast-Prod", THERE[0]),
    "a directory above": ("/Repos/Sale/forecast-prod", THERE[0]),
    "both": ("/Repos/Sale/forecast_prod", THERE[0]),
    "the first directory": ("/Share/mirrors/etl", THERE[1]),
    "deep below": ("/Repos/Sales/depe/er/modle", THERE[2]),
    "with /Workspace in front": ("/Workspace/Shared/miror/etl", f"/Workspace{THERE[1]}"),
    "a user": ("/Users/ada@contoso.de/notes", THERE[3]),
}
FAR = ("/Repos/Sales/other", "/Repos/Finance/x", "/Shared/mirrors/etl-of-finance-2024", "/Nowhere/at/all")


def workspace(**changes: object) -> FakeWorkspace:
    directories = {path.rpartition("/")[0] for path in THERE}
    found: dict[str, GitFolder | OtherObject] = {path: OtherObject("DIRECTORY") for path in directories}
    found["/Repos/Sales/fore"] = OtherObject("NOTEBOOK")
    for number, path in enumerate(THERE):
        found[path] = GitFolder(number, path, URL, "main", NEW, git_cli=number == 1)
    return FakeWorkspace(at=found, heads={"main": NEW}, **changes)  # type: ignore[arg-type]


def told(path: str, there: FakeWorkspace) -> Diagnosis:
    entry = {
        "host": host(1),
        "client_id": "5a1e0000-0000-4000-8000-000000000001",
        "client_secret_name": "secret",
    }
    settings = load(
        {
            "WORKSPACES": json.dumps([{**entry, "folders": [path]}]),
            "KEY_VAULT_URL": "https://v.vault.azure.net",
        }
    )
    clouds = FakeServices({host(1): there}, {"main": NEW})
    deadline = Deadline.after(540, FakeClock())
    (shown,) = look(settings, clouds, deadline).workspaces[0].folders
    report = refresh(settings, clouds, deadline, next_run=NOW, logger=RedactingLogger())
    (folder,) = report.workspaces[0].folders
    assert folder.error is not None
    assert shown.error == folder.error, "status tells the same"
    return folder.error


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize(("path", "nearest"), NEAR.values(), ids=NEAR)
def test_a_git_folder_with_almost_the_path_is_named_instead_of_making_one(
    path: str, nearest: str, *, tells: bool
) -> None:
    error = told(path, workspace(tells_directories=tells))
    assert error.code == "folder_misspelled"
    assert f"Git folder {nearest} does" in error.message


@pytest.mark.parametrize("path", FAR)
def test_what_is_like_no_git_folder_is_one_to_be_created(path: str) -> None:
    assert told(path, workspace()).code == "folder_not_found"


def test_a_workspace_that_lists_no_directory_gets_the_usual_remedy() -> None:
    error = told("/Repos/Sales/forecasts-prod", workspace(fail={"children": failure(status=403)}))
    assert error.code == "folder_not_found"
