"""This repository's workflows and GitHub forms: least privilege, pinned actions, existing names."""

import json
import re
import shlex
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.project_files import tracked

GITHUB = ROOT / ".github"
TEXTS = {path.name: path.read_text() for path in sorted((GITHUB / "workflows").glob("*.yml"))}
TO_COPY = {path.name: path.read_text() for path in sorted((ROOT / "docs/pipelines").glob("*.yml"))}
WORKFLOWS: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
CI, RELEASE = WORKFLOWS["ci.yml"], WORKFLOWS["release.yml"]
JOBS = {
    f"{name} {job}": definition
    for name, workflow in WORKFLOWS.items()
    for job, definition in workflow["jobs"].items()
}
FORMS = {
    path.name: yaml.safe_load(path.read_text())
    for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))
    if path.name != "config.yml"
}
USES = re.compile(r"^ +(?:- )?uses: (.*)$", re.MULTILINE)
PYTHON = (ROOT / ".python-version").read_text().strip()


def scripts(job: dict[str, Any]) -> str:
    return "\n".join(step["run"] for step in job.get("steps", []) if "run" in step)


def test_an_action_is_pinned_by_one_commit_here_and_in_what_is_copied() -> None:
    versions: dict[str, set[str]] = {}
    for text in (*TEXTS.values(), *TO_COPY.values()):
        for name in USES.findall(text):
            if not name.startswith("./"):
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", name), name
                versions.setdefault(name.partition("@")[0], set()).add(name)
    assert len(versions) > 5
    assert all(len(each) == 1 for each in versions.values()), versions


