"""The layers below the settings, looked at for real: what `check` does, and `onboard` at its end."""

import os
from collections.abc import Mapping

from git_refresh.cli.check import check_clouds
from git_refresh.cli.checks import Check
from git_refresh.clock import Deadline, SystemClock
from git_refresh.model.next_run import gaps
from git_refresh.outlet import Outlet
from git_refresh.settings.load import Settings


def check_live(
    settings: Settings, values: Mapping[str, str], outlet: Outlet, *, jobs: bool = False
) -> list[Check]:
    """A line for each thing below the settings, whose values by name tell the schedule.

    Raises:
        SettingsError: the certificates to trust cannot be read.
    """
    from git_refresh import app  # noqa: PLC0415  # the SDKs take a second: not for --help, nor for a wrong option
    from git_refresh.admin.jobs import JobDoors  # noqa: PLC0415

    clock = SystemClock()
    deadline = Deadline.after(settings.work_s, clock)
    interval = max(gaps(values.get("REFRESH_SCHEDULE"), clock.now()))
    clouds = app.connect(settings, deadline, os.environ, outlet)
    clouds.others_ask = jobs
    try:
        sight = JobDoors(clouds.tls, deadline, outlet.secrets) if jobs else None
        return check_clouds(settings, clouds, deadline, interval=interval, jobs=sight)
    finally:
        clouds.close()
