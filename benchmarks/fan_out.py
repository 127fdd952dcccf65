"""Ten thousand workspaces on paper: `python -m benchmarks.fan_out`.

A run is cut into slices by the app's own code, and a fake platform gives them to so many instances: one slice at a time on each, the next
when it is done (`batchSize` 1), new instances as it scales. How long a slice takes is an assumption that is said, to be replaced by what
your own run lines say (`duration_s`). What comes out: messages, invocations, minutes until the last credential, requests per minute at
Azure DevOps and Key Vault, and what is billed.
"""

import heapq
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table

from git_refresh.fan_out import MIN_SLICE_SECONDS as LEAST_BUDGET_S
from git_refresh.run.slices import cut
from git_refresh.settings.functions_host import ENDING_S
from git_refresh.settings.load import load

WORKSPACES = 10_000
INSTANCES = (1, 10, 40)
INTERVAL_S, RUNS_A_MONTH = 900.0, 730 * 4
"""A run each quarter of an hour."""
LONGEST_END_S = LEAST_BUDGET_S + ENDING_S
"""How long before the next run a slice is not begun any more."""

COLD_START_S = 15.0
"""Until a new instance begins its first slice."""
GROWTH_S = 15.0
"""Until the platform has seen the queue, and adds instances: all that it needs for the messages there, up to the most."""
SLICE_S, CREDENTIALS_S = 6.0, 4.8
"""Seconds of a slice of 50 in which nothing moves, as docs/fan-out.md has them, and until its last credential: four fifths of them, as
the benchmark measures."""
RED = 0.05
"""Of the slices, how many have something that fails: each is delivered a second time, and dropped."""
LEAST_S, MEMORY_GB = 1.0, 0.5
"""What an execution is billed for at least, and the memory that it is billed for."""
PER_GB_S, PER_MILLION = 0.000026, 0.40
"""Dollars for a gigabyte-second, and for a million executions: the list prices in docs/fan-out.md, before the free grants."""
LOOK_UPS, VAULT_REQUESTS = 10, 2
"""For a slice: distinct repositories and refs of its folders, each looked up once; and requests for its secret, with the challenge."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run.

    Attributes:
        instances: how many may be there at once.
        slices: messages.
        too_late: of these, how many nobody could begin before the next run.
        invocations: of both functions.
        credentials_s: seconds from the timer until the last credential is stored; of the slices that were begun.
        devops: the most look-ups that Azure DevOps gets in five minutes.
        vault: and requests that Key Vault gets in ten seconds.
        billed_s: seconds of executions.
    """

    instances: int
    slices: int
    too_late: int
    invocations: int
    credentials_s: float
    devops: int
    vault: int
    billed_s: float

    @property
    def dollars(self) -> float:
        """Of a month."""
        each = self.billed_s * MEMORY_GB * PER_GB_S + self.invocations * PER_MILLION / 1e6
        return each * RUNS_A_MONTH


def simulate(slices: int, most: int) -> Outcome:
    """A run of so many slices on at most so many instances."""
    free = [COLD_START_S + (GROWTH_S if number else 0.0) for number in range(min(most, slices))]
    heapq.heapify(free)
    begun, too_late = [], 0
    for _ in range(slices):
        at = heapq.heappop(free)
        late = at > INTERVAL_S - LONGEST_END_S
        too_late += late
        begun += [] if late else [at]
        heapq.heappush(free, at + (LEAST_S if late else SLICE_S))
    again = math.ceil(len(begun) * RED)
    return Outcome(
        most,
        slices,
        too_late,
        1 + slices + again,
        max(begun) + CREDENTIALS_S,
        _most(begun, 300.0) * LOOK_UPS,
        _most(begun, 10.0) * VAULT_REQUESTS,
        len(begun) * SLICE_S + (1 + too_late + again) * LEAST_S,
    )


def _most(begun: Sequence[float], window: float) -> int:
    """How many slices begin within so many seconds, at most."""
    return max(sum(at <= each < at + window for each in begun) for at in begun)


def slices_of(workspaces: int) -> int:
    """How many messages the app's own code makes of a list like this."""
    entries = [
        {"host": f"https://adb-{number}.1.azuredatabricks.net", "auth": "managed_identity"}
        for number in range(workspaces)
    ]
    # As many lists as it takes: one holds 5,000 entries at most.
    parts = [entries[at : at + 5_000] for at in range(0, len(entries), 5_000)]
    return sum(len(cut(load({"WORKSPACES": json.dumps(part)}))) for part in parts)


def outcomes() -> list[Outcome]:
    """A run of all of them, on few instances and on many."""
    slices = slices_of(WORKSPACES)
    return [simulate(slices, most) for most in INSTANCES]


HEADINGS = (
    "Instances at most",
    "Messages a run",
    "Last credential after",
    "Too late",
    "Invocations a run",
    "Azure DevOps: look-ups in 5 min",
    "Key Vault: requests in 10 s",
    "GB-s a month",
    "$ a month",
)


def row(found: Outcome) -> tuple[str, ...]:
    """One line of the table."""
    return (
        str(found.instances),
        str(found.slices),
        f"{found.credentials_s / 60:.1f} min",
        str(found.too_late),
        str(found.invocations),
        f"{found.devops:,}",
        f"{found.vault:,}",
        f"{found.billed_s * MEMORY_GB * RUNS_A_MONTH:,.0f}",
        f"{found.dollars:.0f}",
    )


def table() -> Iterator[str]:
    """The table for the page, line by line."""
    for line in (HEADINGS, ("--:",) * len(HEADINGS), *map(row, outcomes())):
        yield f"| {' | '.join(line)} |"


@click.command(help=__doc__)
def main() -> None:
    shown = Table(title=f"{WORKSPACES:,} workspaces", title_justify="left", box=None)
    for heading in HEADINGS:
        shown.add_column(heading, justify="right")
    for found in outcomes():
        shown.add_row(*row(found))
    Console(width=150).print(shown)


if __name__ == "__main__":
    main()
