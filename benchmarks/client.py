"""One run of one client in its own process: `python -m benchmarks.client app`.

CPU time and peak memory are therefore the client's. It prints its figures as a line of JSON.
"""

import dataclasses
import json
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from benchmarks.process import MIB, sample

LONGEST = 600
"""Seconds: the limit of a run."""


@dataclasses.dataclass(frozen=True, slots=True)
class Took:
    """The figures of one run; times in seconds, memory in MB.

    `began`: the start of the run, after the imports, on the machine's monotonic clock.
    `loading`: the imports.
    `cpu`: CPU time, imports included.
    `peak`: the largest resident size (VmHWM).
    """

    began: float
    loading: float
    seconds: float
    cpu: float
    peak: float


def measure(client: str, environ: Mapping[str, str]) -> Took:
    """Run a client once, in a new process with this environment.

    Raises:
        subprocess.CalledProcessError: the run failed.
        subprocess.TimeoutExpired: the run took too long.
    """
    command = [sys.executable, "-m", "benchmarks.client", client]
    done = subprocess.run(  # noqa: S603  # itself
        command, env=environ, stdout=subprocess.PIPE, text=True, check=True, timeout=LONGEST
    )
    return Took(**json.loads(done.stdout))


def _app() -> Callable[[], None]:
    from git_refresh.app import run_scheduled  # noqa: PLC0415  # as in function_app

    return lambda: run_scheduled(os.environ, None)


def _asyncio() -> Callable[[], None]:
    import asyncio  # noqa: PLC0415  # its imports are measured

    from benchmarks.floor import refresh  # noqa: PLC0415  # its imports are measured

    return lambda: asyncio.run(refresh(os.environ))


_LOAD: Mapping[str, Callable[[], Callable[[], None]]] = {"app": _app, "asyncio": _asyncio}


def main(client: str) -> None:
    logger = logging.getLogger("git_refresh")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    started = time.monotonic()
    run = _LOAD[client]()
    began = time.monotonic()
    run()
    ended = time.monotonic()
    used = resource.getrusage(resource.RUSAGE_SELF)
    took = Took(
        began=began,
        loading=began - started,
        seconds=ended - began,
        cpu=used.ru_utime + used.ru_stime,
        peak=sample().peak * MIB / 1e6,
    )
    print(json.dumps(dataclasses.asdict(took)))  # noqa: T201  # the parent process reads it


if __name__ == "__main__":
    main(sys.argv[1])
