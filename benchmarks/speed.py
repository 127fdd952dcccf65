"""Compare the app's speed with that of other clients: `python -m benchmarks.speed`, on Linux.

Each run is a process of its own, and so is the cloud; clients take turns. The app's ratios are compared with
those in figures.json. The exit code is 1 if one rose by more than a tenth.
"""

import os
import sys
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table

from benchmarks.cases import (
    CLIENTS,
    KINDS,
    SITUATIONS,
    Case,
    Client,
    Kind,
    Measurement,
    Situation,
    grid,
    quick,
)
from benchmarks.client import Took, measure
from benchmarks.figures import Figure, Figures, risen
from benchmarks.lean_cloud import LeanCloud, Seen

console, progress = Console(width=140), Console(stderr=True)


def figures_of(cloud: LeanCloud, wanted: Measurement) -> list[Figure]:
    """Measure one case: each client's quickest run, and its ratio to the asyncio client's."""
    runs: dict[Client, list[tuple[Took, Seen]]] = {client: [] for client in wanted.clients}
    for client in wanted.turns():
        progress.print(f"{wanted.case}: {client}", style="dim")
        cloud.begin(wanted.case)
        environ = {**os.environ, **cloud.environment, **wanted.case.settings}
        runs[client].append((measure(client, environ), cloud.seen()))
    best = {client: min(made, key=lambda run: run[0].seconds) for client, made in runs.items()}
    floor = best["asyncio"][0].seconds if "asyncio" in best else float("nan")
    return [_figure(wanted.case, client, best[client], floor, len(runs[client])) for client in wanted.clients]


def _figure(case: Case, client: Client, run: tuple[Took, Seen], floor: float, times: int) -> Figure:
    took, seen = run
    return Figure(
        case,
        client,
        seconds=took.seconds,
        ratio=took.seconds / floor,
        loading=took.loading,
        cpu=took.cpu,
        peak=took.peak,
        requests=sum(seen.requests.values()) / case.workspaces,
        connections=seen.handshakes / case.workspaces,
        stored=seen.stored - took.began,
        cloud=seen.cpu,
        times=times,
    )


def _shown(figures: Sequence[Figure]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("case", "client"):
        table.add_column(name)
    numbers = ("s", "ratio", "stored", "imports", "CPU s", "MB", "requests", "connections", "cloud CPU s")
    for name in numbers:
        table.add_column(name, justify="right")
    for it in figures:
        times = (it.seconds, it.ratio, it.stored, it.loading, it.cpu)
        rest = (f"{it.peak:.0f}", f"{it.requests:.2f}", f"{it.connections:.2f}", f"{it.cloud:.2f}")
        table.add_row(str(it.case), it.client, *(f"{number:.2f}" for number in times), *rest)
    return table


def _compared(cloud: LeanCloud, wanted: Sequence[Measurement]) -> tuple[list[Figure], list[str]]:
    """Measure all cases, and repeat those that got slower, because other work might be the cause."""
    found = {one.case: figures_of(cloud, one) for one in wanted}
    kept = Figures.read()
    for case in risen(kept, [figure for figures in found.values() for figure in figures]):
        (one,) = [one for one in wanted if one.case == case]
        again = figures_of(cloud, one)
        if not risen(kept, again):
            found[case] = again
    figures = [figure for figures in found.values() for figure in figures]
    return figures, [line for lines in risen(kept, figures).values() for line in lines]


@click.command(help=__doc__)
@click.option("--quick", "few", is_flag=True, help="Measure a few cases, in two minutes.")
@click.option("--workspaces", type=int, help="Number of workspaces; measures one case.")
@click.option("--folders", default=2, show_default=True, help="Git folders per workspace.")
@click.option("--kind", type=click.Choice(KINDS), default="legacy", help="Kind of Git folders.")
@click.option("--latency", default=50, show_default=True, help="Milliseconds per response.")
@click.option(
    "--case", "situation", type=click.Choice(SITUATIONS), default="quiet", help="State before a run."
)
@click.option("--client", "clients", type=click.Choice(CLIENTS), multiple=True, help="Clients to measure.")
@click.option("--times", default=3, show_default=True, help="Runs per client.")
@click.option("--accept", is_flag=True, help="Save the figures of one case or of all.")
def main(  # noqa: PLR0913  # the command's options
    workspaces: int | None,
    folders: int,
    kind: Kind,
    latency: int,
    situation: Situation,
    clients: tuple[Client, ...],
    times: int,
    *,
    few: bool,
    accept: bool,
) -> None:
    wanted = quick() if few else grid()
    if workspaces is not None:
        case = Case(workspaces, folders, latency, situation, kind)
        wanted = [Measurement(case, times, clients or CLIENTS)]
    with LeanCloud() as cloud:
        if accept:
            found = [figure for one in wanted for figure in figures_of(cloud, one)]
            whole = workspaces is None and not few
            (Figures.of(found) if whole else Figures.read().with_new(found)).write()
            return
        figures, rises = _compared(cloud, wanted)
    console.print(_shown(figures))
    for line in rises:
        console.print(f"✗ {line}", style="bold red", highlight=False)
    sys.exit(1 if rises else 0)


if __name__ == "__main__":
    main()
