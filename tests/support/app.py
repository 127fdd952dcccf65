"""One run of the app with settings from an environment."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from git_refresh import app
from git_refresh.model.clock import Clock
from git_refresh.output.log import RedactingLogger
from git_refresh.run.refresh import refresh
from git_refresh.run.report import Report


def run_app(environ: Mapping[str, str], clock: Clock | None = None, **options: Any) -> Report:
    """Run like `run_scheduled`, and return the report even if something failed."""
    load, logger = vars(app)["load"], RedactingLogger()  # tests might have replaced them
    with closing(app.connect(load(environ), environ, logger, clock)) as clouds:
        return refresh(
            clouds.settings, clouds, clouds.deadline, logger=logger, threads=clouds.threads, **options
        )
