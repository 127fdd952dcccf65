import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from git_refresh.run.report import Report
from git_refresh.settings.names import SETTINGS
from localcloud import Cloud, Fleet, seed
from tests.support.app import run_app
from tests.support.embedded_cloud import embedded_cloud
from tests.support.planted_secrets import Everything


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Yield a local emulator with the environment of an app that uses it."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    with embedded_cloud(monkeypatch) as cloud:
        yield cloud


@pytest.fixture
def fleet(cloud: Cloud) -> Fleet:
    """Return three workspaces with /Repos/etl/prod; the settings also want /Repos/reports/prod."""
    return seed(cloud)


@pytest.fixture
def run(fleet: Fleet) -> Callable[..., Report]:
    """Return a function that runs the app with the real SDKs and changed settings."""

    def run(**changes: Any) -> Report:
        options = {key: changes.pop(key) for key in ("dry_run", "next_run", "notes") if key in changes}
        return run_app({**os.environ, **fleet.settings, **changes}, **options)

    return run


@pytest.fixture
def everything() -> Iterator[Everything]:
    """Capture all loggers at DEBUG, also those with their own level or created later."""
    handler, root = Everything(), logging.getLogger()
    levels = {
        name: logger.level
        for name, logger in logging.Logger.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    before = root.level
    listened = [
        root,
        *(
            logging.getLogger(name)
            for name in ("azure", "azure.identity", "azure.core", "msal", "databricks.sdk", "urllib3")
        ),
    ]
    for logger in listened:
        logger.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    for logger in listened:
        logger.removeHandler(handler)
    root.setLevel(before)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
