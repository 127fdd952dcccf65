"""A fleet over a simulated queue, in simulated time: workers that die at any moment, slices that fail, messages that are there twice.

The product's own timer and queue functions run; only the work on a slice, the claims' store and time itself are simulated. Nobody renews
a message here, as if every instance had lost the queue: the platform gives it to another after ten minutes.
"""

import heapq
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh import app, fan_out, slices
from git_refresh.fan_out import Delivery, dispatch, refresh_slice
from git_refresh.raised import RunFailedError
from git_refresh.report import Report
from git_refresh.settings.load import Settings
from git_refresh.slices import read_message
from git_refresh.values import Problem
from tests.drawn import as_often_as
from tests.unit.test_fan_out import FakeClaims
from tests.unit.test_slices import entry

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
TICK_S = 900.0
INVISIBLE_S, AGAIN_S, MOST_DELIVERIES = 600.0, 30.0, 5
"""The host's: how long a message is nobody else's, when one comes again whose invocation was red, and how often at most."""
COLD_START_S = 15.0
ENVIRON = {
    "WORKSPACES": json.dumps([entry(number) for number in range(6)]),
    "FAN_OUT": "queue",
    "AzureWebJobsStorage__accountName": "stcontoso",
    "REFRESH_SCHEDULE": "0 */15 * * * *",
}
NAMES = [f"data-{number}" for number in range(6)]


class WorkerDiedError(BaseException):
    """The process ended."""


@dataclass(frozen=True)
class Fate:
    """What becomes of one attempt at a slice."""

    seconds: float = 5.0
    """What its work takes, if its budget lets it."""
    end: str = "fine"
    """Or `red`; `worker`: its process dies; `instance`: all of the instance does, and nobody gives the message back."""


FATES = st.builds(
    Fate,
    st.floats(0.5, 900.0),
    st.sampled_from(["fine", "fine", "fine", "red", "worker", "instance"]),
)


@dataclass
class Queued:
    """A message on the queue."""

    id: str
    text: str
    visible_at: float
    delivered: int = 0


@dataclass
class World:
    """Time, the queue, the instances."""

    fates: Iterator[Fate]
    duplicates: set[int] = field(default_factory=set)
    at: float = 0.0
    queue: list[Queued] = field(default_factory=list)
    poison: list[Queued] = field(default_factory=list)
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    worked: list[tuple[str, float, float, str]] = field(default_factory=list)
    """Workspace, from, until, and how it ended."""
    attempts: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    """How each attempt at a slice ended, by run and slice."""
    _numbers: Iterator[int] = field(default_factory=count)
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    # The clock, as the product sees it.
    def now(self) -> datetime:
        return START + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        raise AssertionError

    def event(self) -> threading.Event:
        raise AssertionError

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.at + seconds, next(self._numbers), action))

    def play(self, until: float) -> None:
        while self.events and self.events[0][0] <= until:
            self.at, _, action = heapq.heappop(self.events)
            action()
        self.at = until

    def tick(self) -> None:
        for text in dispatch(ENVIRON, None):
            for _ in range(2 if next(self._numbers) % 97 in self.duplicates else 1):
                self.queue.append(Queued(f"m{next(self._numbers)}", text, self.at))

    def instance(self) -> None:
        """One that looks at the queue, does a slice at a time, and dies if that is its fate."""
        found = next((each for each in self.queue if each.visible_at <= self.at), None)
        if found is None:
            self.later(30.0, self.instance)
            return
        found.visible_at, found.delivered = self.at + INVISIBLE_S, found.delivered + 1
        self._invoke(Delivery(found.text, found.id, found.delivered), found)

    def _invoke(self, delivery: Delivery, queued: Queued) -> None:
        """Let the product work, on a thread that only runs while this one waits."""

        def work() -> None:
            try:
                refresh_slice(ENVIRON, delivery)
            except RunFailedError:
                self._given_back(queued)
                self.instance_is_free()
            except WorkerDiedError as died:
                if str(died) == "worker":
                    self._given_back(queued)
                self.later(COLD_START_S, self.instance)
            else:
                self.queue.remove(queued)
                self.instance_is_free()
            self._turn.release()

        threading.Thread(target=work, daemon=True).start()
        self._turn.acquire()

    def instance_is_free(self) -> None:
        self.later(0.01, self.instance)

    def _given_back(self, queued: Queued) -> None:
        queued.visible_at = self.at + AGAIN_S
        if queued.delivered >= MOST_DELIVERIES:
            self.queue.remove(queued)
            self.poison.append(queued)

    # What stands for the run itself.
    def run(self, settings: Settings, _: object, **given: Any) -> Report:
        slice_ = given["slice_"]
        fate = next(self.fates)
        self.attempts.setdefault((slice_.run_id, slice_.number), []).append(fate.end)
        # A run keeps its budget, and ends within five seconds after it.
        seconds = min(fate.seconds, settings.timeout_s + 5.0)
        begun, wake = self.at, threading.Semaphore(0)

        def go_on() -> None:
            wake.release()
            self._turn.acquire()

        self.later(seconds, go_on)
        self._turn.release()
        wake.acquire()
        self.worked += [(each.name, begun, self.at, fate.end) for each in settings.entries]
        if fate.end in DEATHS:
            raise WorkerDiedError(fate.end)
        problems: tuple[Problem, ...] = ()
        if fate.end == "red":
            problems = (Problem("data-1", "is not well"),)
        report = Report(slice_.run_id, self.now(), seconds, False, "ok", (), problems, (), slice_)
        return replace(report, result="failed") if problems else report


