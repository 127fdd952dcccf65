"""--only and --folder: the selected part of the list, with the same result as in a whole run."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.cli.check import check_clouds
from git_refresh.cli.checks import CheckReport
from git_refresh.cli.scope import Scope, narrow
from git_refresh.failures.failure import Service
from git_refresh.model.clock import Deadline
from git_refresh.model.values import GitFolder, OtherObject
from git_refresh.output.log import RedactingLogger
from git_refresh.run.refresh import refresh
from git_refresh.run.report import FolderReport, Report, WorkspaceReport
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.load import Settings, SettingsError, load
from tests.support.fake_fleet import NEW as LATEST
from tests.support.fake_fleet import OLD, OURS, URL, host
from tests.support.fakes import NOW, FakeClock, FakeServices, FakeWorkspace, failure

MANAGED = {"auth": "managed_identity"}


def settings(*entries: Mapping[str, Any], **more: str) -> Settings:
    listed = [{"host": host(number), **MANAGED, **entry} for number, entry in enumerate(entries, start=1)]
    return load({"WORKSPACES": json.dumps(listed), **more})


def scope(only: str | Collection[str] = (), folder: str | Collection[str] = ()) -> Scope:
    return Scope(
        (only,) if isinstance(only, str) else tuple(only),
        (folder,) if isinstance(folder, str) else tuple(folder),
    )


def names(found: Settings) -> list[str]:
    return [entry.name for entry in found.entries]


def paths(found: Settings) -> dict[str, list[str]]:
    return {
        entry.name: [folder.path for folder in entry.workspace.folders]
        for entry in found.entries
        if isinstance(entry, Entry)
    }


def refused(found: Settings, wanted: Scope) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        narrow(found, wanted)
    return [str(problem) for problem in raised.value.problems]


# Workspaces

FLEET = [{"name": "prod"}, {"name": "test"}, {"name": "dev, eu"}]


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        ((), ["prod", "test", "dev, eu"]),
        ("test", ["test"]),
        ("test,prod", ["prod", "test"]),
        (" test , prod ", ["prod", "test"]),
        (["test", "prod"], ["prod", "test"]),
        (["test", "test,test"], ["test"]),
        ("dev, eu", ["dev, eu"]),
    ],
)
def test_workspaces_are_chosen_by_name_in_the_order_of_the_list(
    only: str | list[str], chosen: list[str]
) -> None:
    assert names(narrow(settings(*FLEET), scope(only))) == chosen


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ("prd", ['--only: "prd" is not a workspace in the list; did you mean "prod"?']),
        ("PROD", ['--only: "PROD" is not a workspace in the list; did you mean "prod"?']),
        (
            "x,test,y",
            [
                f'--only: "{name}" is not a workspace in the list; write one of "prod"; "test"; "dev, eu"'
                for name in "xy"
            ],
        ),
        ("", ['--only: is empty; write one of "prod"; "test"; "dev, eu"']),
        ("prod,", ['--only: is empty; write one of "prod"; "test"; "dev, eu"']),
    ],
)
def test_an_unknown_name_is_reported_with_the_nearest(only: str, said: list[str]) -> None:
    assert refused(settings(*FLEET), scope(only)) == said


def test_the_first_of_many_names_are_shown() -> None:
    (said,) = refused(settings(*({"name": f"data-{number}"} for number in range(9))), scope("?"))
    assert said.endswith('; write one of "data-0", "data-1", "data-2", "data-3", "data-4" and 4 more')


def test_what_may_be_a_secret_is_not_shown() -> None:
    secret = "eyJ0eXAiOiJKV1QiLCJhbGciOi.eyJhdWQiOiI0OTli.c2lnbmF0dXJl"
    assert secret not in str(refused(settings(*FLEET), scope(secret)))
    assert secret not in str(refused(settings(*FLEET), scope((), secret)))


def test_a_rejected_entry_s_name_counts_and_its_problems_are_this_run_s() -> None:
    found = settings({"name": "prod"}, {"name": "bad", "hots": 1}, {"name": "worse", "hots": 1})
    assert len(found.problems) == 2
    assert narrow(found, scope("prod")).problems == ()
    chosen = narrow(found, scope("bad"))
    assert (names(chosen), [problem.location for problem in chosen.problems]) == (
        ["bad"],
        ["WORKSPACES[1].hots"],
    )


def test_the_origins_are_those_of_the_whole_list() -> None:
    own = {"path": "/Repos/old/one", "url": "https://git.contoso.com/c/P/_git/one", "branch": "main"}
    found = settings(
        {"name": "prod", "folders": [own]},
        {"name": "test", "folders": ["/Repos/a/b"]},
        TRUSTED_HOSTS="git.contoso.com",
    )
    assert "https://git.contoso.com" in found.origins()
    for wanted in (scope("test"), scope((), "/Repos/a/b")):
        part = narrow(found, wanted)
        (zone,) = part.zones().values()
        assert zone.origins() == found.origins()
        assert [entry.name for entry in zone.listed] == ["prod", "test"]


# Git folders

TREE: list[dict[str, Any]] = [
    {"name": "prod", "folders": ["/Repos/etl/prod", {"path": "/Workspace/Shared/etl", "branch": "main"}]},
    {"name": "test", "folders": [{"path": "/Repos/etl/*", "tag": "v1", "on_conflict": "discard"}]},
    {"name": "dev", "folders": ["/Repos/etl/*", "/Repos/etl/jobs/*", "/Repos/etl/jobs/daily"]},
    {"name": "none"},
]
ETL, JOBS = "/Repos/etl/*", "/Repos/etl/jobs/*"
CHOSEN = {
    "a folder with an entry of its own, or below a pattern": (
        "/Repos/etl/prod",
        {"prod": ["/Repos/etl/prod"], "test": [ETL], "dev": [ETL]},
    ),
    "without /Workspace": ("/Shared/etl", {"prod": ["/Workspace/Shared/etl"]}),
    "with /Workspace and a slash": (
        "/Workspace/Repos/etl/jobs/daily/",
        {"test": [ETL], "dev": ["/Repos/etl/jobs/daily"]},
    ),
    "below the nearest pattern": ("/Repos/etl/jobs/hourly", {"test": [ETL], "dev": [JOBS]}),
    "as the pattern itself": (ETL, {"test": [ETL], "dev": [ETL]}),
    "as a pattern that only one has": (JOBS, {"dev": [JOBS]}),
    "several": (
        ["/Shared/etl", JOBS],
        {"prod": ["/Workspace/Shared/etl"], "dev": [JOBS]},
    ),
}


@pytest.mark.parametrize(("folder", "chosen"), CHOSEN.values(), ids=CHOSEN)
def test_folders_are_chosen_by_path_and_workspaces_without_them_left_out(
    folder: str | list[str], chosen: dict[str, list[str]]
) -> None:
    assert paths(narrow(settings(*TREE), scope((), folder))) == chosen


def test_a_pattern_keeps_what_it_says_of_its_folders() -> None:
    (entry,) = narrow(settings(*TREE), scope("test", "/Repos/etl/prod")).entries
    assert isinstance(entry, Entry)
    (folder,) = entry.workspace.folders
    assert (str(folder.ref), folder.on_conflict) == ("tag v1", "discard")
    assert entry.paths == {"/Repos/etl/prod"}


NOT_THERE = {
    "misspelled": (
        (),
        "/Repos/elt/prod/",
        '"/Repos/elt/prod/" is not a Git folder in the list, and no /* pattern matches it; did you mean "/Repos/etl/prod"?',
    ),
    "only elsewhere": (
        "prod",
        "/Repos/etl/jobs/daily",
        '"/Repos/etl/jobs/daily" is not a Git folder of prod, and no /* pattern matches it; did you mean "/Repos/etl/prod"?',
    ),
    "not alike": (
        "prod",
        "/x",
        '"/x" is not a Git folder of prod, and no /* pattern matches it; write one of "/Repos/etl/prod", "/Shared/etl"',
    ),
    "a pattern below a pattern": (
        "test",
        "/Repos/etl/jobs/*",
        '"/Repos/etl/jobs/*" is not a Git folder of test, and no /* pattern matches it; did you mean "/Repos/etl/*"?',
    ),
    "the directory above": (
        "test",
        "/Repos/etl",
        '"/Repos/etl" is not a Git folder of test, and no /* pattern matches it; did you mean "/Repos/etl/*"?',
    ),
    "no folders at all": (
        "none",
        "/x",
        '"/x" is not a Git folder of none, and no /* pattern matches it; the list has none',
    ),
    "empty": ("prod", " ", 'is empty; write one of "/Repos/etl/prod", "/Shared/etl"'),
}


@pytest.mark.parametrize(("only", "folder", "said"), NOT_THERE.values(), ids=NOT_THERE)
def test_a_path_that_no_chosen_workspace_has_is_reported(only: str, folder: str, said: str) -> None:
    assert refused(settings(*TREE), scope(only, folder)) == [f"--folder: {said}"]
    assert refused(settings(*TREE), scope(only, [folder, folder])) == [f"--folder: {said}"]


def test_a_named_workspace_without_the_folders_is_reported() -> None:
    said = '--only: "{}" has none of the Git folders of --folder; remove it'
    assert refused(settings(*TREE), scope("none,prod,dev", "/Shared/etl")) == [
        said.format("dev"),
        said.format("none"),
    ]
    assert names(narrow(settings(*TREE), scope("prod,dev", ["/Shared/etl", JOBS]))) == ["prod", "dev"]


NOTHING_DONE = {
    "not_azure_devops": {"url": "https://github.com/a/b"},
    "no_remote_repository": {"url": ""},
    "folder_detached": {"branch": None},
}


@pytest.mark.parametrize(
    ("listed", "asked_for", "result"),
    [
        ("/Repos/a/*", "/Repos/a/1", "failed"),
        ("/Repos/a/1", "/Repos/a/1", "failed"),
        ("/Repos/a/*", "/Repos/a/*", "ok"),
    ],
)
@pytest.mark.parametrize(("code", "there"), NOTHING_DONE.items())
def test_a_requested_folder_that_gets_no_work_is_a_failure(
    code: str, there: dict[str, Any], listed: str, asked_for: str, result: str
) -> None:
    folder = replace(GitFolder(1, "/Repos/a/1", URL, "main", OLD), **there)
    part = narrow(settings({"folders": [listed]}), scope((), asked_for))
    fake = FakeWorkspace(stored=[OURS], at={folder.path: folder})
    services = FakeServices({host(1): fake}, {"main": LATEST})
    for dry_run in (True, False):
        report = run(part, services, dry_run=dry_run)
        (row,) = report.workspaces[0].folders
        assert (report.result, row.error and row.error.code) == (result, code if result == "failed" else None)
    lines = check_clouds(part, services, Deadline.after(540, FakeClock()))
    assert CheckReport(tuple(lines)).result == result
    assert fake.at == {folder.path: folder}


def test_a_bad_folder_is_chosen_by_its_path_and_costs_no_other() -> None:
    bad = {"path": "/Repos/etl/prod", "brnach": "main"}
    found = settings({"name": "prod", "folders": [bad, "/Repos/etl/*", "/Shared/a"]})
    chosen = narrow(found, scope((), "/Workspace/Repos/etl/prod"))
    assert [problem.location for problem in chosen.problems] == ["WORKSPACES[0].folders[0].brnach"]
    assert paths(chosen) == {"prod": []}, "the pattern must not take it up instead"
    assert narrow(found, scope((), "/Shared/a")).problems == ()


def test_a_rejected_entry_is_left_out_where_it_has_not_the_folder() -> None:
    bad: list[dict[str, Any]] = [
        {"name": "its", "hots": 1, "folders": ["/Repos/etl/*"]},
        {"name": "inherits", "hots": 1},
        {"name": "prod", "folders": []},
        {"name": "others", "hots": 1, "folders": ["/Shared/a"]},
    ]
    good = {"name": "prod", "folders": ["/Repos/etl/prod"]}
    defaults = json.dumps({"folders": ["/Repos/etl/prod"]})
    found = settings(good, *bad, WORKSPACE_DEFAULTS=defaults)
    assert [isinstance(entry, Rejected) for entry in found.entries] == [False, True, True, True, True]
    assert names(narrow(found, scope((), "/Repos/etl/prod"))) == ["prod", "its", "inherits"]
    assert names(narrow(found, scope("others,prod", "/Repos/etl/prod"))) == ["prod", "prod", "others"], (
        "one that is named is told"
    )


def test_unreadable_folders_are_reported_only_with_their_workspace() -> None:
    found = settings(
        {"name": "odd", "folders": "/Repos/etl/prod"}, {"name": "prod", "folders": ["/Repos/etl/prod"]}
    )
    assert names(narrow(found, scope((), "/Repos/etl/prod"))) == ["prod"]
    chosen = narrow(found, scope("odd", "/Repos/etl/prod"))
    assert [problem.location for problem in chosen.problems] == ["WORKSPACES[0].folders"]


def test_a_pattern_leaves_what_another_entry_stands_for_to_that() -> None:
    found = settings({"folders": ["/Repos/a/*", "/Repos/a/1", "/Repos/a/b/*"]})
    at = {
        path: GitFolder(number, path, URL, "main", LATEST)
        for number, path in enumerate(["/Repos/a/1", "/Repos/a/2", "/Repos/a/b/3"])
    }
    services = FakeServices({host(1): FakeWorkspace(at=dict(at))}, {"main": LATEST})
    (report,) = run(narrow(found, scope((), "/Repos/a/*")), services).workspaces
    assert [folder.path for folder in report.folders] == ["/Repos/a/2"]


# A part has the same result as in a whole run

PLACES = ["/Repos/a/1", "/Repos/a/11", "/Repos/a/b/2", "/Repos/c/3", "/Shared/4"]
PATTERNS = ["/Repos/*", "/Repos/a/*", "/Repos/a/b/*"]
MOSTLY_GOOD = st.sampled_from(
    [{}, {}, {}, {"branch": "main"}, {"on_conflict": "discard"}, {"brnach": "main"}]
)
FOLDER = st.builds(lambda path, more: {"path": path, **more}, st.sampled_from(PLACES + PATTERNS), MOSTLY_GOOD)
ENTRY: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda folders, more: {"folders": folders, **more},
    st.lists(FOLDER, min_size=1, max_size=5, unique_by=lambda folder: str(folder["path"])),
    st.sampled_from([{}, {}, {}, {}, {"hots": 1}]),
)


def at(path: str, url: str, commit: str, branch: str | None, git_cli: Any) -> GitFolder:
    return GitFolder(1 + PLACES.index(path), path, url, branch, commit, git_cli)


CLONE = st.tuples(
    st.sampled_from([URL, URL, URL, "https://github.com/a/b", ""]),
    st.sampled_from([OLD, OLD, LATEST]),
    st.sampled_from(["main", "main", "main", "x", None]),
    st.sampled_from([False, False, False, True]),
)
THERE = st.fixed_dictionaries(
    dict.fromkeys(PLACES, CLONE | CLONE | CLONE | st.sampled_from(["NOTEBOOK", "nothing"]))
)
READS, WRITES = ["sign_in", "credentials", "folders", "find"], ["update_credential", "move_folder"]


@st.composite
def workspace(draw: st.DrawFn) -> FakeWorkspace:
    there = {
        path: at(path, *found) if not isinstance(found, str) else OtherObject(found)
        for path, found in draw(THERE).items()
        if found != "nothing"
    }
    failing = draw(st.sampled_from([*[""] * 12, *READS, *WRITES]))
    fail = {failing: failure()} if failing else {}
    heads = {"main": LATEST, "x": OLD}
    return FakeWorkspace(stored=[OURS] * draw(st.integers(0, 1)), at=there, heads=heads, fail=fail)


@dataclass(frozen=True)
class Case:
    """A fleet and its selected part."""

    entries: list[dict[str, Any]]
    workspaces: list[FakeWorkspace]
    rejected: bool
    scope: Scope

    def settings(self) -> Settings:
        listed = [{"name": f"data-{n}", **entry} for n, entry in enumerate(self.entries, start=1)]
        return settings(*listed)

    def services(self) -> FakeServices:
        """Return unchanged services."""
        workspaces = {
            host(n): replace(each, stored=list(each.stored), tokens={}, at=dict(each.at), log=[])
            for n, each in enumerate(self.workspaces, start=1)
        }
        down = failure(Service.AZURE_DEVOPS, 401, message="TF401444: ...") if self.rejected else None
        return FakeServices(workspaces, {"main": LATEST, "x": OLD}, devops_failure=down)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    entries = draw(st.lists(ENTRY, min_size=1, max_size=3))
    workspaces = [draw(workspace()) for _ in entries]
    every = [f"data-{number}" for number in range(1, len(entries) + 1)]
    only = draw(st.lists(st.sampled_from(every), max_size=2, unique=True))
    listed = sorted({folder["path"] for entry in entries for folder in entry["folders"]} | set(PLACES))
    folder = draw(st.lists(st.sampled_from(listed), max_size=2, unique=True))
    return Case(entries, workspaces, draw(st.integers(0, 4)) == 0, Scope(tuple(only), tuple(folder)))


def run(found: Settings, services: FakeServices, *, dry_run: bool = False) -> Report:
    soon, deadline = NOW + timedelta(minutes=15), Deadline.after(540, FakeClock())
    return refresh(found, services, deadline, next_run=soon, logger=RedactingLogger(), dry_run=dry_run)


def wanted_by(path: str, listed: Collection[str]) -> str | None:
    """Return the entry of a folder: the longest one that covers it."""
    covering = [
        each for each in listed if each == path or (each.endswith("*") and path.startswith(each[:-1]))
    ]
    return max(covering, key=lambda each: (each == path, len(each)), default=None)


def is_asked_for(path: str, listed: Collection[str], asked: Collection[str]) -> bool:
    """Return whether the whole run's row of this path belongs to the part."""
    if not asked or path in asked:
        return True
    if path.endswith("/*"):  # a path whose list failed, or an invalid entry
        return any(not each.endswith("/*") and wanted_by(each, listed) == path for each in asked)
    return wanted_by(path, listed) in asked and path not in listed


