"""Failing writes: full and read-only disks under streams, log lines and temporary files; no streams."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud import Cloud, Fleet
from localcloud.fleet import real_secret
from tests.support import warm
from tests.support.admin_laptop import admin_of, laptop_of, principal_of
from tests.support.paths import ROOT

FULL = "/dev/full"


def written_with_full_stderr(environ: dict[str, str], out: Path, *arguments: str) -> tuple[int | None, str]:
    process = warm.start(*arguments, environ=environ, stdout=out, stderr=FULL)
    process.join(60)
    return process.exitcode, out.read_text()


# Commands


@pytest.mark.parametrize("arguments", [["run"], ["run", "--verbose"], ["run", "--json"]], ids=" ".join)
def test_a_run_goes_on_where_its_progress_cannot_be_written(
    fleet: Fleet, tmp_path: Path, arguments: list[str]
) -> None:
    environ = {**os.environ, **fleet.settings}
    code, out = written_with_full_stderr(environ, tmp_path / "out", *arguments)
    assert code == 0
    assert out
    assert all(workspace.credentials and len(workspace.folders) == 2 for workspace in fleet.workspaces)


@pytest.mark.parametrize("command", ["check", "plan", "status"])
def test_what_is_said_beside_ends_no_command(fleet: Fleet, tmp_path: Path, command: str) -> None:
    environ = {**os.environ, **fleet.settings}
    done = warm.run(command, environ=environ)
    assert done.stdout
    code, out = written_with_full_stderr(environ, tmp_path / "out", command)
    assert (code, len(out)) == (done.returncode, len(done.stdout.decode()))


def test_a_usage_error_that_cannot_be_printed_keeps_its_exit_code(tmp_path: Path) -> None:
    assert written_with_full_stderr({**os.environ}, tmp_path / "out", "run", "--nonesuch") == (2, "")


def test_a_rotation_stores_what_it_makes_where_its_steps_cannot_be_written(
    cloud: Cloud, fleet: Fleet, tmp_path: Path
) -> None:
    old = real_secret(cloud, fleet)
    environ = laptop_of(admin_of(cloud, fleet), cloud, tmp_path / "az") | dict(fleet.settings)
    code, _ = written_with_full_stderr(environ, tmp_path / "out", "rotate", "--apply", "--yes")
    assert code == 0
    before, new = principal_of(cloud).secrets
    assert before is old
    assert fleet.vault.versions("databricks-oauth-secret")[-1].value == new.value


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]], ids=" ".join)
def test_help_that_cannot_be_written_is_said_in_one_line(tmp_path: Path, arguments: list[str]) -> None:
    said = tmp_path / "said"
    process = warm.start(*arguments, environ={**os.environ}, stdout=FULL, stderr=said)
    process.join(30)
    assert process.exitcode == 1
    assert said.read_text() == f"Could not write the output: {os.strerror(errno.ENOSPC)}.\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_command_without_stdout_or_stderr_does_its_work(fleet: Fleet, closed: str) -> None:
    """In its own process, because the next opened file gets the descriptor of a closed stream."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -m git_refresh run {closed}', sys.executable],
        cwd=ROOT,
        env={**os.environ, **fleet.settings},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert all(workspace.credentials for workspace in fleet.workspaces)


# The deployed app

TICK = """\
import errno, json, logging, os, sys
from pathlib import Path
from localcloud.worker import Worker

answers = int(sys.argv[2])  # whatever becomes of stdout
asked, refusing = [], False

def refuse(event, arguments):
    if not refusing or event not in CHANGING:
        return
    path, flags = arguments[0], arguments[-1] if event == "open" else os.O_CREAT
    if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and path != os.devnull:
        asked.append(f"{event} {path}")
        raise OSError(ERRNO, os.strerror(ERRNO), str(path))

CHANGING = {"open", "os.mkdir", "os.remove", "os.rename", "os.link", "os.symlink", "os.truncate"}
ERRNO = int(sys.argv[1])
sys.addaudithook(refuse)

class Full(logging.Handler):
    def emit(self, record):
        raise OSError(ERRNO, os.strerror(ERRNO))

with Worker(Path.cwd()) as worker:
    logging.getLogger("git_refresh").addHandler(Full())
    refusing = True
    outcome = worker.fire_timer("refresh_git")
    refusing = False
os.write(answers, json.dumps([outcome.ok, outcome.message, asked]).encode())
"""
"""A run in Microsoft's worker library that refuses file writes; a log handler fails too."""


@pytest.mark.parametrize(
    ("number", "streams"), [(errno.ENOSPC, FULL), (errno.EROFS, os.devnull)], ids=["full", "read-only"]
)
def test_a_tick_needs_no_file_and_no_log(fleet: Fleet, number: int, streams: str) -> None:
    nowhere = dict.fromkeys(("TMPDIR", "HOME", "XDG_CACHE_HOME"), "/nonexistent")
    reads, writes = os.pipe()
    with open(streams, "w") as stream, open(reads) as answers:  # noqa: PTH123  # descriptors
        subprocess.run(
            [sys.executable, "-c", TICK, str(number), str(writes)],
            cwd=ROOT,
            env={**os.environ, **fleet.settings, **nowhere, "PYTHONPATH": str(ROOT)},
            stdout=stream,
            stderr=stream,
            pass_fds=[writes],
            check=True,
            timeout=60,
        )
        os.close(writes)
        assert json.load(answers) == [True, "", []]
    assert all(workspace.credentials and len(workspace.folders) == 2 for workspace in fleet.workspaces)
