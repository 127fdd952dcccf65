"""The pipeline templates: their steps, identities and references."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from git_refresh.admin.rotation.decide import RotationTarget, SecretSnapshot, decide
from git_refresh.admin.values import OAuthSecret, SignIn, Version, place_of, tags_of
from git_refresh.settings.models import Workspace
from git_refresh.settings.names import SETTINGS
from tests.support.paths import ROOT
from tests.support.project_files import ignored
from tests.support.templates import INFRA, ROLE_ASSIGNMENT, VARIANTS, deployment
from tools import bicep

PIPELINES = ROOT / "docs/pipelines"
GITHUB_TEXT = (PIPELINES / "github-workflow.yml").read_text()
AZURE_TEXT = (PIPELINES / "azure-pipelines.yml").read_text()
GITHUB: dict[Any, Any] = yaml.safe_load(GITHUB_TEXT)
AZURE: dict[Any, Any] = yaml.safe_load(AZURE_TEXT)
README = (PIPELINES / "README.md").read_text()
TEXTS = {path.name: path.read_text() for path in sorted(PIPELINES.glob("*.yml"))}
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Steps = list[dict[str, Any]]
JOBS: dict[str, Steps] = {name: job["steps"] for name, job in GITHUB["jobs"].items()}
STAGES: dict[str, dict[str, Any]] = {stage["stage"]: stage for stage in AZURE["stages"]}
ON_MERGE: dict[Any, Any] = yaml.safe_load(TEXTS["pull-on-merge.github.yml"])
AZURE_ON_MERGE: dict[Any, Any] = yaml.safe_load(TEXTS["pull-on-merge.azure-pipelines.yml"])
PULL: Steps = ON_MERGE["jobs"]["pull"]["steps"]
AZURE_PULL: Steps = AZURE_ON_MERGE["jobs"][0]["steps"]


def azure_steps(stage: str) -> Steps:
    (job,) = STAGES[stage]["jobs"]
    steps: Steps = job["strategy"]["runOnce"]["deploy"]["steps"] if "deployment" in job else job["steps"]
    return steps


def scripts(steps: Steps) -> str:
    """Return all shell code of a job, with pipeline-specific syntax replaced."""
    found = [
        step.get("run") or step.get("bash") or step.get("inputs", {}).get("inlineScript", "")
        for step in steps
    ]
    text = "\n".join(found)
    for word in ("$RUNNER_TEMP", "$(Agent.TempDirectory)"):
        text = text.replace(word, "TEMP")
    return text.replace("$(resourceGroup)", "$RESOURCE_GROUP").replace("$(app)", "$APP")


def commands(steps: Steps) -> list[str]:
    """Return the effective lines, without those that pass on the app's name."""
    lines = [line.strip() for line in scripts(steps).splitlines()]
    return [line for line in lines if line and line != "set -e" and not line.startswith("jq ")]


@pytest.mark.parametrize(
    ("job", "stage"), [("test", "test"), ("build", "build"), ("what-if", "whatif"), ("deploy", "deploy")]
)
def test_both_do_the_same(job: str, stage: str) -> None:
    assert commands(JOBS[job]) == commands(azure_steps(stage))


def test_every_job_does_its_part_and_nothing_is_deployed_untested() -> None:
    assert set(JOBS) == {"test", "build", "what-if", "deploy"}
    assert set(STAGES) == {"test", "build", "whatif", "deploy"}
    installed, *compiled, tested, checked, _ = commands(JOBS["test"])
    assert installed == 'sh docs/pipelines/bicep.sh "TEMP/bicep"'
    assert [line.split()[:2] for line in compiled] == [
        ['"TEMP/bicep/bicep"', word] for word in ("build", "lint", "build-params")
    ]
    assert tested == 'PATH="TEMP/bicep:$PATH" make test'
    assert checked == ".venv/bin/python -m git_refresh check workspaces.json --offline"
    assert "docs/pipelines/package.sh" in scripts(JOBS["build"])
    assert "az deployment group what-if" in scripts(JOBS["what-if"])
    assert "create" not in scripts(JOBS["what-if"])
    before, create, _ = scripts(JOBS["deploy"]).partition("az deployment group create")
    assert create
    assert "az deployment group what-if" in before
    assert GITHUB["jobs"]["what-if"]["needs"] == STAGES["whatif"]["dependsOn"] == "test"
    assert GITHUB["jobs"]["deploy"]["needs"] == STAGES["deploy"]["dependsOn"] == ["test", "build"]
    for name in ("whatif", "deploy"):
        assert STAGES[name]["condition"].startswith("and(succeeded(), ")


