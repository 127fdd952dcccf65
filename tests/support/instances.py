"""Instances of the app as processes that can be killed: `localcloud.queue_worker`, forked."""

import json
import os
import select
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support import warm

_LONGEST_S, _LOOK_S = 60.0, 0.5


class EndedError(Exception):
    """The instance has exited; the message has its stderr."""


def next_line(instances: Sequence["Instance"]) -> tuple["Instance", dict[str, Any]]:
    """Return the next line of any instance; instances can be added meanwhile.

    Raises:
        TimeoutError: no instance printed a line for a minute.
    """
    for _ in range(int(_LONGEST_S / _LOOK_S)):
        for each in instances:
            if each.has_line:
                return each, each.next_line()
        for each in select.select(instances, [], [], _LOOK_S)[0]:
            each.receive()
    raise TimeoutError([each.lines[-3:] for each in instances])


class Instance:
    """One instance; `ready` is its first line.

    `lines`: the lines read so far.
    """

    def __init__(
        self, app: Path, environ: Mapping[str, str], *, invisible: float | None = None, timers: bool = False
    ) -> None:
        """Start the instance.

        `app`: the directory of function_app.py and host.json.
        `environ`: its whole environment, with the app settings.
        `invisible`: seconds that it hides a message from others (default: the host's).
        `timers`: whether it also calls the app's timers.
        """
        self.lines: list[dict[str, Any]] = []
        self._said = b""
        self._place = tempfile.TemporaryDirectory()
        stdin, stdout, self._stderr = (Path(self._place.name, name) for name in ("stdin", "stdout", "stderr"))
        os.mkfifo(stdin)
        os.mkfifo(stdout)
        self._stdin = os.open(stdin, os.O_RDWR)
        self._stdout = os.open(stdout, os.O_RDWR)
        options = [] if invisible is None else ["--invisible", str(invisible)]
        options += ["--timers"] if timers else []
        self._process = warm.start(
            app,
            *options,
            environ=environ,
            stdin=stdin,
            stdout=stdout,
            stderr=self._stderr,
            program="localcloud.queue_worker",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill it and clean up."""
        self.kill()
        os.close(self._stdout)
        self._place.cleanup()

    def until(self, event: str, **fields: object) -> dict[str, Any]:
        """Read lines until this event, and return its line.

        Raises:
            EndedError: the instance exited before.
            TimeoutError: it printed nothing for a minute.
        """
        while True:
            line = self._line()
            if line["event"] == event and fields.items() <= line.items():
                return line

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._close_stdin()

    def stop(self) -> int:
        """Let it finish its work, read the remaining lines, and return its exit code."""
        self._close_stdin()
        try:
            while True:
                self._line()
        except EndedError:
            return self._process.exitcode or 0

    def fileno(self) -> int:
        """Return the descriptor of its output."""
        return self._stdout

    @property
    def has_line(self) -> bool:
        """True if a received line is unread."""
        return b"\n" in self._said

    def receive(self) -> None:
        """Read the available output."""
        self._said += os.read(self._stdout, 65536)

    def next_line(self) -> dict[str, Any]:
        """Read one more line.

        Raises:
            EndedError: the instance exited before.
            TimeoutError: it printed nothing for a minute.
        """
        return self._line()

    def _line(self) -> dict[str, Any]:
        while not self.has_line:
            ready = wait([self._stdout, self._process.sentinel], _LONGEST_S)
            if not ready:
                raise TimeoutError(self.lines[-3:])
            if self._stdout not in ready:
                self._process.join()
                raise EndedError(self._stderr.read_text() if self._stderr.exists() else "")
            self.receive()
        line, _, self._said = self._said.partition(b"\n")
        self.lines.append(json.loads(line))
        return self.lines[-1]

    def _close_stdin(self) -> None:
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1
