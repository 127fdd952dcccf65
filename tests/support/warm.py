"""The command line, or an instance of the app, as a process of its own, forked from one that has imported the libraries once.

A fresh interpreter spends two seconds of a core on importing the SDKs before the command begins; a fork begins at once.
What a fresh interpreter does, the tests say that start `sys.executable`.
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
"""Of the terminal: nothing may scroll out of it."""

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
    """A command in a folder, with three files or terminals, and with so many descriptors at most.

    Args:
        arguments: what is typed behind the program's name.
        environ: its environment, whole.
        stdin: what it reads; a terminal becomes its own, with a Ctrl-C that reaches it.
        stdout: where it writes.
        stderr: where it writes beside.
        descriptors: how many it may open.
        folder: where it is started.
        program: a module, as `python -m` takes it, or the script git-refresh.
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
    """The same, until it has ended: with what it has written, as bytes.

    Raises:
        subprocess.TimeoutExpired: after `timeout` seconds; then the process was killed.
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
"""Seconds after which Ctrl-C is pressed again: one that comes just before a program waits for input can be lost."""


def on_terminal(
    *arguments: str | Path,
    environ: Mapping[str, str],
    columns: int,
    stdin: str | Path | None = None,
    keys: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    program: str = "git_refresh",
) -> subprocess.CompletedProcess[bytes]:
    """The same on a terminal so wide: with all that was shown on it as stdout.

    Args:
        arguments: what is typed behind the program's name.
        environ: its environment, but for what tells of the terminal.
        columns: of the terminal.
        stdin: what is piped into it.
        keys: what somebody presses as soon as this text is shown.
        folder: where it is started.
        program: as `start` takes it.
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
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # which whoever starts the tests may have ignored
    if descriptors is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    sys.argv = [program, *arguments]
    sys.orig_argv = ["python", "-m", *sys.argv]
    if program == SCRIPT:
        from git_refresh.__main__ import git_refresh  # noqa: PLC0415  # before, it would be in the way of `run_module`

        git_refresh()
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _open(stdin: str, stdout: str, stderr: str) -> None:
    os.setsid()  # so that a terminal on stdin, opened next, becomes this process's own
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
