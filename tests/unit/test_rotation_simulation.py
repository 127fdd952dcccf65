"""Rotations of a simulated fleet's secret: whatever fails, whoever else is at it, wherever one is killed, the fleet can sign in.

The product's own steps and decisions run; the vault, the workspace and time are simulated.
"""

import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.admin.rotation.decide import MOST
from tests.drawn import as_often_as
from tests.unit.rotation_world import CLIENT_ID, FAULTS, CrashError, Turns, World, rotate, rotation

faults = st.dictionaries(st.integers(1, 24), st.sampled_from(FAULTS), max_size=3)
pauses = st.sampled_from([0.0, 0.001, 0.5, 1.5, 380.0])


def world(*, lag: float = 0.0, delay: float = 0.0, more: int = 0) -> World:
    """A secret that somebody has made and stored by hand, and more that nobody knows of."""
    made = World(lag=lag, delay=delay)
    made.by_hand(stored=True)
    for _ in range(more):
        made.by_hand(days=700)
    made.wait(0.01)
    return made


def assert_sound(world: World) -> None:
    assert world.broken == []
    assert len(world.secrets) <= MOST
    held = [each.id for each in world.secrets.values() if world.latest.value.endswith(f"-{each.id}")]
    assert held, "what is stored has been deleted"


def settle(world: World) -> None:
    """Rotated undisturbed, as the pipeline does every month, it comes to rest; what is left over is reported."""
    for _ in range(3):
        world.begin()
        report = rotate(world)
        world.wait(1.5)
        assert_sound(world)
    world.begin()
    report, decision = rotation(world).plan()
    assert decision is not None
    assert not decision.acts
    named = {each.version.names(CLIENT_ID) for each in world.stored}
    assert {each.id for each in report.unknown} == {
        each.id
        for each in world.secrets.values()
        if each.id not in named and (each.expires_at or world.clock.now()) > world.clock.now()
    }
    if [error.code for error in report.errors] != ["no_room_for_secret"]:
        assert report.errors == ()
        assert world.works(world.latest.value)
        assert decision.ends is not None
        assert decision.ends - world.clock.now() > timedelta(days=60)
        assert len(named & world.secrets.keys()) == 1, "of ours only the one in use is left"


@given(
    runs=st.lists(st.tuples(faults, pauses), min_size=1, max_size=5),
    lag=st.sampled_from([0.0, 3.0, 40.0]),
    delay=st.sampled_from([0.0, 7.0, 200.0]),
    more=st.integers(0, 4),
)
@as_often_as(400)
def test_whatever_fails_and_wherever_it_is_killed(
    runs: list[tuple[dict[int, str], float]], lag: float, delay: float, more: int
) -> None:
    it = world(lag=lag, delay=delay, more=more)
    for drawn, days in runs:
        it.begin(drawn)
        before = len(it.secrets)
        with contextlib.suppress(CrashError):
            rotate(it)
        assert_sound(it)
        assert len(it.secrets) < MOST or len(it.secrets) <= before, "the fifth is left to somebody in need"
        it.wait(days)
    it.delay = 0.0
    settle(it)


@given(
    order=st.lists(st.integers(0, 2), max_size=60),
    drawn=faults,
    admins=st.integers(2, 3),
    pause=pauses,
    lag=st.sampled_from([0.0, 3.0]),
)
@as_often_as(200)
def test_several_admins_at_once(
    order: list[int], drawn: dict[int, str], admins: int, pause: float, lag: float
) -> None:
    it = world(lag=lag)
    for _ in range(2):
        it.begin(drawn)
        turns = Turns(order, admins)
        it.turn = turns.wait
        turns.run([lambda: rotate(it)] * admins)
        it.turn = lambda: None
        assert_sound(it)
        it.wait(pause)
    settle(it)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", range(1, 22))
def test_each_request_failed_in_turn(number: int, fault: str) -> None:
    it = world()
    it.begin({number: fault})
    with contextlib.suppress(CrashError):
        rotate(it)
    assert_sound(it)
    settle(it)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", range(1, 26))
