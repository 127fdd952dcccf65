"""The layers below the settings, looked at for real: what `check` does, and `onboard` at its end."""

import os
from collections.abc import Mapping
from contextlib import closing

from git_refresh.cli.check import check_clouds
from git_refresh.cli.checks import Check
from git_refresh.model.clock import SystemClock
from git_refresh.model.schedule import gaps
from git_refresh.output.log import RedactingLogger
from git_refresh.settings.load import Settings


def check_live(
    settings: Settings, values: Mapping[str, str], logger: RedactingLogger, *, jobs: bool = False
) -> list[Check]:
    """A line for each thing below the settings, whose values by name tell the schedule.

    Raises:
        SettingsError: the certificates to trust cannot be read.
    """
    from git_refresh import app  # noqa: PLC0415  # the SDKs take a second: not for --help, nor for a wrong option
    from git_refresh.admin.jobs import HttpJobsClientFactory  # noqa: PLC0415

    interval = max(gaps(values.get("REFRESH_SCHEDULE"), SystemClock().now()))
    with closing(app.connect(settings, os.environ, logger, jobs_client_shares_token=jobs)) as clouds:
        sight = HttpJobsClientFactory(clouds.tls, clouds.deadline, logger.secrets) if jobs else None
        return check_clouds(clouds.settings, clouds, clouds.deadline, interval=interval, jobs=sight)
