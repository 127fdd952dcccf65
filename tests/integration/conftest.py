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
    """An embedded cloud, and the environment of an app that runs in it."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    with embedded_cloud(monkeypatch) as cloud:
        yield cloud


@pytest.fixture
def fleet(cloud: Cloud) -> Fleet:
    """Three workspaces, each with /Repos/etl/prod and without /Repos/reports/prod, which the settings want too."""
    return seed(cloud)


@pytest.fixture
def run(fleet: Fleet) -> Callable[..., Report]:
    """One run over the real SDKs, with the fleet's settings and changes to them."""

    def run(**changes: Any) -> Report:
        options = {key: changes.pop(key) for key in ("dry_run", "next_run", "notes") if key in changes}
        return run_app({**os.environ, **fleet.settings, **changes}, **options)

    return run


@pytest.fixture
def everything() -> Iterator[Everything]:
    """All loggers at DEBUG, those too that set a level of their own, and those made later; also beside the root's handlers."""
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
