"""Shell text pasted into bash or zsh: the arguments of each program, recorded by fakes."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

SHELLS = {
    # A terminal expands ! in a line first.
    "bash": ["bash", "--norc", "--noprofile", "-H", "-o", "history"],
    # In an interactive zsh, # does not start a comment.
    "zsh": ["zsh", "-f", "-i", "+o", "zle", "+o", "promptsp", "+o", "promptcr"],
}
"""The commands that start each shell like in a terminal."""
INSTALLED = [name for name in SHELLS if shutil.which(name)]
STAND_INS = ("az", "azd", "func", "databricks", "jq", "curl", "make", "git", "editor", "git-refresh", "pipx")
_STAND_IN = """\
#!/bin/sh
printf '%s\\0' "$(($# + 2))" "${0##*/}" "$@" "$DATABRICKS_HOST $DATABRICKS_ACCOUNT_ID" >> "$CALLS"
echo standins
"""
_TYPED = "typed"
"""The reply to a prompt."""


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """A program with its arguments, and the Databricks CLI's target in the environment."""

    words: tuple[str, ...]
    host_and_account: str

    @property
    def program(self) -> str:
        return self.words[0]


def paste(text: str, shell: str, folder: Path, **variables: str) -> list[Call]:
    """Return the calls of pasted text with these variables; concurrent ones in any order.

    Raises:
        AssertionError: the shell printed an error.
    """
    tools, calls = folder / "tools", folder / f"calls-{shell}"
    here = folder / f"here-{shell}"
    if not tools.exists():
        tools.mkdir()
        for name in STAND_INS:
            _write(tools / name)
    (here / ".venv/bin").mkdir(parents=True)
    _write(here / ".venv/bin/python")
    for name in ("infra", "docs", ".bicep-version"):
        (here / name).symlink_to(ROOT / name)
    calls.touch()
    asked = "".join(
        f"{each}\n{_TYPED}\n" if "read -rs " in each else f"{each}\n" for each in text.splitlines()
    )
    done = subprocess.run(
        SHELLS[shell],
        input=f"set -u\n{asked}",
        cwd=here,
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "CALLS": str(calls),
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
        }
        | {"DATABRICKS_HOST": "", "DATABRICKS_ACCOUNT_ID": "", "PS1": "", "PS2": ""}
        | variables,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    assert not done.stderr.strip(), f"{shell}: {done.stderr}"
    words = iter(calls.read_text(errors="surrogateescape").split("\0")[:-1])
    found = [[next(words) for _ in range(int(number))] for number in words]
    calls.unlink()
    shutil.rmtree(here)
    return [Call(tuple(each[:-1]), each[-1]) for each in found]


def _write(path: Path) -> None:
    path.write_text(_STAND_IN)
    path.chmod(0o755)
