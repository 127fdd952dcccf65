"""Microsoft's Bicep CLI, in the version of `.bicep-version`, which tests and snapshots require."""

import os
import shutil
import subprocess
from pathlib import Path

from tools.queries import ROOT

VERSION = (ROOT / ".bicep-version").read_text(encoding="utf-8").strip()
_TIMEOUT_S = 60


class UnusableError(Exception):
    """The Bicep CLI cannot be used on this machine; the message has the reason."""


def find() -> str:
    """Return the path of the Bicep CLI on the PATH.

    Raises:
        UnusableError: the CLI is missing, does not start, has another version or cannot make snapshots.
    """
    path = shutil.which("bicep")
    if path is None:
        raise UnusableError(f"The PATH has no Bicep CLI; version {VERSION} is needed.")
    version = _answer(path, "--version")
    if VERSION not in version.stdout.split():
        found = version.stdout.strip().partition(" (")[0]
        raise UnusableError(f"{path} is {found or 'of an unknown version'}; version {VERSION} is needed.")
    _answer(path, "snapshot", "--help")
    return path


def _answer(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        done = run(path, *arguments)
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
        raise UnusableError(f"{path} does not start: {error}") from error
    if done.returncode:
        why = (done.stderr or done.stdout).strip().splitlines()
        fault = "has no command `snapshot`" if arguments[0] == "snapshot" else "does not start"
        raise UnusableError(f"{path} {fault}: exit status {done.returncode}. {' '.join(why[:1])}".rstrip())
    return done


def run(path: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [path, *arguments],
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