def test_jobs_with_a_token_run_no_code_from_packages() -> None:
    for name, steps in JOBS.items():
        builds = "make " in scripts(steps) or "package.sh" in scripts(steps) or ".venv/" in scripts(steps)
        assert builds == (name in {"test", "build"}), name
        assert builds != any(step.get("uses", "").startswith("azure/login@") for step in steps), name
    for name in STAGES:
        assert bool(connections(name)) == (name in {"whatif", "deploy"}), name
    (given,) = [
        step["with"] for step in JOBS["build"] if step.get("uses", "").startswith("actions/upload-artifact@")
    ]
    (taken,) = [
        step["with"]
        for step in JOBS["deploy"]
        if step.get("uses", "").startswith("actions/download-artifact@")
    ]
    assert (given["name"], given["if-no-files-found"]) == (taken["name"], "error")
    (published,) = [step for step in azure_steps("build") if "publish" in step]
    (fetched,) = [step for step in azure_steps("deploy") if "download" in step]
    assert published["artifact"] == fetched["artifact"] == "app"


@pytest.mark.parametrize(
    ("content", "installed"), [("another program", False), ("the published program", True)]
)
def test_the_bicep_cli_is_installed_by_the_pinned_version_and_hash(
    content: str, *, installed: bool, tmp_path: Path
) -> None:
    """A fake curl writes the file, and the published hash is replaced by its hash."""
    script = (PIPELINES / "bicep.sh").read_text()
    (published,) = re.findall(r"[0-9a-f]{64}", script)
    of_the_program = hashlib.sha256(b"the published program").hexdigest()
    (tmp_path / "bicep.sh").write_text(script.replace(published, of_the_program))
    curl = tmp_path / "curl"
    curl.write_text(
        f'#!/bin/sh\nfor last; do :; done\necho "$last" >{tmp_path}/asked\n'
        f'while [ "$1" != --output ]; do shift; done\nprintf %s "{content}" >"$2"\n'
    )
    curl.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["sh", str(tmp_path / "bicep.sh"), str(tmp_path / "tools")]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is installed, done.stderr
    assert os.access(tmp_path / "tools/bicep", os.X_OK) is installed
    asked = (tmp_path / "asked").read_text().strip()
    assert asked == f"https://github.com/Azure/bicep/releases/download/v{bicep.VERSION}/bicep-linux-x64"


def test_the_package_holds_the_hashed_requirements_and_runs_none_of_them() -> None:
    script = (PIPELINES / "package.sh").read_text()
    (line,) = re.findall(r"^.* pip install .*$", script, re.MULTILINE)
    for option in ("--require-hashes", "--only-binary :all:", "--requirement requirements.txt"):
        assert option in line


def test_publishing_is_tried_again_when_the_new_roles_are_known() -> None:
    first, second = (
        step for step in JOBS["deploy"] if step.get("uses", "").startswith("Azure/functions-action@")
    )
    assert (first["id"], first["continue-on-error"]) == ("publish", True)
    again = "steps.publish.outcome == 'failure'"
    assert (second["if"], "continue-on-error" in second, second["with"]) == (again, False, first["with"])
    (wait,) = [step for step in JOBS["deploy"] if step.get("run") == "sleep 300"]
    assert wait["if"] == again
    one, two = (
        step for step in azure_steps("deploy") if step.get("task", "").startswith("AzureFunctionApp@")
    )
    assert one["continueOnError"] is True
    failed = "eq(variables['Agent.JobStatus'], 'SucceededWithIssues')"
    assert (two["condition"], "continueOnError" in two, two["inputs"]) == (failed, False, one["inputs"])
    (wait,) = [step for step in azure_steps("deploy") if step.get("bash") == "sleep 300"]
    assert wait["condition"] == failed


