"""`git-refresh` and `python -m git_refresh`: the command line, for laptops and pipelines."""

import signal
import sys


def git_refresh(name: str = "git-refresh") -> None:
    """Run a command, under the name by which it was called.

    Raises:
        SystemExit: always, with the command's exit code.
    """
    try:
        from git_refresh.cli import render  # noqa: PLC0415  # what it lacks is told in one line
        from git_refresh.cli.main import main  # noqa: PLC0415  # same
    except ModuleNotFoundError as missing:
        if missing.name not in {"click", "rich"}:
            raise
        sys.exit(
            f"The command line needs {missing.name}, which is not deployed with the app. Install the command line: docs/setup.md, step 0."
        )
    # A canceled pipeline sends SIGTERM: it says what was done, as Ctrl-C does. Who has ignored it keeps that.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    render.open_streams()
    with render.writing():
        main(prog_name=name)


if __name__ == "__main__":
    git_refresh("python -m git_refresh")
