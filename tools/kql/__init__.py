"""Microsoft's language service for Kusto, which checks tables, columns, functions and types.

`python -m tools.npm` installs it.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tools import npm

HERE = Path(__file__).parent
INSTALLED = Path(sys.prefix) / "kql"


def diagnose(queries: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the service's diagnostics of each query, from one process.

    Raises:
        RuntimeError: the service is not installed; run `make install`.
    """
    answer = npm.node(
        str(HERE / "check.js"), str(INSTALLED), str(HERE / "tables.json"), given=json.dumps(queries)
    )
    found: dict[str, list[str]] = json.loads(answer)
    return found
