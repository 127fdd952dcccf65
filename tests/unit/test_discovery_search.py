"""Git folders of both kinds are found in any tree, once, and with few requests. Hypothesis draws the trees.

Each workspace with `folders` needs 1 request for the list of legacy Git folders. If nothing moves, a run needs further requests:

- legacy, by path: none

- with Git CLI access, by path: 1 per Git folder, and 1 per directory with several of them, or for the only one

- missing from the listing of its directory: 1 more

- a path ending in `/*`: 1 per directory below, per directory that the listing does not identify, and per unlisted Git
  folder

- a path ending in `/*` without a Git folder in the first 20 requests: at most 2 more

- a path ending in `/*` whose first Git folder is broken, or whose own entry is wrong: at most 3 more
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from unittest.mock import patch

from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from git_refresh.failures.diagnosis import DiagnosisContext
from git_refresh.failures.failure import ServiceError
from git_refresh.model.values import GitFolder, OtherObject, folder_key
from git_refresh.run import walk
from git_refresh.run.listing import Listing
from git_refresh.run.report import PatternReport
from git_refresh.settings.models import Folder
from tests.support.examples import as_often_as
from tests.support.fakes import deadline
from tests.support.workspace_tree import Kind, Node, Tree

TOPS = ("/Shared", "/Users", "/Repos", "/Workspaces")
NAMES = ("a", "b", "B", "a b", "*", "ü", "\u202e", "Workspace", "me@contoso.com", "a%2Fb", ".git", "…")
KINDS: tuple[Kind, ...] = ("directory", "directory", "legacy", "git-cli", "git-cli", "broken", "notebook")


def objects(tells: list[bool]) -> st.SearchStrategy[list[tuple[int, str, Node]]]:
    """Return places and names of a workspace's objects; with `tells`, responses can have `directory_info`."""
    node = st.builds(
        lambda kind, listing, repos, seen, managed, tells: Node(
            0, kind, None if kind == "notebook" else listing, repos, seen=seen, managed=managed, tells=tells
        ),
        st.sampled_from(KINDS),
        st.sampled_from([None] * 6 + [403, 500, 404]),
        st.sampled_from([None] * 5 + [403, 500]),
        st.sampled_from([True] * 4 + [False]),
        st.sampled_from([True] * 3 + [False]),
        st.sampled_from(tells),
    )
    return st.lists(st.tuples(st.integers(0, 30), st.sampled_from(NAMES), node), max_size=18)


OBJECTS = [objects([True]), objects([False]), objects([True, False])]


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Return a workspace with some twenty objects at any depth, some inside Git folders."""
    nodes = {path: Node(number) for number, path in enumerate(TOPS, start=1)}
    tree = Tree(nodes=nodes, lies=draw(st.booleans()), list_fails=draw(st.sampled_from([False, False, True])))
    for above, name, node in draw(draw(st.sampled_from(OBJECTS))):
        places = [path for path, each in nodes.items() if each.kind not in {"notebook", "broken"}]
        parent = places[above % len(places)]
        if (root := tree.around(parent)) and node.kind != "notebook":
            node.kind, node.repos = "directory", None  # a Git folder contains no other
        if root and tree.lies:
            nodes[root].repos = None  # an uncontradicted claim is accepted
        node.id = len(nodes) + 1
        nodes.setdefault(f"{parent}/{name}", node)
    tree.odd = set(draw(st.lists(st.sampled_from(sorted(nodes)), max_size=1)))
    return tree


@dataclass
class Wanted:
    """The settings' keys, some of them patterns ending in `/*`."""

    keys: list[str]
    bad: set[str] = field(default_factory=set)
    """Keys of invalid entries."""
    only: set[str] = field(default_factory=set)
    prefixed: bool = False
    """True if the settings' paths begin with `/Workspace`."""

    def listing(self, tree: Tree) -> Listing:
        front = "/Workspace" if self.prefixed else ""
        folders = tuple(Folder.model_validate({"path": front + key}) for key in self.asked())
        return Listing(tree, folders, self.left_out(), self.only, deadline=deadline(3_600))

    def asked(self) -> list[str]:
        """Return the entries that remain if only some paths are selected."""
        if not self.only:
            return self.keys
        patterns = {self.nearest(path, self.keys) for path in self.only - {*self.keys}}
        return [key for key in self.keys if key in self.only or key in patterns]

    def left_out(self) -> set[str]:
        return self.bad | ({*self.keys} - {*self.asked()})

    def named(self) -> list[str]:
        return [key for key in self.asked() if not key.endswith("/*")]

    def patterns(self) -> list[str]:
        return [key for key in self.asked() if key.endswith("/*")]

    def nearest(self, path: str, entries: Collection[str]) -> str | None:
        """Return a path's entry: its own, or that of the nearest pattern above."""
        if path in entries or path in self.bad:
            return path
        covering = [
            key
            for key in {*entries, *self.bad}
            if key.endswith("/*") and path.startswith(key.removesuffix("*"))
        ]
        nearest = max(covering, key=len, default=None)
        return None if nearest in self.bad else nearest

    def one_by_one(self) -> set[str]:
        """Return paths that are selected by name, and wanted by a pattern that is not selected."""
        entries = {*self.asked(), *self.left_out()}
        near = {path: self.nearest(path, entries) for path in self.only - {*self.keys}}
        return {path for path, key in near.items() if key in self.patterns() and key not in self.only}

    def whole(self, pattern: str) -> bool:
        return not self.only or pattern in self.only