def test_a_workflow_of_this_repository_that_is_called_exists() -> None:
    called = [job["uses"] for job in JOBS.values() if "uses" in job]
    assert called == ["./.github/workflows/ci.yml"]
    assert "workflow_call" in CI[True]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_no_rights_and_each_job_only_its_own(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    for job in WORKFLOWS[name]["jobs"].values():
        assert job["permissions"] in ({"contents": "read"}, PUBLISHES, SIGNS_IN)


PUBLISHES = {"contents": "write", "id-token": "write", "attestations": "write"}
SIGNS_IN = {"contents": "read", "id-token": "write"}


def test_only_what_is_started_by_hand_signs_in_to_azure() -> None:
    signing_in = {name.partition(" ")[0] for name, job in JOBS.items() if job["permissions"] == SIGNS_IN}
    assert signing_in == {name for name, text in TEXTS.items() if "azure/login@" in text} == {"e2e.yml"}
    assert set(WORKFLOWS["e2e.yml"][True]) == {"workflow_dispatch"}


def test_the_job_that_writes_runs_no_code_of_the_repository_or_packages() -> None:
    writing = [name for name, job in JOBS.items() if job["permissions"]["contents"] == "write"]
    assert writing == ["release.yml publish"]
    steps = RELEASE["jobs"]["publish"]["steps"]
    assert not [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    programs = {shlex.split(step["run"])[0] for step in steps if "run" in step}
    assert programs == {"sha256sum", "gh"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_proposal_of_others_runs_without_secrets_and_stored_tokens(name: str) -> None:
    text = TEXTS[name]
    assert not re.search(r"pull_request_target|workflow_run|issue_comment|secrets\s*[.\[]|self-hosted", text)
    checkouts = [
        step
        for job in WORKFLOWS[name]["jobs"].values()
        for step in job.get("steps", [])
        if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_ends_and_no_script_holds_what_others_have_written(name: str) -> None:
    job = JOBS[name]
    assert "uses" in job or job["timeout-minutes"] <= (330 if name == "e2e.yml prove" else 90)
    assert "${{" not in scripts(job), "an expression in a script is run as code"


def test_the_release_s_own_token_is_given_to_one_step() -> None:
    (step,) = [
        step for job in JOBS.values() for step in job.get("steps", []) if "github.token" in json.dumps(step)
    ]
    assert shlex.split(step["run"])[:3] == ["gh", "release", "create"]
    assert step["env"] == {"GH_TOKEN": "${{ github.token }}"}


def test_ci_runs_all_tests_with_the_pinned_bicep_cli() -> None:
    assert set(CI[True]) == {"pull_request", "push", "workflow_call"}
    linux = CI["jobs"]["linux"]
    assert scripts(linux).splitlines() == [
        'sh docs/pipelines/bicep.sh "$RUNNER_TEMP/bicep"',
        'PATH="$RUNNER_TEMP/bicep:$PATH" make test',
    ]
    assert "continue-on-error" not in linux


def test_what_was_never_run_does_not_count_and_says_so() -> None:
    jobs = CI["jobs"]
    assert jobs["macos"]["continue-on-error"] is True
    assert "never run" in jobs["macos"]["name"]
    command_line = jobs["command-line"]
    assert command_line["continue-on-error"] == f"${{{{ matrix.python != '{PYTHON}' }}}}"
    assert PYTHON in command_line["strategy"]["matrix"]["python"]
    assert set(jobs) == {"linux", "macos", "command-line"}


def test_a_release_is_tested_named_as_its_tag_and_has_its_files() -> None:
    assert RELEASE[True] == {"push": {"tags": ["v*"]}}
    jobs = RELEASE["jobs"]
    assert (jobs["build"]["needs"], jobs["publish"]["needs"]) == ("test", "build")
    first, *others = scripts(jobs["build"]).splitlines()
    assert first == 'python3 -m tools.release "$GITHUB_REF_NAME" > "$RUNNER_TEMP/notes.md"'
    assert others[0] == "make dist"
    (made,) = [step["with"] for step in jobs["build"]["steps"] if "upload-artifact" in step.get("uses", "")]
    (taken,) = [
        step["with"] for step in jobs["publish"]["steps"] if "download-artifact" in step.get("uses", "")
    ]
    assert (made["name"], made["if-no-files-found"], taken["path"]) == (taken["name"], "error", made["path"])
    created = shlex.split(jobs["publish"]["steps"][-1]["run"])
    assert "--verify-tag" in created
    assert created[created.index("--notes-file") + 1] == "notes.md"
    assert created[created.index("--") + 1 :] == ["*.whl", "*.zip", "SHA256SUMS"]


def test_what_make_dist_writes_is_neither_published_nor_committed() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\ndist: ")[2].partition("\n\n")[0]
    assert set(re.findall(r"--out-dir (\w+)|/(\w+)/[\w-]+\.zip", recipe)) == {("dist", ""), ("", "dist")}
    for file in (".gitignore", ".funcignore"):
        assert {"dist", "dist/"} & set((ROOT / file).read_text().splitlines()), file


def test_dependabot_looks_where_there_is_something_to_keep_current() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    found = {each["package-ecosystem"]: each.get("directories") or [each["directory"]] for each in updates}
    assert set(found) == {"pip", "npm", "github-actions"}
    locks = [name for name in tracked() if name.endswith("package-lock.json")]
    assert {f"{folder[1:]}/package-lock.json" for folder in found["npm"]} == set(locks)
    assert found["github-actions"] == ["/", "/docs/pipelines"]
    assert all(each["schedule"]["interval"] == "weekly" and each["cooldown"] for each in updates)


@pytest.mark.parametrize("name", FORMS)
def test_a_form_warns_of_secrets_before_anything_is_asked(name: str) -> None:
    first, *asked = FORMS[name]["body"]
    assert first["type"] == "markdown"
    assert "No secrets" in first["attributes"]["value"]
    ids = [part["id"] for part in asked]
    assert len(ids) == len(set(ids))


def test_a_bug_s_form_asks_for_what_a_diagnosis_needs() -> None:
    asked = {part["id"]: part for part in FORMS["bug.yml"]["body"][1:]}
    assert {"version", "codes", "check", "run", "secrets"} <= asked.keys()
    (consent,) = asked["secrets"]["attributes"]["options"]
    assert consent["required"] is True
    assert yaml.safe_load((GITHUB / "ISSUE_TEMPLATE/config.yml").read_text()) == {
        "blank_issues_enabled": False
    }


def test_files_that_forms_and_workflows_name_exist() -> None:
    there = set(tracked())
    texts = [*TEXTS.values(), *(path.read_text() for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))]
    for path in re.findall(r"\b(?:docs|infra|tools)/[\w/-]+\.\w+|\b[A-Z]{6,}\.md", "\n".join(texts)):
        assert path in there, path


def test_the_devcontainer_has_the_project_s_python_and_installs_it() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    pinned = rf"mcr\.microsoft\.com/devcontainers/python:\d+\.\d+\.\d+-{re.escape(PYTHON)}-\w+"
    assert re.fullmatch(pinned, container["image"])
    assert container["postCreateCommand"] == "make install"
