"""Read, write, and compare the measured figures in figures.json."""

import dataclasses
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from benchmarks.cases import Case, Client

FILE = Path(__file__).parent / "figures.json"

MARGIN = 1.1
"""The factor by which a ratio can rise; less is noise."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The figures of one client in one case, from its quickest run.

    Times are in seconds, `peak` is in MB; `requests` and `connections` are per workspace. `ratio` is the time
    relative to the asyncio client. `loading` is the time of imports, which `seconds` excludes and `cpu`
    includes. `stored` is the time until the last Git credential was stored. `cloud` is the CPU time of the
    emulated services. `times` is the number of runs.
    """

    case: Case
    client: Client
    seconds: float
    ratio: float
    loading: float
    cpu: float
    peak: float
    requests: float
    connections: float
    stored: float
    cloud: float
    times: int


@dataclass(frozen=True, slots=True)
class Figures:
    """A complete measurement with its machine and date."""

    machine: str
    date: str
    figures: Sequence[Figure]

    @classmethod
    def read(cls) -> Self:
        """Return the committed figures."""
        kept = json.loads(FILE.read_text(encoding="utf-8"))
        figures = [Figure(**{**figure, "case": Case(**figure["case"])}) for figure in kept["figures"]]
        return cls(kept["machine"], kept["date"], figures)

    @classmethod
    def of(cls, figures: Sequence[Figure]) -> Self:
        """Return figures with this machine and date."""
        return cls(_machine(), f"{datetime.now(UTC):%Y-%m-%d}", figures)

    def with_new(self, figures: Sequence[Figure]) -> Self:
        """Return these figures with new ones for the same case and client.

        Raises:
            ValueError: another machine measured these figures, so they cannot be compared.
        """
        if self.machine != _machine():
            raise ValueError(f"the others were measured on another machine: {self.machine}")
        new = {(figure.case, figure.client) for figure in figures}
        kept = [figure for figure in self.figures if (figure.case, figure.client) not in new]
        return self.of([*kept, *figures])

    def write(self) -> None:
        rounded = json.loads(json.dumps(dataclasses.asdict(self)), parse_float=_rounded)
        lines = ",\n".join(f"  {json.dumps(figure)}" for figure in rounded.pop("figures"))
        head = json.dumps(rounded, indent=1).removesuffix("\n}")
        FILE.write_text(f'{head},\n "figures": [\n{lines}\n ]\n}}\n', encoding="utf-8")

    @property
    def by_case(self) -> Mapping[Case, Mapping[Client, Figure]]:
        """The figures by case, in order of size."""
        found: dict[Case, dict[Client, Figure]] = {}
        for figure in sorted(self.figures, key=lambda it: dataclasses.astuple(it.case)):
            found.setdefault(figure.case, {})[figure.client] = figure
        return found


def _rounded(number: str) -> float:
    return float(f"{float(number):.3g}")


_COMPARED: Mapping[str, str] = {
    "ratio": "times the asyncio client",
    "requests": "requests for each workspace",
    "connections": "connections for each workspace",
    "peak": "MB",
}
"""The figures that do not depend on the machine."""


def risen(before: Figures, now: Sequence[Figure]) -> dict[Case, list[str]]:
    """Return, per case, the app's figures that rose by more than a tenth."""
    found: dict[Case, list[str]] = {}
    for figure in now:
        old = before.by_case.get(figure.case, {}).get(figure.client)
        if figure.client != "app" or old is None:
            continue
        for name, unit in _COMPARED.items():
            was, is_ = getattr(old, name), getattr(figure, name)
            if is_ > was * MARGIN:
                found.setdefault(figure.case, []).append(f"{figure.case}: {is_:.3g} {unit}, was {was:.3g}")
    return found


def _machine() -> str:
    told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*: (.*)", told)
    cores: Any = len(os.sched_getaffinity(0))
    return f"{model[1] if model else platform.machine()}, {cores} cores, Python {platform.python_version()}"