def codes(report: WorkspaceReport, rows: Collection[FolderReport]) -> tuple[object, ...]:
    error = report.error.code if report.error else None
    return (
        report.name,
        report.credential,
        error,
        [(replace(row, error=None), row.error and row.error.code) for row in rows],
    )


UNDONE = {"not_azure_devops", "no_remote_repository", "folder_detached"}


def nothing_is_done(row: FolderReport) -> bool:
    """Return whether the whole run skips a folder, which fails if it is selected."""
    frozen = row.note is not None and row.note.code == "folder_detached"
    return frozen or row.why == "it is not a clone from Azure DevOps"


def is_unseen(row: FolderReport, there: FakeWorkspace, asked: Collection[str]) -> bool:
    """Return whether a folder selected by path is hidden; the whole run might see it in its directory."""
    found = there.at.get(row.path)
    failed = row.error is not None and row.error.code == "service_unavailable"
    return (
        failed
        and row.path in asked
        and "find" in there.fail
        and isinstance(found, GitFolder)
        and found.git_cli
    )


@given(cases())
def test_a_part_is_reported_as_in_a_run_of_the_whole_list(case: Case) -> None:
    listed = case.settings()
    try:
        part = narrow(listed, case.scope)
    except SettingsError:
        return
    whole_clouds, part_clouds = case.services(), case.services()
    whole, narrowed = run(listed, whole_clouds), run(part, part_clouds)
    chosen = {entry.name for entry in part.entries}
    expected = {each.name: each for each in whole.workspaces if each.name in chosen}
    assert [each.name for each in narrowed.workspaces] == list(expected)
    for number, (entry, there) in enumerate(zip(case.entries, case.workspaces, strict=True), start=1):
        name, asked = f"data-{number}", case.scope.paths
        touched, as_whole = part_clouds.workspaces[host(number)], whole_clouds.workspaces[host(number)]
        if name not in chosen:
            assert touched.log == [], "no request is made to any other workspace"
            continue
        paths = [folder["path"] for folder in entry["folders"]]
        report = next(each for each in narrowed.workspaces if each.name == name)
        rows = [row for row in expected[name].folders if is_asked_for(row.path, paths, asked)]
        missing = [row for row in report.folders if row.path not in {each.path for each in rows}]
        for row in missing:  # the whole run does not read hidden folders
            assert (row.path in asked, row.action) == (True, "failed")
            assert row.error is not None
            assert row.error.code in {"folder_not_listed", *({"service_unavailable"} if there.fail else ())}
        unseen = {row.path for row in report.folders if is_unseen(row, there, asked)}
        rows = [row for row in rows if row.path not in unseen]
        undone = {row.path for row in rows if row.path in asked and nothing_is_done(row)}
        for row in (row for row in report.folders if row.path in undone):
            assert (row.action, row.error and row.error.code in UNDONE) == ("failed", True)
        left = {*unseen, *undone}
        done = [row for row in report.folders if row not in missing and row.path not in left]
        assert codes(report, done) == codes(expected[name], [row for row in rows if row.path not in undone])
        assert touched.tokens == as_whole.tokens
        for path, before in there.at.items():
            as_it_should = (
                as_whole.at[path] if path not in unseen and is_asked_for(path, paths, asked) else before
            )
            assert touched.at[path] == as_it_should
    assert (narrowed.result == "ok") == all(each.result == "ok" for each in narrowed.workspaces)


