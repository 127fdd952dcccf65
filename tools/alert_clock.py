"""A simulation of the template's alert rules, with a clock in minutes.

A rule is evaluated at fixed times, on the rows that have arrived and whose time is in its window.
A row of `traces` has the time at which a run ended, a row of `requests` the time at which an invocation began.
Both arrive after the run has ended and the row was ingested.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tools.snapshots import Deployment

LONGEST_RUN = 10
"""`functionTimeout` in host.json."""
LATEST_START = 1
"""Minutes after its scheduled time. A later run reports `late_run`."""
LONGEST_INGESTION = 8
LINE_ARRIVED = 10
"""Minutes after the end of a run until `run-failed.kql` counts its line as missing."""


@dataclass(frozen=True, slots=True)
class Run:
    """An invocation, with times in minutes. If it failed, one workspace failed."""

    start: float
    duration: float
    ingestion: float
    ok: bool = True
    waits: bool = False
    """The alert waits for a second failed run (`alert_after_runs`)."""
    lost: bool = False
    """The run failed without a log line."""

    @property
    def end(self) -> float:
        return self.start + self.duration

    @property
    def arrives(self) -> float:
        return self.end + self.ingestion


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the template, with times in minutes."""

    name: str
    window: int
    every: int
    operator: str
    threshold: int
    query: str
    stateful: bool

    def fires(self, now: float, runs: Iterable[Run]) -> bool:
        """Return whether an evaluation at this time fires the rule."""
        return self.compares(self.rows(now, [run for run in runs if self.sees(now, run)]))

    def sees(self, now: float, run: Run) -> bool:
        """Return whether the row of a run has arrived and its time is in the window."""
        return run.arrives <= now and now - self.window < self.time(run) <= now

    def time(self, run: Run) -> float:
        """Return the timestamp of a run's row."""
        return run.start if run.lost else run.end

    def rows(self, now: float, seen: Sequence[Run]) -> int:
        """Return how many rows the query returns for these runs."""
        logged = sorted((run for run in seen if not run.lost), key=self.time)
        if "isnotnull(tolong(e.slice))" in self.query or (
            "git_refresh.queued" in self.query and "successful" not in self.query
        ):
            return 0  # test_slice_alerts.py simulates runs in slices
        if "row_cumsum" in self.query:
            pairs = zip([None, *logged], logged, strict=False)
            failed = any(
                not run.ok
                and (
                    not run.waits
                    # The line of a run between the two has had time to arrive.
                    or (before is not None and not before.ok and run.end + LONGEST_INGESTION <= now)
                )
                for before, run in pairs
            )
            return int(failed or any(run.lost and run.end + LINE_ARRIVED < now for run in seen))
        if "successful = countif(good)" in self.query:
            least = re.search(r"\| where runs (>=|>) (\d+) and successful == 0$", self.query)
            if least is None:
                raise ValueError(self.query)
            enough = len(logged) >= int(least[2]) + (least[1] == ">")
            return int(enough and not any(run.ok for run in logged))
        if re.search(r"secret_expires_soon|< \d+$|MaxDequeueCount|OverQuota", self.query):
            return sum(not run.ok for run in logged)
        if not re.match(r"traces \| where message startswith '\S+ \S+' (?!.*summarize)", self.query):
            raise ValueError(self.query)
        return len(logged)

    def compares(self, rows: int) -> bool:
        """Return whether this number of rows fires the rule."""
        return rows > self.threshold if self.operator == "GreaterThan" else rows < self.threshold

    def evaluations(self, phase: float, since: float, until: float) -> Iterator[float]:
        """Yield the times of its evaluations."""
        now = phase + (since - phase) // self.every * self.every
        while now <= until:
            if now >= since:
                yield now
            now += self.every

    def first(self, phase: float, since: float, runs: Sequence[Run]) -> float | None:
        """Return when the rule fires first, within eight hours, or three days for a daily rule."""
        until = since + 3 * max(self.window, 160)
        return next((now for now in self.evaluations(phase, since, until) if self.fires(now, runs)), None)


def minutes(duration: str) -> int:
    """Return the minutes of an ISO 8601 duration."""
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", duration)
    if found is None:
        raise ValueError(duration)
    days, hours, rest = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + rest


def rule_name(resource: dict[str, Any]) -> str:
    """Return the name of an alert rule without prefix and suffix."""
    name: str = resource["name"]
    return name.removeprefix("ar-git-refresh-").rpartition("-")[0]


def rules(deployed: Deployment) -> dict[str, Rule]:
    """Return the rules of a deployment, by name."""
    found: dict[str, Rule] = {}
    for each in deployed.of_type("Microsoft.Insights/scheduledQueryRules"):
        rule = each["properties"]
        (one,) = rule["criteria"]["allOf"]
        found[rule_name(each)] = Rule(
            rule_name(each),
            minutes(rule["windowSize"]),
            minutes(rule["evaluationFrequency"]),
            one["operator"],
            one["threshold"],
            " ".join(one["query"].split()),
            rule["autoMitigate"],
        )
    return found
