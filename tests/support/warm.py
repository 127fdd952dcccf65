"""The command line or the app as a process, forked from one with imported libraries.

A new interpreter imports the SDKs for two seconds. Tests that start `sys.executable` cover that.
"""

import io
import multiprocessing
import os
import pty
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Mapping
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tools.queries import ROOT

SCRIPT = "git-refresh"
LINES = 200
"""Lines of the terminal: enough that nothing scrolls away."""

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [__name__, "git_refresh.app", "git_refresh.cli.main", "azure.storage.queue", "localcloud.worker"]
)


def start(
    *arguments: str | Path,
    environ: Mapping[str, str],
    stdin: str | Path = os.devnull,
    stdout: str | Path = os.devnull,
    stderr: str | Path = os.devnull,
    descriptors: int | None = None,
    folder: Path = ROOT,
    program: str = "git_refresh",
) -> ForkServerProcess:
    """Start a command in a folder.

    `environ`: its whole environment.
    `stdin`, `stdout`, `stderr`: files or terminals. A terminal as stdin becomes the controlling one and can
    send Ctrl-C.
    `descriptors`: the limit of open files.
    `program`: a module for `python -m`, or the script git-refresh.
    """
    streams = (str(stdin), str(stdout), str(stderr))
    process = _FORKS.Process(
        target=_command,
        args=(program, [*map(str, arguments)], dict(environ), streams, descriptors, folder),
        daemon=True,
    )
    process.start()
    return process


def run(
    *arguments: str | Path,
    environ: Mapping[str, str],
    stdin: str | Path = os.devnull,
    timeout: float = 60,
    descriptors: int | None = None,
    folder: Path = ROOT,
    program: str = "git_refresh",
) -> subprocess.CompletedProcess[bytes]:
    """Run a command, and return its output as bytes.

    Raises:
        subprocess.TimeoutExpired: `timeout` seconds have passed; the process was killed.
    """
    with tempfile.TemporaryDirectory() as place:
        stdout, stderr = Path(place, "stdout"), Path(place, "stderr")
        process = start(
            *arguments,
            environ=environ,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            descriptors=descriptors,
            folder=folder,
            program=program,
        )
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([*map(str, arguments)], timeout)
        return subprocess.CompletedProcess(
            arguments, process.exitcode, stdout.read_bytes(), stderr.read_bytes()
        )


_PATIENCE_S = 5.0
"""Seconds until Ctrl-C is pressed again, because a signal just before a read can be lost."""


def on_terminal(
    *arguments: str | Path,
    environ: Mapping[str, str],
    columns: int,
    stdin: str | Path | None = None,
    keys: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    program: str = "git_refresh",
) -> subprocess.CompletedProcess[bytes]:
    """Run a command on a terminal, and return everything shown as stdout.

    `environ`: its environment without the terminal's variables.
    `stdin`: piped input.
    `keys`: pressed when this text appears.
    """
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (LINES, columns))
    terminal = os.ttyname(slave)
    process = start(
        *arguments,
        environ={"TERM": "xterm-256color", **environ, "COLUMNS": str(columns)},
        stdin=stdin or terminal,
        stdout=terminal,
        stderr=terminal,
        folder=folder,
        program=program,
    )
    shown, waiting, interrupt = b"", dict(keys or {}), b""
    while True:
        ready = wait([master, process.sentinel], _PATIENCE_S if interrupt else None)
        if not ready:
            os.write(master, interrupt)
            continue
        if master not in ready:
            break
        shown += os.read(master, 65536)
        for text in [text for text in waiting if text.encode() in shown]:
            key = waiting.pop(text).encode()
            os.write(master, key)
            interrupt = key if key.startswith(b"\x03") else b""
    os.close(slave)
    os.close(master)
    return subprocess.CompletedProcess(arguments, process.exitcode or 0, shown)


def _command(
    program: str,
    arguments: list[str],
    environ: dict[str, str],
    streams: tuple[str, str, str],
    descriptors: int | None,
    folder: Path,
) -> None:
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    _open(*streams)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the parent might ignore the signal
    if descriptors is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    sys.argv = [program, *arguments]
    sys.orig_argv = ["python", "-m", *sys.argv]
    if program == SCRIPT:
        from git_refresh.__main__ import git_refresh  # noqa: PLC0415  # earlier, it would break `run_module`

        git_refresh()
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _open(stdin: str, stdout: str, stderr: str) -> None:
    os.setsid()  # makes a terminal on stdin the controlling one
    os.dup2(os.open(stdin, os.O_RDONLY), 0)
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.FileIO(0, closefd=False))  # type: ignore[misc]
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
