"""An instance of the deployed app whose timer fires once: `python -m tests.integration.ticking LOG`.

It fires late, as after a run that was cut off, and ends with 1 where the run has failed.
"""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

from localcloud.worker import Worker

if __name__ == "__main__":
    logging.getLogger("git_refresh").addHandler(logging.FileHandler(sys.argv[1]))
    due = datetime.now(UTC)
    with Worker(Path(__file__).parents[2]) as worker:
        outcome = worker.fire_timer("refresh_git", last=due, following=due, past_due=True)
    sys.exit(0 if outcome.ok else 1)
