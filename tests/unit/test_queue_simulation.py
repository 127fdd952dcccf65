"""A fleet over a simulated queue and time: crashes, failing slices, duplicates, and a forger.

The forger can do everything that write access to the queue allows. The alerts' own queries decide on the
result of a run.

The app's own timer and queue functions run; slices, claims and time are simulated. Here no instance renews a
message, so the platform redelivers it after ten minutes.
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

from git_refresh import app, fan_out
from git_refresh.fan_out import Delivery, dispatch, refresh_slice
from git_refresh.model.values import Problem
from git_refresh.run import slices
from git_refresh.run.errors import RunFailedError
from git_refresh.run.report import Report, WorkspaceReport, log_run, log_workspace
from git_refresh.run.slices import read_message
from git_refresh.settings.load import Settings
from localcloud import kusto
from tests.support.examples import as_often_as
from tests.support.fakes import unconnected
from tests.support.paths import ROOT
from tests.support.slices import FakeClaims, entry

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
TICK_S = 900.0
INVISIBLE_S, AGAIN_S, MOST_DELIVERIES = 600.0, 30.0, 5
"""The host's values: invisibility, delay before a retry, and most deliveries."""
COLD_START_S = 15.0
ENVIRON = {
    "WORKSPACES": json.dumps([entry(number) for number in range(6)]),
    "FAN_OUT": "queue",
    "AzureWebJobsStorage__accountName": "stcontoso",
    "REFRESH_SCHEDULE": "0 */15 * * * *",
}
NAMES = [f"data-{number}" for number in range(6)]


class WorkerDiedError(BaseException):
    pass


@dataclass(frozen=True)
class Fate:
    """The result of one attempt at a slice."""

    seconds: float = 5.0
    """The duration of its work, within its budget."""
    end: str = "fine"
    """Or `red`; `worker`: its process crashes; `instance`: the instance crashes and returns no message."""


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
    """Time, queue and instances."""

    fates: Iterator[Fate]
    duplicates: set[int] = field(default_factory=set)
    at: float = 0.0
    queue: list[Queued] = field(default_factory=list)
    poison: list[Queued] = field(default_factory=list)
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    worked: list[tuple[str, float, float, str]] = field(default_factory=list)
    """Workspace, start, end, and result."""
    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))
    seen: list[str] = field(default_factory=list)
    """Every text that the timer has put on the queue."""
    refreshed: list[tuple[str, float]] = field(default_factory=list)
    """Workspace and time."""
    logged: list[dict[str, Any]] = field(default_factory=list)
    """The rows of Application Insights."""
    broken: list[Exception] = field(default_factory=list)
    """Exceptions that the queue's function must never raise."""
    attempts: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    """The end of each attempt at a slice, by run and slice."""
    _numbers: Iterator[int] = field(default_factory=count)
    _waiting: list[threading.Semaphore] = field(default_factory=list)
    """One semaphore per slice in progress."""
    _over: bool = False
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    # The clock for the app.
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
        for text in dispatch(self.environ, None):
            self.seen.append(text)
            for _ in range(2 if next(self._numbers) % 97 in self.duplicates else 1):
                self.queue.append(Queued(f"m{next(self._numbers)}", text, self.at))

    def instance(self) -> None:
        """Poll the queue, process one slice at a time, and crash if its fate says so."""
        found = next((each for each in self.queue if each.visible_at <= self.at), None)
        if found is None:
            self.later(30.0, self.instance)
            return
        found.visible_at, found.delivered = self.at + INVISIBLE_S, found.delivered + 1
        self._invoke(Delivery(found.text, found.id, found.delivered), found)

    def _invoke(self, delivery: Delivery, queued: Queued) -> None:
        """Run the app on a thread, while this thread waits."""

        def work() -> None:
            try:
                refresh_slice(self.environ, delivery)
            except RunFailedError:
                self._given_back(queued)
                self.instance_is_free()
            except WorkerDiedError as died:
                if str(died) == "worker":
                    self._given_back(queued)
                self.later(COLD_START_S, self.instance)
            except Exception as error:  # noqa: BLE001  # a test reports it
                self.broken.append(error)
            else:
                self._gone(queued)
                self.instance_is_free()
            self._turn.release()

        threading.Thread(target=work, daemon=True).start()
        self._turn.acquire()

    def close(self) -> None:
        """Let all threads finish before the world ends."""
        self._over = True
        for wake in [*self._waiting]:
            wake.release()
            self._turn.acquire()

    def instance_is_free(self) -> None:
        self.later(0.01, self.instance)

    def _gone(self, queued: Queued) -> None:
        """Delete a message by ID, because a forger might have changed or deleted it."""
        self.queue = [each for each in self.queue if each is not queued]

    def _given_back(self, queued: Queued) -> None:
        queued.visible_at = self.at + AGAIN_S
        if queued.delivered >= MOST_DELIVERIES:
            self._gone(queued)
            self.poison.append(queued)

    # Replaces the run itself.
    def run(self, settings: Settings, *_: object, **given: Any) -> Report:
        slice_ = given["slice_"]
        fate = next(self.fates)
        self.attempts.setdefault((slice_.run_id, slice_.number), []).append(fate.end)
        # A run ends within five seconds after its budget.
        seconds = min(fate.seconds, settings.timeout_s + 5.0)
        begun, wake = self.at, threading.Semaphore(0)

        def go_on() -> None:
            wake.release()
            self._turn.acquire()

        self.later(seconds, go_on)
        self._waiting.append(wake)
        self._turn.release()
        wake.acquire()
        self._waiting.remove(wake)
        if self._over:
            raise WorkerDiedError("instance")
        self.worked += [(each.name, begun, self.at, fate.end) for each in settings.entries]
        whole = fate.end == "fine" and fate.seconds <= settings.timeout_s
        *others, last = settings.entries
        for each in settings.entries if whole else others:
            self.refreshed.append((each.name, self.at))
            log_workspace(slice_.run_id, WorkspaceReport(each.name, "", "ok"), given["logger"], slice_)
        if fate.end in DEATHS:
            raise WorkerDiedError(fate.end)
        problems: tuple[Problem, ...] = ()
        if not whole:
            log_workspace(slice_.run_id, WorkspaceReport(last.name, "", "failed"), given["logger"], slice_)
            problems = (Problem(last.name, "is not well"),)
        report = Report(slice_.run_id, self.now(), seconds, False, "ok", (), problems, (), slice_)
        report = replace(report, result="failed") if problems else report
        log_run(report, given["logger"])
        return report

    # Replaces Application Insights.
    def asked(self, query: str) -> list[dict[str, Any]]:
        """Return the result of a query after all rows have arrived."""
        return kusto.run(query, {"traces": self.logged}, self.now() + timedelta(minutes=20))

    def note(self, record: logging.LogRecord) -> bool:
        self.logged.append({"timestamp": self.now(), "message": record.getMessage()})
        return True


