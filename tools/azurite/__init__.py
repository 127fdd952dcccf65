"""Microsoft's emulator of Azure Storage, for the embedded cloud: `localcloud.azurite` runs it.

It is an npm package: `python -m tools.azurite` (a part of `make install`) gets it, by the hashes in `package-lock.json`,
without what sends telemetry and what talks to databases.
"""

from pathlib import Path

from localcloud.azurite import INSTALLED
from tools import npm

HERE = Path(__file__).parent


def install() -> None:
    """Get the packages.

    Raises:
        RuntimeError: npm says why not.
    """
    npm.install(HERE, INSTALLED)
