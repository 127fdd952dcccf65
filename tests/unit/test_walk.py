"""The search below a path ending in /* ends, reports omissions, and skips Git folders' contents."""

import re
from collections import Counter

import pytest

from git_refresh.failures.diagnosis import DiagnosisContext
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.model.values import GitFolder, OtherObject
from git_refresh.run import listing, walk
from git_refresh.run.listing import Listing
from git_refresh.run.walk import INSIDE_CHECK_AFTER, MAX_DEPTH, MAX_REQUESTS, WALK_LIMIT_S, WIDE, Gap
from git_refresh.settings.models import Folder
from tests.support.fakes import FakeClock, deadline
from tests.support.workspace_tree import Kind, Node, Tree


def tree(*, tells: bool = True, **kinds: list[str]) -> Tree:
    """Return a workspace with these paths of each kind, and their directories."""
    made = Tree()
    for kind, paths in kinds.items():
        for path in paths:
            names = path.split("/")
            for end in range(2, len(names)):
                made.nodes.setdefault("/".join(names[:end]), Node(len(made.nodes) + 1, tells=tells))
            made.nodes[path] = Node(len(made.nodes) + 1, _KINDS[kind], tells=tells)
    return made


_KINDS: dict[str, Kind] = {
    "directories": "directory",
    "legacy": "legacy",
    "git_cli": "git-cli",
    "broken": "broken",
}


def search(
    there: Tree, *wanted: str, clock: FakeClock | None = None
) -> tuple[list[str], list[tuple[str, bool]], Listing]:
    """Return the folders found, the findings of the patterns, and the listing."""
    folders = tuple(Folder.model_validate({"path": path}) for path in wanted)
    read = Listing(there, folders, deadline=deadline(540, clock))
    found = [folder.path for folder in read]
    told = [
        (f"{each.diagnosis.code} {each.diagnosis.message}", each.failed)
        for each in read.patterns(DiagnosisContext())
    ]
    return found, told, read


def codes(told: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    return [(text.partition(" ")[0], failed) for text, failed in told]


@pytest.mark.parametrize(
    ("code", "message", "refused"),
    [
        ("PERMISSION_DENIED", "me does not have View permissions on /a.", True),
        ("403", "Unauthorized network access to workspace: 7405610926587", False),
        ("", "<html><body>403 Forbidden</body></html>", False),
    ],
)
def test_a_closed_network_is_no_missing_permission(code: str, message: str, *, refused: bool) -> None:
    failure = ServiceFailure(
        Service.DATABRICKS, Operation.LIST_DIRECTORY.of("/Shared/b"), FailureKind.ANSWER, 403, code, message
    )
    assert Gap("/a", failure).refused is refused


def names(told: list[tuple[str, bool]], path: str) -> bool:
    """Return whether the first finding is about this path."""
    return path in re.split(r"[ :,]+", told[0][0])


def broken_off(
    there: Tree, at: str, failure: ServiceFailure, clock: FakeClock | None = None, takes: float = 0
) -> None:
    """Let the listing of a directory fail after this many seconds."""

    def before(asked: str) -> None:
        if asked == f"children {at}":
            (clock or FakeClock()).sleep(takes)
            raise ServiceError(failure)

    there.before = before


# Limits


def test_a_directory_beyond_the_depth_is_named_and_what_is_above_is_found() -> None:
    chain = [f"/Shared{'/d' * depth}" for depth in range(1, MAX_DEPTH + 2)]
    there = tree(git_cli=[f"{chain[-2]}/near", f"{chain[-1]}/far"])
    found, told, _ = search(there, "/Shared/*")
    assert found == [f"{chain[-2]}/near"]
    assert codes(told) == [("pattern_too_wide", True)]
    assert names(told, chain[-1])


def test_so_many_objects_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_OBJECTS", 10)
    there = tree(git_cli=[f"/Shared/{letter}/{number}" for letter in "abc" for number in range(5)])
    found, told, _ = search(there, "/Shared/*")
    assert len(found) == 10
    assert codes(told) == [("pattern_too_wide", True)]
    assert names(told, "/Shared/c")


@pytest.mark.parametrize("tells", [True, False])
def test_so_many_requests_end_the_search_with_one_finding(*, tells: bool) -> None:
    """Also inside a directory without marks; folders found by then are kept."""
    plain = [f"/Shared/d{number}" for number in range(MAX_REQUESTS + 100)]
    found, told, _ = search(there := tree(directories=plain, legacy=["/Shared/z"], tells=tells), "/Shared/*")
    assert found == ["/Shared/z"]
    assert codes(told) == [("pattern_too_wide", True), ("pattern_wide", False)]
    counted = Counter(kind for kind, _ in there.asked)
    assert counted["children"] + counted["repos"] <= MAX_REQUESTS + 1


def test_so_many_seconds_end_the_search() -> None:
    clock = FakeClock()
    there = tree(git_cli=[f"/Shared/{number:02}/x" for number in range(30)])
    there.before = lambda _: clock.sleep(10)
    found, told, _ = search(there, "/Shared/*", clock=clock)
    assert 0 < len(found) < 6
    assert codes(told) == [("pattern_too_wide", True)]
    assert f"{WALK_LIMIT_S:.0f} seconds" in told[0][0]


def test_all_searches_of_a_workspace_share_their_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "WALKS_LIMIT_S", 80.0)
    clock = FakeClock()
    there = tree(git_cli=[f"/{top}/{number:02}/x" for top in ("A", "B", "C") for number in range(30)])
    there.before = lambda asked: clock.sleep(10 if asked.startswith("children") else 0)
    found, told, _ = search(there, "/A/*", "/B/*", "/C/*", "/Shared/a", clock=clock)
    assert found[0] == "/Shared/a"
    assert {path[:3] for path in found[1:]} == {"/A/", "/B/"}
    assert codes(told) == [("pattern_too_wide", True)] * 3
    assert [re.findall(r"\d+ seconds", text) for text, _ in told] == [[f"{n} seconds"] for n in (60, 20, 0)]
    assert clock.at == 80