@contextmanager
def simulated(world: World) -> Iterator[None]:
    claims = FakeClaims()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "MAX_WORKSPACES_PER_SLICE", 2)
        patch.setattr(logging.getLogger("git_refresh"), "propagate", False)
        patch.setattr(logging.getLogger("git_refresh"), "filters", [world.note])
        patch.setattr(fan_out, "SystemClock", lambda: world)
        patch.setattr(app, "claims", lambda *_: claims)
        patch.setattr(app, "connect", unconnected)
        patch.setattr(fan_out, "refresh", world.run)
        try:
            yield
        finally:
            world.close()


def play(fates: list[Fate], instances: int, duplicates: set[int]) -> World:
    """Simulate two runs with these results, then one without faults."""
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
def test_the_fleet_is_fresh_after_any_deaths_failures_and_duplicates(
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


def test_a_workspace_failing_all_day_costs_one_attempt_a_run_and_no_poison() -> None:
    world = World(iter([Fate(end="red")] * 10_000))
    with simulated(world):
        world.later(0.0, world.instance)
        runs = 24 * 4
        for _ in range(runs):
            world.tick()
            world.play(world.at + TICK_S)
    assert list(world.attempts.values()) == [["red"]] * 3 * runs
    assert (world.poison, world.queue) == ([], [])


def test_a_slice_that_kills_workers_costs_two_attempts_a_run_and_no_poison() -> None:
    world = World(iter([Fate(end="worker")] * 10_000))
    with simulated(world):
        world.later(0.0, world.instance)
        for _ in range(20):
            world.tick()
            world.play(world.at + TICK_S)
    assert list(world.attempts.values()) == [["worker"] * 2] * 3 * 20
    assert (world.poison, world.queue) == ([], [])


def test_messages_that_waited_in_the_queue_for_a_day_are_dropped() -> None:
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


# ---- A forger ----

ALERTS = ROOT / "infra/queries/alerts"
NO_SUCCESS, NEVER_ENDED, FAILED = (
    (ALERTS / f"{name}.kql").read_text().replace("\n", " ")
    for name in ("no-successful-run", "slice-not-completed", "slice-failed")
)
EACH_FAILURE = f"{FAILED.partition('let pairs =')[0]}found"
"""The query on failures before it groups them by email: a row each, with its run."""
EACH_RUN = NO_SUCCESS.partition("| summarize runs =")[0]
"""The query on successful runs before aggregation: a row per run, with `good`."""
ANOTHER_RUN = "b7a1c0de-0000-4000-8000-000000000009"


@dataclass(frozen=True)
class Forgery:
    """A manipulation of the queue.

    `at`: the time in seconds.
    `what`: the action.
    `which`: the message, or an earlier text.
    `changes`: changes of the copied text.
    `later_s`: for how long a message is hidden, or its expiration delayed.
    """

    at: float
    what: str
    which: int
    changes: dict[str, Any]
    later_s: float

    def do(self, world: World) -> None:
        found = world.queue[self.which % len(world.queue)] if world.queue else None
        match self.what:
            case "put":
                world.queue.append(Queued(f"f{self.at}", self.text(world), world.at))
            case "put first":
                world.queue.insert(0, Queued(f"f{self.at}", self.text(world), world.at))
            case "replay" if world.seen:
                text = world.seen[self.which % len(world.seen)]
                world.queue.insert(0, Queued(f"f{self.at}", text, world.at))
            case "clear":
                world.queue.clear()
            case "reverse":
                world.queue.reverse()
            case "delete" if found:
                world.queue.remove(found)
            case "change" if found:
                found.text = self.text(world)
            case "hide" if found:
                found.visible_at = world.at + self.later_s
            case "show" if found:
                found.visible_at = world.at
            case _:
                pass

    def text(self, world: World) -> str:
        """Return a message forged from an earlier one."""
        base = json.loads(world.seen[self.which % len(world.seen)]) if world.seen else {}
        until = (world.now() + timedelta(seconds=self.later_s)).isoformat()
        return json.dumps(
            {**base, **{key: until if key == "valid_until" else value for key, value in self.changes.items()}}
        )


OF_THE_LIST = st.lists(st.sampled_from([*NAMES, "nobody", "newcomer"]), min_size=1, max_size=6)
FORGERIES = st.builds(
    Forgery,
    st.floats(0.0, 3 * TICK_S),
    st.sampled_from(
        ["put", "put", "put first", "replay", "clear", "reverse", "delete", "change", "hide", "show"]
    ),
    st.integers(0, 20),
    st.dictionaries(
        st.sampled_from(["workspaces", "workspaces", "valid_until", "slice", "slices", "run_id", "version"]),
        st.none(),
    ).flatmap(
        lambda keys: st.fixed_dictionaries({key: value for key, value in VALUES.items() if key in keys})
    ),
    st.floats(-TICK_S, 3 * TICK_S),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "workspaces": OF_THE_LIST,
    "valid_until": st.just(""),
    "slice": st.integers(1, 4),
    "slices": st.integers(1, 4),
    "run_id": st.just(ANOTHER_RUN),
    "version": st.sampled_from([1, 2]),
}


def other_list(world: World) -> None:
    """Save settings during a run: a workspace is added at the front, another removed, so slices differ."""
    entries = [entry(9, name="newcomer"), *json.loads(ENVIRON["WORKSPACES"])[:-1]]
    world.environ["WORKSPACES"] = json.dumps(entries)


def play_forged(fates: list[Fate], forgeries: list[Forgery], instances: int, saved_at: float | None) -> World:
    """Simulate three runs with these forgeries."""
    world = World(iter([*fates, *[Fate()] * 1_000]))
    with simulated(world):
        for number in range(instances):
            world.later(COLD_START_S * number, world.instance)
        for number in range(3):
            world.later(TICK_S * number, world.tick)
        for each in forgeries:
            world.later(each.at, lambda each=each: each.do(world))  # type: ignore[misc]
        if saved_at is not None:
            world.later(saved_at, lambda: other_list(world))
        world.play(3 * TICK_S)
    return world


def missed(world: World, saved_at: float | None) -> dict[str, set[str]]:
    """Return, per dispatched run, the workspaces that were not refreshed in time."""
    found: dict[str, set[str]] = {}
    for row in world.logged:
        line = json.loads(row["message"])
        if line["event"] == "git_refresh.queued":
            begun = (row["timestamp"] - START).total_seconds()
            until = begun + TICK_S
            fresh = {name for name, at in world.refreshed if begun <= at <= until}
            left = {NAMES[-1]} if saved_at is not None and saved_at <= until else set()
            found.setdefault(line["run_id"], set()).update({*line["names"]} - fresh - left)
    return found


@as_often_as(80)
@given(
    st.lists(FATES, max_size=12),
    st.lists(FORGERIES, max_size=14),
    st.integers(0, 5),
    st.none() | st.floats(0.0, 3 * TICK_S),
)
def test_whatever_is_done_to_the_queue_a_missed_workspace_is_named(
    fates: list[Fate], forgeries: list[Forgery], instances: int, saved_at: float | None
) -> None:
    hold_the_alerts(play_forged(fates, forgeries, instances, saved_at), saved_at)


def hold_the_alerts(world: World, saved_at: float | None) -> int:
    """Compare the alerts' queries with the real results; return the number of unsuccessful runs."""
    assert world.broken == []
    really = missed(world, saved_at)
    assert len(really) == 3
    good = {row["run"] for row in world.asked(EACH_RUN) if row["good"]}
    assert good <= {run for run, names in really.items() if not names}
    named: dict[str, set[str]] = {}
    for row in (*world.asked(NEVER_ENDED), *world.asked(EACH_FAILURE)):
        named.setdefault(row["run_id"], set()).add(row["workspace"])
    for run, names in really.items():
        unnamed = names - named.get(run, set())
        # A forged copy of a message can hide a failure: the workspace is refreshed late. Its slice is named.
        assert unnamed <= refreshed_after_a_failure(world, run)
        assert not unnamed or any(name.startswith("slice ") for name in named.get(run, set()))
    assert bool(world.asked(NO_SUCCESS)) == (not good)
    return len(really) - len(good)


def refreshed_after_a_failure(world: World, run: str) -> set[str]:
    results: dict[str, list[str]] = {}
    for row in world.logged:
        line = json.loads(row["message"])
        if line["event"] == "git_refresh.workspace" and line["run_id"] == run:
            results.setdefault(line["name"], []).append(line["result"])
    return {name for name, each in results.items() if "failed" in each and each[-1] == "ok"}


@as_often_as(30)
@given(st.lists(FATES, max_size=12), st.integers(1, 5))
def test_without_a_forger_the_alerts_name_what_was_missed_and_nothing_else(
    fates: list[Fate], instances: int
) -> None:
    world = play_forged(fates, [], instances, None)
    really = missed(world, None)
    named: dict[str, set[str]] = {run: set() for run in really}
    for row in (*world.asked(NEVER_ENDED), *world.asked(EACH_FAILURE)):
        named[row["run_id"]] |= {row["workspace"]}.intersection(NAMES)
    assert named == really
    good = {row["run"] for row in world.asked(EACH_RUN) if row["good"]}
    assert good == {run for run, names in really.items() if not names}


def test_messages_put_back_with_other_names_fire_the_alerts() -> None:
    """In each run, the slice's own message is replaced by one with other names."""
    world = World(iter([Fate()] * 1_000))
    with simulated(world):
        world.later(0.0, world.instance)
        for _ in range(3):
            world.tick()
            first = world.queue[0]
            first.text = json.dumps({**json.loads(first.text), "workspaces": ["nobody"]})
            world.play(world.at + TICK_S)
    hold_the_alerts(world, None)
    assert len(world.asked(NEVER_ENDED)) == 2 * 3
    assert world.asked(NO_SUCCESS)


def test_a_message_with_other_names_beside_a_slice_takes_nothing_away() -> None:
    world = World(iter([Fate()] * 1_000))
    with simulated(world):
        world.later(0.0, world.instance)
        world.tick()
        for each in [*world.queue]:
            forged = {**json.loads(each.text), "workspaces": ["nobody"]}
            world.queue.insert(0, Queued(f"f-{each.id}", json.dumps(forged), world.at))
        world.play(TICK_S)
    assert {name for name, _ in world.refreshed} == set(NAMES)
    assert [row["good"] for row in world.asked(EACH_RUN)] == [True]
    assert world.asked(NEVER_ENDED) + world.asked(FAILED) == []
