"""The command `git-refresh`, which `make install` adds to .venv/bin, and its shell completion."""

import os
import pty
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.paths import PAGES, ROOT
from tests.support.project_files import PROJECT, pins

(COMMAND,) = PROJECT["project"]["scripts"].items()


def git_refresh(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command as the script in .venv/bin does."""
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


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_a_question_that_is_interrupted_at_a_real_terminal_ends_with_130(key: str, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    code = (
        "import fcntl, os, signal, termios; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "from git_refresh.cli.main import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "init", "-o", str(tmp_path / "w.json")],
        cwd=ROOT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    while b"URL" not in seen:
        seen += os.read(master, 4096)
    # readline misses a signal just before it waits. One during Python's exit kills it, so it gets time.
    for _ in range(10):
        os.write(master, key.encode())
        with suppress(subprocess.TimeoutExpired):
            process.wait(8)
            break
    assert process.poll() == 130
    os.close(master)
    assert list(tmp_path.iterdir()) == []


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


SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-c", "{line}; complete -p git-refresh"],
    "zsh": ["zsh", "-f", "-c", "{line}; echo $_comps[git-refresh]"],
    "fish": ["fish", "--no-config", "-c", "{line}; complete git-refresh"],
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_page_s_line_for_a_shell_turns_completion_on(shell: str, tmp_path: Path) -> None:
    pages = "".join(page.read_text() for page in PAGES)
    (line,) = re.findall(
        rf"^- {shell}\b.*: `(.*_GIT_REFRESH_COMPLETE={shell}_source .*)`$", pages, re.MULTILINE
    )
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command = tmp_path / "git-refresh"
    module, _, function = COMMAND[1].partition(":")
    command.write_text(f"#!{sys.executable}\nfrom {module} import {function}\n{function}()\n")
    command.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    arguments = [part.format(line=line) for part in SHELLS[shell]]
    done = subprocess.run(arguments, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_git_refresh_completion" in done.stdout


def test_what_builds_it_is_pinned_and_taken_from_there() -> None:
    (text,) = PROJECT["build-system"]["requires"]
    backend = Requirement(text)
    assert pins("requirements-dev.txt")[backend.name] in backend.specifier
    assert backend.name not in pins("requirements.txt"), "nothing that is deployed is built"
    install = "pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable ."
    assert install in (ROOT / "Makefile").read_text()