def test_a_pull_request_is_only_looked_at_and_only_main_is_deployed() -> None:
    jobs = GITHUB["jobs"]
    assert jobs["what-if"]["if"].startswith("github.event_name == 'pull_request' && ")
    assert jobs["deploy"]["if"] == "github.ref == 'refs/heads/main' && github.event_name != 'pull_request'"
    assert jobs["deploy"]["environment"] != jobs["what-if"]["environment"]
    assert "pull_request_target" not in GITHUB_TEXT
    assert "eq(variables['Build.Reason'], 'PullRequest')" in STAGES["whatif"]["condition"]
    assert "eq(variables['Build.SourceBranch'], 'refs/heads/main')" in STAGES["deploy"]["condition"]
    assert "ne(variables['Build.Reason'], 'PullRequest')" in STAGES["deploy"]["condition"]
    assert connections("whatif") == {"git-refresh-what-if"}
    assert connections("deploy") == {"git-refresh-production"}
    assert connections("test") == set()


def connections(stage: str) -> set[str]:
    inputs = [step.get("inputs", {}) for step in azure_steps(stage)]
    return {given["azureSubscription"] for given in inputs if "azureSubscription" in given}


def test_only_jobs_that_sign_in_can_get_a_token() -> None:
    assert GITHUB["permissions"] == {"contents": "read"}
    for name, steps in JOBS.items():
        logins = [step for step in steps if step.get("uses", "").startswith("azure/login@")]
        assert bool(logins) == (name in {"what-if", "deploy"})
        allowed = GITHUB["jobs"][name].get("permissions", GITHUB["permissions"])
        assert allowed == {"contents": "read"} | ({"id-token": "write"} if logins else {})
        for login in logins:
            assert login["with"] == {
                f"{key}-id": f"${{{{ vars.AZURE_{key.upper()}_ID }}}}"
                for key in ("client", "tenant", "subscription")
            }


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_secret_is_used(text: str) -> None:
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")).replace(
        "id-token", ""
    )
    assert not re.search(
        r"secret|password|publish-profile|creds|\bpat\b|addSpnToEnvironment|token", code, re.IGNORECASE
    )
    persisting = re.findall(r"persist-?credentials: (\w+)", code, re.IGNORECASE)
    assert persisting == ["false"] * len(re.findall(r"actions/checkout@|checkout: ", code))


def test_actions_are_pinned_by_commit_and_tasks_by_major_version() -> None:
    used = re.findall(r"^ +(?:- )?uses: (.*)$", "\n".join(TEXTS.values()), re.MULTILINE)
    assert len(used) == sum(
        "uses" in step for steps in (*JOBS.values(), PULL, ROTATES["steps"]) for step in steps
    )
    for name in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", name), name
    versions: dict[str, set[str]] = {}
    for name in used:
        versions.setdefault(name.partition("@")[0], set()).add(name)
    assert all(len(each) == 1 for each in versions.values()), versions
    steps = [*(step for stage in STAGES for step in azure_steps(stage)), *AZURE_PULL]
    tasks = [step["task"] for step in steps if "task" in step]
    assert tasks
    assert all(re.fullmatch(r"\w+@\d+", name) for name in tasks)


def test_flex_consumption_is_published_as_it_was_packed() -> None:
    actions = [step for step in JOBS["deploy"] if step.get("uses", "").startswith("Azure/functions-action@")]
    assert all(action["with"].keys() == {"app-name", "package"} for action in actions)
    assert all(action["with"]["package"].endswith("/app.zip") for action in actions)
    tasks = [
        step["inputs"]
        for step in azure_steps("deploy")
        if step.get("task", "").startswith("AzureFunctionApp@")
    ]
    assert all((task["appType"], task["isFlexConsumption"]) == ("functionAppLinux", True) for task in tasks)
    assert all(task["package"].endswith("/app/app.zip") for task in tasks)


