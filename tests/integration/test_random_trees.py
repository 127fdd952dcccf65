"""Git folders of both kinds are found in random trees of the emulator, in every variant."""

import json
import os
from itertools import count
from random import Random
from typing import Any

import pytest

from localcloud import Variant, seed
from localcloud.databricks.variant import values
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from tests.support.app import run_app
from tests.support.embedded_cloud import embedded_cloud

SEEDS = range(6)
OF_DISCOVERY = (
    "git_folders",
    "below_repos",
    "directory_info",
    "not_found",
    "detached_branch",
    "broken_folder",
    "workspace_prefix",
)
NAMES = ["a", "a b", "ü", "*", "Workspace", "100%", "a%2Fb", "a+b", "a#b?c=d&e", "me@contoso.com", "A"]


def variant_of(number: int) -> Variant:
    """Return a variant from a few that together have every relevant value."""
    known = values()
    chosen: dict[str, Any] = {
        name: known[name][(number + shift) % len(known[name])] for shift, name in enumerate(OF_DISCOVERY)
    }
    return Variant(**chosen)


def test_the_variants_have_every_value() -> None:
    for name in OF_DISCOVERY:
        assert {getattr(variant_of(number), name) for number in SEEDS} == {*values()[name]}


class RandomTree:
    """The contents of /Shared and /Users in a workspace, generated from a seed."""

    def __init__(self, random: Random, workspace: Workspace, repository: Repository) -> None:
        self.workspace = workspace
        self.directories = ["/Shared", "/Users"]
        self.folders: dict[str, bool] = {}
        """Git folders, with True for Git CLI access."""
        self.broken: set[str] = set()
        self.closed: set[str] = set()
        numbers = count()
        for _ in range(10):
            parent = random.choice(self.directories[-6:])
            self.directories.append(f"{parent}/{random.choice(NAMES)}{next(numbers)}")
            workspace.make_directories(self.directories[-1])
        for _ in range(9):
            path = f"{random.choice(self.directories)}/{random.choice(NAMES)}{next(numbers)}"
            self.folders[path] = workspace.add_folder(path, repository).git_cli
        self.broken.add(f"{random.choice(self.directories)}/broken")
        for path in self.broken:
            self.folders[path] = workspace.add_broken_folder(path).git_cli
        workspace.add_notebook(f"{random.choice(self.directories)}/notebook")
        self.closed.add(random.choice(self.directories[2:]))
        for path in self.closed:
            workspace.close_directory(path)

    def found(self, named: list[str], variant: Variant) -> set[str]:
        """Return the matches of /Shared/* and /Users/*, without folders that have their own entry."""
        return {path for path in self.folders if path not in named and self._shows(path, variant)}

    def _shows(self, path: str, variant: Variant) -> bool:
        reached = not any(path.startswith(f"{closed}/") for closed in self.closed)
        if path in self.broken:
            return reached and (not self.folders[path] or variant.directory_info == "always")
        return reached or not self.folders[path]


@pytest.mark.parametrize("number", SEEDS)
def test_what_is_there_is_found_in_a_random_tree(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    random, variant = Random(number), variant_of(number)  # noqa: S311  # a tree, no secret
    with embedded_cloud(monkeypatch, variant) as cloud:
        fleet = seed(cloud, 1)
        (workspace,) = fleet.workspaces
        tree = RandomTree(random, workspace, fleet.repositories[0])
        named = random.sample(sorted(path for path in tree.folders if "*" not in path), 2)
        wanted = ["/Workspace/Shared/*", "/Users/*", *named]
        (entry,) = json.loads(fleet.settings["WORKSPACES"])
        listed = json.dumps([{**entry, "folders": wanted}])
        done = len(cloud.requests)
        report = run_app({**os.environ, **fleet.settings, "WORKSPACES": listed})
        asked = [seen for seen in cloud.requests[done:] if seen.service == "databricks"]
    paths = [folder.path for folder in report.workspaces[0].folders]
    told = [problem for problem in report.problems if any(path in problem.message for path in tree.closed)]
    errors = {folder.path: folder.error.code for folder in report.workspaces[0].folders if folder.error}
    shown = tree.found(named, variant)
    assert sorted(paths) == sorted({*named, *shown})
    assert errors == dict.fromkeys(tree.broken & {*paths}, "broken_git_folder")
    assert len(told) == len(tree.closed)
    of = [seen.path.removeprefix("/api/2.0/") for seen in asked]
    assert of.count("workspace/list") <= len(tree.directories) + len(tree.broken)
    by_id = sum(path.startswith("repos/") for path in of)
    assert by_id <= len(tree.directories) + 2 * len(tree.folders) + len(named)
