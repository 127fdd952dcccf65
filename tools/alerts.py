"""The times at which each alert fires, from the windows and frequencies in infra/modules/alerts.bicep.

`tests/infra/test_alert_times.py` verifies them by simulation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.failures.table import TABLE
from git_refresh.run.report import WorkspaceReport, alert_after_runs
from tools.alert_clock import LONGEST_INGESTION, Rule, rules
from tools.snapshots import read

VARIANTS = {15: "queue", 30: "queue-every-30", 60: "queue-every-60"}
"""The snapshot with all rules, by the minutes between two runs."""
INTERVALS = tuple(VARIANTS)
_SILENCE = {"no-run": "end of the last run", "no-successful-run": "end of the last successful run"}
"""These rules fire when a row has left the window; the others when one has arrived."""
_EVENTS = {
    "run-failed": "end of the failed run",
    "token-expires-too-soon": "end of the run",
    "secret-expires-soon": "end of the first run that reports it",
    "log-cap-reached": "Azure logged the event",
    "slice-failed": "end of the slice",
    "poison-queue": "arrival of the message",
}
_ARRIVED = 10
"""Minutes for which `slice-not-completed` waits for lines of slices after the next run is due."""
_MOST_MAILS = 10
"""The most pairs of workspace and code with a mail each; `run-failed.kql` merges more into one."""
_PER_MONTH = 0.05
"""US dollars per pair, for a rule that is evaluated every 15 minutes."""


@dataclass(frozen=True, slots=True)
class Times:
    """Minutes after an event until a rule fires: earliest, latest, and their components."""

    after: str
    earliest: int
    latest: int
    arithmetic: tuple[str, str]


def times(rule: Rule) -> Times:
    if rule.name in _SILENCE:
        sums = ("window", f"window + {rule.every}")
        return Times(_SILENCE[rule.name], rule.window, rule.window + rule.every, sums)
    if rule.name == "slice-not-completed":
        after = (str(_ARRIVED), f"{_ARRIVED} + {rule.every}")
        return Times("due time of the next run", _ARRIVED, _ARRIVED + rule.every, after)
    sums = ("at once", f"{LONGEST_INGESTION} + {rule.every:,}")
    return Times(_EVENTS[rule.name], 0, LONGEST_INGESTION + rule.every, sums)


def deployed() -> dict[int, dict[str, Rule]]:
    """Return the rules by the minutes between two runs."""
    return {minutes: rules(read(variant)) for minutes, variant in VARIANTS.items()}


def table() -> Iterator[str]:
    """Yield the rows of the table of alert times."""
    yield "| Rule | Window | Evaluated every | Counted from | Earliest | Latest |"
    yield "|---|---|---|---|---|---|"
    by_interval = deployed()
    for name in by_interval[INTERVALS[0]]:
        each = [by_interval[minutes][name] for minutes in INTERVALS]
        told = [times(rule) for rule in each]
        earliest = f"{_brief([one.earliest for one in told])}: {told[0].arithmetic[0]}"
        latest = f"{_brief([one.latest for one in told])}: {told[0].arithmetic[1]}"
        windows, looks = _brief([rule.window for rule in each]), _brief([rule.every for rule in each])
        yield f"| `{name}` | {windows} | {looks} | {told[0].after} | {earliest} | {latest} |"


def waits() -> Iterator[str]:
    """Yield the rows of failures by the runs before an alert, and the codes that can wait."""
    yield f"| Failure in a workspace | {' | '.join(f'Every {minutes} minutes' for minutes in INTERVALS)} |"
    yield f"|---|{'---|' * len(INTERVALS)}"
    for what, stored, temporary in (
        ("Only Git folders, and each failure is temporary", True, True),
        ("A Git credential, and each failure is temporary", False, True),
        ("Any other failure", True, False),
    ):
        error = Diagnosis("", "", "", "", temporary=temporary)
        report = WorkspaceReport("", "", "failed", error=error, credentials_stored=stored)
        runs = [alert_after_runs(report, timedelta(minutes=minutes)) for minutes in INTERVALS]
        yield f"| {what} | {' | '.join('at once' if each == 1 else f'after {each} runs' for each in runs)} |"
    codes = ", ".join(f"[`{row.code}`](troubleshooting.md#{row.code})" for row in TABLE if row.temporary)
    yield from ("", f"Temporary: {codes}.")


def mails() -> Iterator[str]:
    """Yield the rows of mails per day and the monthly cost of their pairs."""
    looks = 24 * 60 // deployed()[15]["run-failed"].every
    yield "| Failures | Emails | Emails on resolution | Cost of the pairs |"
    yield "|---|---|---|---|"
    for what, count in (
        ("One workspace with one code, all day", 1),
        ("Ten workspaces with one code each, all day", _MOST_MAILS),
        ("More than ten, all day", 1),
        (f"Worst case: {_MOST_MAILS} different ones at each of {looks} evaluations", _MOST_MAILS * looks),
    ):
        yield f"| {what} | {count:,} | {count:,} | ${count * _PER_MONTH / 31:.3f} |"


def _brief(minutes: list[int]) -> str:
    return " / ".join(f"{each:,}" for each in (minutes if len(set(minutes)) > 1 else minutes[:1]))
