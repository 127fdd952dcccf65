import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from git_refresh.run.report import Report
from git_refresh.settings.names import SETTINGS
from localcloud import Cloud, Fleet, seed
from tests.support.app import run_app
from tests.support.embedded_cloud import embedded_cloud


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