def test_each_request_failed_in_turn_when_a_former_one_is_to_be_deleted_too(number: int, fault: str) -> None:
    it = world()
    rotate(it)
    it.wait(700)
    it.begin({number: fault})
    with contextlib.suppress(CrashError):
        rotate(it)
    assert_sound(it)
    settle(it)


def undisturbed(**more: Any) -> list[str]:
    it = world(**more)
    rotate(it)
    return it.log


def test_the_steps_of_an_undisturbed_rotation() -> None:
    looks = ["principal", "list", "versions", "read", "sign in"]
    assert undisturbed() == [*looks, *looks, "create", "sign in", "store", "read"]


def test_a_store_that_lands_late_keeps_its_secret_though_the_second_attempt_is_refused() -> None:
    it = world()
    it.begin({13: "late", 16: "refused"})
    report = rotate(it)
    assert [error.code for error in report.errors] == ["new_secret_not_seen"]
    assert "delete" not in it.log
    settle(it)


def test_what_was_not_approved_is_not_done() -> None:
    it = world()
    rotate(it)
    it.wait(700)
    _, decision = rotation(it).plan()
    assert decision is not None
    assert decision.create
    assert len(decision.delete) == 0, "the first one was made by hand"
    rotate(it)
    before, it.log = len(it.secrets), []
    report = rotation(it).apply(decision)
    assert report.action == "unchanged", "somebody else was faster"
    assert (len(it.secrets), "create" in it.log, "delete" in it.log) == (before, False, False)


def test_a_former_one_is_deleted_by_a_later_call_and_not_before_a_day_has_passed() -> None:
    it = world()
    rotate(it)
    first = it.latest.version.names(CLIENT_ID)
    it.wait(700)
    report = rotate(it)
    assert [(each.id, each.action) for each in report.former] == []
    it.wait(0.9)
    report = rotate(it)
    assert [(each.id, each.action) for each in report.former] == [(first, "kept")]
    it.wait(0.2)
    report = rotate(it)
    assert [(each.id, each.action) for each in report.former] == [(first, "deleted")]
    assert first not in it.secrets


def test_the_new_one_has_the_life_and_the_scopes_of_the_old_one() -> None:
    it = World()
    it.by_hand(scopes=("all-apis", "sql"), stored=True)
    rotate(it)
    new = it.secrets["secret-2"]
    assert new.scopes == ("all-apis", "sql")
    it.secrets["secret-2"] = replace(new, expires_at=it.clock.now() + timedelta(days=40))
    it.wait(30)
    rotate(it)
    third = it.secrets["secret-3"]
    assert third.scopes == new.scopes
    assert third.expires_at is not None
    assert third.created_at is not None
    assert new.created_at is not None
    lived = it.secrets["secret-2"].expires_at
    assert lived is not None
    assert abs(third.expires_at - third.created_at - (lived - new.created_at)) < timedelta(seconds=1)


def test_an_interrupt_takes_back_what_is_stored_nowhere() -> None:
    it = world(delay=60)
    _, decision = rotation(it).plan()
    assert decision is not None
    real = it.clock.sleep

    def interrupt(seconds: float) -> None:
        it.clock.slept.append(seconds)
        it.clock.sleep = real  # type: ignore[method-assign]
        raise KeyboardInterrupt

    it.clock.sleep = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        rotation(it).apply(decision)
    assert list(it.secrets) == ["secret-1"]
    assert_sound(it)


def test_a_secret_whose_answer_was_lost_counts_before_it_is_listed() -> None:
    it = world(more=2)
    it.list_lag = 8.0
    it.begin({11: "lost"})
    report = rotate(it)
    assert len(it.secrets) == 4, "the fifth is left to somebody in need"
    assert report.action == "failed"
    it.wait(0.01)
    it.begin()
    assert [error.code for error in rotate(it).errors] == ["no_room_for_secret"]