@st.composite
def wanteds(draw: st.DrawFn, tree: Tree) -> Wanted:
    places = sorted(path for path in tree.nodes if not {"*", "\u202e"} & {*path})
    beneath = [f"{path}/none" for path in places[:4]]
    named = st.sampled_from([path for path in places if path.count("/") > 1] + beneath)
    patterns = st.sampled_from([f"{path}/*" for path in places + beneath])
    either = st.one_of(patterns, named)
    keys = draw(st.lists(either, min_size=1, max_size=6, unique=True))
    bad = {*draw(st.lists(either, max_size=1))} - {*keys}
    wanted = Wanted(keys, bad, prefixed=draw(st.booleans()))
    below = [
        path for path in places if (near := wanted.nearest(path, keys)) and near in keys and near != path
    ]
    only = st.sampled_from(keys + below)
    wanted.only = draw(st.one_of(st.just(set()), st.just(set()), st.sets(only, max_size=2)))
    return wanted


@dataclass
class Expected:
    """The expected matches of one pattern, from a simple recursion over the tree."""

    found: set[str] = field(default_factory=set)
    gaps: dict[str, bool] = field(default_factory=dict)
    """Unlistable paths; True if the pattern fails because of it."""
    directories: int = 0
    untold: int = 0
    """Directories and Git folders that the listing does not mark."""
    covers: bool = False
    """True if a Git folder below exists, for any entry."""
    proves_elsewhere: bool = False
    """True if a listing marks an excluded folder, or one with its own entry and no repository."""

    @classmethod
    def of(cls, tree: Tree, wanted: Wanted, pattern: str, listed: Collection[str]) -> "Expected":
        self = cls()
        root = pattern.removesuffix("/*")
        if not tree.around(root):
            self._descend(tree, wanted, root)
            if root in self.gaps:
                self.gaps[root] = True
        self.covers = bool(self.found) or any(path.startswith(f"{root}/") for path in listed)
        called = [path for path in self.found if tree.nodes[path].kind != "legacy" and tree.nodes[path].tells]
        self.proves_elsewhere = any(
            path in wanted.left_out() or (path in wanted.keys and not tree.nodes[path].is_proved)
            for path in called
        )
        self.found |= {path for path in listed if path.startswith(f"{root}/")}
        entries = {*wanted.asked(), *wanted.left_out()}
        self.found = {path for path in self.found if wanted.nearest(path, entries) == pattern}
        return self

    def _descend(self, tree: Tree, wanted: Wanted, directory: str) -> None:
        self.directories += 1
        node = tree.nodes.get(directory)
        if node is None or not node.seen or node.listing == 404 or node.kind == "notebook":
            return
        if node.listing is not None:
            self.gaps[directory] = node.listing != 403
            return
        if directory in tree.odd:
            self.gaps[directory] = True
        for path in tree.below(directory):
            child = tree.nodes[path]
            if not child.seen or child.kind == "notebook":
                continue
            asked = child.kind != "legacy" and not child.tells
            self.untold += asked
            if asked and child.repos is not None:
                self.gaps[path] = child.repos != 403
            elif child.is_git_folder or (child.kind == "broken" and child.tells):
                self.found.add(path)
            elif f"{path}/*" not in {*wanted.asked(), *wanted.left_out()}:
                self._descend(tree, wanted, path)