@given(cases())
def test_a_check_of_a_part_fails_if_a_run_of_it_does(case: Case) -> None:
    try:
        part = narrow(case.settings(), case.scope)
    except SettingsError:
        return
    fails_by_writing = any(each.fail.keys() & WRITES for each in case.workspaces)
    if part.problems or fails_by_writing:
        return
    services = case.services()
    lines = check_clouds(part, services, Deadline.after(540, FakeClock()))
    assert CheckReport(tuple(lines)).result == run(part, case.services(), dry_run=True).result
    touched = {host for host, each in services.workspaces.items() if each.log}
    assert touched <= {entry.workspace.host for entry in part.entries if isinstance(entry, Entry)}


# All repositories of a workspace decide on the token, whichever part is selected

MANY = 30


def repository(number: int) -> str:
    return f"contoso/p/r{number}"


@dataclass(frozen=True)
class Judged:
    """One workspace with many repositories, some of which accept the token."""

    folders: list[dict[str, Any]]
    workspace: FakeWorkspace
    takes: frozenset[int]
    there: tuple[int, ...]
    """The repository of each Git folder."""

    def settings(self, *asked_for: str) -> Settings:
        return narrow(settings({"name": "data-1", "folders": self.folders}), scope((), asked_for))

    def services(self) -> FakeServices:
        fresh = replace(self.workspace, stored=[OURS], tokens={}, at=dict(self.workspace.at), log=[])
        rejected_by = {repository(n) for n in range(MANY)} - {repository(n) for n in self.takes}
        return FakeServices({host(1): fresh}, {"main": LATEST, "x": OLD}, rejected_by=rejected_by)

    def action(self, *asked_for: str) -> str:
        (report,) = run(self.settings(*asked_for), self.services()).workspaces
        assert report.credential is not None
        return report.credential.action