def test_all_that_they_name_is_there() -> None:
    for steps in (*JOBS.values(), *map(azure_steps, STAGES)):
        for path in re.findall(r"\b(?:infra|docs)/[\w./-]+", scripts(steps)):
            assert (ROOT / path).is_file(), path
    infra = (ROOT / "infra/main.bicep").read_text()
    assert set(re.findall(r'== "(\w+)"', scripts(JOBS["deploy"]))) <= set(
        re.findall(r"^output (\w+)", infra, re.MULTILINE)
    )
    (line,) = re.findall(r'grep "\^(.*)"', scripts(JOBS["test"]))
    parameters = (ROOT / "infra/app.bicepparam").read_text()
    assert line in parameters or "workspaces.json" not in parameters, "in the comment, or where it is used"
    assert "def refresh_git(" in (ROOT / "function_app.py").read_text()
    version = (ROOT / ".python-version").read_text().strip()
    assert re.findall(r'versionSpec: "(.*)"', "".join(TEXTS.values())) == [version] * 4


def test_the_page_names_what_the_pipelines_ask_for() -> None:
    for name in set(re.findall(r"\bvars\.(\w+)", GITHUB_TEXT)) | set(AZURE["variables"]):
        assert f"`{name}`" in README, name
    for name in (*connections("whatif"), *connections("deploy")):
        assert f"`{name}`" in README, name
    for name in ("production", "what-if"):
        assert name in {job.get("environment") for job in GITHUB["jobs"].values()}
        assert f"`{name}`" in README


# Who deploys

AZ = """\
az() {
  case "$*" in
    "role assignment create "*"--condition "*) printf '%s\\0' "$@";;
    *"--query"*) echo "$3";;
  esac
}
"""
"""Prints the words of the assignment with a condition, each followed by NUL."""
SHELLS = [shell for shell in ("sh", "bash", "zsh") if shutil.which(shell)]


IDENTITIES = (PIPELINES / "identities.sh").read_text()
NAMES = "GROUP=git-refresh PIPELINES=git-refresh-pipelines REGION=westeurope DELETE_LOCK=1\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_who_deploys_assigns_the_template_s_roles_and_no_other(shell: str) -> None:
    """The condition's form is Microsoft's: learn.microsoft.com/azure/role-based-access-control/delegate-role-assignments-examples."""
    done = subprocess.run(
        [shell, "-euc", NAMES + AZ + IDENTITIES], capture_output=True, text=True, check=True, timeout=20
    )
    words = done.stdout.split("\0")
    given = dict(zip(words[3::2], words[4::2], strict=False))
    role = "Microsoft.Authorization/roleAssignments"
    assigned = (
        rf"@{{0}}\[{role}:RoleDefinitionId\] ForAnyOfAnyValues:GuidEquals {{{{(?P<{{1}}>[0-9a-f, -]+)}}}} AND "
        rf"@{{0}}\[{role}:PrincipalType\] ForAnyOfAnyValues:StringEqualsIgnoreCase {{{{(?P<{{1}}_to>[\w', ]+)}}}}"
    )
    parts = [
        rf"\(\(!\(ActionMatches{{'{role}/{action}'}}\)\) OR \({assigned.format(source, action)}\)\)"
        for action, source in (("write", "Request"), ("delete", "Resource"))
    ]
    found = re.fullmatch(" AND ".join(parts), given["--condition"])
    assert found is not None, given["--condition"]
    assert (given["--role"], given["--condition-version"]) == (
        "Role Based Access Control Administrator",
        "2.0",
    )
    deployed = [
        each["properties"]
        for variant in VARIANTS
        for each in deployment(INFRA, variant).of_type(ROLE_ASSIGNMENT)
    ]
    roles = {GUID.findall(each["roleDefinitionId"])[-1] for each in deployed}
    templates = [text for name, text in INFRA.items() if name == "main.bicep" or name.startswith("modules/")]
    assert roles == {guid for text in templates for guid in GUID.findall(text)}
    for action in ("write", "delete"):
        assert set(found[action].split(", ")) == roles
        assert {found[f"{action}_to"]} == {repr(each["principalType"]) for each in deployed}


def test_the_deploying_identity_cannot_assign_roles_without_the_condition() -> None:
    given = re.findall(
        r'az role assignment create .*"\$DEPLOYER".* --role "([^"]+)"(.*)$', IDENTITIES, re.MULTILINE
    )
    assert {role: "--condition " in rest for role, rest in given} == {
        "Contributor": False,
        "Role Based Access Control Administrator": True,
        "git-refresh locks": False,
    }


