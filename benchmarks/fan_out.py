"""Ten thousand workspaces on paper: `python -m benchmarks.fan_out`.

A run is cut into slices by the app's own code, and a fake platform gives them to so many instances: one slice at a time on each, the next
when it is done (`batchSize` 1), new instances as it scales. How long a slice takes is an assumption that is said, to be replaced by what
your own run lines say (`duration_s`). What comes out: messages, invocations, minutes until the last credential, requests per minute at
Azure DevOps and Key Vault, and gigabyte-seconds, which your region's price list turns into money.
"""

import heapq
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from git_refresh.settings.load import load
from git_refresh.slices import messages

WORKSPACES = 10_000
INSTANCES = (1, 10, 40)
RUNS_A_MONTH = 30 * 24 * 4
"""One each quarter of an hour."""

COLD_START_S = 15.0
"""Until a new instance begins its first slice."""
GROWTH_S = 15.0
"""How often the platform looks at the queue, and adds instances; all that it needs for the messages that it sees, up to the most."""
SLICE_S, CREDENTIALS_S = 8.0, 4.0
"""Seconds that a slice of 50 takes when nothing moves, and until its last credential: several times what the benchmark measures, since a
workspace far away answers in 200 ms rather than 50."""
RED = 0.05
"""Of the slices, how many have something that fails: each is delivered a second time, and dropped."""
LEAST_S = 1.0
"""Seconds that an execution is billed at least; and the memory that it is billed for, in GB."""
MEMORY_GB = 0.5
REPOSITORIES, VAULT_REQUESTS = 10, 2
"""Distinct repositories and refs that a slice's folders come from, each looked up once; and requests for its secret, with the challenge."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run.

    Attributes:
        credentials_s: seconds from the timer until the last credential is stored.
        ended_s: and until the last slice has ended.
        devops_per_minute: the most requests that Azure DevOps gets in a minute.
        vault_per_10_s: and Key Vault in ten seconds.
        gb_s: gigabyte-seconds that are billed.
    """

    instances: int
    slices: int
    invocations: int
    credentials_s: float
    ended_s: float
    devops_per_minute: int
    vault_per_10_s: int
    gb_s: float


def simulate(slices: int, most: int) -> Outcome:
    """A run of so many slices on at most so many instances."""
    # Each instance is there after its cold start; the platform adds all that it needs at the first look.
    needed = min(most, slices)
    free = [(0.0 if number == 0 else GROWTH_S) + COLD_START_S for number in range(needed)]
    heapq.heapify(free)
    begun = []
    for _ in range(slices):
        at = heapq.heappop(free)
        begun.append(at)
        heapq.heappush(free, at + SLICE_S)
    red = math.ceil(slices * RED)
    executions = slices * max(SLICE_S, LEAST_S) + (red + 1) * LEAST_S
    return Outcome(
        most,
        slices,
        slices + red + 1,
        max(begun) + CREDENTIALS_S,
        max(begun) + SLICE_S,
        _most(begun, 60.0) * REPOSITORIES,
        _most(begun, 10.0) * VAULT_REQUESTS,
        executions * MEMORY_GB,
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
    until = datetime(2026, 1, 1, tzinfo=UTC)
    return sum(len(messages(load({"WORKSPACES": json.dumps(part)}), "run", until)) for part in parts)


def outcomes() -> list[Outcome]:
    """A run of all of them, on few instances and on many."""
    slices = slices_of(WORKSPACES)
    return [simulate(slices, most) for most in INSTANCES]


HEADINGS = (
    "Instances at most",
    "Messages",
    "Invocations",
    "Last credential after",
    "Last slice ended after",
    "Azure DevOps, requests a minute",
    "Key Vault, requests in 10 s",
    "GB-s a month",
)


def row(found: Outcome) -> tuple[str, ...]:
    """One line of the table."""
    return (
        str(found.instances),
        str(found.slices),
        str(found.invocations),
        f"{found.credentials_s / 60:.1f} min",
        f"{found.ended_s / 60:.1f} min",
        f"{found.devops_per_minute:,}",
        f"{found.vault_per_10_s:,}",
        f"{found.gb_s * RUNS_A_MONTH:,.0f}",
    )


def markdown() -> str:
    """The table for the page."""
    lines = [HEADINGS, tuple("--:" for _ in HEADINGS), *map(row, outcomes())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@click.command(help=__doc__)
def main() -> None:
    table = Table(title=f"{WORKSPACES:,} workspaces", title_justify="left", box=None)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for found in outcomes():
        table.add_row(*row(found))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
