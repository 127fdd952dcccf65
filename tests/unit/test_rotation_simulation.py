"""Simulated rotations: after any fault, concurrency or kill, the fleet can authenticate.

The app's own steps and decisions run; the vault, the workspace and time are simulated.
"""

import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from git_refresh.admin.rotation.decide import MAX_OAUTH_SECRETS
from git_refresh.admin.rotation.report import SecretReport
from git_refresh.admin.rotation.work import is_refusal
from git_refresh.admin.values import tags_of
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceFailure
from tests.support.examples import as_often_as
from tests.support.rotation_world import (
    CLIENT_ID,
    FAULTS,
    FLEET,
    HOSTS,
    NAME,
    PLACE,
    PRINCIPAL,
    VAULT,
    CrashError,
    Lies,
    Turns,
    World,
    rotate,
    rotation,
)

faults = st.dictionaries(st.integers(1, 24), st.sampled_from(FAULTS), max_size=3)
pauses = st.sampled_from([0.0, 0.001, 0.5, 1.5, 380.0])


def world(*, lag: float = 0.0, delay: float = 0.0, more: int = 0) -> World:
    """Return a world with a manually stored secret, and further unknown ones."""
    made = World(lag=lag, delay=delay)
    made.by_hand(stored=True)
    for _ in range(more):
        made.by_hand(days=700)
    made.wait(0.01)
    return made


def assert_sound(world: World) -> None:
    assert world.broken == []
    assert len(world.secrets) <= MAX_OAUTH_SECRETS
    held = [each.id for each in world.secrets.values() if world.latest.value.endswith(f"-{each.id}")]
    assert held, "what is stored has been deleted"


def settle(world: World) -> None:
    """Rotate without faults, like the pipeline: the state settles, and leftovers are reported."""
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
    assert {each.id for each in report.unmanaged} == {
        each.id
        for each in world.secrets.values()
        if each.id not in named and (each.expires_at or world.clock.now()) > world.clock.now()
    }
    if [error.code for error in report.errors] != ["oauth_secret_limit_near"]:
        assert report.errors == ()
        assert world.works(world.latest.value)
        assert decision.expires_at is not None
        assert decision.expires_at - world.clock.now() > timedelta(days=60)
        second = world.latest.version.created_on
        latest = {each.version.names(CLIENT_ID) for each in world.stored if each.version.created_on == second}
        assert named & world.secrets.keys() <= latest, (
            "of ours only those are left that may be the one in use"
        )


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
        assert len(it.secrets) < MAX_OAUTH_SECRETS or len(it.secrets) <= before, (
            "the fifth is left to somebody in need"
        )
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


# Lying services

clocks = st.sampled_from([0.0, 0.0, 1.05, 800.0, -1.05, -800.0, None])
lies = st.builds(
    Lies,
    sign_ins=st.dictionaries(
        st.sampled_from(HOSTS), st.sampled_from(["accepts", "rejects", "hangs"]), max_size=4
    ),
    creation=st.sampled_from(["", "", "value", "id", "known", "soon"]),
    listing=st.sampled_from(["", "", "hides", "adds", "aged", "ended", "short"]),
    machine=st.sampled_from([0.0, 1.05, 800.0, -1.05, -800.0]),
)


@st.composite
def one_liar_at_a_time(draw: st.DrawFn) -> Lies:
    """Return lies with one of the two relevant clocks right, because each service can forge its own."""
    drawn = draw(lies)
    if draw(st.booleans()):
        return replace(drawn, databricks=draw(clocks))
    return replace(drawn, listing="", vault=draw(clocks))


def judged(it: World, run: Callable[[], object]) -> None:
    """Run, and check that honest workspaces that accept the secret still accept it."""
    worked = it.works(it.latest.value)
    ended = it.latest.version.expires_on
    with contextlib.suppress(CrashError):
        run()
    assert it.broken == []
    assert len(it.secrets) <= MAX_OAUTH_SECRETS
    if worked and it.answering and (ended is None or ended > it.clock.now()):
        assert it.works(it.latest.value), "an honest workspace is locked out"


