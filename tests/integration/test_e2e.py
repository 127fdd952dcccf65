"""A rehearsal of the end-to-end workflow with fake programs, killed anywhere; nothing is left."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from tests.support import vendors
from tests.support.paths import ROOT
from tests.support.printed import parse
from tests.support.setup_paths import below, blocks
from tests.support.stand_in_cloud import AMID, APP, IDENTITY, LATE, StandInCloud, World, id_of

TEXT = (ROOT / ".github/workflows/e2e.yml").read_text()
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
SCRIPT = (ROOT / "tools/e2e.sh").read_text()
PAGE = (ROOT / "docs/e2e.md").read_text()
KNOWN = {
    "vars.RESOURCE_GROUP": "e2e",
    "inputs.host": "https://adb-1234567890123456.7.azuredatabricks.net",
    "inputs.repository": "https://dev.azure.com/contoso/Data/_git/etl",
    "vars.ALERT_EMAIL": "oncall@contoso.com",
    "github.run_id": "7",
    "github.run_attempt": "1",
}
OURS = ("python", "-m", "git_refresh")
LAST = "${{ contains(join(steps.*.outcome, ' '), 'failure') }}"
ROWS = ["prove", "silence", "redeploy", "republish", "lock"]

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")


@dataclass
class Rehearsal:
    """The workflow on a machine with fake programs."""

    folder: Path
    cloud: StandInCloud = field(default_factory=StandInCloud)
    results: dict[str, str] = field(default_factory=dict)
    """The result of each job, in GitHub's terms."""
    outcomes: dict[str, str] = field(default_factory=dict)
    """The outcome of each step with an ID."""
    log: str = ""

    def workflow(self) -> None:
        """Run all jobs, each after its dependencies."""
        for name in JOBS:
            self.job(name)

    def clean(self) -> str:
        """Run the job that removes everything again."""
        self.results["empty"] = "success"
        return self.job("clean")

    def job(self, name: str) -> str:
        job = JOBS[name]
        needed = {self.results.get(each, "") for each in _listed(job.get("needs", []))}
        always = job.get("if") == "${{ always() && needs.empty.result == 'success' }}"
        assert always or "if" not in job
        due = self.results.get("empty") == "success" if always else needed <= {"success"}
        self.results[name] = self._steps(job) if due else "skipped"
        return self.results[name]

    def _steps(self, job: Mapping[str, Any]) -> str:
        with self.cloud.programs(self.folder / "programs") as found, TemporaryDirectory() as checkout:
            for shown in ("tools", "infra"):
                (Path(checkout) / shown).symlink_to(ROOT / shown)
            environ = found | {name: _filled(value) for name, value in job["env"].items()}
            for step in job["steps"]:
                if step.get("uses", "").startswith("azure/login@"):
                    self.cloud.sign_in()
                if not self._due(step):
                    continue
                code = self._bash(step, Path(checkout), environ)
                if "id" in step:
                    self.outcomes[step["id"]] = "failure" if code else "success"
                if code < 0:
                    return "cancelled"
                if code and not step.get("continue-on-error"):
                    return "failure"
        return "success"

    def _due(self, step: Mapping[str, Any]) -> bool:
        assert step.get("if", LAST) == LAST
        if "if" in step:
            return "failure" in self.outcomes.values()
        return "run" in step and not re.search(r"\b(pip|npm) install\b", step["run"])

    def _bash(self, step: Mapping[str, Any], checkout: Path, environ: Mapping[str, str]) -> int:
        """Run a step like GitHub: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#defaultsrunshell"""
        script = self.folder / "step.sh"
        script.write_text(step["run"])
        strict = ["--noprofile", "--norc", "-eo", "pipefail"] if "shell" in step else ["-e"]
        files = {"GITHUB_STEP_SUMMARY": str(self.folder / "summary"), "TMPDIR": str(self.folder)}
        done = subprocess.run(
            ["bash", *strict, str(script)],  # noqa: S607  # bash from the PATH
            cwd=checkout,
            env={"GITHUB_ACTIONS": "true", **files, **environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            start_new_session=True,
        )
        self.log += done.stdout + done.stderr
        assert "unknown to the stand-in" not in done.stderr, done.stderr
        return done.returncode


def different(worlds: Iterable[World]) -> list[World]:
    """Return worlds that differ in the resources to remove, as left by a killed step."""
    return [*{(*world.left_behind(), world.deployment): world for world in worlds}.values()]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _filled(value: str) -> str:
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: KNOWN[found[1]], value)


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    return Rehearsal(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    """Return a successful workflow."""
    done = Rehearsal(tmp_path_factory.mktemp("e2e"))
    done.workflow()
    return done


@pytest.fixture
def most(finished: Rehearsal) -> World:
    """Return the world with the most resources."""
    return deepcopy(max(finished.cloud.after, key=lambda world: len(world.left_behind())))


def test_every_row_is_tried_and_nothing_stays(finished: Rehearsal) -> None:
    assert finished.results == dict.fromkeys(JOBS, "success"), finished.log
    assert set(finished.outcomes.values()) == {"success"}
    assert finished.outcomes.keys() >= {*ROWS, "run", "pause"}
    assert finished.cloud.world.left_behind() == []


def test_each_command_is_one_that_its_program_takes(finished: Rehearsal) -> None:
    for words in finished.cloud.calls:
        if words[0] in {"az", "func", "databricks"} and words[1] != "take-back":
            vendors.check(words)
        if words[:3] == OURS:
            parse(shlex.join(words[3:]))


def test_a_refreshed_folder_is_reached_by_the_commands_of_the_pages(finished: Rehearsal) -> None:
    setup = (ROOT / "docs/setup.md").read_text()
    headings = ("With az", "Deploy the list", "Publish the code")
    page = "".join(block for heading in headings for block in blocks(below(setup, heading)))
    wanted = re.findall(r"^ *(?:\w+=\$\()?((?:az deployment|func|git-refresh) \S+ \S+)", page, re.MULTILINE)
    called = {
        " ".join(words).replace("python -m git_refresh", "git-refresh") for words in finished.cloud.calls
    }
    assert len(wanted) > 2
    assert [each for each in wanted if not any(line.startswith(each) for line in called)] == []


def test_a_run_killed_after_any_call_is_cleaned_up(finished: Rehearsal, rehearsal: Rehearsal) -> None:
    worlds = different(finished.cloud.after)
    assert len(worlds) > 20
    for world in worlds:
        rehearsal.cloud.world = deepcopy(world)
        assert rehearsal.clean() == "success", (world, rehearsal.log)
        assert rehearsal.cloud.world.left_behind() == []


def test_a_clean_up_killed_after_any_call_can_be_run_again(most: World, rehearsal: Rehearsal) -> None:
    rehearsal.cloud.world = most
    assert rehearsal.clean() == "success"
    worlds = different(rehearsal.cloud.after)
    assert len(worlds) > 10
    for world in worlds:
        rehearsal.cloud.world = deepcopy(world)
        assert rehearsal.clean() == "success", (world, rehearsal.log)
        assert rehearsal.cloud.world.left_behind() == []


@pytest.mark.parametrize("kill_at", [AMID, 10, 13, 16, 17, 25])
def test_a_killed_step_ends_the_job_and_the_clean_up_runs(rehearsal: Rehearsal, kill_at: int) -> None:
    """Killed during a deployment, which Azure continues, and before calls, like a lost machine."""
    rehearsal.cloud.kill_at = kill_at
    assert [rehearsal.job(name) for name in ("empty", "prove")] == ["success", "cancelled"]
    rehearsal.cloud.kill_at = None
    assert rehearsal.job("clean") == "success"
    assert rehearsal.cloud.world.left_behind() == []


@pytest.mark.parametrize(
    "there",
    [
        World(resources={id_of(LATE): LATE}),
        World(resources={id_of(APP): APP}),
        World(locks=["of others"]),
        World(tag=""),
    ],
    ids=["a hidden type", "an app", "a lock", "another group"],
)
def test_a_group_that_is_not_empty_is_refused_and_left_as_it_was(rehearsal: Rehearsal, there: World) -> None:
    rehearsal.cloud.world = deepcopy(there)
    rehearsal.workflow()
    assert rehearsal.results == {"empty": "failure", "prove": "skipped", "clean": "skipped"}
    assert rehearsal.cloud.world == there
    allowed = {("group", "show"), ("resource", "list"), ("lock", "list")}
    assert {words[1:3] for words in rehearsal.cloud.calls} <= allowed


def test_a_group_of_others_is_never_emptied(rehearsal: Rehearsal) -> None:
    rehearsal.cloud.world = World(tag="", resources={id_of(APP): APP})
    assert rehearsal.clean() == "failure"
    *tokens, last = (words[1:3] for words in rehearsal.cloud.calls)
    assert ({*tokens}, last) == ({("account", "get-access-token")}, ("group", "show"))


@pytest.mark.parametrize(
    ("broken", "row"),
    [
        ("python -m tools.prove", "prove"),
        ("alert", "silence"),
        ("settings of others", "redeploy"),
        ("old code", "republish"),
        ("lock", "lock"),
        ("az functionapp delete", "lock"),
    ],
)
def test_a_row_that_fails_is_red_and_the_others_are_tried(
    rehearsal: Rehearsal, broken: str, row: str
) -> None:
    rehearsal.cloud.broken = broken
    rehearsal.workflow()
    assert rehearsal.results == {"empty": "success", "prove": "failure", "clean": "success"}
    assert [each for each in ROWS if rehearsal.outcomes[each] == "failure"] == [row]
    assert rehearsal.cloud.world.left_behind() == []


def test_an_identity_stays_until_its_access_is_taken_back(most: World, rehearsal: Rehearsal) -> None:
    rehearsal.cloud.world, rehearsal.cloud.broken = most, "databricks take-back policy"
    assert rehearsal.clean() == "failure"
    world = rehearsal.cloud.world
    assert [*world.resources.values()] == [IDENTITY]
    assert (world.principal, world.grants) == (True, ["policy", "can-manage", "credential"])
    rehearsal.cloud.broken = ""
    assert (rehearsal.clean(), rehearsal.cloud.world.left_behind()) == ("success", [])


@pytest.mark.parametrize(
    "broken",
    [
        "az resource list",
        "az resource delete",
        "az lock list",
        "az lock delete",
        "az rest",
        "az role assignment delete",
        "az deployment group list",
        "az identity list",
        "az functionapp config appsettings set",
        "databricks service-principals",
        "databricks workspace list",
        "databricks repos delete",
        "python -m git_refresh init",
        "python -m git_refresh onboard --remove",
    ],
)
def test_a_clean_up_that_cannot_look_or_delete_is_red(most: World, rehearsal: Rehearsal, broken: str) -> None:
    rehearsal.cloud.world, rehearsal.cloud.broken = most, broken
    assert rehearsal.clean() == "failure"
    rehearsal.cloud.broken = ""
    assert (rehearsal.clean(), rehearsal.cloud.world.left_behind()) == ("success", [])


def test_nothing_that_was_learned_from_azure_is_shown(finished: Rehearsal) -> None:
    """GitHub hides lines that add a mask, and masked values."""
    masking = re.findall(r"^::add-mask::(.*)$", finished.log, re.MULTILINE)
    assert {*masking} >= {"the-name", "client", "5a1e"}
    assert not re.search(r"the-name|5a1e|\bclient\b", re.sub(r"::add-mask::.*", "", finished.log))
    for words in finished.cloud.calls:
        if words[0] == "az" and {"create", "set", "get-access-token"} & {*words[2:5]}:
            assert words[-2:] == ("--output", "none")


def test_each_run_has_names_of_its_own_and_one_runs_at_a_time(finished: Rehearsal) -> None:
    assert WORKFLOW["concurrency"] == "e2e"
    names = {word for words in finished.cloud.calls for word in words if word.startswith("environmentName=")}
    assert names == {"environmentName=e2e-7-1"}


def test_it_is_started_by_hand_and_signs_in_without_a_secret() -> None:
    assert set(WORKFLOW[True]) == {"workflow_dispatch"}
    for job in JOBS.values():
        assert job["environment"] == "e2e"
        assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert "secrets" not in TEXT


def test_the_page_names_what_the_workflow_asks_for() -> None:
    asked = set(re.findall(r"\b(?:vars|inputs)\.(\w+)", TEXT))
    assert {name for name in asked if f"`{name}`" not in PAGE} == set()
    assert "never run in Azure" in PAGE


def test_every_part_of_the_script_is_used() -> None:
    parts = re.findall(r"^(\w+)\(\)", SCRIPT, re.MULTILINE)
    assert len(parts) > 20
    assert [name for name in parts if len(re.findall(rf"\b{name}\b", SCRIPT + TEXT)) < 2] == []