@given(st.data(), st.sampled_from([1, 3, 20]))
@as_often_as(300, suppressed=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_is_there_is_found_once_and_in_so_many_requests(data: st.DataObject, look_after: int) -> None:
    tree = data.draw(trees())
    wanted = data.draw(wanteds(tree))
    with patch.object(walk, "INSIDE_CHECK_AFTER", look_after):
        listing = wanted.listing(tree)
        found = list(listing)
        looks = {folder.key: look(listing, folder) for folder in found}
        told = list(listing.patterns(DiagnosisContext()))
    listed = [*shown_by_list(tree)]
    expected = {key: Expected.of(tree, wanted, key, listed) for key in wanted.patterns() if wanted.whole(key)}
    by_pattern = {path for each in expected.values() for path in each.found}
    assert Counter(folder.key for folder in found) == Counter(
        {*wanted.named(), *wanted.one_by_one()} | by_pattern
    )
    for path, seen in looks.items():
        assert is_true(tree, path, seen), path
    by_key = {key: [each for each in told if folder_key(each.path) == key] for key in wanted.patterns()}
    for key, each in by_key.items():
        if key in expected:
            check_told(tree, key, expected[key], each)
        else:
            assert not each
    check_requests(tree, expected, [folder.key for folder in found], listed, look_after)


def may_not_be_listed(tree: Tree, path: str) -> bool:
    """Return whether a path is a Git folder or in one; an unmarked broken one looks like a directory."""
    around = tree.nodes.get(tree.around(path))
    return around is not None and (around.is_git_folder or around.tells)


def look(listing: Listing, folder: Folder) -> GitFolder | OtherObject | int | None:
    try:
        return listing.look(folder)
    except ServiceError as error:
        return error.failure.status


def is_true(tree: Tree, path: str, seen: GitFolder | OtherObject | int | None) -> bool:
    """Return whether the tree has this at a path."""
    node = tree.nodes.get(path)
    if isinstance(seen, int):
        return node is not None and node.repos == seen
    if isinstance(seen, GitFolder):
        return node is not None and node.is_git_folder and (seen.id, seen.path) == (node.id, path)
    if seen is None:
        return node is None or not node.seen
    inside = "" if (root := tree.around(path)) == path else root
    broken = node is not None and node.kind == "broken" and node.tells
    return seen.inside == inside and seen.broken == broken


def shown_by_list(tree: Tree) -> Iterator[str]:
    """Yield the folders in the list of Git folders; for a failing list, its first page."""
    for kind, prefix in dict.fromkeys(tree.asked):
        if kind == "list":
            legacy = [
                path
                for path, node in sorted(tree.nodes.items())
                if node.kind == "legacy" and node.managed and path.startswith(prefix)
            ]
            yield from legacy[:2] if tree.list_fails else legacy
            if tree.list_fails:
                return


def check_told(tree: Tree, pattern: str, expected: Expected, told: list[PatternReport]) -> None:
    root = pattern.removesuffix("/*")
    node = tree.nodes.get(root)
    codes = [each.diagnosis.code for each in told]
    if (around := tree.around(root)) and tree.nodes[around].kind != "broken":
        assert codes, pattern
        seen = node is not None and node.seen and (around != root or tree.nodes[root].repos is None)
        failing = [
            path
            for path, each in tree.nodes.items()
            if path.startswith(root) and (each.listing or each.repos)
        ]
        if seen and not failing and not tree.odd:
            assert codes == ["pattern_in_git_folder"]
        return
    if around:
        return
    for path, failed in expected.gaps.items():
        assert [each for each in told if each.failed == failed and path in each.diagnosis.message], path
    if not expected.gaps and not expected.covers:
        assert len(codes) == 1
        assert codes[0] in {"no_folder_matched", "pattern_not_a_directory"}
    else:
        assert len(codes) == len(expected.gaps)


def check_requests(
    tree: Tree, expected: dict[str, Expected], found: list[str], listed: Collection[str], look_after: int
) -> None:
    """Hold the requests to the list above: only the root of a pattern can be listed inside a Git folder."""
    kinds = Counter(kind for kind, _ in tree.asked)
    below = {path for each in expected.values() for path in each.found}
    named = [path for path in found if path not in below and path not in listed]
    parents = Counter(path.rpartition("/")[0] for path in named)
    roots = [key.removesuffix("/*") for key in expected if tree.around(key.removesuffix("/*"))]
    inside = [
        path
        for kind, path in tree.asked
        if kind == "children" and may_not_be_listed(tree, path) and path not in parents
    ]
    assert all(any(path == root or path.startswith(f"{root}/") for root in roots) for path in inside)
    if roots:
        return
    failing = sum(not tree.nodes[path].is_proved for path in below)
    walked, untold = (
        sum(getattr(each, name) for each in expected.values()) for name in ("directories", "untold")
    )
    at_roots = sum(
        failing > 0 or not each.covers or each.directories + each.untold >= look_after
        for each in expected.values()
    )
    elsewhere = sum(each.proves_elsewhere for each in expected.values())  # the proof, and a read of the root
    assert kinds["children"] <= sum(count > 1 for count in parents.values()) + walked
    assert kinds["status"] <= len(named) + failing + at_roots + elsewhere
    assert kinds["repos"] <= 2 * len(named) + untold + len(below) + failing + at_roots + 2 * elsewhere


@given(st.data())
@as_often_as(200, suppressed=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_changes_during_the_walk_costs_nothing_that_stays(data: st.DataObject) -> None:
    tree = data.draw(trees())
    wanted = data.draw(wanteds(tree))
    changes = dict(data.draw(st.lists(st.tuples(st.integers(0, 15), changes_of(tree)), max_size=3)))
    touched = [path for path, _ in changes.values()]
    expected = {key: Expected.of(tree, wanted, key, ()) for key in wanted.patterns() if wanted.whole(key)}
    ever = {path: {node.id} for path, node in tree.nodes.items() if node.is_git_folder}

    def change(_: str) -> None:
        if (number := len(tree.asked)) in changes:
            path, node = changes[number]
            for gone in [each for each in tree.nodes if each == path or each.startswith(f"{path}/")]:
                del tree.nodes[gone]
            if node is not None:
                tree.nodes[path] = node
                ever.setdefault(path, set()).add(node.id)

    tree.before = change
    listing = wanted.listing(tree)
    found = list(listing)
    looks = {folder.key: look(listing, folder) for folder in found}
    list(listing.patterns(DiagnosisContext()))
    keys = [folder.key for folder in found]
    assert len(keys) == len({*keys})
    staying = {path for each in expected.values() for path in each.found if not is_touched(path, touched)}
    assert staying <= {*keys}
    for path, seen in looks.items():
        assert not isinstance(seen, GitFolder) or seen.id in ever[path]
        assert path not in staying or is_true(tree, path, seen)


@st.composite
def changes_of(draw: st.DrawFn, tree: Tree) -> tuple[str, Node | None]:
    """Return a path and the Git folder that appears there; None: everything there disappears."""
    places = [path for path in sorted(tree.nodes) if path not in TOPS]
    beside = [f"{top}/new" for top in TOPS]
    path = draw(st.sampled_from(places + beside))
    kind: Kind = draw(st.sampled_from(["legacy", "git-cli"]))
    inside = tree.around(path) not in {"", path}
    gone = inside or draw(st.booleans())
    return path, None if gone else Node(1_000 + draw(st.integers(0, 999)), kind, tells=draw(st.booleans()))


def is_touched(path: str, touched: Collection[str]) -> bool:
    return any(each == path or each.startswith(f"{path}/") or path.startswith(f"{each}/") for each in touched)
