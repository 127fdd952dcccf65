from pathlib import Path

import pytest
from pytest_socket import disable_socket, socket_allow_hosts

UNIT = Path(__file__).parent / "unit"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Unit tests have no network; all others have loopback, where the embedded cloud is."""
    if UNIT in item.path.parents:
        disable_socket()
    else:
        socket_allow_hosts(["127.0.0.1", "localhost", "::1"], allow_unix_socket=True)
