"""The timer and the queue's function with `FAN_OUT=queue`: processed messages, and failed invocations."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.functions.queue import QueueMessage
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from git_refresh import app, fan_out
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.fan_out import Delivery, dispatch, refresh_slice
from git_refresh.model.values import Problem, Slice
from git_refresh.output.log import MAX_LINE_CHARS, RedactingLogger
from git_refresh.run.errors import RunFailedError
from git_refresh.run.report import Report
from git_refresh.run.slices import Message, read_message
from git_refresh.settings.load import Settings
from tests.support.examples import as_often_as
from tests.support.fakes import NOW, FakeClock, unconnected
from tests.support.slices import RUN, FakeClaims, entry

SECRET = "dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48"
ENVIRON = {
    "WORKSPACES": json.dumps([entry(1), entry(2)]),
    "FAN_OUT": "queue",
    "AzureWebJobsStorage__accountName": "stcontoso",
}
"""Without a schedule, the next run is always due in fifteen minutes."""


@dataclass
class Stage:
    """The queue's function with fake claims and a configurable run."""

    claims: FakeClaims
    caplog: pytest.LogCaptureFixture
    ran: list[tuple[list[str], dict[str, Any]]] = field(default_factory=list)
    result: str = "ok"
    error: BaseException | None = None
    text: str = field(default_factory=lambda: message().text())
    """The text of the only message, because another text would have another claim."""

    def run(self, settings: Settings, *_: object, **given: Any) -> Report:
        self.ran.append(([each.name for each in settings.entries], {**given, "settings": settings}))
        if self.error:
            raise self.error
        problems = (Problem("data-1", "is not well"),) if self.result == "failed" else ()
        report = Report(RUN, datetime.now(UTC), 0.0, False, "ok", (), problems, (), given["slice_"])
        return replace(report, result="failed") if self.result == "failed" else report

    def deliver(
        self, text: str | None = None, *, id_: str = "m1", count: int = 1, **environ: str
    ) -> tuple[str, list[dict[str, Any]]]:
        """Return the exception's text and the log lines."""
        self.caplog.clear()
        raised = ""
        try:
            refresh_slice({**ENVIRON, **environ}, Delivery(text or self.text, id_, count))
        except RunFailedError as error:
            raised = str(error)
        return raised, [json.loads(line) for line in self.caplog.messages]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Stage:
    caplog.set_level(logging.INFO, "git_refresh")
    made = Stage(FakeClaims(), caplog)
    monkeypatch.setattr(app, "claims", lambda *_: made.claims)
    monkeypatch.setattr(app, "connect", unconnected)
    monkeypatch.setattr(fan_out, "refresh", made.run)
    return made


def message(*, minutes: float = 15.0, names: tuple[str, ...] = ("data-1", "data-2")) -> Message:
    until = datetime.now(UTC) + timedelta(minutes=minutes)
    return Message(Slice(RUN, 1, 3), until.replace(microsecond=0), names)


def test_the_timer_says_into_how_many_slices_it_cuts_and_names_each_one_s(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "git_refresh")
    entries = [*(entry(number) for number in range(120)), {"host": "http://x"}]
    found = [read_message(text) for text in dispatch({**ENVIRON, "WORKSPACES": json.dumps(entries)}, None)]
    line, *queued = [json.loads(each) for each in caplog.messages]
    assert (line["event"], line["slices"], line["workspaces"]) == ("git_refresh.dispatch", 3, 121)
    assert [
        (
            each["event"],
            each["run_id"],
            each["slice"],
            each["slices"],
            each["valid_until"],
            tuple(each["names"]),
        )
        for each in queued
    ] == [
        ("git_refresh.queued", line["run_id"], each.slice.number, 3, line["valid_until"], each.workspaces)
        for each in found
    ]
    assert {each.slice.run_id for each in found} == {line["run_id"]}
    assert sorted(each.slice.number for each in found) == [1, 2, 3]
    assert {f"{each.valid_until:%Y-%m-%dT%H:%M:%SZ}" for each in found} == {line["valid_until"]}
    assert sum(len(each.workspaces) for each in found) == 121
    assert found[0].valid_until > datetime.now(UTC)