HUNG = ServiceFailure(Service.DATABRICKS, Operation.LIST_DIRECTORY.of("/Shared/b"), FailureKind.TIMEOUT)
LARGE = ServiceFailure(Service.DATABRICKS, Operation.LIST_DIRECTORY.of("/Shared/b"), FailureKind.TOO_LARGE)


@pytest.mark.parametrize("failure", [HUNG, LARGE], ids=["hung", "too large"])
def test_a_directory_that_hangs_or_is_too_large_costs_what_is_below_it(failure: ServiceFailure) -> None:
    clock = FakeClock()
    there = tree(git_cli=["/Shared/a/1", "/Shared/b/2", "/Shared/c/3"], legacy=["/Shared/b/4"])
    broken_off(there, "/Shared/b", failure, clock, takes=15)
    found, told, _ = search(there, "/Shared/*", clock=clock)
    assert sorted(found) == ["/Shared/a/1", "/Shared/b/4", "/Shared/c/3"]
    assert [failed for _, failed in told] == [True]
    assert names(told, "/Shared/b")


@pytest.mark.parametrize(("closed", "failed"), [("/Shared", True), ("/Shared/b", False)])
def test_a_refused_directory_is_a_failure_at_the_root_and_a_warning_below(
    closed: str, *, failed: bool
) -> None:
    there = tree(git_cli=["/Shared/a/1", "/Shared/b/2"], legacy=["/Shared/b/4"])
    there.nodes[closed].listing = 403
    found, told, _ = search(there, "/Shared/*")
    assert found == (["/Shared/b/4"] if failed else ["/Shared/a/1", "/Shared/b/4"])
    assert codes(told) == [("permission_denied", failed)]
    assert names(told, closed)


@pytest.mark.parametrize(("requests", "said"), [(WIDE - 1, []), (WIDE, [("pattern_wide", False)])])
def test_a_search_of_so_many_requests_is_reported_as_wide(requests: int, said: list[object]) -> None:
    plain = [f"/Shared/d{number:03}" for number in range(requests - 1)]
    found, told, _ = search(tree(directories=plain, legacy=["/Shared/a"]), "/Shared/*")
    assert (found, codes(told)) == (["/Shared/a"], said)


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize(
    "wanted", [["/Shared/*"], ["/Shared/a/1", "/Shared/a/2"], ["/Shared/a/1", "/Shared/*"]]
)
def test_workspace_in_front_of_a_path_changes_nothing(wanted: list[str], *, tells: bool) -> None:
    there = [tree(git_cli=["/Shared/a/1", "/Shared/a/2"], tells=tells) for _ in range(2)]
    plain, prefixed = there
    found = search(plain, *wanted)[0]
    with_it, told, read = search(prefixed, *(f"/Workspace{path}" for path in wanted))
    assert [path.removeprefix("/Workspace") for path in with_it] == found
    assert not told
    assert prefixed.asked == plain.asked
    assert all(isinstance(read.look(folder), GitFolder) for folder in read)


