"""`git-refresh` and `python -m git_refresh`: the command line, for laptops and pipelines."""

import os
import shutil
import signal
import sys
from pathlib import Path

from git_refresh.output.shell import quote

_NAME = "git-refresh"
_COMPLETES = "_GIT_REFRESH_COMPLETE"
"""Environment variable in which a shell requests completions."""


def _script() -> str:
    """Return the script's name if the shell finds it on the path, otherwise its path as entered."""
    typed, found = sys.argv[0], shutil.which(_NAME)
    if Path(typed).stem != _NAME or (found and Path(found).resolve() == Path(typed).resolve()):
        return _NAME
    return typed


def _program() -> str:
    """Return the program as the user entered it, for usage lines and remedies."""
    words = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1] if __name__ == "__main__" else [_script()]
    try:
        return _NAME if os.environ.get(_COMPLETES) else " ".join(map(quote, words))
    except ValueError:  # no shell can repeat it
        return _NAME


def git_refresh() -> None:
    """Run the command line under the name that the user entered.

    Raises:
        SystemExit: always, with the command's exit code.
    """
    try:
        from git_refresh.cli import render  # noqa: PLC0415  # a missing library is reported below
        from git_refresh.cli.main import main  # noqa: PLC0415  # same
    except ModuleNotFoundError as missing:
        if missing.name not in {"click", "rich"}:
            raise
        sys.exit(
            f"The command line needs {missing.name}, which is not installed. To install the command line, see docs/setup.md."
        )
    # A canceled pipeline sends SIGTERM. Handle it like Ctrl+C, unless the caller ignores the signal.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    render.open_streams()
    with render.writing():
        main(prog_name=_program(), complete_var=_COMPLETES)


if __name__ == "__main__":
    git_refresh()
