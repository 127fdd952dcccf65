"""Measures what tools/cost.py reckons with: a quiet run on the embedded cloud. `python -m tools.measure 1 50 1000`, on Linux.

Each fleet gets a cloud of its own, which answers after 50 ms, and a new process for the app, as on an instance that has just
been started. Every workspace has two Git folders, and all are where they should be.
"""

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localcloud import Cloud, seed

LATENCY = 0.05


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def measure(workspaces: int) -> dict[str, Any]:
    """The numbers of one fleet: seconds, bytes, MiB and requests."""
    with Cloud() as cloud:
        settings = _quiet(cloud, workspaces)
        cloud.latency = LATENCY
        environ = {**os.environ, **cloud.environment(), **settings}
        for _ in range(2):  # the first run creates the credentials, the second finds them
            before = len(cloud.requests)
            command = [sys.executable, "-m", "tools.measure"]
            done = subprocess.run(  # noqa: S603  # itself
                command, env=environ, check=True, stdout=subprocess.PIPE, text=True
            )
        asked = [request.service for request in cloud.requests[before:]]
        measured: dict[str, Any] = json.loads(done.stdout)
        return {**measured, "requests": {service: asked.count(service) for service in dict.fromkeys(asked)}}


def _quiet(cloud: Cloud, workspaces: int) -> dict[str, str]:
    """Settings as a large fleet's are: what all have in common stands in WORKSPACE_DEFAULTS."""
    fleet = seed(cloud, workspaces)
    for workspace in fleet.workspaces:
        workspace.add_folder("/Repos/reports/prod", fleet.repositories[1])
    entries = json.loads(fleet.settings["WORKSPACES"])
    defaults = json.loads(fleet.settings["WORKSPACE_DEFAULTS"])
    return {
        **fleet.settings,
        "WORKSPACES": json.dumps([entry["host"] for entry in entries]),
        "WORKSPACE_DEFAULTS": json.dumps({**defaults, "folders": entries[0]["folders"]}),
    }


def run() -> dict[str, Any]:
    """One run in this process, the imports that the first run does included."""
    handler = _Lines()
    logging.getLogger("git_refresh").addHandler(handler)
    started, worked = time.perf_counter(), time.process_time()
    from git_refresh.app import run_scheduled  # noqa: PLC0415  # as function_app does it

    run_scheduled(os.environ, None)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - worked
    peak = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    *workspaces, whole = [len(line.encode()) for line in handler.lines]
    return {
        "workspaces": len(workspaces),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "run_line": whole,
        "workspace_line": round(sum(workspaces) / len(workspaces)),
        "memory_mib": int(peak.group(1)) // 1024 if peak else None,
    }


def _told(arguments: list[str]) -> Iterator[dict[str, Any]]:
    if arguments:
        yield from (measure(int(workspaces)) for workspaces in arguments)
    else:
        yield run()


if __name__ == "__main__":
    for numbers in _told(sys.argv[1:]):
        print(json.dumps(numbers), flush=True)  # noqa: T201  # a command's output