def comes_to_rest(it: World) -> None:
    """Without lies, a few calls lead to a working secret or to a task for an admin."""
    it.lies = Lies()
    for _ in range(4):
        it.begin()
        judged(it, lambda: rotate(it, target=FLEET))
        it.wait(1.5)
    it.begin()
    report, decision = rotation(it, target=FLEET).plan()
    assert decision is not None
    assert not decision.acts
    if [error.code for error in report.errors] != ["oauth_secret_limit_near"]:
        assert report.errors == ()
        assert it.works(it.latest.value)


@given(
    runs=st.lists(
        st.tuples(
            one_liar_at_a_time(),
            st.booleans() | st.dictionaries(st.integers(1, 40), st.sampled_from(FAULTS), max_size=2),
            pauses,
        ),
        min_size=1,
        max_size=6,
    ),
    more=st.integers(0, 2),
)
@as_often_as(400)
def test_no_false_response_locks_a_workspace_out(
    runs: list[tuple[Lies, bool | dict[int, str], float]], more: int
) -> None:
    it = world(more=more)
    for drawn, how, days in runs:
        it.lies = drawn
        it.begin(how if isinstance(how, dict) else None)
        allowed = frozenset(HOSTS) if how is True else frozenset[str]()
        judged(it, partial(rotate, it, target=FLEET, allowed=allowed))
        it.wait(days)
    comes_to_rest(it)


@given(
    order=st.lists(st.integers(0, 1), max_size=80),
    drawn=one_liar_at_a_time(),
    faults=st.dictionaries(st.integers(1, 60), st.sampled_from(FAULTS), max_size=2),
    pause=pauses,
)
@example(order=[1] * 12, drawn=Lies(creation="known"), faults={}, pause=0.0)
@as_often_as(150)
def test_no_false_response_to_two_at_once_locks_a_workspace_out(
    order: list[int], drawn: Lies, faults: dict[int, str], pause: float
) -> None:
    it = world()
    for _ in range(2):
        it.lies = drawn
        it.begin(faults)
        turns = Turns(order, 2)
        it.turn = turns.wait
        judged(it, partial(turns.run, [partial(rotate, it, target=FLEET)] * 2))
        it.turn = lambda: None
        it.wait(pause)
    comes_to_rest(it)


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
def test_any_failed_request_is_harmless_with_a_previous_secret_to_delete(number: int, fault: str) -> None:
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


def test_a_late_store_keeps_its_secret_even_if_a_second_attempt_is_refused() -> None:
    it = world()
    it.begin({13: "late", 16: "refused"})
    report = rotate(it)
    assert [error.code for error in report.errors] == ["new_secret_not_visible"]
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


def test_a_later_call_deletes_a_previous_secret_only_after_a_day() -> None:
    it = world()
    rotate(it)
    first = it.latest.version.names(CLIENT_ID)
    it.wait(700)
    report = rotate(it)
    assert [(each.id, each.action) for each in report.previous] == []
    it.wait(0.9)
    report = rotate(it)
    assert [(each.id, each.action) for each in report.previous] == [(first, "kept")]
    it.wait(0.2)
    report = rotate(it)
    assert [(each.id, each.action) for each in report.previous] == [(first, "deleted")]
    assert first not in it.secrets


def test_the_new_one_has_the_life_and_the_scopes_of_the_old_one() -> None:
    it = World()
    it.by_hand(scopes=("all-apis", "sql"), stored=True)
    rotate(it)
    new = it.secrets["secret-2"]
    assert new.scopes == ("all-apis", "sql")
    lives = it.clock.now() + timedelta(days=40)
    it.secrets["secret-2"] = replace(new, expires_at=lives)
    it.stored[-1] = replace(it.latest, version=replace(it.latest.version, expires_on=lives))
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


def test_a_secret_with_a_lost_response_counts_before_it_is_listed() -> None:
    it = world(more=2)
    it.list_lag = 8.0
    it.begin({11: "lost"})
    report = rotate(it)
    assert len(it.secrets) == 4, "the fifth is left to somebody in need"
    assert report.action == "failed"
    it.wait(0.01)
    it.begin()
    assert [error.code for error in rotate(it).errors] == ["oauth_secret_limit_near"]