def test_the_page_names_what_the_script_asks_for() -> None:
    for name in re.findall(r"\$\{?([A-Z_]+)", IDENTITIES):
        if not re.search(rf"^ *(?:for {name} in|{name}=)", IDENTITIES, re.MULTILINE):
            assert f"`{name}" in README or f"export {name}=" in README, name


# Pull on merge


def test_both_pull_in_the_same_way() -> None:
    theirs = scripts(AZURE_PULL).replace("$(only)", "$ONLY").replace("$(folder)", "$FOLDER")
    lines = [line for line in theirs.splitlines() if not line.startswith("set ")]
    ours = [line for line in scripts(PULL).splitlines() if line and not line.startswith("test ")]
    assert [line for line in lines if line] == ours
    install, run = ours
    for option in (
        "--require-hashes",
        "--only-binary :all:",
        "--requirement requirements-cli.txt",
    ):
        assert option in install
    assert run.startswith('az functionapp config appsettings list --name "$APP" ')
    assert run.endswith(' | python -m git_refresh run --settings - --only "$ONLY" --folder "$FOLDER" --yes')


def test_a_pull_fails_where_the_settings_cannot_be_read() -> None:
    assert PULL[-1]["shell"] == "bash", "GitHub starts this one with -o pipefail"
    assert AZURE_PULL[-1]["inputs"]["inlineScript"].startswith("set -eo pipefail\n")