def test_a_directory_that_may_be_a_git_folder_is_not_looked_into() -> None:
    there = tree(git_cli=["/Shared/a"], directories=["/Shared/b"], tells=False)
    there.nodes["/Shared/a"].repos = 500
    found, told, _ = search(there, "/Shared/*")
    assert (found, [failed for _, failed in told]) == ([], [True])
    assert ("children", "/Shared/b") in there.asked
    assert ("children", "/Shared/a") not in there.asked


def test_a_directory_of_an_entry_that_is_left_out_is_not_listed() -> None:
    there = tree(git_cli=["/Shared/a/1", "/Shared/b/2"])
    read = Listing(
        there, (Folder.model_validate({"path": "/Shared/*"}),), ["/Shared/b/*"], deadline=deadline()
    )
    assert [folder.path for folder in read] == ["/Shared/a/1"]
    assert ("children", "/Shared/b") not in there.asked


# Patterns in Git folders

WIDE_INSIDE = [f"/Shared/etl/src/{number}" for number in range(300)]
DEEP_INSIDE = [f"/Shared/etl/src{'/d' * depth}/{number}" for depth in range(15) for number in range(4)]


@pytest.mark.parametrize("kind", ["legacy", "git_cli"])
@pytest.mark.parametrize("pattern", ["/Shared/etl/*", "/Shared/etl/src/*"])
@pytest.mark.parametrize("inside", [WIDE_INSIDE, DEEP_INSIDE], ids=["wide", "deep"])
@pytest.mark.parametrize(("tells", "lies"), [(True, False), (True, True), (False, False)])
def test_a_pattern_in_a_large_git_folder_ends_early(
    kind: str, pattern: str, inside: list[str], *, tells: bool, lies: bool
) -> None:
    there = tree(directories=inside, tells=tells, **{kind: ["/Shared/etl"]})
    there.lies = lies
    found, told, _ = search(there, pattern)
    assert (found, codes(told)) == ([], [("pattern_in_git_folder", True)])
    assert names(told, "/Shared/etl")
    counted = Counter(kind for kind, _ in there.asked)
    assert counted["children"] + counted["repos"] <= INSIDE_CHECK_AFTER + 2
    assert counted["status"] <= 1
    if lies:
        assert counted["children"] <= 2


def test_what_fails_inside_a_git_folder_is_not_reported_besides() -> None:
    there = tree(directories=DEEP_INSIDE, git_cli=["/Shared/etl"])
    there.nodes[DEEP_INSIDE[0]].listing = 500
    found, told, _ = search(there, "/Shared/etl/src/*")
    assert (found, codes(told)) == ([], [("pattern_in_git_folder", True)])


def test_a_wide_search_that_finds_late_looks_at_its_root_once() -> None:
    plain = [f"/Shared/d{number:02}" for number in range(INSIDE_CHECK_AFTER * 3)]
    there = tree(directories=plain, git_cli=["/Shared/e/f/g/x"])
    found, told, _ = search(there, "/Shared/*")
    assert (found, told) == (["/Shared/e/f/g/x"], [])
    assert [path for kind, path in there.asked if kind == "status"] == ["/Shared"]


def test_a_look_at_the_root_that_fails_is_not_repeated() -> None:
    there = tree(
        directories=[f"/Shared/d{number:02}" for number in range(INSIDE_CHECK_AFTER + 9)], tells=False
    )
    there.nodes["/Shared"].repos = 500
    found, told, _ = search(there, "/Shared/*")
    assert (found, codes(told)) == ([], [("no_folder_matched", False)])
    assert [path for kind, path in there.asked if kind == "status"] == ["/Shared"]


# Broken folders


@pytest.mark.parametrize("its_own_answer_tells", [True, False])
def test_a_broken_folder_is_found_if_its_directory_marks_it(
    monkeypatch: pytest.MonkeyPatch, *, its_own_answer_tells: bool
) -> None:
    there = tree(broken=["/Shared/a/broken"], git_cli=["/Shared/a/whole", "/Shared/b/x"])
    if not its_own_answer_tells:
        monkeypatch.setattr(there, "find", lambda _: OtherObject("DIRECTORY"))
    found, told, read = search(there, "/Shared/*")
    assert (found, told) == (["/Shared/a/broken", "/Shared/a/whole", "/Shared/b/x"], [])
    looks = {folder.path: read.look(folder) for folder in read}
    assert looks["/Shared/a/broken"] == OtherObject("DIRECTORY", broken=True)
    assert isinstance(looks["/Shared/a/whole"], GitFolder)


def test_a_broken_folder_is_a_directory_if_its_directory_does_not_mark_it() -> None:
    there = tree(broken=["/Shared/a/broken"], git_cli=["/Shared/a/whole"], tells=False)
    found, told, _ = search(there, "/Shared/*")
    assert (found, told) == (["/Shared/a/whole"], [])
