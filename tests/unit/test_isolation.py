"""If any part of a fleet hangs, the rest is refreshed. In virtual time."""

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest

from git_refresh.run.pool import MAX_THREADS
from tests.support.simulation import (
    CREDENTIAL_PATH,
    FOLDER_PATH,
    MANNERS,
    Case,
    Fault,
    Manner,
    Place,
    host,
    simulate,
)

SEARCHED = int(os.environ.get("ISOLATION_CASES", "6"))
"""The number of random cases."""

SIZES = (1, 5, 20, 45, 100, 130, 200, 300)
LARGE = (*SIZES, 500, 1_000)

SEED = int(os.environ.get("ISOLATION_SEED", "0"))


def hold(case: Case, patch: pytest.MonkeyPatch) -> None:
    """Check a mix whose fleet, without faults, needs a quarter of the budget."""
    world, report = simulate(case, patch)
    names = [host(number) for number in range(case.workspaces)]
    whole = [name for name in names if world.works(name, CREDENTIAL_PATH)]
    late = [name for name in whole if world.stored.get(name, case.budget_s) > case.budget_s / 2]
    assert not late, f"{len(late)} of {len(whole)} have no credential after half of the budget"
    healthy = {name for name in whole if world.works(name, FOLDER_PATH)}
    left = [found.host for found in report.workspaces if found.host in healthy and found.result != "ok"]
    assert not left, f"{len(left)} of {len(healthy)} are healthy and failed"
    for found in report.workspaces:
        assert found.result == "ok" or list(found.failures()), "who failed says why"


SMALL = Case(40, 3, 4, 120, (), threads=24)
"""A small fleet with as many workspaces per thread as a thousand workspaces have."""

PLACES = (*CREDENTIAL_PATH, *FOLDER_PATH)


@pytest.mark.parametrize(("share", "after_s"), [(0.5, 0.0), (0.95, 0.0), (0.95, 8.0)])
@pytest.mark.parametrize("manner", MANNERS)
def test_what_hangs_in_one_place_costs_the_others_nothing(
    manner: Manner, share: float, after_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in PLACES:
        hold(replace(SMALL, faults=(Fault(place, manner, share, after_s),)), monkeypatch)


@pytest.mark.parametrize(("first", "second"), [*combinations(("token", "key", "sign_in", "store"), 2)])
def test_what_hangs_in_two_places_costs_the_others_nothing(
    first: Place, second: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in FOLDER_PATH:
        faults = (Fault(first, "hang", 0.3), Fault(second, "late", 0.3), Fault(place, "hang", 0.95))
        hold(replace(SMALL, faults=faults), monkeypatch)


@pytest.mark.parametrize("concurrency", [1, 8, 64])
@pytest.mark.parametrize("budget_s", [60, 540])
def test_however_narrow_and_short_a_run_is(
    concurrency: int, budget_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for workspaces in (1, 20, 100):
        for place in ("sign_in", "list", "move"):
            case = Case(workspaces, 2, concurrency, budget_s, (Fault(place, "hang", 0.9),))
            hold(case, monkeypatch)


@pytest.mark.parametrize("place", ["sign_in", "move"])
def test_a_thousand_workspaces(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(Case(1_000, 2, 32, 540, (Fault(place, "hang", 0.95),)), monkeypatch)


def test_a_healthy_fleet_has_no_more_open_requests_than_the_setting_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, report = simulate(replace(SMALL, folders=8), monkeypatch)
    assert report.result == "ok"
    assert world.most == SMALL.concurrency


def test_where_all_hangs_the_run_ends_and_names_what_it_has_not_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults = tuple(Fault(place, "hang", 1.0, after_s=5.0) for place in PLACES)
    _, report = simulate(replace(SMALL, faults=faults, latency_s=0.4), monkeypatch)
    failed = [found for found in report.workspaces if found.result != "ok"]
    assert len(failed) > 30
    assert {error.code for found in failed for _, error in found.failures()} <= {"timeout", "out_of_time"}


@pytest.mark.parametrize("seed", range(4))
def test_credentials_that_are_late_come_before_folders_that_hang(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Fault("token", "slow", 0.2, late_s=18), Fault("key", "slow", 0.2, late_s=18)
    for threads in (32, 48):
        faults = (Fault("move", "hang", 0.9), *late)
        hold(Case(20, 8, 4, 120, faults, seed, threads=threads), monkeypatch)


def test_a_secret_that_many_wait_for_holds_no_thread_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    case = replace(SMALL, zones=1, faults=(Fault("key", "hang", 1.0),))
    world, report = simulate(case, monkeypatch)
    assert world.time.most <= SMALL.concurrency
    codes = {found.error and found.error.code for found in report.workspaces}
    assert codes == {"key_vault_unreachable"}


def test_with_few_threads_a_hung_folder_does_not_delay_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = replace(SMALL, folders=6, faults=(Fault("move", "hang", 1.0, times=1),))
    world, report = simulate(case, monkeypatch)
    assert world.time.most == case.threads
    failed = [sum(folder.action == "failed" for folder in found.folders) for found in report.workspaces]
    assert set(failed) == {1}


def test_a_failed_look_up_is_retried_for_the_folders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Fault("list", "slow", 1.0, late_s=12), Fault("devops", "slow", 1.0, late_s=12)
    for fault in slow:
        case = Case(3, 2, 4, 120, (fault,), pattern=True, zones=1, latency_s=0.05)
        world, report = simulate(case, monkeypatch)
        assert max(world.stored.values()) < 12, "before the answer"
        assert (report.result, report.problems) == ("ok", ())
        assert world.asked[host(0), fault.place] == 2


def made_up(seed: int, sizes: Sequence[int]) -> Case:
    """Return a random mix."""
    random = Random(seed)  # noqa: S311  # not for security
    budget = random.choice([60, 90, 180, 300, 540])
    faults = tuple(
        Fault(
            random.choice(PLACES),
            random.choice(MANNERS),
            random.choice([0.05, 0.3, 0.5, 0.7, 0.9, 0.95]),
            after_s=random.choice([0.0, 0.0, random.uniform(0, budget / 3)]),
            late_s=random.uniform(1.5, 40),
        )
        for _ in range(random.randint(1, 3))
    )
    workspaces = random.choice(sizes)
    concurrency = random.choice([1, 2, 4, 8, 16, 32, 64])
    threads = random.choice([2, 4, 8, 16]) * concurrency if workspaces < 500 else MAX_THREADS
    return Case(
        workspaces,
        random.choice([0, 1, 2, 5, 8] if workspaces > 200 else [1, 2, 5, 20]),
        concurrency,
        budget,
        faults,
        seed,
        zones=random.choice([1, 1, 4, 20, workspaces]),
        threads=min(threads, MAX_THREADS),
    )


@pytest.mark.parametrize("seed", range(SEED, SEED + SEARCHED))
def test_made_up(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(made_up(seed, SIZES), monkeypatch)
