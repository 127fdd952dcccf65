"""An instance of the app whose timer fires once: `python -m tests.support.worker_runs LOG INFO`.

INFO is the host's argument of the function, as JSON (`localcloud.timer.Call.info`). The exit code is 1 if the
run failed.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from localcloud import Cloud
from localcloud.timer import Call
from localcloud.worker import Worker
from tests.support import warm
from tests.support.paths import ROOT


def ticked(cloud: Cloud, settings: Mapping[str, str], log: Path, call: Call) -> ForkServerProcess:
    """Start an instance with this call of the host."""
    environ = {**os.environ, **cloud.environment(), **settings}
    return warm.start(log, json.dumps(call.info), environ=environ, program=__name__)


def events(log: Path) -> list[dict[str, Any]]:
    """Return the log lines; raises unless each is a complete JSON object."""
    return [json.loads(line) for line in log.read_text().splitlines()]


if __name__ == "__main__":
    logging.getLogger("git_refresh").addHandler(logging.FileHandler(sys.argv[1]))
    with Worker(ROOT) as worker:
        outcome = worker.call_timer("refresh_git", json.loads(sys.argv[2]))
    sys.exit(0 if outcome.ok else 1)
