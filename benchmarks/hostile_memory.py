"""The app's peak of memory with one hostile workspace among fifty: `python -m benchmarks.hostile_memory --ceiling 200`, on Linux.

Each hostility gets a cloud of its own, which is in this process, and a new process for the app, with the app's own limits. Ends with 1
when a peak is above the ceiling.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping

import click
from aiohttp import web
from rich.console import Console
from rich.table import Table

from benchmarks.process import MIB
from benchmarks.ticking import App, Tick, bounded
from localcloud import Cloud, Fault, seed
from localcloud.faults import Action, Proceed, replace_body

WORKSPACES = 50
HOSTILE = 17
RUNS = 2
"""The second is with what the first left behind."""

PAGES, FOLDERS = 20, 60_000
COOKIES, COOKIE = 90, 60_000
SIZE = 4_000_000
"""Bytes of an answer: just below what the app takes."""

console, progress = Console(), Console(stderr=True)


def long_lists() -> Action:
    """Pages of Git folders with different paths, each page as large as it may be."""

    async def act(request: web.Request, _: Proceed) -> web.StreamResponse:
        page = int(request.query.get("next_page_token") or 0)
        first = page * FOLDERS
        folders = ",".join(
            f'{{"id":{number},"path":"/Repos/{number}","url":"u"}}'
            for number in range(first, first + FOLDERS)
        )
        more = f',"next_page_token":"{page + 1}"' if page + 1 < PAGES else ""
        return web.Response(text=f'{{"repos":[{folders}]{more}}}', content_type="application/json")

    return act


def cookies() -> Action:
    """The true answers, each with as many long cookies as HTTP libraries let through, and never the same ones."""
    sent = 0

    async def act(_: web.Request, proceed: Proceed) -> web.StreamResponse:
        nonlocal sent
        response = await proceed()
        for _number in range(COOKIES):
            sent += 1
            response.headers.add("Set-Cookie", f"c{sent}={'x' * COOKIE}")
        return response

    return act


def padded(padding: str) -> Action:
    """The true answers, each with something more in it that makes it large."""

    def pad(body: bytes) -> bytes:
        answer = json.loads(body or b"{}")
        return body if not isinstance(answer, dict) else json.dumps(answer)[:-1].encode() + rest(answer)

    def rest(answer: Mapping[str, object]) -> bytes:
        return f"{', ' if answer else ''}{padding}}}".encode()

    return replace_body(pad)


HOSTILITIES: Mapping[str, Callable[[str], list[Fault]]] = {
    "none": lambda _: [],
    f"{PAGES} pages of {FOLDERS:,} folders": lambda host: [
        Fault(long_lists(), host=host, method="GET", route="^/api/2.0/repos$")
    ],
    f"{COOKIES} cookies of {COOKIE:,} bytes": lambda host: [Fault(cookies(), host=host)],
    "4 MB of text": lambda host: [Fault(padded(f'"x":"{"x" * SIZE}"'), host=host)],
    "4 MB of small objects": lambda host: [Fault(padded(f'"x":[{"{}," * (SIZE // 3)}0]'), host=host)],
}


def _runs(hostility: Callable[[str], list[Fault]]) -> list[Tick]:
    cloud = Cloud()
    with bounded(cloud.close):
        fleet = seed(cloud, WORKSPACES)
        for fault in hostility(fleet.workspaces[HOSTILE].host):
            cloud.inject(fault)
        with App({**os.environ, **cloud.environment(), **fleet.settings}) as app:
            return [app.tick() for _ in range(RUNS)]


@click.command(help=__doc__)
@click.option("--ceiling", default=200.0, show_default=True, help="MB that no peak may be above.")
@click.option("--only", default="", help="Only what has this in its name.")
def main(ceiling: float, only: str) -> None:
    table = Table(
        title=f"One hostile workspace among {WORKSPACES}, {RUNS} runs; MB", title_justify="left", box=None
    )
    for name in ("what it answers with", "peak", "left", "seconds"):
        table.add_column(name, justify="left" if name.startswith("what") else "right")
    # Its web server says at length which cookies it did not want back.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    above = False
    for name, hostility in HOSTILITIES.items():
        if only not in name:
            continue
        progress.print(f"{name} …", style="dim")
        ticks = _runs(hostility)
        last = ticks[-1].after
        peak, left = (size * MIB / 1e6 for size in (last.peak, last.resident))
        style = "bold red" if peak > ceiling else None
        seconds = ", ".join(f"{tick.seconds:.1f}" for tick in ticks)
        table.add_row(name, f"{peak:.0f}", f"{left:.0f}", seconds, style=style)
        above |= peak > ceiling
    console.print(table)
    sys.exit(1 if above else 0)


if __name__ == "__main__":
    main()
