"""One call of the deployed app's timer in its own process: `python -m localcloud.tick LOG INFO`.

INFO is the host's argument of the function, as JSON (`timer.Call.info`). Each line of LOG is `[seconds,
level, message]`. The exit code is 1 if the function failed.
"""

import json
import logging
import sys
from pathlib import Path
from typing import override

from localcloud.worker import Worker

APP = Path(__file__).parent.parent


class _Lines(logging.FileHandler):
    @override
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps([record.created, record.levelname, record.getMessage()])


if __name__ == "__main__":
    logging.getLogger("git_refresh").addHandler(_Lines(sys.argv[1], encoding="utf-8"))
    logging.getLogger().addHandler(logging.NullHandler())  # the worker's own log lines
    with Worker(APP) as worker:
        outcome = worker.call_timer("refresh_git", json.loads(sys.argv[2]))
    sys.exit(0 if outcome.ok else 1)
