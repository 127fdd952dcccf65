"""The selection of a workspace's Git folders, and their entries in the settings."""

import sys
from collections.abc import Iterator

import pytest

from git_refresh.failures.diagnosis import DiagnosisContext
from git_refresh.model.values import GitFolder, ListedObject
from git_refresh.run.listing import Listing
from git_refresh.settings.models import Folder
from tests.support.fakes import FakeWorkspace, deadline


def listing(
    wanted: list[str], there: list[str], left_out: list[str] | None = None, only: list[str] | None = None
) -> Listing:
    at = {path: GitFolder(number, path, "", "main", None) for number, path in enumerate(there, start=1)}
    return listing_of(FakeWorkspace(at=dict(at)), wanted, left_out, only)


def listing_of(
    api: FakeWorkspace, wanted: list[str], left_out: list[str] | None = None, only: list[str] | None = None
) -> Listing:
    folders = tuple(Folder.model_validate({"path": path}) for path in wanted)
    return Listing(api, folders, left_out or [], only or [], deadline=deadline())


def found(read: Listing) -> list[str]:
    return [folder.path for folder in read]


def told(read: Listing) -> list[tuple[str, str, bool]]:
    """Return the findings of paths ending in `/*`."""
    return [(each.path, each.diagnosis.code, each.failed) for each in read.patterns(DiagnosisContext())]


def test_the_nearest_pattern_takes_a_folder_and_each_once() -> None:
    there = ["/Repos/a/1", "/Repos/a/b/2", "/Repos/a/b/c/3", "/Repos/ab/4", "/Repos/a/5"]
    read = listing(["/Repos/a/5", "/Repos/a/b/*", "/Repos/a/*"], there)
    assert found(read) == ["/Repos/a/5", "/Repos/a/b/2", "/Repos/a/b/c/3", "/Repos/a/1"]
    assert [read.by_pattern(folder) for folder in read] == [False, True, True, True]


def test_no_pattern_takes_what_a_wrong_entry_stands_for() -> None:
    there = ["/Repos/a/1", "/Repos/a/2", "/Repos/a/b/3"]
    assert found(listing(["/Repos/a/*"], there, ["/Repos/a/1", "/Repos/a/b/*"])) == ["/Repos/a/2"]


def test_a_pattern_is_narrowed_to_what_is_asked_for() -> None:
    there = ["/Repos/a/1", "/Repos/a/11", "/Repos/a/b/2", "/Repos/c/3"]
    read = listing(["/Repos/a/*", "/Repos/c/*"], there, only=["/Repos/a/1", "/Repos/c/*", "/Repos/a/b/9"])
    assert found(read) == ["/Repos/a/1", "/Repos/a/b/9", "/Repos/c/3"]
    assert all(read.by_pattern(folder) for folder in read)
    assert [folder.path for folder in read if read.look(folder) is None] == ["/Repos/a/b/9"]
    assert told(read) == []


def test_a_narrowed_pattern_is_not_said_to_find_nothing_and_a_whole_one_is() -> None:
    read = listing(["/Repos/a/*", "/Repos/c/*"], [], only=["/Repos/a/1", "/Repos/c/*"])
    assert found(read) == ["/Repos/a/1"]
    assert told(read) == [("/Repos/c/*", "no_folder_matched", False)]


def test_a_narrowed_pattern_finds_no_more_than_it_would_by_itself() -> None:
    """Neither folders with their own entry, nor those of a nearer path ending in /*."""
    there = ["/Repos/a/1", "/Repos/a/b/2"]
    read = listing(["/Repos/a/*"], there, ["/Repos/a/1", "/Repos/a/b/*"], ["/Repos/a/1", "/Repos/a/b/2"])
    assert found(read) == []


@pytest.mark.parametrize(
    ("only", "asked"),
    [
        (None, ["/Repos/a", "/Shared/x"]),
        (["/Repos/a/b/1", "/Shared/x"], ["/Repos/a/b/1", "/Shared/x"]),
        (["/Repos/a/b/1", "/Repos/a/b/2", "/Shared/x"], ["/Repos/a/b", "/Shared/x"]),
        (["/Repos/a/*", "/Repos/a/b/2", "/Shared/x"], ["/Repos/a", "/Shared/x"]),
    ],
)
def test_the_workspace_is_asked_for_no_more_of_its_list_than_is_wanted(
    only: list[str] | None, asked: list[str]
) -> None:
    read = listing(["/Repos/a/*", "/Shared/x"], [], only=only)
    prefixes: list[str] = []

    def folders(prefix: str) -> Iterator[list[GitFolder | None]]:
        prefixes.append(prefix)
        yield []

    read._api.folders = folders  # type: ignore[method-assign]
    assert "/Shared/x" in found(read)
    assert sorted(prefixes) == asked


def test_a_legacy_git_folder_is_seen_at_any_depth_below_a_path() -> None:
    read = listing(["/Repos/a", "/Repos/ab"], ["/Repos/a/1", "/Repos/a/b/2", "/Repos/abc/3"])
    assert [read.has_below(path) for path in ("/Repos/a", "/Repos/ab", "/Repos/a/1")] == [True, False, False]


def calls(size: int) -> int:
    """Return the number of function calls for as many folders as patterns."""
    read = listing([f"/Repos/{n}/*" for n in range(size)], [f"/Repos/{n}/x" for n in range(size)])
    listed = {f"/Repos/{n}": ListedObject(f"/Repos/{n}/x", n, "REPO") for n in range(size)}
    read._api.children = lambda path: [listed[path]]  # type: ignore[method-assign]
    counted = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        assert len(found(read)) == size
    finally:
        sys.setprofile(None)
    return counted


def test_the_work_grows_with_the_list_and_no_faster() -> None:
    assert calls(400) < 1.2 * 8 * calls(50)