@pytest.mark.parametrize("letter", ["\N{GRINNING FACE}", "\N{IDEOGRAPHIC SPACE}", "\ue000", '"', "\\", "é"])
@pytest.mark.parametrize("bytes_", [200, 800, 2_400])
def test_the_timer_s_lines_have_room_for_the_longest_names(
    letter: str, bytes_: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "git_refresh")
    letters = min(196, bytes_ // len(json.dumps(letter)[1:-1]))
    entries = [entry(number, name=f"{number:03}{letter * letters}x") for number in range(120)]
    dispatch({**ENVIRON, "WORKSPACES": json.dumps(entries)}, None)
    queued = [json.loads(each) for each in caplog.messages][1:]
    assert sum(len(each["names"]) for each in queued) == 120
    assert {each["names_omitted"] for each in queued} == {0}
    assert max(map(len, caplog.messages)) <= MAX_LINE_CHARS
    shown = {RedactingLogger().redact_text(str(each["name"])) for each in entries}
    assert {name for each in queued for name in each["names"]} == shown, (
        "as the workspaces' own lines have it"
    )


def test_two_runs_have_two_ids() -> None:
    ids = {read_message(text).slice.run_id for _ in range(2) for text in dispatch(ENVIRON, None)}
    assert len(ids) == 2


BAD = {
    "no list": ({"WORKSPACES": "["}, "WORKSPACES: is not valid JSON"),
    "no queue": ({"AzureWebJobsStorage__accountName": ""}, "AzureWebJobsStorage: is missing"),
    "a queue that cannot be read": (
        {"AzureWebJobsStorage": SECRET},
        "AzureWebJobsStorage: is not a connection string",
    ),
}


@pytest.mark.parametrize(("environ", "said"), BAD.values(), ids=BAD)
def test_settings_that_allow_no_run_raise_as_without_a_queue(
    environ: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "git_refresh")
    with pytest.raises(RunFailedError, match="No workspace was refreshed") as raised:
        dispatch({**ENVIRON, **environ}, None)
    (line,) = [json.loads(each) for each in caplog.messages]
    assert (line["event"], line["result"]) == ("git_refresh.run", "failed")
    assert said in str(raised.value)
    assert said in line["problems"][0]
    assert SECRET not in f"{raised.value} {line}"


@pytest.mark.parametrize("where", ["load", "messages", "next_run_after"])
def test_an_internal_error_in_the_timer_still_logs_its_line(
    where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RecursionError(SECRET)

    monkeypatch.setattr(fan_out, where, fail)
    with pytest.raises(RunFailedError, match="internal_error: RecursionError") as raised:
        dispatch(ENVIRON, None)
    (line,) = [json.loads(each) for each in caplog.messages]
    assert line["event"] == "git_refresh.run"
    assert SECRET not in f"{raised.value} {line}"


def test_a_slice_is_refreshed_with_the_code_of_a_run(stage: Stage) -> None:
    sent = message(names=("data-2",))
    raised, lines = stage.deliver(sent.text())
    assert (raised, lines) == ("", [])
    ((names, given),) = stage.ran
    assert names == ["data-2"]
    assert given["slice_"] == sent.slice
    assert abs(given["next_run"] - sent.valid_until) < timedelta(minutes=1)
    assert list(given["notes"]) == []
    assert stage.claims.closed == 1


def test_a_slice_ends_before_the_next_run_begins(stage: Stage) -> None:
    stage.deliver(message(minutes=4).text())
    stage.deliver(message(minutes=60).text(), id_="m2")
    (_, short), (_, whole) = stage.ran
    assert 200 < short["settings"].timeout_s <= 225
    assert 539 < whole["settings"].timeout_s <= 540


@pytest.mark.parametrize("minutes", [-60, 0, 0.5])
def test_a_late_message_is_dropped_with_one_line_and_no_failure(stage: Stage, minutes: float) -> None:
    raised, (line,) = stage.deliver(message(minutes=minutes).text())
    assert (raised, stage.ran, stage.claims.held) == ("", [], {})
    assert (line["event"], line["result"], line["code"]) == (
        "git_refresh.message_skipped",
        "dropped",
        "slice_too_late",
    )
    assert (line["run_id"], line["slice"], line["slices"]) == (RUN, 1, 3)


@pytest.mark.parametrize("text", ["x", '{"version": 9}', "[1]"])
def test_an_unreadable_message_is_dropped_with_one_line_and_no_failure(stage: Stage, text: str) -> None:
    raised, (line,) = stage.deliver(text)
    assert (raised, stage.ran) == ("", [])
    assert (line["event"], line["result"], line["code"]) == (
        "git_refresh.message_skipped",
        "dropped",
        "message_unreadable",
    )
    assert line["slice"] is None


def test_a_slice_in_which_something_failed_is_red_and_not_done_twice(stage: Stage) -> None:
    stage.result = "failed"
    raised, _ = stage.deliver()
    assert "is not well" in raised
    raised, (line,) = stage.deliver(count=2)
    assert (raised, line["code"], line["result"]) == ("", "slice_already_completed", "dropped")
    assert len(stage.ran) == 1


class WorkerDiedError(BaseException):
    """An exception that no `except` in the app catches, like a kill."""


def dies(stage: Stage, deliver: Callable[[], object]) -> None:
    stage.error = WorkerDiedError()
    with pytest.raises(WorkerDiedError):
        deliver()
    stage.error = None


def test_a_slice_of_a_dead_worker_is_retried(stage: Stage) -> None:
    dies(stage, stage.deliver)
    assert stage.deliver(count=2) == ("", [])
    assert len(stage.ran) == 2


def test_a_slice_that_kills_its_worker_is_given_up_red_and_never_poison(stage: Stage) -> None:
    dies(stage, stage.deliver)
    dies(stage, lambda: stage.deliver(count=2))
    raised, (line,) = stage.deliver(count=3)
    assert "slice_abandoned: Slice 1 of 3 was abandoned: its worker exited 2 times." in raised
    assert (line["event"], line["result"], line["code"]) == (
        "git_refresh.message_skipped",
        "failed",
        "slice_abandoned",
    )
    assert stage.deliver(count=4)[0] == ""
    assert len(stage.ran) == 2


def test_the_same_slice_on_the_queue_twice_is_done_once(stage: Stage) -> None:
    dies(stage, stage.deliver)  # or is still running
    raised, (line,) = stage.deliver(id_="m2")
    assert (raised, line["code"], len(stage.ran)) == ("", "slice_duplicate", 1)
    stage.deliver(count=2)
    assert stage.deliver(id_="m2")[1][0]["code"] == "slice_already_completed"


DENIED = ServiceError(
    ServiceFailure(
        Service.STORAGE, Operation.CLAIM_SLICE.of("1 of 3"), FailureKind.ANSWER, 403, "AuthorizationFailure"
    )
)


def test_without_a_claim_the_slice_is_refreshed_all_the_same_and_says_so(stage: Stage) -> None:
    stage.claims.failure = DENIED
    raised, _ = stage.deliver()
    assert raised == ""
    ((_, given),) = stage.ran
    (told,) = given["notes"]
    assert str(told).startswith(
        "FAN_OUT: claim_denied: Could not claim slice 1 of 3: Azure Storage returned 403 AuthorizationFailure."
    )


def test_without_a_claim_a_failing_slice_logs_its_line_and_is_not_retried(stage: Stage) -> None:
    stage.claims.failure, stage.result = DENIED, "failed"
    assert stage.deliver()[0] == "", "a red one would come again"
    assert len(stage.ran) == 1


def test_without_a_claim_a_dead_worker_s_slice_is_retried_then_abandoned(
    stage: Stage,
) -> None:
    stage.claims.failure = DENIED
    dies(stage, stage.deliver)
    dies(stage, lambda: stage.deliver(count=2))
    raised, (line,) = stage.deliver(count=3)
    assert (raised, line["code"], line["result"]) == ("", "slice_abandoned", "failed")
    assert len(stage.ran) == 2


def test_a_mistake_of_this_app_in_its_claims_does_not_cost_the_slice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AttributeError(SECRET)

    monkeypatch.setattr(app, "claims", fail)
    assert stage.deliver() == ("", [])
    ((_, given),) = stage.ran
    assert "FAN_OUT: internal_error: AttributeError" in str(given["notes"][0])
    assert SECRET not in str(given["notes"][0])


def test_a_storage_that_the_settings_no_longer_name_is_said_by_the_slice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(app, "connect", unconnected)
    monkeypatch.setattr(fan_out, "refresh", stage.run)
    raised, _ = stage.deliver(AzureWebJobsStorage__accountName="")
    assert raised == ""
    assert "AzureWebJobsStorage: is missing" in str(stage.ran[0][1]["notes"][0])


def test_settings_that_broke_between_timer_and_slice_are_its_failure_once(stage: Stage) -> None:
    raised, (line,) = stage.deliver(WORKSPACES="[")
    assert "No workspace was refreshed: the app settings are invalid. WORKSPACES: is not valid JSON" in raised
    assert (line["event"], line["run_id"], line["slice"], line["slices"]) == ("git_refresh.run", RUN, 1, 3)
    assert line["result"] == "failed"
    assert stage.deliver(count=2, WORKSPACES="[")[1][0]["code"] == "slice_already_completed"


def test_an_internal_error_in_a_slice_still_logs_its_line(stage: Stage) -> None:
    stage.error = MemoryError(SECRET)
    raised, (line,) = stage.deliver()
    assert "internal_error: MemoryError" in raised
    assert (line["event"], line["slice"]) == ("git_refresh.run", 1)
    assert SECRET not in f"{raised} {line}"


def test_names_that_are_not_in_the_list_are_said_and_no_failure(stage: Stage) -> None:
    raised, (line,) = stage.deliver(message(names=("data-9", "data-1")).text())
    ((names, _),) = stage.ran
    assert (raised, names) == ("", ["data-1"])
    assert (line["event"], line["code"], line["names"]) == (
        "git_refresh.message_skipped",
        "workspace_not_listed",
        ["data-9"],
    )


def test_no_name_reads_in_the_log_as_one_of_the_list_that_it_is_not(stage: Stage) -> None:
    listed = "a\\u3000b"
    workspaces = json.dumps([entry(1, name=listed), entry(2)])
    _, lines = stage.deliver(message(names=("a\u3000b", "b")).text(), WORKSPACES=workspaces)
    assert listed not in [name for line in lines for name in line["names"]]


def test_a_message_of_which_no_name_is_in_the_list_is_no_run(stage: Stage) -> None:
    raised, (line,) = stage.deliver(message(names=("nobody",)).text())
    assert (raised, stage.ran) == ("", [])
    assert (line["code"], line["result"], line["names"]) == ("workspace_not_listed", "dropped", ["nobody"])


@pytest.mark.parametrize(
    "forged",
    [
        {"workspaces": ["nobody"]},
        {"workspaces": ["data-1"]},
        {"workspaces": ["data-2", "data-1"]},
        {"valid_until": (datetime.now(UTC) + timedelta(minutes=2)).isoformat()},
        {"slices": 4},
    ],
)
def test_another_message_under_a_slice_s_number_leaves_the_slice_to_do(
    stage: Stage, forged: dict[str, Any]
) -> None:
    real = message().text()
    stage.deliver(json.dumps({**json.loads(real), **forged}), id_="forged")
    stage.ran.clear()
    assert stage.deliver(real) == ("", [])
    assert [names for names, _ in stage.ran] == [["data-1", "data-2"]]


QUARTERS = "0 */15 * * * *"


@pytest.fixture
def at_seven_past(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Set the time to 12:07 for the app and the test."""
    clock = FakeClock(7 * 60.0)
    monkeypatch.setattr(fan_out, "SystemClock", lambda: clock)
    return clock.now()


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        (timedelta(minutes=2), 105),
        (timedelta(minutes=8), 465),
        (timedelta(minutes=20), 465),
        (timedelta(days=400), 465),
        (datetime.max.replace(tzinfo=UTC) - NOW - timedelta(hours=1), 465),
    ],
)
def test_a_message_s_time_can_shorten_what_the_schedule_gives_and_no_more(
    stage: Stage, at_seven_past: datetime, until: timedelta, seconds: int
) -> None:
    given = json.loads(message().text()) | {"valid_until": (at_seven_past + until).isoformat()}
    assert stage.deliver(json.dumps(given), REFRESH_SCHEDULE=QUARTERS) == ("", [])
    ((_, ran),) = stage.ran
    assert ran["settings"].timeout_s == seconds
    assert ran["next_run"] == NOW + timedelta(minutes=15), "a token is judged by the schedule alone"


@pytest.mark.parametrize("until", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
@pytest.mark.usefixtures("at_seven_past")
def test_a_message_of_any_year_before_is_too_late(stage: Stage, until: str) -> None:
    text = json.dumps({**json.loads(message().text()), "valid_until": until})
    raised, (line,) = stage.deliver(text, REFRESH_SCHEDULE=QUARTERS)
    assert (raised, line["code"], stage.ran) == ("", "slice_too_late", [])


@pytest.mark.parametrize("seconds", [-10.0, -1.0, 0.0, 1.0])
def test_a_worker_with_a_slow_clock_begins_a_slice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    clock = FakeClock(seconds)
    monkeypatch.setattr(fan_out, "SystemClock", lambda: clock)
    sent = replace(message(), valid_until=NOW + timedelta(minutes=15))
    assert stage.deliver(sent.text(), REFRESH_SCHEDULE=QUARTERS) == ("", [])
    assert len(stage.ran) == 1


@pytest.mark.parametrize("body", [None, b"", b"\xff\xfe", b"\xed\xa0\x80", b"{}", "\0".encode("utf-16")])
def test_an_odd_queue_message_is_dropped_as_unreadable(stage: Stage, body: bytes | None) -> None:
    delivery = Delivery.of(QueueMessage(body=body))  # type: ignore[no-untyped-call]
    assert (delivery.id, delivery.count) == ("", 1)
    refresh_slice(ENVIRON, delivery)
    assert [json.loads(line)["code"] for line in stage.caplog.messages] == ["message_unreadable"]


def test_a_queue_message_without_an_id_or_a_count_is_worked_on(stage: Stage) -> None:
    bare = QueueMessage(body=message().text(), insertion_time="soon")  # type: ignore[no-untyped-call]
    refresh_slice(ENVIRON, Delivery.of(bare))
    assert len(stage.ran) == 1


NAMES = st.lists(
    st.sampled_from(["data-1", "data-2", "nobody", "", "data-1 ", "DATA-1"]) | st.text(max_size=8)
)
ODD_VALUES: st.SearchStrategy[Any] = (
    st.sampled_from(
        [
            *(
                None,
                True,
                0,
                -1,
                1,
                2,
                3,
                7,
                100_000,
                100_001,
                2**63,
                10**400,
                1.0,
                float("inf"),
                float("nan"),
            ),
            *(RUN, RUN.upper(), "", "x", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.9999999-14:00"),
            *("0001-01-01T00:00:00+14:00", "2026-11-25", "2026-11-25T24:00:00Z", "-1", "1e400"),
            *([], {}, [[]], [None], ["data-1"] * 1_001, ["x" * 2_001], "[" * 5_000),
        ]
    )
    | NAMES
    | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
    | st.timedeltas(timedelta(days=-1), timedelta(days=1)).map(
        lambda away: (datetime.now(UTC) + away).isoformat()
    )
)
KEYS = ["version", "run_id", "slice", "slices", "valid_until", "workspaces"]
ODD_CHANGES = st.dictionaries(st.sampled_from([*KEYS, "$x", "id", "dequeueCount"]), ODD_VALUES, max_size=3)
LIKELY_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "run_id": st.uuids().map(str),
        "slice": st.integers(1, 4),
        "slices": st.integers(2, 9),
        "valid_until": st.integers(-60, 3_000).map(
            lambda seconds: (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        ),
        "workspaces": NAMES.filter(bool),
        "$AzureWebJobsParentId": st.text(max_size=3),
    },
)
CHANGES = LIKELY_CHANGES | LIKELY_CHANGES | ODD_CHANGES
CUTS: st.SearchStrategy[list[tuple[int, int, bytes]]] = st.just([]) | st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 40), st.binary(max_size=4)), max_size=2
)
"""Positions, lengths and bytes of replacements."""


def mutated(changes: dict[str, Any], cuts: list[tuple[int, int, bytes]]) -> str:
    """Return a message like the timer's with these changes."""
    body = json.dumps({**json.loads(message().text()), **changes}).encode()
    for place, length, by in cuts:
        body = body[:place] + by + body[place + length :]
    return body.decode(errors="replace")


DROPPED = {
    "message_unreadable",
    "slice_too_late",
    "slice_already_completed",
    "slice_duplicate",
    "slice_abandoned",
}


def hold_any_message_harmless(stage: Stage, text: str, count: int) -> set[str]:
    """Deliver a message, check that its effects are harmless, and return the codes in its lines."""
    stage.ran.clear()
    raised, lines = stage.deliver(text or " ", count=count)
    codes = {line["code"] for line in lines}
    assert raised == "" or codes == {"slice_abandoned"}
    assert {line["event"] for line in lines} <= {"git_refresh.message_skipped"}
    assert codes <= DROPPED | {"workspace_not_listed"}
    assert bool(codes & DROPPED) + len(stage.ran) <= 1
    assert codes or stage.ran
    for names, ran in stage.ran:
        assert names
        assert set(names) <= {"data-1", "data-2"}
        assert ran["slice_"].number <= ran["slice_"].total
        assert 1 <= ran["settings"].timeout_s <= 540
        assert timedelta() < ran["next_run"] - datetime.now(UTC) < timedelta(minutes=16)
    return codes or {"ran"}


@as_often_as(200, suppressed=[HealthCheck.function_scoped_fixture])
@given(CHANGES, CUTS, st.integers(1, 6))
def test_no_message_brings_about_more_than_a_refresh_of_what_is_listed(
    stage: Stage, changes: dict[str, Any], cuts: list[tuple[int, int, bytes]], count: int
) -> None:
    hold_any_message_harmless(stage, mutated(changes, cuts), count)
