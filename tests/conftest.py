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
if (
    settings.get_current_profile_name() == "default"
):  # hypothesis has one of its own for CI, which is as patient
    settings.register_profile("patient", deadline=None)  # an example that takes long tells of a busy machine
    settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _logger_as_before() -> Iterator[None]:
    """A command that runs in this process sends the log lines to stderr, for as long as the process lives."""
    logger = logging.getLogger("git_refresh")
    before = (logger.level, logger.propagate, [*logger.handlers])
    yield
    logger.setLevel(before[0])  # which forgets what was asked of it meanwhile
    logger.propagate, logger.handlers = before[1:]


def pytest_configure() -> None:
    """Let the tests press Ctrl-C, also in a background job of a shell, which starts processes with SIGINT ignored.

    Raises:
        pytest.UsageError: there is a list where the tests start commands, which would read it.
    """
    if (ROOT / "workspaces.json").exists():
        raise pytest.UsageError(
            "Move workspaces.json out of the checkout: the commands that tests run there read it."
        )
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of code, templates and pages have no network; all others have loopback, where the embedded cloud is."""
    if OFFLINE.intersection(item.path.parents):
        disable_socket()
    else:
        socket_allow_hosts(["127.0.0.1", "localhost", "::1"], allow_unix_socket=True)
