from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import figures
from benchmarks.cases import KINDS, SITUATIONS, Case, Client, Kind, grid, quick
from benchmarks.figures import Figure, Figures, risen

CASE = Case(100, 2, 50, "quiet")


def figure(client: Client = "app", case: Case = CASE, **changed: float) -> Figure:
    numbers = {
        "seconds": 2.0,
        "ratio": 1.2,
        "loading": 0.8,
        "cpu": 3.0,
        "peak": 70.0,
        "requests": 4.0,
        "connections": 1.0,
        "stored": 1.5,
        "cloud": 0.4,
    }
    return Figure(case, client, times=3, **{**numbers, **changed})


def kept(*made: Figure) -> Figures:
    return Figures("a machine, 2 cores", "2026-11-25", made)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (figure(), []),
        (figure(ratio=1.31), []),
        (figure(ratio=1.33), ["1.33 times the asyncio client, was 1.2"]),
        (figure(ratio=0.9), []),
        (figure(seconds=20.0, cpu=30.0), []),  # another machine
        (figure(connections=2.0, peak=80.0), ["2 connections for each workspace, was 1", "80 MB, was 70"]),
        (figure("asyncio", ratio=9.0), []),
        (figure(case=replace(CASE, folders=5), ratio=9.0), []),
    ],
)
def test_a_machine_independent_rise_above_a_tenth_is_reported(now: Figure, told: Sequence[str]) -> None:
    before = kept(figure(), figure("asyncio"))
    lines = risen(before, [now]).get(CASE, [])
    assert lines == [f"100 x 2 legacy, 50 ms, quiet: {line}" for line in told]


def test_a_case_without_the_asyncio_client_has_no_ratio_to_rise() -> None:
    assert risen(kept(figure()), [figure(ratio=float("nan"))]) == {}


def test_new_figures_of_a_case_replace_its_old_ones() -> None:
    other = figure(case=replace(CASE, folders=5))
    here = Figures.of([figure(), figure("asyncio"), other])
    now = here.with_new([figure(ratio=1.1)])
    assert sorted(now.figures, key=str) == sorted([figure("asyncio"), other, figure(ratio=1.1)], key=str)
    with pytest.raises(ValueError, match="on another machine: a machine, 2 cores"):
        kept(figure()).with_new([figure(ratio=1.1)])


def promised(kind: Kind) -> dict[Case, dict[str, float]]:
    return {
        Case(100, 5, 50, "pulled", kind): {"ratio": 1.3, "peak": 100},
        Case(100, 5, 50, "quiet", kind): {"ratio": 1.5, "peak": 100},
        **{Case(1_000, 2, 50, situation, kind): {"stored": 15.0, "peak": 150} for situation in SITUATIONS},
    }


PROMISED = {case: most for kind in KINDS for case, most in promised(kind).items()}


def test_what_is_promised_is_measured_for_both_kinds_of_git_folders() -> None:
    assert PROMISED.keys() <= {each.case for each in grid()}


def test_a_quick_measurement_has_the_promised_ratios_of_both_kinds() -> None:
    assert {case for case, most in PROMISED.items() if "ratio" in most} <= {each.case for each in quick()}


@pytest.mark.parametrize("case", PROMISED, ids=str)
def test_the_figures_that_are_kept_are_within_what_is_promised(case: Case) -> None:
    measured = Figures.read().by_case
    if case.kind == "git-cli" and case not in measured:
        pytest.skip("make bench BENCH=--accept has not kept it yet")
    found = measured[case]["app"]
    assert {
        name: getattr(found, name) for name, most in PROMISED[case].items() if getattr(found, name) > most
    } == {}


def test_figures_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FILE", tmp_path / "figures.json")
    made = kept(figure(), figure("asyncio", ratio=1.0, seconds=1.23))
    made.write()
    read = Figures.read()
    assert (read.machine, read.date, list(read.figures)) == (made.machine, made.date, list(made.figures))
