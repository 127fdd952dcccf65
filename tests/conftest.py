import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, socket_allow_hosts

from tests.support.paths import ROOT

OFFLINE = {Path(__file__).parent / name for name in ("unit", "infra", "pages")}

settings.register_profile("quick", max_examples=10, deadline=None)  # `make check`
if settings.get_current_profile_name() == "default":  # hypothesis has its own profile for CI
    settings.register_profile("patient", deadline=None)  # examples are slow on a busy machine
    settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _logger_as_before() -> Iterator[None]:
    """Restore the logger, because a command in this process redirects log lines to stderr for good."""
    logger = logging.getLogger("git_refresh")
    before = (logger.level, logger.propagate, [*logger.handlers])
    yield
    logger.setLevel(before[0])  # resets the level too
    logger.propagate, logger.handlers = before[1:]


def pytest_configure() -> None:
    """Let tests press Ctrl-C even in a shell's background job, which ignores SIGINT.

    Raises:
        pytest.UsageError: a workspaces.json exists where tests start commands, which would read it.
    """
    if (ROOT / "workspaces.json").exists():
        raise pytest.UsageError(
            "Move workspaces.json out of the checkout: the commands that tests run there read it."
        )
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Disable the network for tests of code, templates and pages; others have loopback for the emulator."""
    if OFFLINE.intersection(item.path.parents):
        disable_socket()
    else:
        socket_allow_hosts(["127.0.0.1", "localhost", "::1"], allow_unix_socket=True)
