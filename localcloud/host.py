"""The Functions host of a deployed app: calls its timer and stores its log lines.

Saving the app settings in Azure Resource Manager restarts the host: it stops a run in progress and starts it
again at once. A disabled function is not called. Facts: `localcloud.timer`;
https://learn.microsoft.com/azure/azure-functions/flex-consumption-site-updates (Recreate) and
https://learn.microsoft.com/azure/azure-functions/disable-function.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from localcloud.cloud import Cloud
from localcloud.fleet import PAUSE, Fleet
from localcloud.tick import APP
from localcloud.timer import Call, Timer

_KEPT = ("HOME", "LANG", "PATH", "TMPDIR")
_MAX_REPORT_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class _Run:
    """A run in progress; `timed` if the timer started it."""

    process: subprocess.Popen[bytes]
    began: datetime
    log: Path
    report: Path
    timed: bool

    def lines(self) -> list[tuple[datetime, str, str]]:
        """Return the complete lines that the app has logged so far."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        read = (json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n"))
        return [(datetime.fromtimestamp(at, UTC), level, message) for at, level, message in read]


class Host:
    """The host of a fleet's app; each `step` does the work that is due.

    `begun`: runs started so far.
    `runs`: runs that finished without being stopped.
    """

    def __init__(self, cloud: Cloud, fleet: Fleet, started: datetime | None = None) -> None:
        """Start the host for the first time; with a `started` in the past, occurrences since then were missed."""
        self.begun = 0
        self.runs = 0
        self._cloud = cloud
        self._app = fleet.app
        self._logs = cloud.logs.of(fleet.component)
        self._restarts = fleet.app.restarts
        self._timer: Timer | None = None
        self._run: _Run | None = None
        self._wanted = False
        self._start(started or datetime.now(UTC))

    @property
    def paused(self) -> bool:
        """True if the function is disabled."""
        return self._app.settings.get(PAUSE, "").lower() in {"true", "1"}

    @property
    def running(self) -> bool:
        return self._run is not None

    def run_now(self) -> None:
        """Run the app in the next step, unless it is paused."""
        self._wanted = True

    def step(self) -> None:
        """Restart after a change of settings, record a finished run, and start one that is due."""
        if self._app.restarts != self._restarts:
            self._restarts = self._app.restarts
            self.close()
            self._start(datetime.now(UTC))
        run, now = self._run, datetime.now(UTC)
        if run is not None and run.process.poll() is not None:
            self._ended(run, now)
        if self._run is not None:
            return
        if self.paused:
            self._wanted = False
            return
        call = self._timer.call if self._timer else None
        if call is not None and call.due <= now:
            self._begin(call, now, timed=True)
        elif self._wanted:
            self._begin(call or Call(now, None), now, timed=False)
        self._wanted = False

    def close(self) -> None:
        """Stop a run in progress; its log lines stay without an end of the invocation."""
        if self._run is not None:
            self._run.process.kill()
            self._run.process.wait()
            for at, level, message in self._run.lines():
                self._logs.trace(message, at=at, level=level)
            self._run = None

    def _start(self, now: datetime) -> None:
        """Start the timer, if the function has a valid schedule."""
        schedule = self._app.settings.get("REFRESH_SCHEDULE", "")
        if self.paused:
            return
        try:
            if self._timer:
                self._timer.start(now, schedule)
            else:
                self._timer = Timer(schedule, now)
        except ValueError:
            self._timer = None

    def _begin(self, call: Call, now: datetime, *, timed: bool) -> None:
        self.begun += 1
        log, report = (self._cloud.directory / f"run-{self.begun}.{suffix}" for suffix in ("log", "report"))
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environ = kept | self._cloud.environment() | self._app.settings
        with report.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  # this interpreter, fixed arguments
                [sys.executable, "-m", "localcloud.tick", str(log), json.dumps(call.info)],
                cwd=APP,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._run = _Run(process, now, log, report, timed)

    def _ended(self, run: _Run, now: datetime) -> None:
        code = run.process.returncode
        self._logs.invocation("refresh_git", run.lines(), began=run.began, ended=now, ok=code == 0)
        if code not in {0, 1} or not run.lines():
            report = run.report.read_text(encoding="utf-8", errors="replace")
            self._logs.trace(report[-_MAX_REPORT_CHARS:], at=now, level="ERROR", function="")
        if self._timer and run.timed:
            self._timer.ended(run.began, now)
        self._run, self.runs = None, self.runs + 1
