"""When a run ends in which every workspace hangs, on a part of a core: `python -m benchmarks.quarter_core --budget 60`, on Linux.

The run is a child process with fakes for the clouds. Its parent stops it for three quarters of the time. A busy machine gives it less than
that, so `there` counts the processor's seconds after the end of the work. Ends with 1 if that is later than five seconds after the budget.
"""

import json
import os
import signal
import subprocess
import sys
import time
from threading import Event, Timer

import click

LATE_S = 5.0
PERIOD_S = 0.04


@click.command(help=__doc__)
@click.option("--budget", default=60.0, show_default=True, help="REFRESH_TIMEOUT_SECONDS.")
@click.option("--workspaces", default=1_000, show_default=True)
@click.option("--folders", default=60, show_default=True, help="Git folders of each workspace.")
@click.option("--core", default=0.25, show_default=True, help="Part of a core that the run has.")
@click.option("--child", is_flag=True, hidden=True)
def main(budget: float, workspaces: int, folders: int, core: float, *, child: bool) -> None:  # each an option
    if child:
        _run(budget, workspaces, folders, core)
        return
    command = [sys.executable, "-m", "benchmarks.quarter_core", *sys.argv[1:], "--child"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:  # noqa: S603  # this module
        while process.poll() is None:
            time.sleep(PERIOD_S * core)
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(PERIOD_S * (1 - core))
            os.kill(process.pid, signal.SIGCONT)
        found = json.loads(process.stdout.read() if process.stdout else b"{}")
    click.echo(json.dumps(found))
    sys.exit(found["there"] > budget + LATE_S)


def _run(budget: float, workspaces: int, folders: int, core: float) -> None:
    """One run, whose log lines go to stderr; its seconds on stdout."""
    from git_refresh.clock import Deadline, SystemClock  # noqa: PLC0415  # only the child needs them
    from git_refresh.outlet import Outlet, log_to_stderr  # noqa: PLC0415
    from git_refresh.run.refresh import GRACE, refresh  # noqa: PLC0415
    from git_refresh.settings.load import load  # noqa: PLC0415
    from tests.unit.fakes import NOW, FakeServices, FakeWorkspace  # noqa: PLC0415

    log_to_stderr()
    hosts = [f"https://adb-{7405600000000000 + number}.1.azuredatabricks.net" for number in range(workspaces)]
    paths = [f"/Repos/data-platform/etl-{number}" for number in range(folders)]
    settings = load(
        {
            "WORKSPACES": json.dumps(hosts),
            "WORKSPACE_DEFAULTS": json.dumps({"auth": "managed_identity", "folders": paths}),
            "REFRESH_TIMEOUT_SECONDS": str(int(budget)),
        }
    )
    clock, ended = SystemClock(), Event()

    def hang(_: str) -> None:
        ended.wait(max(0.0, deadline.remaining()))

    fleet = {host: FakeWorkspace(before=hang) for host in hosts}
    outlet = Outlet()
    for number in range(workspaces):
        outlet.secrets.learn(f"dose{number:032x}")
    cpu: list[float] = []
    Timer(settings.work_s, lambda: cpu.append(time.process_time())).start()
    began = clock.monotonic()
    deadline = Deadline.after(settings.work_s, clock)
    report = refresh(settings, FakeServices(fleet), deadline, next_run=NOW, outlet=outlet)
    seconds = clock.monotonic() - began
    ending = time.process_time() - cpu[0]
    found = {
        "seconds": seconds,
        "cpu_seconds_of_the_end": ending,
        "there": settings.work_s + GRACE + ending / core,
    }
    failed = report.counts()["folders_failed"]
    click.echo(json.dumps({name: round(value, 1) for name, value in found.items()} | {"failed": failed}))


if __name__ == "__main__":
    main()
