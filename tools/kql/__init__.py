"""Microsoft's own language service for the queries: it knows tables, columns, functions and types, which the grammar does not.

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
    """What the service says of each query, with one process for all.

    Raises:
        RuntimeError: it is not installed: `make install`.
    """
    answer = npm.node(
        str(HERE / "check.js"), str(INSTALLED), str(HERE / "tables.json"), given=json.dumps(queries)
    )
    found: dict[str, list[str]] = json.loads(answer)
    return found
