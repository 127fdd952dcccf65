"""The app in its own process, driven from outside, so its memory is measured without the emulator's.

`App` is the measuring side. `python -m benchmarks.ticking` is the app's side: it reads an order per line and
returns a line of JSON. It imports nothing of the emulator, the tests or the command line.
"""

import dataclasses
import gc
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from benchmarks.process import Sample, sample, settle, trim

SETTLE = 1.0
"""Seconds in which a run's threads must finish; later they count as leaked."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tick:
    """One run: its duration in seconds, its result, its exception, and the process afterwards."""

    seconds: float
    ok: bool
    said: str
    after: Sample


class App:
    """The app in a new process with this environment.

    `environ`: includes the app settings.
    `limit`: seconds for one operation, instead of the app's own limits; None keeps those.
    """

    def __init__(self, environ: Mapping[str, str], *, limit: float | None = None) -> None:
        command = [sys.executable, "-m", "benchmarks.ticking", str(limit or "")]
        self._process = subprocess.Popen(  # noqa: S603  # itself
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process as process:  # closes its input, so it exits
            if kind is not None:
                process.kill()

    def tick(self) -> Tick:
        told = self._ask("tick")
        return Tick(**{**told, "after": Sample(**told["after"])})

    def sample(self, *first: str) -> Sample:
        """Return a sample of the process, after `collect` or `trim` if given."""
        for order in first:
            self._ask(order)
        return Sample(**self._ask("sample"))

    def _ask(self, order: str) -> Any:  # noqa: ANN401  # any JSON
        assert self._process.stdin and self._process.stdout  # noqa: S101, PT018  # for the type checker: pipes
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the app's process has ended: {self._process.wait()}")
        return json.loads(answer)


def _tick() -> dict[str, Any]:
    from git_refresh.app import run_scheduled  # noqa: PLC0415  # as in function_app
    from git_refresh.run.errors import RunFailedError  # noqa: PLC0415  # same

    started, failure = time.perf_counter(), ""
    try:
        run_scheduled(os.environ, None)
    except RunFailedError as error:
        failure = str(error)
    seconds = time.perf_counter() - started
    settle(SETTLE)
    return {"seconds": seconds, "ok": not failure, "said": failure, "after": dataclasses.asdict(sample())}


def _shorten(limit: float) -> None:
    """Shorten the app's timeouts, as the integration tests do."""
    from git_refresh import app  # noqa: PLC0415  # only the child process
    from git_refresh.clients import (  # noqa: PLC0415  # only the child process
        databricks,
        devops,
        identity,
        key_vault,
        oauth,
    )
    from git_refresh.run import fleet  # noqa: PLC0415  # only the child process
    from git_refresh.settings.load import Settings, load  # noqa: PLC0415  # only the child process

    for module, name in (
        (identity, "TOKEN_LIMIT_S"),
        (key_vault, "SECRET_LIMIT_S"),
        (devops, "REF_LIMIT_S"),
        (oauth, "SIGN_IN_LIMIT"),
        (databricks, "CREDENTIAL_LIMIT"),
        (databricks, "LOOKUP_LIMIT"),
    ):
        if not hasattr(module, name):
            raise AttributeError(f"{module.__name__} has no {name} any more: say here what limits it")
        setattr(module, name, limit)
    vars(fleet)["REPORT_GRACE_S"] = limit / 2

    def briskly(environ: Mapping[str, str]) -> Settings:
        return dataclasses.replace(load(environ), timeout_s=4 * limit)

    vars(app)["load"] = briskly


def main(limit: str) -> None:
    """Follow the orders on standard input until it is closed."""
    logger = logging.getLogger("git_refresh")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    if limit:
        _shorten(float(limit))
    orders: dict[str, Callable[[], Any]] = {
        "tick": _tick,
        "sample": lambda: dataclasses.asdict(sample()),
        "collect": gc.collect,
        "trim": trim,
    }
    for order in sys.stdin:
        print(json.dumps(orders[order.strip()]()), flush=True)  # noqa: T201  # the parent process reads it


if __name__ == "__main__":
    main(*sys.argv[1:2])
