from dataclasses import replace
from typing import Any

import pytest

from git_refresh.failures.diagnosis import DiagnosisContext, finding
from git_refresh.model.hosts import NO_HOSTS
from git_refresh.model.repository import parse_repository
from git_refresh.model.values import (
    CREDENTIAL_NAME,
    GitFolder,
    OtherObject,
    Ref,
    ResolvedRef,
    StoredCredential,
)
from git_refresh.run.context import facts_of
from git_refresh.run.decide import (
    Clone,
    FolderState,
    LeaveAlone,
    Move,
    Refuse,
    describe_owner,
    federated_credential,
    folder_step,
    is_ours,
    nearest,
    other_credentials,
    own_credential,
)
from git_refresh.settings.models import Folder

URL = "https://dev.azure.com/contoso/Data%20Platform/_git/etl"
ETL = parse_repository(URL, NO_HOSTS)
OTHER = parse_repository("https://dev.azure.com/contoso/Data%20Platform/_git/other", NO_HOSTS)
OLD, NEW = "a" * 40, "b" * 40


def wanted(**keys: str) -> Folder:
    return Folder.model_validate({"path": "/Repos/etl/prod", **keys})


def found(branch: str | None = "main", commit: str | None = OLD) -> GitFolder:
    return GitFolder(7, "/Repos/etl/prod", URL, branch, commit)


FOLDERS = {
    "leaves a folder alone that is at its branch's head": (
        wanted(),
        found(),
        ResolvedRef(OLD),
        LeaveAlone(Ref("branch", "main")),
    ),
    "moves a folder that is behind its branch": (
        wanted(),
        found(),
        ResolvedRef(NEW),
        Move(Ref("branch", "main")),
    ),
    "moves a folder to another branch, even at the same commit": (
        wanted(branch="x"),
        found(),
        ResolvedRef(OLD),
        Move(Ref("branch", "x")),
    ),
    "pulls without comparing when Azure DevOps cannot be asked": (
        wanted(),
        found(),
        None,
        Move(Ref("branch", "main")),
    ),
    "leaves a folder alone that is detached at its tag": (
        wanted(tag="v1"),
        found(None),
        ResolvedRef(OLD),
        LeaveAlone(Ref("tag", "v1")),
    ),
    "moves a folder to a tag though its branch is at that commit": (
        wanted(tag="v1"),
        found(),
        ResolvedRef(OLD),
        Move(Ref("tag", "v1")),
    ),
    "moves a detached folder back to the wanted branch": (
        wanted(branch="main"),
        found(None),
        ResolvedRef(OLD),
        Move(Ref("branch", "main")),
    ),
    "leaves a detached folder alone when nothing else is wanted, and says that it is frozen": (
        wanted(),
        found(None),
        None,
        LeaveAlone(None, note="folder_detached"),
    ),
    "moves a folder that has no commit yet": (
        wanted(),
        found("main", None),
        ResolvedRef(NEW),
        Move(Ref("branch", "main")),
    ),
    "clones what is missing when a url is given": (wanted(url=URL), None, ResolvedRef(NEW), Clone(ETL, None)),
    "clones to the wanted tag": (
        wanted(url=URL, tag="v1"),
        None,
        ResolvedRef(NEW),
        Clone(ETL, Ref("tag", "v1")),
    ),
    "clones though Azure DevOps cannot be asked": (
        wanted(url=URL, branch="x"),
        None,
        None,
        Clone(ETL, Ref("branch", "x")),
    ),
}


@pytest.mark.parametrize(("want", "have", "head", "step"), FOLDERS.values(), ids=FOLDERS)
def test_the_step_for_a_folder(
    want: Folder, have: GitFolder | None, head: ResolvedRef | None, step: object
) -> None:
    want = Folder.model_validate(want.model_dump())  # a new copy: validation sets the private repository
    assert folder_step(FolderState.at(want, have, NO_HOSTS), head) == step


