"""Git folders with a remote that is not an HTTPS URL of Azure DevOps, in a run."""

import logging

import pytest

from git_refresh.failures.failure import Service
from git_refresh.model.values import GitFolder
from git_refresh.run.report import FolderReport, Report
from tests.support.fake_fleet import NEW, OLD, URL, host, run
from tests.support.fakes import FakeServices, FakeWorkspace, failure

TOKEN = "correcthorsebatterystaple"
WITH_TOKEN = URL.replace("https://", f"https://me:{TOKEN}@")
PATH = "/Repos/etl/prod"
SERVER = "https://tfs.contoso.com/tfs/DefaultCollection/Data/_git/etl"


def refreshed(
    url: str, wanted: object, commit: str = OLD, **more: object
) -> tuple[Report, FolderReport, FakeWorkspace]:
    fake = FakeWorkspace(at={PATH: GitFolder(1, PATH, url, "main", commit)}, heads={"main": NEW}, **more)  # type: ignore[arg-type]
    report = run(FakeServices({host(1): fake}, {"main": NEW}), {"folders": [wanted]})
    return report, report.workspaces[0].folders[0], fake


WANTED = [PATH, "/Repos/etl/*", {"path": PATH, "url": URL, "branch": "main"}]


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize(("commit", "action"), [(OLD, "updated"), (NEW, "unchanged")])
def test_a_folder_with_a_password_in_its_url_is_updated_and_reported(
    caplog: pytest.LogCaptureFixture, wanted: object, commit: str, action: str
) -> None:
    caplog.set_level(logging.DEBUG)
    report, folder, _ = refreshed(WITH_TOKEN, wanted, commit)
    assert (report.result, folder.action, folder.to) == ("ok", action, NEW)
    (problem,) = report.problems
    assert problem.message.startswith("remote_password: ")
    assert f"from {URL}, " in problem.message
    assert TOKEN not in f"{report} {report.as_dict()} {caplog.text}"


@pytest.mark.parametrize("wanted", WANTED)
def test_a_refused_password_in_a_url_does_not_blame_the_stored_credential(wanted: object) -> None:
    refusal = failure(Service.DATABRICKS, 403, "PERMISSION_DENIED", "Invalid Git provider credentials.")
    report, folder, _ = refreshed(WITH_TOKEN, wanted, fail={"move_folder": refusal})
    assert folder.error is not None
    assert (folder.action, folder.error.code) == ("failed", "remote_password_rejected")
    assert "expired" not in folder.error.cause
    assert TOKEN not in f"{report} {report.as_dict()}"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (SERVER, "devops_server"),
        ("http://devops.fabrikam.com:8080/Contoso/Data/_git/etl", "devops_server"),
        ("git@ssh.dev.azure.com:v3/contoso/Data%20Platform/etl", "remote_not_https"),
        ("contoso@vs-ssh.visualstudio.com:v3/contoso/Data%20Platform/etl", "remote_not_https"),
        ("https://github.com/a/b", "not_azure_devops"),
    ],
)
def test_a_folder_that_no_credential_is_for_is_left_alone_with_the_reason(url: str, code: str) -> None:
    report, folder, fake = refreshed(url, PATH)
    assert folder.error is not None
    assert (folder.action, folder.error.code) == ("failed", code)
    assert "TRUSTED_HOSTS" not in str(folder.error)
    assert report.workspaces[0].credential is not None
    report, folder, found = refreshed(url, "/Repos/etl/*")
    assert (report.result, folder.action) == ("ok", "skipped")
    assert report.problems[0].message.startswith(f"{code}: ")
    assert "move_folder" not in fake.log + found.log


def test_an_ssh_address_comes_with_the_https_address_to_set() -> None:
    _, folder, _ = refreshed("git@ssh.dev.azure.com:v3/contoso/Data%20Platform/etl", PATH)
    assert folder.error is not None
    assert f" {URL}, " in folder.error.remedy


@pytest.mark.parametrize("url", [f"{URL}.git", URL.replace("%20", "%2520")])
def test_an_address_that_azure_devops_does_not_find_is_put_right(url: str) -> None:
    class NotFound(FakeServices):
        def head(self, *_: object) -> None:  # type: ignore[override]
            raise failure(Service.AZURE_DEVOPS, 404, message="TF401019: The Git repository does not exist")

    fake = FakeWorkspace(at={PATH: GitFolder(1, PATH, url, "main", OLD)}, heads={"main": NEW})
    folder = run(NotFound({host(1): fake}, {})).workspaces[0].folders[0]
    assert folder.error is not None
    assert folder.error.code == "remote_not_https"
    assert f" {URL}, " in folder.error.remedy
