"""The pictures of the pages: what the commands really show, on the embedded cloud."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from localcloud import Cloud, Fleet, seed
from tools.screen import Cell, show, stable, svg, typed


@dataclass(frozen=True, slots=True)
class Picture:
    """What somebody types, and how the terminal then looks."""

    typed: str
    lines: Callable[[], list[list[Cell]]]

    def draw(self) -> str:
        """As SVG, the same each time."""
        return svg(self.typed, stable([typed(self.typed), *self.lines()]))


def _run() -> list[list[Cell]]:
    return show((), os.environ, program="localcloud.demo")


def _check() -> list[list[Cell]]:
    """A list with a mistake in it, and something was forgotten in Azure DevOps."""
    with _environment() as (cloud, fleet, environ):
        cloud.devops.organization("contoso").remove_member(cloud.identity.object_id)
        entries = json.loads(fleet.settings["WORKSPACES"])
        entries[2]["folders"] = [{"path": "Shared/reports", "branhc": "main"}]
        return show(["check"], {**environ, "WORKSPACES": json.dumps(entries)}, code=1)


def _plan() -> list[list[Cell]]:
    """A first run."""
    with _environment() as (_, fleet, environ):
        fleet.repositories[0].commit({"jobs/load.py": "print('load, faster')\n"})
        return show(["plan"], environ)


@contextmanager
def _environment() -> Iterator[tuple[Cloud, Fleet, Mapping[str, str]]]:
    with Cloud() as cloud:
        fleet = seed(cloud)
        yield cloud, fleet, {**os.environ, **cloud.environment(), **fleet.settings}


PICTURES: Mapping[str, Picture] = {
    "docs/images/run.svg": Picture("make run", _run),
    "docs/images/check.svg": Picture("python -m git_refresh check", _check),
    "docs/images/plan.svg": Picture("python -m git_refresh plan", _plan),
}
"""By path from the top of the repository."""
