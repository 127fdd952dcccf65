"""When each alert fires: windows and frequencies of infra/modules/alerts.bicep, with the arithmetic. A simulation holds it.

`tests/infra/test_alert_times.py` tries every case on the rules themselves.
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
_SILENCE = {"no-run": "the last run ended", "no-successful-run": "the last good run ended"}
"""These fire when a row has left the window; the others when one has arrived."""
_EVENTS = {
    "run-failed": "the failed run ended",
    "token-expires-too-soon": "the run ended",
    "secret-expires-soon": "the first run that tells of it ended",
    "log-cap-reached": "Azure noted it",
    "slice-failed": "the slice ended",
    "poison-queue": "the message was moved",
}
_ARRIVED = 10
"""Minutes that `slice-not-completed` gives the lines of slices to arrive, once the next run is due."""
_MOST_MAILS = 10
"""Pairs of workspace and code that have a mail each: `run-failed.kql` makes one of more."""
_PER_MONTH = 0.05
"""Dollars for each pair, where a rule looks every 15 minutes."""


@dataclass(frozen=True, slots=True)
class Times:
    """Minutes after something until a rule fires: the earliest and the latest, and what they are made of."""

    after: str
    earliest: int
    latest: int
    arithmetic: tuple[str, str]


def times(rule: Rule) -> Times:
    """When a rule fires."""
    if rule.name in _SILENCE:
        sums = ("window", f"window + {rule.every}")
        return Times(_SILENCE[rule.name], rule.window, rule.window + rule.every, sums)
    if rule.name == "slice-not-completed":
        after = (str(_ARRIVED), f"{_ARRIVED} + {rule.every}")
        return Times("the next run was due", _ARRIVED, _ARRIVED + rule.every, after)
    sums = ("at once", f"{LONGEST_INGESTION} + {rule.every:,}")
    return Times(_EVENTS[rule.name], 0, LONGEST_INGESTION + rule.every, sums)


def deployed() -> dict[int, dict[str, Rule]]:
    """The rules by the interval between two runs."""
    return {minutes: rules(read(variant)) for minutes, variant in VARIANTS.items()}


def table() -> Iterator[str]:
    """The rows of the page."""
    yield "| Rule | Window | Looks every | Counted from when | Earliest | Latest |"
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
    """Which failures of a workspace alert after how many runs: the rows of the page, and the codes that can wait."""
    yield f"| What failed in a workspace | {' | '.join(f'Every {minutes} minutes' for minutes in INTERVALS)} |"
    yield f"|---|{'---|' * len(INTERVALS)}"
    for what, stored, temporary in (
        ("Only Git folders, and each failure is temporary", True, True),
        ("A Git credential was not stored, and each failure is temporary", False, True),
        ("Anything else, also next to a temporary failure", True, False),
    ):
        error = Diagnosis("", "", "", "", temporary=temporary)
        report = WorkspaceReport("", "", "failed", error=error, credentials_stored=stored)
        runs = [alert_after_runs(report, timedelta(minutes=minutes)) for minutes in INTERVALS]
        yield f"| {what} | {' | '.join('at once' if each == 1 else f'after {each} runs' for each in runs)} |"
    codes = ", ".join(f"[`{row.code}`](troubleshooting.md#{row.code})" for row in TABLE if row.temporary)
    yield from ("", f"Temporary: {codes}.")


def mails() -> Iterator[str]:
    """How many mails a day brings, and what its pairs cost: the rows of the page."""
    looks = 24 * 60 // deployed()[15]["run-failed"].every
    yield "| What fails | Mails | Mails when it is resolved | The pairs cost |"
    yield "|---|---|---|---|"
    for what, count in (
        ("One workspace with one code, all day", 1),
        ("Ten workspaces with one code each, all day", _MOST_MAILS),
        ("More than ten, all day", 1),
        (f"The worst: {_MOST_MAILS} others at each of {looks} looks", _MOST_MAILS * looks),
    ):
        yield f"| {what} | {count:,} | {count:,} | ${count * _PER_MONTH / 31:.3f} |"


def _brief(minutes: list[int]) -> str:
    return " / ".join(f"{each:,}" for each in (minutes if len(set(minutes)) > 1 else minutes[:1]))