WHY = {
    "behind": (wanted(), found(), ResolvedRef(NEW), "branch main has moved"),
    "elsewhere": (
        wanted(branch="x"),
        found(),
        ResolvedRef(OLD),
        "it is on branch main, and the settings name branch x",
    ),
    "off its tag": (
        wanted(tag="v1"),
        found(),
        ResolvedRef(OLD),
        "it is on branch main, and the settings name tag v1",
    ),
    "detached": (
        wanted(branch="x"),
        found(None),
        ResolvedRef(OLD),
        "it has a detached HEAD, and the settings name branch x",
    ),
    "not to be asked": (
        wanted(),
        found(),
        None,
        "Azure DevOps did not return the latest commit of branch main",
    ),
    "there": (wanted(tag="v1"), found(None), ResolvedRef(OLD), "it is at the latest commit of tag v1"),
    "adrift": (
        wanted(),
        found(None),
        None,
        "its entry names neither branch nor tag",
    ),
    "missing": (wanted(url=URL), None, ResolvedRef(NEW), "nothing exists at this path"),
}


@pytest.mark.parametrize(("want", "have", "head", "why"), WHY.values(), ids=WHY)
def test_every_step_gives_its_reason(
    want: Folder, have: GitFolder | None, head: ResolvedRef | None, why: str
) -> None:
    want = Folder.model_validate(want.model_dump())
    step = folder_step(FolderState.at(want, have, NO_HOSTS), head)
    assert not isinstance(step, Refuse)
    assert step.why == why


def test_a_federated_credential_is_neither_the_app_s_nor_a_rival() -> None:
    ours = StoredCredential(1, "azureDevOpsServices", "git-refresh")
    federated = StoredCredential(2, "AzureDevOpsServicesAAD", "")
    rival = StoredCredential(3, "azuredevopsservices", "alice")
    stored = [federated, StoredCredential(4, "gitHub", "x"), rival, ours]
    assert federated_credential(stored) == federated
    assert federated_credential([ours, rival]) is None
    assert other_credentials(stored, ours) == [rival]


REFUSED = {
    "a missing folder without a url": (
        (wanted(), None, None),
        "folder_not_found",
        "/Repos/etl/prod does not exist",
    ),
    "a notebook at the path": (
        (wanted(), OtherObject("NOTEBOOK"), None),
        "not_a_git_folder",
        "/Repos/etl/prod is a NOTEBOOK",
    ),
    "a clone of another repository": (
        (wanted(url=URL), replace(found(), url=OTHER.url), ResolvedRef(OLD)),
        "wrong_repository",
        "/Repos/etl/prod is a clone of contoso/Data Platform/other, not of contoso/Data Platform/etl",
    ),
    "a clone from outside Azure DevOps": (
        (wanted(), replace(found(), url="https://github.com/contoso/etl"), None),
        "not_azure_devops",
        "/Repos/etl/prod is a clone",
    ),
    "a folder without a remote repository": (
        (wanted(), replace(found(), url=""), None),
        "no_remote_repository",
        "/Repos/etl/prod has no remote repository",
    ),
    "a folder without a remote repository, though the settings name one": (
        (wanted(url=URL), replace(found(), url=""), ResolvedRef(NEW)),
        "no_remote_repository",
        "/Repos/etl/prod has no remote repository",
    ),
    "a branch that does not exist": (
        (wanted(branch="x"), found(), ResolvedRef(None)),
        "ref_not_found",
        "Branch x does not exist",
    ),
    "a tag that does not exist, before cloning for it": (
        (wanted(url=URL, tag="x"), None, ResolvedRef(None)),
        "ref_not_found",
        "Tag x does not exist",
    ),
}


def test_a_directory_of_git_folders_is_recognized() -> None:
    folder = wanted()
    step = folder_step(FolderState.at(folder, OtherObject("DIRECTORY"), NO_HOSTS), None, below=True)
    assert isinstance(step, Refuse)
    told = finding(step.code, DiagnosisContext(path=folder.path), **step.values)
    assert told.code == "directory_of_git_folders"
    assert " /Repos/etl/prod/* " in told.remedy