# The secret in use, whatever the tags


def twice_rotated() -> tuple[World, str, str]:
    """Return a world whose first managed secret can be deleted, because the second is old enough."""
    it = world()
    rotate(it)
    first = it.latest.version.names(CLIENT_ID) or ""
    it.wait(700)
    rotate(it)
    second = it.latest.version.names(CLIENT_ID) or ""
    it.wait(2)
    return it, first, second


def kept(report: SecretReport) -> dict[str, str]:
    return {each.id: each.reason for each in report.previous if each.action == "kept"}


def renewed(it: World, first: str) -> None:
    """Return a world whose first secret is valid for long, so deleting it would be a loss."""
    it.secrets[first] = replace(it.secrets[first], expires_at=it.clock.now() + timedelta(days=500))


def test_a_secret_that_a_vault_copy_names_is_reported_and_not_deleted() -> None:
    it, first, second = twice_rotated()
    it.url = "https://restored.vault.azure.net"
    it.wait(400)
    report = rotate(it, within=365)  # the copy's own, because the second stays current in the first vault
    assert report.action == "rotated"
    it.wait(2)
    report = rotate(it)
    assert report.previous == ()
    assert {first, second} <= it.secrets.keys()
    assert {each.note.code for each in report.unmanaged if each.id == second} == {"unproven_oauth_secret"}
    it.url = VAULT
    assert_sound(it)


def test_a_version_without_a_tag_is_reported_and_not_deleted() -> None:
    it = world()
    made = it.by_hand(days=300)
    it.put(made, {"made-by": "databricks-git-refresh"} | named(made))
    rotate(it, within=365)
    it.wait(2)
    report = rotate(it)
    assert made in it.secrets
    assert [each.note.code for each in report.unmanaged if each.id == made] == ["unproven_oauth_secret"]


def named(secret_id: str) -> dict[str, str]:
    return {"databricks-secret-id": secret_id, "databricks-client-id": CLIENT_ID}


@pytest.mark.parametrize("tags", [{}, {"made-by": "somebody"}])
def test_a_value_that_was_copied_to_another_name_without_its_tags_stays(tags: dict[str, str]) -> None:
    it, first, _ = twice_rotated()
    renewed(it, first)
    it.put(first, tags, "other")
    _, decision = rotation(it).plan()
    assert decision is not None
    assert not decision.acts
    report = rotate(it)
    assert kept(report) == {first: 'it is in use: "other" has its value'}
    it.put(it.latest.version.names(CLIENT_ID) or "", {}, "other")
    assert [each.action for each in rotate(it).previous] == ["deleted"]
    assert_sound(it)


def test_a_former_value_that_was_stored_again_under_the_latest_tags_stays() -> None:
    it, first, _ = twice_rotated()
    renewed(it, first)
    it.put(first, it.latest.version.tags)
    it.wait(2)
    report = rotate(it)
    assert kept(report) == {first: f'it is in use: "{NAME}" has its value'}
    assert_sound(it)


def test_what_cannot_be_compared_stays() -> None:
    it, first, second = twice_rotated()
    renewed(it, first)
    it.put(second, {}, "other")
    it.unreadable = {"other"}
    assert kept(rotate(it)) == {first: 'it might be in use as "other", which cannot be read'}
    it.unreadable = {next(each.version.id for each in it.stored if each.version.names(CLIENT_ID) == first)}
    assert kept(rotate(it)) == {first: "it might be in use: the version that names it cannot be read"}
    it.unreadable = set()
    assert [each.action for each in rotate(it).previous] == ["deleted"]


def test_every_version_that_names_a_former_one_is_compared() -> None:
    it, first, second = twice_rotated()
    renewed(it, first)
    it.stored.insert(
        1, replace(it.stored[1], value=f"dose-{second}")
    )  # the tags of the first, the value of the latest
    assert kept(rotate(it)) == {first: f'it is in use: "{NAME}" has its value'}


# No single source is trusted


def fleet(**lies: Any) -> World:
    it = world()
    it.lies = Lies(**lies)
    return it


