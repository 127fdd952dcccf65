"""Which of a workspace's Git folders are wanted, and by which entry of the settings."""

import sys

from git_refresh.run.listing import Listing
from git_refresh.settings.models import Folder
from git_refresh.values import GitFolder
from tests.unit.fakes import FakeWorkspace


def listing(wanted: list[str], there: list[str], left_out: list[str] | None = None) -> Listing:
    at = {path: GitFolder(number, path, "", "main", None) for number, path in enumerate(there, start=1)}
    return Listing(
        FakeWorkspace(at=dict(at)),
        tuple(Folder.model_validate({"path": path}) for path in wanted),
        left_out or [],
    )


def found(read: Listing) -> list[str]:
    return [folder.path for folder, _ in read]


def test_the_nearest_pattern_takes_a_folder_and_each_once() -> None:
    there = ["/Repos/a/1", "/Repos/a/b/2", "/Repos/a/b/c/3", "/Repos/ab/4", "/Repos/a/5"]
    read = listing(["/Repos/a/5", "/Repos/a/b/*", "/Repos/a/*"], there)
    assert found(read) == ["/Repos/a/5", "/Repos/a/b/2", "/Repos/a/b/c/3", "/Repos/a/1"]
    assert [read.by_pattern(folder) for folder, _ in read] == [False, True, True, True]


def test_no_pattern_takes_what_a_wrong_entry_stands_for() -> None:
    there = ["/Repos/a/1", "/Repos/a/2", "/Repos/a/b/3"]
    assert found(listing(["/Repos/a/*"], there, ["/Repos/a/1", "/Repos/a/b/*"])) == ["/Repos/a/2"]


def test_what_is_below_a_path_is_counted_at_any_depth() -> None:
    read = listing(["/Repos/a", "/Repos/ab"], ["/Repos/a/1", "/Repos/a/b/2", "/Repos/abc/3"])
    assert [read.count_below(path) for path in ("/Repos/a", "/Repos/ab", "/Repos/a/1")] == [2, 0, 0]


def calls(size: int) -> int:
    """How many functions it takes to read as many folders as there are patterns."""
    read = listing([f"/Repos/{n}/*" for n in range(size)], [f"/Repos/{n}/x" for n in range(size)])
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
