"""The table of docs/cost.md: what the app costs in a month, from measured runs and list prices.

Prices: East US, 2025 and 2026. A month has 730 hours, and Flex Consumption instances have 512 MB.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tools.alerts import deployed
from tools.snapshots import read

MINUTES = 730 * 60
SCHEDULED = MINUTES // 15
"""Runs in a month, every 15 minutes."""
INSTANCE_GB = 0.5
INSTANCE_CORES = 0.25
SLICE_WORKSPACES = 50

RECORD_BYTES = 1_000
"""Size of a log record without its message: an estimate."""
PLATFORM_BYTES = 20_000
"""Platform logs of a run: an estimate."""
STORAGE_BYTES = 10_000
"""Logs of the storage account in a minute: ten writes that renew locks."""
SLICE_BYTES = 28_000
"""Logs of a slice without its workspaces: invocation, run line, queued line, claim and message."""
LOCKS = 10
"""Storage transactions in a minute, as if an instance were always running."""
SLICE_TRANSACTIONS = 10


@dataclass(frozen=True, slots=True)
class Measured:
    """A run in a new process with nothing to do, on two cores: the quickest of four.

    Responses take 50 ms, and each workspace has two Git folders.
    """

    seconds: float
    core_seconds: float
    run_line: int
    """Bytes of the run's log line."""
    workspace_line: int = 288
    """Bytes of a workspace's log line."""

    @property
    def billed(self) -> float:
        """Seconds on an instance's share of a core; at least one is billed."""
        return max(1.0, self.core_seconds / INSTANCE_CORES + self.seconds - self.core_seconds)


RUNS = {1: Measured(1.1, 0.6, 650), 50: Measured(1.8, 1.4, 657), 1000: Measured(15.7, 15.0, 666)}
"""By the number of workspaces."""


@dataclass(frozen=True, slots=True)
class Item:
    """A billed item: USD for each unit, and the units that are free in a month."""

    price: float
    free: int = 0


ITEMS = {
    "Executions": Item(0.40 / 1e6, 250_000),
    "Execution time": Item(0.000026, 100_000),  # GB-s
    "Logs": Item(2.30, 5),  # GB
    "Alert rules": Item(0.50),
    "Key Vault": Item(0.03 / 1e4),  # requests
    "Storage": Item(0.05 / 1e4),  # transactions
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """A column of the table."""

    title: str
    workspaces: int
    runs: int = SCHEDULED
    fan_out: bool = False

    def units(self) -> dict[str, float]:
        """Return how much of each item a month needs."""
        run, size = RUNS[self.workspaces], self.workspaces
        slices = -(-size // SLICE_WORKSPACES) if self.fan_out else 0
        seconds = RUNS[1].billed + slices * RUNS[SLICE_WORKSPACES].billed if slices else run.billed
        lines = run.run_line + size * run.workspace_line + (1 + size) * RECORD_BYTES
        rules = deployed()[15] if slices else read("plain").of_type("Microsoft.Insights/scheduledQueryRules")
        return {
            "Executions": self.runs * (1 + slices),
            "Execution time": self.runs * seconds * INSTANCE_GB,
            "Logs": (self.runs * (PLATFORM_BYTES + lines + slices * SLICE_BYTES) + MINUTES * STORAGE_BYTES)
            / 1e9,
            "Alert rules": len(rules),
            "Key Vault": self.runs * 2 * max(1, slices),
            "Storage": MINUTES * LOCKS + self.runs * slices * SLICE_TRANSACTIONS,
        }


FLEETS = (
    Fleet("1", 1),
    Fleet("50", 50),
    Fleet("50, every minute", 50, runs=MINUTES),
    Fleet("1,000", 1000),
    Fleet("1,000 with fan-out", 1000, fan_out=True),
)


def table() -> Iterator[str]:
    """Yield a row for each item, the total, and the total without what is free."""
    yield f"| Workspaces | {' | '.join(fleet.title for fleet in FLEETS)} |"
    yield f"|---|{'---|' * len(FLEETS)}"
    units = [fleet.units() for fleet in FLEETS]

    def row(title: str, items: Iterable[str], *, granted: bool = False) -> str:
        amounts = [
            sum(max(0, each[item] - granted * ITEMS[item].free) * ITEMS[item].price for item in items)
            for each in units
        ]
        return f"| {title} | {' | '.join(f'${amount:.2f}' for amount in amounts)} |"

    yield row("Execution", ["Executions", "Execution time"])
    yield from (row(item, [item]) for item in ("Logs", "Alert rules", "Key Vault", "Storage"))
    yield row("**Total**", list(ITEMS))
    yield row("With free grants", list(ITEMS), granted=True)