def codes(report: SecretReport) -> list[str]:
    return [error.code for error in report.errors]


def test_a_new_one_that_one_workspace_rejects_is_stored_nowhere() -> None:
    it = fleet()
    _, decision = rotation(it, target=FLEET).plan()
    assert decision is not None
    it.lies = Lies(creation="value", sign_ins={HOSTS[0]: "accepts", HOSTS[2]: "accepts", HOSTS[3]: "hangs"})
    report = rotation(it, target=FLEET, allowed=frozenset(HOSTS)).apply(decision)
    assert codes(report) == ["new_secret_rejected"]
    assert [(each.host, each.result) for each in report.not_signed_in] == [
        (HOSTS[1], "rejected"),
        (HOSTS[3], "unreachable"),
    ]
    assert "store" not in it.log
    assert list(it.secrets) == ["secret-1"], "the new one is deleted again"
    assert [what.split()[0] for what in report.steps] == ["created", "deleted"]


def test_an_unreachable_workspace_prevents_a_new_secret() -> None:
    it = fleet(sign_ins={HOSTS[2]: "hangs"})
    report = rotate(it, target=FLEET)
    assert (report.action, codes(report)) == ("failed", ["new_secret_untried"])
    assert "create" not in it.log
    assert [(each.host, each.result) for each in report.not_signed_in] == [(HOSTS[2], "unreachable")]


def test_a_workspace_unreachable_after_creation_has_the_new_secret_deleted() -> None:
    it = fleet()
    _, decision = rotation(it, target=FLEET).plan()
    assert decision is not None
    it.begin(dict.fromkeys([*range(9, 10), *range(13, 60)], "not_done"))
    report = rotation(it, target=FLEET).apply(decision)
    assert codes(report) == ["new_secret_untried"]
    assert "store" not in it.log


def test_without_an_allowed_workspace_the_previous_secret_stays() -> None:
    it = fleet()
    rotate(it, target=FLEET)
    first = it.latest.version.names(CLIENT_ID)
    it.wait(675)
    it.lies = Lies(sign_ins={HOSTS[2]: "hangs"})
    report = rotate(it, target=FLEET, allowed=frozenset({HOSTS[2]}))
    assert (report.action, codes(report)) == ("rotated", [])
    assert [(each.host, each.result) for each in report.not_signed_in] == [(HOSTS[2], "unreachable")]
    it.wait(2)
    report = rotate(it, target=FLEET, allowed=frozenset(HOSTS))
    assert [(each.id, each.action) for each in report.previous] == [(first, "kept")]
    assert HOSTS[2] in report.previous[0].reason
    it.lies = Lies()
    report = rotate(it, target=FLEET)
    assert [(each.id, each.action) for each in report.previous] == [(first, "deleted")]


def test_where_none_can_be_reached_none_is_stored_whatever_is_allowed() -> None:
    it = fleet(sign_ins=dict.fromkeys(HOSTS, "hangs"))
    report = rotate(it, target=FLEET, allowed=frozenset(HOSTS))
    assert (codes(report), "create" in it.log) == (["new_secret_untried"], False)


def test_any_workspace_that_rejects_the_current_secret_makes_rotation_due() -> None:
    it = fleet(sign_ins={HOSTS[3]: "rejects"})
    report, decision = rotation(it, within=10, target=FLEET).plan()
    assert decision is not None
    assert decision.create
    assert HOSTS[3] in report.reason


def test_an_id_that_is_there_already_is_not_deleted_again() -> None:
    it = fleet()
    rotate(it, target=FLEET)
    it.wait(700)
    it.lies = Lies(creation="known")
    report = rotate(it, target=FLEET)
    assert codes(report) == ["new_secret_unexpected"]
    assert "delete" not in it.log
    assert it.works(it.latest.value)


