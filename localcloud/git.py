"""The `git` program without the machine's own configuration."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finished:
    code: int
    stdout: bytes
    stderr: str


class GitError(Exception):
    pass


ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Contoso",
    "GIT_AUTHOR_EMAIL": "data@contoso.com",
    "GIT_COMMITTER_NAME": "Contoso",
    "GIT_COMMITTER_EMAIL": "data@contoso.com",
}


def run(directory: Path, *arguments: str, stdin: bytes = b"") -> str:
    """Run git and return its output. Raises GitError if it fails."""
    command = ["git", *arguments]
    done = subprocess.run(  # noqa: S603  # always git, and no shell
        command, cwd=directory, env=ENVIRONMENT, input=stdin, capture_output=True, check=False
    )
    if done.returncode:
        raise GitError(f"{' '.join(command)}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode(errors="surrogateescape").strip()


async def start(
    directory: Path, *arguments: str, environment: Mapping[str, str] | None = None, stdin: bytes = b""
) -> Finished:
    """Run git without blocking the event loop; canceling also kills git and its children."""
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=directory,
        env=ENVIRONMENT | dict(environment or {}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        stdout, stderr = await process.communicate(stdin)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            await process.communicate()
        finally:  # canceled again when the loop stops: closes the pipes now
            process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001  # there is no public way
        raise
    return Finished(process.returncode or 0, stdout, stderr.decode(errors="replace"))
