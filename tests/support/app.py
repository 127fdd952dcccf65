"""One run of the app, from its settings as they stand in an environment."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from git_refresh import app
from git_refresh.model.clock import Clock
from git_refresh.output.log import RedactingLogger
from git_refresh.run.refresh import refresh
from git_refresh.run.report import Report


def run_app(environ: Mapping[str, str], clock: Clock | None = None, **options: Any) -> Report:
    """What `run_scheduled` does, without raising: the report, whether or not something failed."""
    load, logger = vars(app)["load"], RedactingLogger()  # which tests may have replaced
    with closing(app.connect(load(environ), environ, logger, clock)) as clouds:
        return refresh(
            clouds.settings, clouds, clouds.deadline, logger=logger, threads=clouds.threads, **options
        )