@contextmanager
def simulated(world: World) -> Iterator[None]:
    claims = FakeClaims()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "MOST", 2)
        patch.setattr(logging.getLogger("git_refresh"), "propagate", False)
        patch.setattr(fan_out, "SystemClock", lambda: world)
        patch.setattr(app, "claims", lambda *_: claims)
        patch.setattr(app, "run", world.run)
        yield


def play(fates: list[Fate], instances: int, duplicates: set[int]) -> World:
    """Two runs with these fates, then one in which nothing goes wrong."""
    world = World(iter([*fates, *[Fate()] * 1_000]), duplicates)
    with simulated(world):
        for number in range(instances):
            world.later(COLD_START_S * number, world.instance)
        for _ in range(2):
            world.tick()
            world.play(world.at + TICK_S)
        world.fates = iter([Fate()] * 1_000)
        world.tick()
        world.play(world.at + TICK_S)
    return world


@as_often_as(60)
@given(st.lists(FATES, max_size=12), st.integers(1, 5), st.sets(st.integers(0, 96), max_size=60))
def test_whatever_dies_fails_or_is_there_twice_the_fleet_is_fresh_after_the_next_run(
    fates: list[Fate], instances: int, duplicates: set[int]
) -> None:
    world = play(fates, instances, duplicates)

    fresh = {name for name, begun, _, end in world.worked if begun >= 2 * TICK_S and end == "fine"}
    assert fresh == set(NAMES)

    by_name: dict[str, list[tuple[float, float]]] = {}
    for name, begun, ended, _ in sorted(world.worked, key=lambda each: each[1]):
        by_name.setdefault(name, []).append((begun, ended))
    for intervals in by_name.values():
        assert all(before[1] <= after[0] for before, after in pairwise(intervals)), "two at work at once"

    assert world.poison == []
    for ends in world.attempts.values():
        assert len(ends) <= 2
        assert ends[0] in DEATHS or len(ends) == 1, "tried again though its worker lived"


DEATHS = {"worker", "instance"}


def test_a_workspace_that_fails_all_day_costs_one_attempt_a_run_and_fills_no_poison_queue() -> None:
    world = World(iter([Fate(end="red")] * 10_000))
    with simulated(world):
        world.later(0.0, world.instance)
        runs = 24 * 4
        for _ in range(runs):
            world.tick()
            world.play(world.at + TICK_S)
    assert list(world.attempts.values()) == [["red"]] * 3 * runs
    assert (world.poison, world.queue) == ([], [])


def test_a_slice_that_kills_its_worker_gets_two_attempts_a_run_and_fills_no_poison_queue() -> None:
    world = World(iter([Fate(end="worker")] * 10_000))
    with simulated(world):
        world.later(0.0, world.instance)
        for _ in range(20):
            world.tick()
            world.play(world.at + TICK_S)
    assert list(world.attempts.values()) == [["worker"] * 2] * 3 * 20
    assert (world.poison, world.queue) == ([], [])


def test_the_messages_of_a_queue_on_which_nobody_worked_for_a_day_are_dropped() -> None:
    world = World(iter([Fate()] * 1_000))
    with simulated(world):
        for _ in range(96):
            world.tick()
            world.play(world.at + TICK_S)
        world.later(0.0, world.instance)
        world.tick()
        world.play(world.at + TICK_S)
    assert len(world.worked) == len(NAMES)
    assert (world.poison, world.queue) == ([], [])


def test_the_simulation_has_the_workspaces_of_the_list_in_its_messages() -> None:
    world = World(iter(()))
    with simulated(world):
        world.tick()
    assert sorted(name for each in world.queue for name in read_message(each.text).workspaces) == NAMES


def test_on_too_few_workers_each_slice_gets_its_turn_in_some_run() -> None:
    world = World(iter([Fate(seconds=520.0)] * 1_000))
    with simulated(world):
        world.later(0.0, world.instance)
        for _ in range(60):
            world.tick()
            world.play(world.at + TICK_S)
    done = Counter(name for name, *_ in world.worked)
    assert sum(done.values()) < 60 * len(NAMES), "there was time for all of them"
    assert done.keys() == set(NAMES)