def judged(numbers: Collection[int], takes: Collection[int], kinds: Collection[str] = ("url",)) -> Judged:
    """Return a folder per repository: with URL and branch, by path, by a pattern, or not in the list."""
    folders: list[dict[str, Any]] = []
    there = {}
    for index, (number, kind) in enumerate(zip(numbers, kinds, strict=True)):
        path = f"/Repos/found/{index}" if kind == "pattern" else f"/Repos/own/{index}"
        url = f"https://dev.azure.com/{repository(number).replace('/r', '/_git/r')}"
        branch = None if kind == "detached" else "main"
        there[path] = GitFolder(index, path, url, branch, LATEST, kind == "git_cli")
        if kind == "url":
            folders.append({"path": path, "url": url, "branch": "main"})
        elif kind != "pattern":
            folders.append({"path": path})
        elif (pattern := {"path": "/Repos/found/*"}) not in folders:
            folders.append(pattern)
    return Judged(folders, FakeWorkspace(at=dict(there)), frozenset(takes), tuple(numbers))


def urls(takes: int, of: int) -> Judged:
    return judged(range(of), [takes], ["url"] * of)


@pytest.mark.parametrize(
    ("case", "asked_for", "action"),
    {
        "the last of twenty, and another is asked for": (urls(19, of=20), "/Repos/own/0", "updated"),
        "one beyond the twentieth, which is asked for": (urls(24, of=25), "/Repos/own/24", "token_rejected"),
        "one beyond the twentieth, and another is asked for": (
            urls(24, of=25),
            "/Repos/own/3",
            "token_rejected",
        ),
        "the first, and one beyond the twentieth is asked for": (urls(0, of=25), "/Repos/own/24", "updated"),
        "a thirteenth that a pattern finds, behind twelve": (
            judged(range(13), [12], [*["url"] * 12, "pattern"]),
            "/Repos/own/0",
            "updated",
        ),
    }.values(),
)
def test_a_token_is_probed_on_twenty_repositories_in_list_order(
    case: Judged, asked_for: str, action: str
) -> None:
    assert (case.action(), case.action(asked_for)) == (action, action)