@pytest.mark.parametrize(("given", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_and_named(given: tuple[Any, ...], code: str, said: str) -> None:
    want, have, head = given
    state = FolderState.at(want, have, NO_HOSTS)
    step = folder_step(state, head)
    assert isinstance(step, Refuse)
    assert step.code == code
    context = facts_of(DiagnosisContext(path=want.path), None, state.ref)
    assert said in finding(step.code, context, **step.values).message


NAMES = ["main", "release", "release/1.0", "team/etl", "V1.2.0", "v1.2.1", "x" * 120]
NEAREST = {
    "origin/main": "main",
    "Main": "main",
    "master": "main",
    "relase": "release",
    "etl": "team/etl",
    "feature/release": "release",
    "v1.2.0": "V1.2.0",
    "v1.2.2": "v1.2.1",
    "prod": None,
    "y" * 2_000: None,
    "x" * 2_000: "x" * 120,
}


@pytest.mark.parametrize(("name", "near"), NEAREST.items())
def test_the_nearest_that_exists_is_the_one_that_was_probably_meant(name: str, near: str | None) -> None:
    assert nearest(Ref("branch", name), NAMES) == near
    assert nearest(Ref("branch", name), []) is None


def stored(
    id_: int,
    provider: str = "azureDevOpsServices",
    username: str = "x",
    *,
    default: bool = False,
    name: str = "",
) -> StoredCredential:
    return StoredCredential(id_, provider, username, default, name)


CREDENTIALS = {
    "creates one where there is none": ([], None),
    "creates one beside another provider's": ([stored(1, "gitHub")], None),
    "leaves a federated one alone": ([stored(1, "azureDevOpsServicesAad")], None),
    "updates the only one, whosever name is on it": ([stored(1)], 1),
    "does not tell the provider's letter case apart": ([stored(1, "AZUREDEVOPSSERVICES")], 1),
    "prefers the one with our name": ([stored(1, default=True), stored(2, username="git-refresh")], 2),
    "prefers the one that this app has made": (
        [stored(1, username="git-refresh", default=True), stored(2, name=CREDENTIAL_NAME)],
        2,
    ),
    "prefers one of an earlier version to one with our user name and another name": (
        [stored(1, username="git-refresh", name="nightly", default=True), stored(2, username="git-refresh")],
        2,
    ),
    "prefers our user name among strangers with names": (
        [stored(1, name="a", default=True), stored(2, name="b", username="git-refresh")],
        2,
    ),
    "prefers the default one among strangers": ([stored(1), stored(2, default=True)], 2),
    "takes the oldest one of several alike": ([stored(3), stored(2)], 2),
}


@pytest.mark.parametrize(("existing", "chosen"), CREDENTIALS.values(), ids=CREDENTIALS)
def test_the_credential_that_a_token_goes_into(existing: list[StoredCredential], chosen: int | None) -> None:
    found = own_credential(existing, "git-refresh")
    assert (found and found.id) == chosen


OWNERS = {
    "made by this app": (stored(1, name=CREDENTIAL_NAME), True, ""),
    "made by this app before git_username was changed": (
        stored(1, username="before", name=CREDENTIAL_NAME),
        True,
        "",
    ),
    "made by an earlier version": (stored(1, username="git-refresh"), True, ""),
    "another name": (
        stored(1, username="git-refresh", name="nightly"),
        False,
        'its name is "nightly", not "databricks-git-refresh"',
    ),
    "another user name": (stored(1, username="alice"), False, 'its user name is "alice", not "git-refresh"'),
    "a name in other letters": (
        stored(1, name="Databricks-Git-Refresh"),
        False,
        'its name is "Databricks-Git-Refresh", not "databricks-git-refresh"',
    ),
}


@pytest.mark.parametrize(("found", "ours", "told"), OWNERS.values(), ids=OWNERS)
def test_the_app_s_credential_differs_from_a_foreign_one(
    found: StoredCredential, ours: object, told: str
) -> None:
    assert is_ours(found, "git-refresh") is ours
    assert ours or describe_owner(found, "git-refresh") == told


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        (OtherObject("REPO", broken=True), Refuse("broken_git_folder")),
        (OtherObject("DIRECTORY", inside="/a/b"), Refuse("inside_git_folder", {"folder": "/a/b"})),
        (OtherObject("NOTEBOOK"), Refuse("not_a_git_folder", {"type": "NOTEBOOK"})),
        (OtherObject(""), Refuse("not_a_git_folder", {"type": "thing"})),
    ],
)
def test_something_else_at_a_path_is_refused_as_what_it_is(found: OtherObject, refused: Refuse) -> None:
    state = FolderState.at(wanted(), found, NO_HOSTS)
    assert folder_step(state, None) == refused
