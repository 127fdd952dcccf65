"""`make run`."""

import subprocess
import sys

from localcloud.demo import APP


def test_the_demo_ends_as_it_says() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "localcloud.demo"], cwd=APP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