def test_a_scope_with_an_accepting_repository_probes_no_other() -> None:
    for case, asked_for in (
        (urls(2, of=20), "/Repos/own/2"),
        (judged(range(20), [2], ["path"] * 20), "/Repos/own/2"),
        (judged(range(25), [2], [*["url"] * 20, *["pattern"] * 5]), "/Repos/own/2"),
    ):
        services = case.services()
        run(case.settings(asked_for), services)
        assert set(services.asked) == {f"{repository(2)} main"}
        assert services.workspaces[host(1)].log.count("folders") <= 1


KINDS = ["path", "pattern", "git_cli", "detached"]


@st.composite
def judgments(draw: st.DrawFn) -> tuple[Judged, tuple[str, ...]]:
    size = draw(st.sampled_from([2, 13, 18, 23, MANY]))
    numbers = [*range(size), *draw(st.lists(st.integers(0, size - 1), max_size=3))]
    usual = draw(st.sampled_from(["url", "url", *KINDS]))
    kinds = [draw(st.sampled_from([usual] * 4 + KINDS)) for _ in numbers]
    takes = draw(st.sets(st.sampled_from([size - 1, *range(size)]), max_size=2))
    case = judged(numbers, takes, kinds)
    listed = [folder["path"] for folder in case.folders] + list(case.workspace.at)
    return case, tuple(draw(st.lists(st.sampled_from(listed), min_size=1, max_size=2, unique=True)))


@given(judgments())
def test_a_part_judges_the_token_as_the_whole_does(drawn: tuple[Judged, tuple[str, ...]]) -> None:
    case, asked_for = drawn
    whole = case.action()
    assert case.action(*asked_for) == whole
    if len(set(case.there)) <= 20:
        assert whole == ("updated" if case.takes else "token_rejected")
    if not case.takes:
        assert whole == "token_rejected"


@given(judgments())
def test_a_check_fails_if_a_run_does_whichever_repositories_take_the_token(
    drawn: tuple[Judged, tuple[str, ...]],
) -> None:
    case, asked_for = drawn
    for part in ((), asked_for):
        found = case.settings(*part)
        lines = check_clouds(found, case.services(), Deadline.after(540, FakeClock()))
        assert CheckReport(tuple(lines)).result == run(found, case.services(), dry_run=True).result
