"""What a month costs, for operations.md: what was measured, what is assumed, what things cost, and the arithmetic.

Prices are dollars of East US, pay as you go. Change a number here, then `make docs`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet, and what `python -m tools.measure` says of its quiet run in a process that has just been started."""

    workspaces: int
    seconds: float
    cpu_seconds: float
    """Of a whole core."""
    memory_mib: int
    run_line: int
    """Bytes of the run's log line."""
    workspace_line: int
    """Bytes of a workspace's."""

    @property
    def billed_seconds(self) -> float:
        """The same run on a part of a core, rounded up as it is billed: the waiting does not get longer."""
        seconds = self.cpu_seconds / CORES + self.seconds - self.cpu_seconds
        return max(1.0, math.ceil(round(seconds * 10, 3)) / 10)


FLEETS = (
    Fleet(1, 1.9, 1.4, 109, 416, 288),
    Fleet(50, 2.4, 2.1, 116, 422, 288),
    Fleet(1000, 13.6, 12.2, 177, 429, 288),
)

X = "\N{MULTIPLICATION SIGN}"
HOURS = 730
RUNS = HOURS * 4
MEMORY_GB = 0.5
CORES = 0.25
"""Of an instance with 512 MB."""

# Assumed.
RECORD = 1_000
"""Bytes that a log record has beside its message."""
PLATFORM = 20_000
"""Bytes that the platform itself logs for a run, the vault's audit log included."""
SECRET_READS = 2
"""Requests to Key Vault in a run: its challenge, and the secret."""
LOCKS = HOURS * 60 * 10
"""Storage transactions: ten a minute, as if an instance were always up."""
ALERTS = 5

EXECUTIONS_PRICE, FREE_EXECUTIONS = 0.40 / 1e6, 250_000
GB_SECONDS_PRICE, FREE_GB_SECONDS = 0.000026, 100_000
LOGS_PRICE, FREE_LOGS = 2.30 / 1e9, 5e9
ALERT_PRICE = 0.50
SECRET_READ_PRICE = 0.03 / 1e4
TRANSACTION_PRICE = 0.05 / 1e4


@dataclass(frozen=True, slots=True)
class Meter:
    """Something that is billed."""

    name: str
    arithmetic: str
    quantity: Callable[[Fleet], float]
    price: float
    shown: Callable[[float], str]
    free: float = 0.0
    """A month, if nothing else in the subscription uses it up."""


def _gb_seconds(fleet: Fleet) -> float:
    return RUNS * fleet.billed_seconds * MEMORY_GB


def _log_bytes(fleet: Fleet) -> float:
    lines = fleet.run_line + fleet.workspaces * fleet.workspace_line
    return RUNS * (PLATFORM + lines + (1 + fleet.workspaces) * RECORD)


METERS = (
    Meter(
        "executions",
        f"{RUNS:,} {X} ${EXECUTIONS_PRICE * 1e6:.2f} per million",
        lambda _: RUNS,
        EXECUTIONS_PRICE,
        "{:,.0f}".format,
        FREE_EXECUTIONS,
    ),
    Meter(
        "execution time",
        f"{RUNS:,} {X} seconds {X} {MEMORY_GB} GB {X} ${GB_SECONDS_PRICE:.6f} per GB-s",
        _gb_seconds,
        GB_SECONDS_PRICE,
        "{:,.0f} GB-s".format,
        FREE_GB_SECONDS,
    ),
    Meter(
        "log volume",
        f"{RUNS:,} {X} ({PLATFORM:,} + run line + workspaces {X} workspace line + (1 + workspaces) {X} {RECORD:,}) bytes "
        f"{X} ${LOGS_PRICE * 1e9:.2f} per GB",
        _log_bytes,
        LOGS_PRICE,
        lambda size: f"{size / 1e9:.2f} GB",
        FREE_LOGS,
    ),
    Meter(
        "alert rules",
        f"{ALERTS} {X} ${ALERT_PRICE:.2f}",
        lambda _: ALERTS,
        ALERT_PRICE,
        "{:.0f}".format,
    ),
    Meter(
        "reading the OAuth secret",
        f"{RUNS:,} {X} {SECRET_READS} {X} ${SECRET_READ_PRICE * 1e4:.2f} per 10,000",
        lambda _: RUNS * SECRET_READS,
        SECRET_READ_PRICE,
        "{:,.0f}".format,
    ),
    Meter(
        "storage: the timer's locks",
        f"{HOURS * 60:,} minutes {X} 10 {X} ${TRANSACTION_PRICE * 1e4:.2f} per 10,000",
        lambda _: LOCKS,
        TRANSACTION_PRICE,
        "{:,.0f}".format,
    ),
)


def dollars(fleet: Fleet, *, granted: bool = False) -> float:
    """A fleet's month; `granted`: with all that is free."""
    return sum(
        max(0.0, meter.quantity(fleet) - (meter.free if granted else 0)) * meter.price for meter in METERS
    )


def measured() -> Iterator[str]:
    """The table of what was measured."""
    yield "| A quiet run, in a process that has just been started | " + _row(_workspaces)
    yield "|---|" + "---|" * len(FLEETS)
    yield "| seconds here | " + _row(lambda fleet: f"{fleet.seconds}")
    yield "| of these, seconds of a whole core | " + _row(lambda fleet: f"{fleet.cpu_seconds}")
    yield (
        f"| **seconds billed** on {CORES} of a core: core seconds ÷ {CORES} + the rest | "
        + _row(lambda fleet: f"**{fleet.billed_seconds}**")
    )
    yield "| memory of the app, MiB | " + _row(lambda fleet: f"{fleet.memory_mib}")
    yield "| bytes of the run's log line | " + _row(lambda fleet: f"{fleet.run_line}")
    yield "| bytes of a workspace's log line | " + _row(lambda fleet: f"{fleet.workspace_line}")


def month() -> Iterator[str]:
    """The table of what a month costs."""
    yield "| A month | Arithmetic | " + _row(_workspaces)
    yield "|---|---|" + "---|" * len(FLEETS)
    for meter in METERS:
        yield f"| {meter.name} | {meter.arithmetic} | " + _row(
            lambda fleet, meter=meter: (  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                f"{meter.shown(meter.quantity(fleet))}: ${meter.quantity(fleet) * meter.price:.2f}"
            )
        )
    yield "| **all of it** | the sum | " + _row(lambda fleet: f"**${dollars(fleet):.2f}**")
    yield (
        f"| with the free grants | less {FREE_EXECUTIONS:,} executions, {FREE_GB_SECONDS:,} GB-s, {FREE_LOGS / 1e9:.0f} GB of logs | "
        + _row(lambda fleet: f"${dollars(fleet, granted=True):.2f}")
    )


def _row(cell: Callable[[Fleet], str]) -> str:
    return " | ".join(map(cell, FLEETS)) + " |"


def _workspaces(fleet: Fleet) -> str:
    return f"{fleet.workspaces:,} workspace{'s' if fleet.workspaces > 1 else ''}"
