"""Every prompt can be interrupted: exit code 130, a line of its own, and no changes."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from git_refresh.cli.ask import after_interrupt
from localcloud import Cloud, Fleet
from localcloud.fleet import UngrantedFleet, seed_ungranted
from tests.support import warm
from tests.support.admin_laptop import laptop_of
from tests.support.terminal import screen

CTRL_C, CTRL_D = "\x03", "\x04"
ADDRESS = "https://adb-1.1.azuredatabricks.net\n"
REPOSITORY = "https://dev.azure.com/contoso/Data/_git/etl\n"
QUESTIONS = ("Workspace URL:", "Clone URL of the repository:", "[federated]:", "creates one):")
ANSWERS = (ADDRESS, REPOSITORY, "\n", "\n")
"""The replies to the prompts of `init`, in sequence."""


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
@pytest.mark.parametrize("asked", range(len(QUESTIONS)))
def test_a_question_of_init_that_is_interrupted_ends_it_with_130(
    tmp_path: Path, asked: int, key: str
) -> None:
    keys = {**dict(zip(QUESTIONS[:asked], ANSWERS, strict=False)), QUESTIONS[asked]: key}
    done = warm.on_terminal("init", environ={}, columns=80, keys=keys, folder=tmp_path)
    assert done.returncode == 130, done.stdout
    assert not list(tmp_path.iterdir())
    assert ended_clearly(done.stdout, key)


def ended_clearly(sent: bytes, key: str) -> bool:
    lines = screen(sent)
    told = any("input ended" in line for line in lines)
    return lines[-1].startswith("Interrupted") and told == (key == CTRL_D)


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
def test_the_question_of_onboard_that_is_interrupted_ends_it_with_130(
    cloud: Cloud, tmp_path: Path, key: str
) -> None:
    fleet: UngrantedFleet = seed_ungranted(cloud)
    environ = {**laptop_of(fleet.admin, cloud, tmp_path), **fleet.settings}
    done = warm.on_terminal("onboard", "--apply", environ=environ, columns=80, keys={"[y/N]:": key})
    assert done.returncode == 130, done.stdout
    assert after_interrupt(changed=False).encode() in done.stdout


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
def test_the_question_of_run_that_is_interrupted_ends_it_with_130(
    cloud: Cloud, fleet: Fleet, tmp_path: Path, key: str
) -> None:
    environ: Mapping[str, str] = {**laptop_of(cloud.person("ada"), cloud, tmp_path), **fleet.settings}
    done = warm.on_terminal("run", environ=environ, columns=60, keys={"[y/N]:": key})
    assert done.returncode == 130, done.stdout
    assert ended_clearly(done.stdout, key)
    assert not any(workspace.credentials for workspace in fleet.workspaces)


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_no_word_of_a_question_is_broken_and_no_command_after_it(tmp_path: Path, columns: int) -> None:
    keys = {"Workspace URL:": ADDRESS, "repository:": REPOSITORY, "[federated]:": "\n", "one):": "\n"}
    done = warm.on_terminal("init", environ={}, columns=columns, keys=keys, folder=tmp_path)
    lines = screen(done.stdout)
    assert done.returncode == 0, lines
    typed = {ADDRESS.strip(), REPOSITORY.strip()}
    for line in lines:
        alone = " " not in line.strip() or any(each in line for each in typed)
        assert len(line) <= columns or alone or line.startswith("  "), line