def test_a_new_secret_that_expires_earlier_than_requested_is_deleted() -> None:
    it = fleet(creation="soon")
    report = rotate(it, target=FLEET)
    assert codes(report) == ["new_secret_unexpected"]
    assert (list(it.secrets), "store" in it.log) == (["secret-1"], False)
    it.wait(400)
    assert codes(rotate(it, target=FLEET)) == ["new_secret_unexpected"], (
        "also where the current one has expired"
    )
    it.lies = Lies()
    assert codes(rotate(it, target=FLEET, lifetime=timedelta(days=7))) == []


def test_a_false_expiry_of_the_current_secret_shortens_no_new_one() -> None:
    it = fleet()
    rotate(it, target=FLEET)
    it.wait(1.5)
    it.lies = Lies(listing="short")
    rotate(it, target=FLEET)
    assert it.works(it.latest.value)
    ends = it.latest.version.expires_on
    assert ends is not None
    assert ends - it.clock.now() > timedelta(days=700)


@pytest.mark.parametrize(
    ("more", "gone"),
    [
        ({}, True),
        ({"machine": -800.0}, True),
        ({"vault": 0.5, "databricks": 0.5}, True),
        ({"vault": None}, False),
        ({"databricks": None}, False),
        ({"vault": -0.5}, False),
        ({"databricks": -0.5}, False),
    ],
)
def test_a_previous_secret_is_deleted_once_both_services_show_a_day_passed(
    more: dict[str, Any],
    gone: bool,  # noqa: FBT001
) -> None:
    it, first, _ = twice_rotated()
    renewed(it, first)
    it.wait(-0.7)
    it.lies = Lies(**more)
    report = rotate(it)
    assert [(each.id, each.action) for each in report.previous] == [(first, "deleted" if gone else "kept")]


@pytest.mark.parametrize(
    "more",
    [{"machine": 1.05}, {"machine": 800.0}, {"vault": 800.0}, {"databricks": 800.0}, {"listing": "aged"}],
)
def test_no_clock_deletes_a_former_one_before_its_day_has_passed(more: dict[str, Any]) -> None:
    it, first, _ = twice_rotated()
    renewed(it, first)
    it.wait(-1.5)
    it.lies = Lies(**more)
    report = rotate(it, within=1)
    assert first in it.secrets
    assert "delete" not in it.log
    assert [(each.id, each.action) for each in report.previous][:1] == [(first, "kept")]


def test_one_that_has_expired_goes_whatever_is_unproven_and_makes_room() -> None:
    it, first, _ = twice_rotated()
    it.wait(400)
    it.by_hand(days=700)
    assert len(it.secrets) == MAX_OAUTH_SECRETS - 1, "no room for a new one"
    it.lies = Lies(sign_ins={HOSTS[2]: "hangs"}, machine=-10.0)
    report = rotate(it, within=400, target=FLEET)
    assert [(each.id, each.action) for each in report.previous] == [(first, "deleted")]
    report = rotate(it, within=400, target=FLEET, allowed=frozenset({HOSTS[2]}))
    assert (report.action, codes(report)) == ("rotated", [])


@pytest.mark.parametrize("more", [{"vault": None}, {"vault": -60.0}, {"databricks": -60.0}])
def test_one_of_which_a_service_does_not_say_that_it_has_expired_stays(more: dict[str, Any]) -> None:
    it, first, _ = twice_rotated()
    it.wait(40)
    it.lies = Lies(sign_ins={HOSTS[2]: "hangs"}, machine=800.0, **more)
    report = rotate(it, target=FLEET)
    assert [(each.id, each.action) for each in report.previous] == [(first, "kept")]


def test_one_that_only_the_list_says_has_expired_stays() -> None:
    it, first, _ = twice_rotated()
    renewed(it, first)
    it.lies = Lies(sign_ins={HOSTS[2]: "hangs"}, listing="ended")
    report = rotate(it, target=FLEET)
    assert [(each.id, each.action) for each in report.previous] == [(first, "kept")]


def test_an_allegedly_expired_secret_stays_where_only_it_signs_in() -> None:
    it, first, _ = twice_rotated()
    it.wait(40)
    renewed(it, first)
    it.secrets.pop(it.latest.version.names(CLIENT_ID) or "")
    it.lies = Lies(sign_ins={HOSTS[0]: "accepts"}, listing="ended")
    report, decision = rotation(it, target=FLEET).plan()
    assert decision is not None
    assert decision.delete == ()
    assert [(each.id, each.reason) for each in report.previous] == [
        (first, f"it is still valid at {HOSTS[1]} and 2 more workspaces")
    ]


