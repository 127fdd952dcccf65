"""A run on an instance with a quarter of a core and 512 MB: `python -m benchmarks.quarter_core`, on Linux.

The process is stopped whenever it has had its share of a core. Ends with 1 where the run took longer than its budget and 5 seconds, or more
memory than the instance has.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import click
from rich.console import Console
from rich.table import Table

from benchmarks.cases import KINDS, SITUATIONS, Case, Kind, Situation
from benchmarks.lean_cloud import LeanCloud
from benchmarks.ticking import App

MEMORY_MIB = 512
SLACK_S = 5.0
"""Seconds past its budget in which a run ends."""
_STEP_S = 0.02
_MAX_CREDIT_S = 0.5
"""Seconds of a core that it may catch up on, where the machine was busy with others."""

console = Console(width=140)


@contextmanager
def throttled(pid: int, share: float) -> Iterator[None]:
    """Give a process so much of a core, and no more, as long as this lasts."""
    ended = threading.Event()
    thread = threading.Thread(target=_throttle, args=(pid, share, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _throttle(pid: int, share: float, ended: threading.Event) -> None:
    credit, before, used = 0.0, time.monotonic(), _cpu(pid)
    while not ended.wait(_STEP_S):
        now, cpu = time.monotonic(), _cpu(pid)
        credit = min(_MAX_CREDIT_S, credit + share * (now - before)) - (cpu - used)
        before, used = now, cpu
        os.kill(pid, signal.SIGCONT if credit > 0 else signal.SIGSTOP)
    os.kill(pid, signal.SIGCONT)


def _cpu(pid: int) -> float:
    """Seconds of a core that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@click.command(help=__doc__)
@click.option("--workspaces", default=1000, show_default=True)
@click.option("--folders", default=2, show_default=True, help="Git folders in each.")
@click.option("--kind", type=click.Choice(KINDS), default="legacy", show_default=True, help="Of Git folders.")
@click.option("--latency", default=50, show_default=True, help="Milliseconds for each answer.")
@click.option(
    "--case",
    "situations",
    type=click.Choice(SITUATIONS),
    multiple=True,
    default=get_args(Situation.__value__),
)
@click.option("--budget", "budgets", type=int, multiple=True, default=(540, 30), show_default=True)
@click.option("--share", default=0.25, show_default=True, help="Of a core.")
def main(  # the command's options
    workspaces: int,
    folders: int,
    kind: Kind,
    latency: int,
    situations: tuple[Situation, ...],
    budgets: tuple[int, ...],
    share: float,
) -> None:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("case", "budget s", "s", "last credential s", "CPU s", "MiB", "requests"):
        table.add_column(name, justify="left" if name == "case" else "right")
    over = False
    with LeanCloud() as cloud:
        for case in (Case(workspaces, folders, latency, situation, kind) for situation in situations):
            for budget in budgets:
                cloud.begin(case)
                settings = {**case.settings, "REFRESH_TIMEOUT_SECONDS": str(budget)}
                with App({**os.environ, **cloud.environment, **settings}) as app, throttled(app.pid, share):
                    tick = app.tick()
                    ended, cpu = time.monotonic(), _cpu(app.pid)
                seen = cloud.seen()
                over |= tick.seconds > budget + SLACK_S or tick.after.peak > MEMORY_MIB
                last = seen.stored - (ended - tick.seconds)
                numbers = (tick.seconds, last, cpu, tick.after.peak)
                asked = sum(seen.requests.values())
                table.add_row(str(case), str(budget), *(f"{number:.1f}" for number in numbers), str(asked))
    console.print(table)
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
