"""The tables of docs/monitoring.md: what each alert rule reports, and how soon, by infra/modules/alerts.bicep.

`tests/infra/test_alert_times.py` tries every case on the rules themselves.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.failures.table import TABLE
from git_refresh.run.report import WorkspaceReport, alert_after_runs
from tools.alert_clock import LONGEST_INGESTION, Rule, rule_name, rules
from tools.snapshots import read

VARIANTS = {15: "queue", 30: "queue-every-30", 60: "queue-every-60"}
"""The snapshot with all rules, by the minutes between two runs."""
INTERVALS = tuple(VARIANTS)
_SILENCE = {"no-run", "no-successful-run"}
"""Rules that fire when a row has left the window. Others fire when a row has arrived."""
_ARRIVED = 10
"""Minutes that `slice-not-completed.kql` waits for lines after the next run is due."""


@dataclass(frozen=True, slots=True)
class Times:
    """Minutes after an event until a rule fires."""

    earliest: int
    latest: int

    def __str__(self) -> str:
        return f"{self.earliest:,}\N{EN DASH}{self.latest:,}"


def times(rule: Rule) -> Times:
    """Return when a rule fires, in minutes after the failure or after the last run."""
    if rule.name in _SILENCE:
        return Times(rule.window, rule.window + rule.every)
    if rule.name == "slice-not-completed":
        return Times(_ARRIVED, _ARRIVED + rule.every)
    return Times(0, LONGEST_INGESTION + rule.every)


def deployed() -> dict[int, dict[str, Rule]]:
    """Return the rules by the minutes between two runs."""
    return {minutes: rules(read(variant)) for minutes, variant in VARIANTS.items()}


def table() -> Iterator[str]:
    """Yield a row for each rule: its meaning, severity, window and times."""
    yield "| Rule | Fires when | Severity | Window | Fires after |"
    yield "|---|---|---|---|---|"
    by_interval = deployed()
    for resource in read(VARIANTS[INTERVALS[0]]).of_type("Microsoft.Insights/scheduledQueryRules"):
        name, properties = rule_name(resource), resource["properties"]
        each = [by_interval[minutes][name] for minutes in INTERVALS]
        meaning = properties["description"].partition(" See docs/")[0].removesuffix(".")
        meaning = re.sub(r"no-run|refresh_slice", r"`\g<0>`", meaning)
        cells = (
            f"[`{name}`](runbook.md#{name})",
            meaning,
            str(properties["severity"]),
            _brief([f"{rule.window:,}" for rule in each]),
            _brief([str(times(rule)) for rule in each]),
        )
        yield f"| {' | '.join(cells)} |"


def waits() -> Iterator[str]:
    """Yield after how many failed runs a workspace alerts, and the codes that count as temporary."""
    yield f"| Failures of the workspace | {' | '.join(f'Every {minutes} minutes' for minutes in INTERVALS)} |"
    yield f"|---|{'---|' * len(INTERVALS)}"
    for what, stored, temporary in (
        ("Only temporary, only Git folders", True, True),
        ("Only temporary, a Git credential was not stored", False, True),
        ("Any other failure", True, False),
    ):
        error = Diagnosis("", "", "", "", temporary=temporary)
        report = WorkspaceReport("", "", "failed", error=error, credentials_stored=stored)
        runs = [alert_after_runs(report, timedelta(minutes=minutes)) for minutes in INTERVALS]
        yield f"| {what} | {' | '.join('at once' if each == 1 else f'after {each} runs' for each in runs)} |"
    codes = ", ".join(f"[`{row.code}`](troubleshooting.md#{row.code})" for row in TABLE if row.temporary)
    yield from ("", f"Temporary codes: {codes}.")


def _brief(values: list[str]) -> str:
    return " / ".join(values if len(set(values)) > 1 else values[:1])
