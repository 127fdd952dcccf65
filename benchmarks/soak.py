"""Soak test: many runs with faults in one process. `python -m benchmarks.soak --ticks 200`, on Linux.

An instance can run for weeks, so a run must not leak threads, descriptors or memory, even if it fails. The
emulator runs in this process, the app in its own. The exit code is 1 if something grew.
"""

import contextlib
import logging
import os
import statistics
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import click
from rich.console import Console
from rich.table import Table

from benchmarks.process import Sample
from benchmarks.ticking import App, Tick
from localcloud import Cloud, Connect, Fault, Fleet, Variant, seed
from localcloud.faults import NAMED

LIMIT = 0.8
"""Seconds: the timeout of an operation. It is short, because many of the two hundred runs hang."""

MARGIN = 20.0
"""MiB by which median memory can rise: far more than one run varies, far less than a leak adds."""

SHOWN = 10
"""Runs per line of the table."""

console, progress = Console(width=140), Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Place:
    """The service that has the fault."""

    name: str
    fault: Callable[[Fleet, str], Fault]
    connects: bool = True


def _service(service: str) -> Callable[[Fleet, str], Fault]:
    return lambda _, what: Fault(NAMED[what](), service=service)


def _devops(_: Fleet, what: str) -> Fault:
    action = NAMED[what]()
    # A workspace runs git, not the app; the app uses Azure DevOps' REST API only.
    return Fault(action, service="devops", route=None if isinstance(action, Connect) else "/_apis/")


PLACES = (
    Place("one workspace", lambda fleet, what: Fault(NAMED[what](), host=fleet.workspaces[-1].host)),
    Place("every workspace", _service("databricks")),
    Place("identity", _service("identity"), connects=False),  # plain HTTP, without a proxy
    Place("Key Vault", _service("keyvault")),
    Place("Azure DevOps", _devops),
)


def in_turn(whats: Sequence[str]) -> Iterator[tuple[str, Place]]:
    """Yield every fault at every place, over and over.

    Consecutive pairs differ in both, so even a short soak has each fault.
    """
    while True:
        for shift in range(len(PLACES)):
            for index, what in enumerate(whats):
                place = PLACES[(index + shift) % len(PLACES)]
                if place.connects or not isinstance(NAMED[what](), Connect):
                    yield what, place


def grown(samples: Sequence[Sample], collected: Sequence[Sample], ceiling: float | None) -> list[str]:
    """Return what has grown after the first quarter of the runs, or exceeds a limit.

    `samples`: after each run. Their median is compared, because garbage collection makes memory vary.
    `collected`: after each quarter, with garbage collected. Threads and descriptors must not outlive that.
    `ceiling`: MiB allowed after the last run.
    """
    found = []
    for name in ("threads", "descriptors"):
        before, after = (getattr(collected[index], name) for index in (0, -1))
        if after > before:
            found.append(f"{name}: {before} after a quarter of the runs, {after} after all")
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    before, after = (statistics.median(one.resident for one in part) for part in (early, late))
    if after > before + MARGIN:
        found.append(f"memory: {before:.0f} MiB in the second quarter of the runs, {after:.0f} in the last")
    if ceiling is not None and samples[-1].resident > ceiling:
        found.append(f"memory: {samples[-1].resident:.0f} MiB after the last run; the limit is {ceiling:.0f}")
    return found


class _Told:
    """The table of samples, and the progress."""

    def __init__(self, ticks: int, workspaces: int) -> None:
        title = f"{ticks} runs over {workspaces} workspaces; memory in MiB"
        self._ticks = ticks
        self._table = Table(title=title, title_justify="left", box=None, header_style="dim", pad_edge=False)
        for name in ("run", "s", "threads", "fds", "RSS", "peak", "heap", "free", "mapped", "blocks", "gc"):
            self._table.add_column(name, justify="right", no_wrap=True)
        self._table.add_column("after", overflow="fold")

    def run(self, number: int, tick: Tick, what: str) -> None:
        if number == 1 or number % SHOWN == 0:
            self.row(tick.after, what, str(number), f"{tick.seconds:.1f}")
            progress.print(f"{number} of {self._ticks}: {tick.after.resident:.0f} MiB", style="dim")

    def row(self, found: Sample, what: str, number: str = "", seconds: str = "") -> None:
        counts = (str(found.threads), str(found.descriptors))
        sizes = (found.resident, found.peak, found.heap, found.free, found.mapped)
        rest = (f"{found.blocks:,}", str(found.collected), what)
        self._table.add_row(number, seconds, *counts, *(f"{size:.0f}" for size in sizes), *rest)

    def print(self, problems: Sequence[str]) -> None:
        console.print(self._table)
        for problem in problems:
            console.print(f"✗ {problem}", style="bold red")


@contextlib.contextmanager
def _bounded(close: Callable[[], None], seconds: float = 10.0) -> Iterator[None]:
    """Close something at the end, but stop waiting after a timeout.

    The emulator sometimes waits forever for a git process that was canceled at its start.
    """
    try:
        yield
    finally:
        closing = threading.Thread(target=close, daemon=True)
        closing.start()
        closing.join(seconds)


def _runs(
    app: App, cloud: Cloud, fleet: Fleet, turns: Sequence[tuple[str, Place]]
) -> Iterator[tuple[Tick, str]]:
    """Run the app without a fault, then once per turn; yield each run with its fault."""
    yield app.tick(), ""
    for what, place in turns:
        cloud.inject(place.fault(fleet, what))
        try:
            tick = app.tick()
        finally:
            cloud.clear_faults()
        yield tick, f"{place.name} {what}"


def soak(
    app: App, runs: Iterator[tuple[Tick, str]], ticks: int, told: _Told
) -> tuple[list[Sample], list[Sample]]:
    """Do the runs and show them.

    Returns:
    samples after each run, and after each quarter with garbage collected.
    """
    samples, collected = [], []
    for number, (tick, what) in enumerate(runs, start=1):
        samples.append(tick.after)
        told.run(number, tick, what)
        if number % (ticks // 4) == 0:
            collected.append(app.sample("collect"))
            told.row(collected[-1], "garbage collection")
    told.row(app.sample("trim"), "malloc_trim")
    return samples, collected


@click.command(help=__doc__)
@click.option(
    "--ticks",
    default=200,
    show_default=True,
    type=click.IntRange(4),
    help="Number of runs, the first without a fault.",
)
@click.option(
    "--faults", default="", help="Use only faults with this text in their name, such as 'hangs' or '10 MB'."
)
@click.option("--ceiling", type=float, help="MiB that the process may hold after the last run.")
@click.option("--workspaces", default=20, show_default=True, help="Number of workspaces.")
def main(ticks: int, faults: str, ceiling: float | None, workspaces: int) -> None:
    whats = [what for what in NAMED if faults in what]
    if not whats:
        raise click.UsageError(f"unknown fault; use one of {', '.join(NAMED)}")
    # Its web server logs every connection that the app drops.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    told = _Told(ticks, workspaces)
    cloud = Cloud(variant=Variant(git_folders="mixed"))
    with _bounded(cloud.close):
        fleet = seed(cloud, workspaces)
        environ = {**os.environ, **cloud.environment(), **fleet.settings}
        with App(environ, limit=LIMIT) as app:
            runs = _runs(app, cloud, fleet, list(islice(in_turn(whats), ticks - 1)))
            samples, collected = soak(app, runs, ticks, told)
            problems = grown(samples, collected, ceiling)
            told.print(problems)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
