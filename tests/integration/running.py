"""One run of the app, from its settings as they stand in an environment."""

from collections.abc import Mapping
from typing import Any

from git_refresh import app
from git_refresh.run.report import Report


def run_app(environ: Mapping[str, str], **options: Any) -> Report:
    """What `run_scheduled` does, without raising: the report, whether or not something failed."""
    load = vars(app)["load"]  # which tests may have replaced
    return app.run(load(environ), environ, **options)
