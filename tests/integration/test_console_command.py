"""`git-refresh`, as `make install` puts it into .venv/bin, and what a shell completes of it."""

import os
import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

from tests.pages import ROOT
from tests.unit.test_deployment import PROJECT, pins

(COMMAND,) = PROJECT["project"]["scripts"].items()


def git_refresh(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """As the script in .venv/bin does it."""
    module, _, function = COMMAND[1].partition(":")
    code = f"from {module} import {function}; {function}()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def completed(typed: str) -> list[str]:
    words = typed.split(" ")
    done = git_refresh(
        _GIT_REFRESH_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1)
    )
    return [line.removeprefix("plain,") for line in done.stdout.splitlines()]


def test_it_is_the_command_line_under_its_own_name() -> None:
    assert COMMAND[0] == "git-refresh"
    done = git_refresh("nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: git-refresh ")


def test_importing_it_runs_nothing() -> None:
    code = "import git_refresh.__main__, sys; print('click' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("git-refresh ex", ["explain"]),
        ("git-refresh explain key_vault_f", ["key_vault_firewall", "key_vault_forbidden"]),
        ("git-refresh status --rep", ["--report"]),
    ],
)
def test_a_shell_completes_commands_options_and_codes(typed: str, offered: list[str]) -> None:
    assert completed(typed) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_page_s_line_for_a_shell_turns_completion_on(shell: str) -> None:
    page = (ROOT / "docs/setup.md").read_text()
    assert re.search(rf"_GIT_REFRESH_COMPLETE={shell}_source git-refresh", page)
    done = git_refresh(_GIT_REFRESH_COMPLETE=f"{shell}_source")
    assert (done.returncode, "git-refresh" in done.stdout) == (0, True), done.stderr


def test_what_builds_it_is_pinned_and_taken_from_there() -> None:
    (text,) = PROJECT["build-system"]["requires"]
    backend = Requirement(text)
    assert pins("requirements-dev.txt")[backend.name] in backend.specifier
    assert backend.name not in pins("requirements.txt"), "nothing that is deployed is built"
    install = "pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable ."
    assert install in (ROOT / "Makefile").read_text()
