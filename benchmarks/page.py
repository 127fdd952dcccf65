"""The figures as a page shows them: tables, and a picture of time over the size of the fleet."""

import math
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.cases import CLIENTS, Case, Client, Kind
from benchmarks.figures import Figure, Figures

SITUATIONS = {"quiet": "quiet", "pulled": "all pulled", "first": "first run"}
KINDS: dict[Kind, str] = {"legacy": "legacy", "git-cli": "Git CLI"}
_NAMES: dict[Client, str] = {
    "app": "the app",
    "asyncio": "asyncio client",
    "threads": "script, 32 threads",
    "script": "script",
}
_PICTURED = Case(100, 2, 50, "quiet")
"""Of any size of the fleet."""


def cases() -> Iterator[str]:
    """A row for each case: the app beside the others."""
    yield (
        "| Workspaces x folders | Git folders | ms | Situation | App, s | asyncio, s | Ratio | Threads, s | Script, s "
        "| Last credential, s | CPU, s | MB |"
    )
    yield "|---|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for case, by_client in Figures.read().by_case.items():
        app = by_client["app"]
        kind = KINDS[case.kind] if case.folders else ""
        fleet = (
            f"{case.workspaces:,} x {case.folders} | {kind} | {case.latency} | {SITUATIONS[case.situation]}"
        )
        seconds = [_seconds(by_client.get(client)) for client in CLIENTS]
        own = f"{app.stored:.1f} | {app.cpu:.1f} | {app.peak:.0f}"
        yield f"| {fleet} | {seconds[0]} | {seconds[1]} | {app.ratio:.2f} | {' | '.join(seconds[2:])} | {own} |"


def clients() -> Iterator[str]:
    """A row for each client, of one case."""
    yield "| Client | Seconds | To import, s | CPU, s | MB | Requests per workspace | Connections per workspace | CPU of the cloud, s |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for client, it in Figures.read().by_case[_PICTURED].items():
        needs = f"{it.loading:.1f} | {it.cpu:.1f} | {it.peak:.0f}"
        asks = f"{it.requests:.1f} | {it.connections:.1f} | {it.cloud:.1f}"
        yield f"| {_NAMES[client]} | {it.seconds:.1f} | {needs} | {asks} |"


def machine() -> Iterator[str]:
    """Where and when."""
    figures = Figures.read()
    yield f"Measured on {figures.date}: {figures.machine}."


def _seconds(figure: Figure | None) -> str:
    return f"{figure.seconds:.2f}" if figure else ""


_WIDTH, _HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 500, 20, 270
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #57606a }
line { stroke: #8c959f; stroke-opacity: .35 }
polyline { fill: none; stroke-width: 2.5 }
@media (prefers-color-scheme: dark) { text { fill: #9198a1 } }
"""
_COLOURS: dict[Client, str] = {
    "app": "#2f81f7",
    "asyncio": "#3fb950",
    "threads": "#d29922",
    "script": "#f85149",
}
_LEAST, _MOST = 0.1, 1000.0
"""Seconds."""


def picture() -> str:
    """Seconds over the size of the fleet, both on logarithmic scales, as SVG."""
    title = f"Seconds of a run over the number of workspaces, with {_PICTURED.folders} Git folders each"
    box = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
    lines = [f"<svg {box}>", f"<title>{title}</title>", f"<style>\n{_STYLE}</style>", *_axes(), *_curves()]
    return "\n".join([*lines, "</svg>", ""])


def _x(workspaces: float) -> float:
    return round(_LEFT + math.log10(workspaces) / 3 * (_RIGHT - _LEFT), 1)


def _y(seconds: float) -> float:
    part = math.log10(max(seconds, _LEAST) / _LEAST) / math.log10(_MOST / _LEAST)
    return round(_BOTTOM - part * (_BOTTOM - _TOP), 1)


def _axes() -> Iterator[str]:
    for seconds in (0.1, 1, 10, 100, 1000):
        y = _y(seconds)
        yield f'<line x1="{_LEFT}" y1="{y}" x2="{_RIGHT}" y2="{y}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{seconds:g} s</text>'
    for workspaces in (1, 10, 100, 1000):
        x = _x(workspaces)
        yield f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{_BOTTOM}"/>'
        yield f'<text x="{x}" y="{_BOTTOM + 20}" text-anchor="middle">{workspaces:,}</text>'
    yield f'<text x="{(_LEFT + _RIGHT) / 2}" y="{_BOTTOM + 42}" text-anchor="middle">workspaces</text>'


def _curves() -> Iterator[str]:
    by_client: dict[Client, list[Figure]] = {}
    for case, found in Figures.read().by_case.items():
        if replace(_PICTURED, workspaces=case.workspaces) == case:
            for client, figure in found.items():
                by_client.setdefault(client, []).append(figure)
    for client, figures in by_client.items():
        points = [(_x(figure.case.workspaces), _y(figure.seconds)) for figure in figures]
        colour, (x, y) = _COLOURS[client], points[-1]
        path = " ".join(f"{x},{y}" for x, y in points)
        yield f'<polyline stroke="{colour}" points="{path}"/>'
        yield from (f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>' for x, y in points)
        yield f'<text x="{x + 10}" y="{y + 4}" style="fill: {colour}">{_NAMES[client]}</text>'
