"""A terminal and its visible text."""

import os
import re

from localcloud import Cloud
from tests.support import warm


def screen(sent: bytes) -> list[str]:
    """Return the final text on a terminal, without colors, links and progress."""
    text = re.sub(r"\x1b\]8;[^\x1b]*\x1b\\", "", sent.decode().replace("\r\n", "\n"))
    text = re.sub(r"\x1b\[[0-9;]*A", "\x00", text)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    lines = [line.rpartition("\r")[2] for line in text.rpartition("\x00")[2].split("\n")]
    return [line for line in lines if line.strip()]


def on_a_terminal(cloud: Cloud, *arguments: str, **settings: str) -> str:
    """Run a command and return both streams as a terminal shows them."""
    environ = {**os.environ, **cloud.environment(), **settings}
    done = warm.on_terminal(*arguments, environ=environ, columns=120)
    assert done.returncode == 0, done.stdout
    return done.stdout.decode()
