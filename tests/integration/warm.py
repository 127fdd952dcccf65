"""The command line as a process of its own, forked from one that has imported the libraries once.

A fresh interpreter spends two seconds of a core on importing the SDKs before the command begins; a fork begins at once.
What a fresh interpreter does, the tests say that start `sys.executable`.
"""

import io
import multiprocessing
import os
import resource
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "git_refresh.app", "git_refresh.cli.main"])


def start(
    *arguments: str | Path,
    environ: Mapping[str, str],
    stdout: str | Path = os.devnull,
    stderr: str | Path = os.devnull,
    descriptors: int | None = None,
    folder: Path = ROOT,
) -> ForkServerProcess:
    """`python -m git_refresh ARGUMENTS` in a folder, writing to two files or terminals, with so many descriptors at most."""
    process = _FORKS.Process(
        target=_command,
        args=([*map(str, arguments)], dict(environ), str(stdout), str(stderr), descriptors, folder),
        daemon=True,
    )
    process.start()
    return process


def run(
    *arguments: str | Path,
    environ: Mapping[str, str],
    timeout: float = 60,
    descriptors: int | None = None,
    folder: Path = ROOT,
) -> subprocess.CompletedProcess[bytes]:
    """The same, until it has ended: with what it has written, as bytes.

    Raises:
        subprocess.TimeoutExpired: after `timeout` seconds; then the process was killed.
    """
    with tempfile.TemporaryDirectory() as place:
        stdout, stderr = Path(place, "stdout"), Path(place, "stderr")
        process = start(
            *arguments, environ=environ, stdout=stdout, stderr=stderr, descriptors=descriptors, folder=folder
        )
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([*map(str, arguments)], timeout)
        return subprocess.CompletedProcess(
            arguments, process.exitcode, stdout.read_bytes(), stderr.read_bytes()
        )


def _command(
    arguments: list[str],
    environ: dict[str, str],
    stdout: str,
    stderr: str,
    descriptors: int | None,
    folder: Path,
) -> None:
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    for name, number, path in (("stdout", 1, stdout), ("stderr", 2, stderr)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOCTTY, 0o600)
        os.dup2(opened, number)
        os.close(opened)
        line_by_line = name == "stderr" or os.isatty(number)
        stream = io.TextIOWrapper(
            io.FileIO(number, "w", closefd=False), write_through=True, line_buffering=line_by_line
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    if descriptors is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    sys.argv = ["git_refresh", *arguments]
    runpy.run_module("git_refresh", run_name="__main__", alter_sys=True)
