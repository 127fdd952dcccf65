"""One run of one client in a process of its own: `python -m benchmarks.client app`.

So seconds of a core and peak of memory are its own. It prints what it took as a line of JSON, and imports nothing but the client.
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
"""Seconds that a run may take."""


@dataclasses.dataclass(frozen=True, slots=True)
class Took:
    """What one run took.

    Attributes:
        began: when the run began, once all was imported, on the machine's monotonic clock.
        loading: seconds that the imports took.
        seconds: the run itself.
        cpu: seconds of a core, those of the imports included.
        peak: MB of memory (VmHWM).
    """

    began: float
    loading: float
    seconds: float
    cpu: float
    peak: float


def measure(client: str, environ: Mapping[str, str]) -> Took:
    """Run a client once, in a new process with this environment.

    Raises:
        subprocess.CalledProcessError: it failed.
        subprocess.TimeoutExpired: it took too long.
    """
    command = [sys.executable, "-m", "benchmarks.client", client]
    done = subprocess.run(  # noqa: S603  # itself
        command, env=environ, stdout=subprocess.PIPE, text=True, check=True, timeout=LONGEST
    )
    return Took(**json.loads(done.stdout))


def _app() -> Callable[[], None]:
    from git_refresh.app import run_scheduled  # noqa: PLC0415  # as function_app does it

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
    print(json.dumps(dataclasses.asdict(took)))  # noqa: T201  # the answer


if __name__ == "__main__":
    main(sys.argv[1])
