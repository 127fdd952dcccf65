"""What the README's first command shows."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_ends_well_and_tells_its_story() -> None:
    environ = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "localcloud.demo"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for line in (
        "created → ",
        "a job pulls in data-1: PERMISSION_DENIED",
        "Next tick",
        "a job pulls in data-1: fine",
        "All as told.",
    ):
        assert line in done.stdout