# Small differences with an effect


def test_what_was_not_approved_is_not_deleted() -> None:
    it, first, _ = twice_rotated()
    _, decision = rotation(it).plan()
    assert decision is not None
    assert [each.id for each in decision.delete] == [first]
    report = rotation(it).apply(replace(decision, delete=()))
    assert kept(report) == {first: "it was not in the plan"}
    assert first in it.secrets


def test_a_version_that_reads_back_with_another_value_is_not_seen() -> None:
    it = world()
    real = it._put

    def spoil(value: str, *arguments: Any) -> Any:
        stored = real(value, *arguments)
        it.stored[-1] = replace(it.stored[-1], value="something else")
        return stored

    it._put = spoil  # type: ignore[assignment,method-assign]
    report = rotate(it)
    assert [error.code for error in report.errors] == ["new_secret_not_visible"]


def test_a_stored_secret_that_appears_late_is_not_called_unclaimed() -> None:
    it = world(lag=40)
    report = rotate(it)
    assert [error.code for error in report.errors] == ["new_secret_not_visible"]
    new = it.latest.version.names(CLIENT_ID)
    assert new in it.secrets
    assert new not in {each.id for each in report.unmanaged}
    assert "delete" not in report.errors[0].remedy


def test_a_refused_secret_that_could_not_be_deleted_is_reported() -> None:
    it = world()
    it.begin({13: "refused", 15: "trouble"})
    report = rotate(it)
    (new,) = it.made_here
    assert new in {each.id for each in report.unmanaged}


def test_another_admin_s_version_of_the_same_second_has_replaced_ours() -> None:
    it = world()
    real, other = it._put, it.by_hand(days=700)

    def both(value: str, ends: Any, tags: Any, name: str = NAME) -> Any:
        stored = real(value, ends, tags, name)
        real(f"dose-{other}", ends, tags_of(other, CLIENT_ID, PLACE), name)
        return stored

    it._put = both  # type: ignore[assignment,method-assign]
    report = rotate(it)
    assert (report.action, report.errors) == ("rotated", ())
    first, second = it.stored[-2].version, it.stored[-1].version
    assert first.created_on == second.created_on


def test_a_principal_that_is_let_in_and_not_allowed_to_keeps_its_secret() -> None:
    it = world()
    it.begin({5: "refused"})
    report, decision = rotation(it, within=10).plan()
    assert decision is not None
    assert not decision.acts
    assert [(each.result, each.error.code) for each in report.not_signed_in] == [
        ("unreachable", "not_in_workspace")
    ]


@pytest.mark.parametrize(
    ("kind", "status", "refused"),
    [
        (FailureKind.ANSWER, 400, True),
        (FailureKind.ANSWER, 403, True),
        (FailureKind.ANSWER, 408, False),
        (FailureKind.ANSWER, 429, True),
        (FailureKind.ANSWER, 500, False),
        (FailureKind.ANSWER, 503, False),
        (FailureKind.OUT_OF_TIME, None, True),
        (FailureKind.NOT_SENT, None, True),
        (FailureKind.CONNECT_TIMEOUT, None, True),
        (FailureKind.TIMEOUT, None, False),
        (FailureKind.RESET, None, False),
        (FailureKind.UNEXPECTED, 200, False),
    ],
)
def test_what_was_certainly_not_done(kind: FailureKind, status: int | None, refused: bool) -> None:  # noqa: FBT001
    assert (
        is_refusal(ServiceFailure(Service.KEY_VAULT, Operation.STORE_SECRET.of("x"), kind, status)) is refused
    )
    assert is_refusal(ServiceFailure(Service.AZURE_CLI, Operation.GET_TOKEN.of("x"), FailureKind.TIMEOUT))