def test_a_pull_is_begun_by_main_alone_and_one_after_the_other() -> None:
    assert ON_MERGE[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    assert ON_MERGE["jobs"]["pull"]["if"] == "github.ref == 'refs/heads/main'"
    assert ON_MERGE["concurrency"]
    assert AZURE_ON_MERGE["trigger"] == {"batch": True, "branches": {"include": ["main"]}}
    assert AZURE_ON_MERGE["pr"] == "none"
    (job,) = AZURE_ON_MERGE["jobs"]
    assert job["condition"] == "eq(variables['Build.SourceBranch'], 'refs/heads/main')"


def test_only_the_last_step_of_a_pull_signs_in_as_the_app() -> None:
    assert ON_MERGE["permissions"] == {"contents": "read"}
    job = ON_MERGE["jobs"]["pull"]
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert job["environment"] == "git-refresh"
    *_, install, login, run = PULL
    assert "pip install" in install["run"]
    assert login["uses"].startswith("azure/login@")
    assert login["with"]["client-id"] == "${{ vars.AZURE_CLIENT_ID }}"
    assert "git_refresh run" in run["run"]
    signed_in = [step for step in AZURE_PULL if "azureSubscription" in step.get("inputs", {})]
    assert signed_in == [AZURE_PULL[-1]]
    assert signed_in[0]["inputs"]["azureSubscription"] == "git-refresh-app"


def test_this_project_is_pinned_where_it_is_checked_out() -> None:
    checkout, seen = PULL[:2]
    assert checkout["with"]["ref"] == seen["env"]["COMMIT"] == "${{ vars.GIT_REFRESH_COMMIT }}"
    assert seen["run"] == 'test "$(git rev-parse HEAD)" = "$COMMIT"', (
        "an empty variable would mean the newest"
    )
    ((repository),) = AZURE_ON_MERGE["resources"]["repositories"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert repository["ref"] == f"refs/tags/v{version}"
    assert AZURE_PULL[0]["checkout"] == repository["repository"]


def test_no_environment_variable_of_a_pull_is_an_app_setting() -> None:
    """Only deployed settings count; other variables would be ignored."""
    named = {name for step in PULL for name in step.get("env", {})}
    assert named
    assert not named & SETTINGS.keys()


def test_the_page_names_what_a_pull_asks_for() -> None:
    section = README.partition("\n## Pull on merge\n")[2]
    named = set(re.findall(r"\bvars\.(\w+)", TEXTS["pull-on-merge.github.yml"]))
    for name in (*named, *AZURE_ON_MERGE["variables"], "git-refresh-app", "git-refresh"):
        assert f"`{name}`" in section, name
    for auth in get_args(Workspace.model_fields["auth"].annotation):
        assert f"`{auth}`" in section, auth
    assert '`--folder "$FOLDER" --folder ' in section
    codes = set(re.findall(r"troubleshooting\.md#(\w+)", section))
    assert {"git_operation_failed", "git_operation_timeout", "unknown", "folder_detached"} <= codes


def test_copies_of_them_are_not_published() -> None:
    for name in ("azure-pipelines.yml", ".github/workflows/git-refresh.yml", "workspaces.json"):
        assert all(ignored(name, boundary=boundary) for boundary in (True, False)), name


@pytest.fixture
def packed(tmp_path: Path) -> set[str]:
    """Return the packed files of a copy of this checkout, with a pip that downloads nothing."""
    checkout, tools = tmp_path / "checkout", tmp_path / "tools"
    leave = shutil.ignore_patterns(".*", "mutants", "tests")
    shutil.copytree(ROOT, checkout, ignore=leave)
    (checkout / "git_refresh/__pycache__").mkdir(exist_ok=True)
    (checkout / "git_refresh/__pycache__/app.pyc").touch()
    tools.mkdir()
    (tools / "python3").write_text(
        f'#!/bin/sh\nif [ "$1 $2" = "-m pip" ]; then shift $(($# - 1)); mkdir -p "$1"; touch "$1/package.py"; '
        f'else exec {shlex.quote(sys.executable)} "$@"; fi\n'
    )
    (tools / "python3").chmod(0o755)
    command = ["sh", "docs/pipelines/package.sh", str(tmp_path / "app.zip")]
    environ = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    subprocess.run(command, cwd=checkout, env=environ, check=True)
    assert {path.name for path in tmp_path.iterdir()} == {"checkout", "tools", "app.zip"}, (
        "nothing is left behind"
    )
    with zipfile.ZipFile(tmp_path / "app.zip") as file:
        return {name for name in file.namelist() if not name.endswith("/")}


def test_what_is_packed_is_what_func_would_publish_and_the_packages(packed: set[str]) -> None:
    top = [
        path
        for path in ROOT.iterdir()
        if path.is_file() and path.name in {"function_app.py", "host.json", "requirements.txt"}
    ]
    product = [path for path in (ROOT / "git_refresh").rglob("*") if path.is_file()]
    names = {path.relative_to(ROOT).as_posix() for path in (*top, *product)}
    published = {name for name in names if not ignored(name, boundary=True)}
    assert packed == published | {".python_packages/lib/site-packages/package.py"}


# Rotating

ROTATE_GITHUB_TEXT = (PIPELINES / "rotate.github.yml").read_text()
ROTATE_AZURE_TEXT = (PIPELINES / "rotate.azure-pipelines.yml").read_text()
ROTATE_GITHUB: dict[Any, Any] = yaml.safe_load(ROTATE_GITHUB_TEXT)
ROTATE_AZURE: dict[Any, Any] = yaml.safe_load(ROTATE_AZURE_TEXT)
(ROTATES,) = ROTATE_GITHUB["jobs"].values()
((ROTATES_IN_AZURE,),) = (stage["jobs"] for stage in ROTATE_AZURE["stages"])


def test_both_rotate_every_week_on_main_alone_and_by_the_same_commands() -> None:
    assert commands(ROTATES["steps"]) == commands(ROTATES_IN_AZURE["steps"])
    *_, rotate = commands(ROTATES["steps"])
    assert rotate == '.venv/bin/python -m git_refresh rotate --settings "TEMP/settings.json" --apply --yes'
    (scheduled,) = ROTATE_GITHUB[True]["schedule"]
    (planned,) = ROTATE_AZURE["schedules"]
    assert scheduled["cron"] == planned["cron"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", planned["cron"]), "one day of the week"
    assert planned["always"] is True, "also where nothing has changed"
    assert set(ROTATE_GITHUB[True]) == {"schedule", "workflow_dispatch"}
    assert (ROTATE_AZURE["trigger"], ROTATE_AZURE["pr"]) == ("none", "none")
    assert ROTATES["if"] == "github.ref == 'refs/heads/main'"
    assert ROTATES["concurrency"] == "git-refresh-rotate"
    (stage,) = ROTATE_AZURE["stages"]
    assert stage["condition"] == "eq(variables['Build.SourceBranch'], 'refs/heads/main')"


@pytest.mark.parametrize(("life", "missed"), [(30, 1), (45, 2), (90, 5), (180, 7), (730, 7)])
@pytest.mark.parametrize("phase", range(7))
def test_a_run_may_be_missed_by_all_that_live_for_as_long_as_the_page_says(
    life: int, phase: int, missed: int
) -> None:
    """The weekly run checks `phase` days after the creation, then every week; some due runs are missed."""
    assert "at least 30 days" in README
    late = timedelta(hours=12)  # a schedule can be late
    made = datetime(2026, 1, 1, tzinfo=UTC)
    ends = made + timedelta(days=life)
    secret = OAuthSecret("a", made, ends)
    place = place_of("https://v.vault.azure.net", "oauth")
    version = Version("v", made, ends, tags=tags_of("a", "id", place))
    seen = SecretSnapshot(
        RotationTarget("oauth", "id", ("https://x",), ()),
        place,
        version,
        sign_ins={"https://x": SignIn.ACCEPTED},
        versions=(version,),
        siblings={},
        principal=7,
        secrets=(secret,),
    )
    looks = [made + timedelta(days=phase + 7 * week) + late for week in range(110)]
    due = [look for look in looks if decide(seen, look, timedelta(days=60)).create]
    assert due[missed] < ends


def test_rotation_has_its_own_identity_and_signs_in_after_installation() -> None:
    assert ROTATE_GITHUB["permissions"] == {"contents": "read"}
    assert ROTATES["permissions"] == {"contents": "read", "id-token": "write"}
    assert ROTATES["environment"] == "rotate"
    uses = [step.get("uses", "").partition("@")[0] for step in ROTATES["steps"]]
    assert uses.index("azure/login") == len(uses) - 2
    connected = [
        step["inputs"].get("azureSubscription") for step in ROTATES_IN_AZURE["steps"] if "task" in step
    ]
    assert connected == [None, "git-refresh-rotate"]


@pytest.mark.parametrize("text", [ROTATE_GITHUB_TEXT, ROTATE_AZURE_TEXT], ids=["github", "azure"])
def test_no_secret_is_used_to_rotate_one_and_packages_are_pinned(text: str) -> None:
    test_no_secret_is_used(text)
    (line,) = re.findall(r"^.* pip install .*$", text, re.MULTILINE)
    for option in ("--require-hashes", "--only-binary :all:", "--requirement requirements-cli.txt"):
        assert option in line


def test_actions_that_rotate_are_those_that_deploy() -> None:
    pinned = {step["uses"] for job in JOBS.values() for step in job if "uses" in step}
    assert {step["uses"] for step in ROTATES["steps"] if "uses" in step} <= pinned
    lines = re.findall(r"^ +(?:- )?uses: (.*)$", ROTATE_GITHUB_TEXT, re.MULTILINE)
    assert set(lines) <= set(re.findall(r"^ +(?:- )?uses: (.*)$", GITHUB_TEXT, re.MULTILINE))


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_the_settings_that_rotate_reads_are_the_list_and_the_vault(tmp_path: Path) -> None:
    (script,) = [line for line in commands(ROTATES["steps"]) if line.startswith("jq")] or [
        step["run"] for step in ROTATES["steps"] if step.get("run", "").startswith("jq ")
    ]
    (tmp_path / "workspaces.json").write_text('{"WORKSPACES": [{"host": "x"}], "WORKSPACE_DEFAULTS": {}}')
    environ = {**os.environ, "RUNNER_TEMP": str(tmp_path), "KEY_VAULT_URL": "https://v.vault.azure.net"}
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environ, check=True)  # noqa: S607  # sh from the PATH
    written = yaml.safe_load((tmp_path / "settings.json").read_text())
    assert written == {
        "WORKSPACES": [{"host": "x"}],
        "WORKSPACE_DEFAULTS": {},
        "KEY_VAULT_URL": "https://v.vault.azure.net",
    }
