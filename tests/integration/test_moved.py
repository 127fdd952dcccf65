"""After an update, the Git folder is at its ref, or its entry has the reason."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from git_refresh.run.report import FolderReport
from localcloud import Cloud, Variant, seed
from localcloud.databricks.folder import Folder
from tests.support.app import run_app
from tests.support.embedded_cloud import embedded_cloud

PATH = "/Repos/etl/prod"


class Scene:
    def __init__(self, cloud: Cloud) -> None:
        self.fleet = seed(cloud, 1)
        self.cloud = cloud
        (self.workspace,) = self.fleet.workspaces
        self.repository = self.fleet.repositories[0]

    @property
    def folder(self) -> Folder:
        found = self.workspace.folder(PATH)
        assert found is not None
        return found

    def run(self, **more: Any) -> tuple[str, FolderReport, list[str]]:
        (entry,) = json.loads(self.fleet.settings["WORKSPACES"])
        listed = json.dumps([{**entry, "folders": [{"path": PATH, **more}]}])
        report = run_app({**os.environ, **self.fleet.settings, "WORKSPACES": listed})
        return report.result, report.workspaces[0].folders[0], [each.message for each in report.problems]


@pytest.fixture
def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with embedded_cloud(monkeypatch, Variant(git_folders=getattr(request, "param", "git-cli"))) as cloud:
        yield Scene(cloud)


of_each_kind = pytest.mark.parametrize("scene", ["git-cli", "legacy"], indirect=True)
"""Kinds differ only in discovery and reads."""


@of_each_kind
def test_local_commits_fail_a_mirror_and_survive_it(scene: Scene) -> None:
    own = scene.folder.commit("mine.py", "1")
    result, report, _ = scene.run(on_conflict="discard")
    assert (result, report.action, report.error and report.error.code) == (
        "failed",
        "failed",
        "local_commits",
    )
    assert scene.folder.head == own


def test_local_commits_are_a_warning_where_people_work(scene: Scene) -> None:
    scene.folder.commit("mine.py", "1")
    result, report, problems = scene.run()
    assert (result, report.action) == ("ok", "unchanged")
    assert len(problems) == 1
    assert problems[0].startswith("local_commits")


@pytest.mark.parametrize("variant", ["merged", "kept"])
def test_local_commits_beside_a_push_are_a_warning_too(scene: Scene, variant: Any) -> None:
    scene.workspace.variant.diverged = variant
    scene.folder.commit("mine.py", "1")
    scene.repository.commit({"theirs.py": "1"})
    result, _, problems = scene.run()
    assert result == "ok"
    assert [problem.partition(":")[0] for problem in problems] == ["local_commits"]


@pytest.mark.parametrize("pushes_after", [0, 1])
def test_a_push_in_mid_run_is_nothing_to_report(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, pushes_after: int
) -> None:
    from git_refresh.clients.databricks import DatabricksWorkspaceApi  # noqa: PLC0415  # slow to load

    move = DatabricksWorkspaceApi.move_folder
    moved_to: list[str] = []

    def push_first(*args: Any, **more: Any) -> None:
        moved_to.append(scene.repository.commit({"theirs.py": "2"}))
        move(*args, **more)
        for number in range(pushes_after):
            scene.repository.commit({"theirs.py": f"after {number}"})

    monkeypatch.setattr(DatabricksWorkspaceApi, "move_folder", push_first)
    scene.repository.commit({"theirs.py": "1"})
    result, report, problems = scene.run(on_conflict="discard")
    assert (result, report.action, report.error) == ("ok", "updated", None)
    assert not any("local_commits" in problem for problem in problems)
    assert [report.to] == moved_to


@of_each_kind
def test_a_commit_that_is_shown_late_is_looked_at_again(scene: Scene) -> None:
    scene.workspace.variant.head_after_update = "stale"
    scene.repository.commit({"theirs.py": "1"})
    result, report, _ = scene.run(on_conflict="discard")
    assert (result, report.action, report.to) == ("ok", "updated", scene.repository.head("main"))


@pytest.mark.parametrize("unrelated", [False, True])
@pytest.mark.parametrize("diverged", ["refused", "merged"])
def test_a_rewritten_branch_is_diagnosed(scene: Scene, diverged: Any, *, unrelated: bool) -> None:
    scene.workspace.variant.diverged = diverged
    scene.repository.commit({"a.py": "1"})
    assert scene.run()[0] == "ok"
    scene.repository.rewrite({"a.py": "2"}, unrelated=unrelated)
    _, report, _ = scene.run()
    assert report.error
    assert report.error.code == "branch_diverged"


def test_uncommitted_changes_are_still_diagnosed(scene: Scene) -> None:
    scene.folder.edit("jobs/load.py", "mine")
    scene.repository.commit({"jobs/load.py": "theirs"})
    _, report, _ = scene.run()
    assert report.error
    assert report.error.code == "git_conflict"


@pytest.mark.parametrize("shown", ["absent", "empty", "HEAD"])
def test_a_detached_head_is_one_thing_however_it_is_shown(scene: Scene, shown: Any) -> None:
    scene.workspace.variant.detached_branch = shown
    scene.repository.tag("v1")
    assert scene.run(tag="v1")[1].action in {"updated", "unchanged"}
    assert scene.run(tag="v1")[1].action == "unchanged"
    result, report, problems = scene.run()
    assert (result, report.action) == ("ok", "unchanged")
    assert [problem.partition(":")[0] for problem in problems] == ["folder_detached"]


@of_each_kind
@pytest.mark.parametrize("path", [PATH, "/Repos/etl/*"])
def test_a_branch_that_is_gone_is_the_folder_s_state(scene: Scene, path: str) -> None:
    scene.repository.commit({"a.py": "1"}, branch="feature")
    assert scene.run(branch="feature")[0] == "ok"
    scene.repository.delete_branch("feature")
    result, report, _ = scene.run(path=path)
    assert (result, report.error and report.error.code) == ("failed", "branch_gone")
    assert scene.run(branch="feature")[1].error is not None
    assert scene.run(branch="main")[:1] == ("ok",)