def test_a_new_secret_that_is_rejected_has_the_reason_and_the_wait() -> None:
    it = world(delay=200)
    (error,) = rotate(it).errors
    assert error.code == "new_secret_rejected"
    assert "returned 401 invalid_client" in error.cause
    waited = re.search(r"within (\d+) seconds", error.message)
    assert waited is not None
    assert 80 <= int(waited[1]) <= 100

    it = world(delay=200)
    _, decision = rotation(it).plan()
    assert decision is not None
    it.begin(dict.fromkeys(range(7, 60), "blocked"))
    report = rotation(it).apply(decision)
    assert [error.code for error in report.errors] == ["new_secret_untried"]
    (each,) = report.not_signed_in
    assert "Source IP" not in each.error.cause, "no text of a service"
    assert "ip-access-lists" in each.error.remedy


@pytest.mark.parametrize(("left", "made"), [(100.0, False), (140.0, False), (170.0, True)])
def test_none_is_made_that_could_not_be_stored_in_time(left: float, made: bool) -> None:  # noqa: FBT001
    it = world()
    _, decision = rotation(it).plan()
    assert decision is not None
    report = rotation(it, seconds=left).apply(decision)
    assert ("create" in it.log) is made
    assert [error.code for error in report.errors] == ([] if made else ["out_of_time"])


def test_where_no_room_is_all_are_named_and_one_that_has_ended_goes_first() -> None:
    it = world(more=2)
    ended = it.by_hand(days=-5)
    (error,) = rotate(it).errors
    assert error.code == "oauth_secret_limit_near"
    for each in it.secrets.values():
        assert (
            f"{each.id} (expire{'d' if each.id == ended else 's'} on {each.expires_at:%Y-%m-%d})"
            in error.message
        )
    assert error.remedy.endswith(f"delete {PRINCIPAL} {ended}")
    assert "DATABRICKS_HOST=https://adb-1.1.azuredatabricks.net databricks" in error.remedy


def test_without_an_end_it_says_that_nothing_was_done() -> None:
    it = World()
    made = it.by_hand()
    it._put(f"dose-{made}", None, {})
    (error,) = rotate(it).errors
    assert (error.code, error.message) == (
        "secret_without_expiration",
        "The secret was not rotated: it has no expiration date.",
    )


# Other names with the same service principal


def test_a_secret_that_an_untagged_name_might_hold_is_not_called_unclaimed() -> None:
    it = world(more=1)
    hand = "secret-2"
    it.put(hand, {}, "other")
    report = rotate(it)
    notes = {each.id: each.note for each in report.unmanaged}
    assert {note.code for note in notes.values()} == {"untagged_oauth_secret"}
    assert '"other" has no tag' in notes[hand].cause
    it.put(hand, named(hand), "other")
    report = rotate(it)
    assert hand not in {each.id for each in report.unmanaged}
    assert {each.note.code for each in report.unmanaged} == {"unknown_oauth_secret"}


def test_a_secret_stored_meanwhile_under_another_name_is_not_unclaimed() -> None:
    it = world(more=1)
    it.put("secret-2", {}, "other")
    target = replace(rotation(it).target, name="new")
    report = rotation(it, target=target).issue()
    assert report.action == "rotated"
    assert {each.note.code for each in report.unmanaged} == {"untagged_oauth_secret"}
    assert it.others["new"][-1].version.tags["databricks-stored-as"] == "contoso.vault.azure.net/new"


def test_the_secret_of_another_principal_is_reported_and_left() -> None:
    it = world()
    other = "5a1e0000-0000-4000-8000-00000000000f"
    it.put("secret-1", tags_of("secret-9", other, PLACE))
    report = rotate(it)
    assert "create" not in it.log
    (error,) = report.errors
    assert error.code == "secret_of_another_principal"
    assert other in error.message


def test_a_new_one_lives_as_long_as_is_asked_for() -> None:
    it = world()
    _, decision = rotation(it, lifetime=timedelta(days=180)).plan()
    assert decision is not None
    rotation(it, lifetime=timedelta(days=180)).apply(decision)
    new = it.secrets["secret-2"]
    assert new.expires_at is not None
    assert new.created_at is not None
    assert new.expires_at - new.created_at == timedelta(days=180)
