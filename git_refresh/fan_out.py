"""Fan-out (`FAN_OUT=queue`): the timer queues slices, and the queue function refreshes each slice.

A failed slice is not retried, because the next run starts within minutes and would fail the same way.
A slice whose worker crashed is retried only once, because the slice itself might have caused the crash.
None of these messages reaches the poison queue.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol
from uuid import uuid4

from git_refresh.failures.diagnosis import DiagnosisContext, diagnose, finding, noted
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Clock, SystemClock
from git_refresh.model.schedule import interval, late_by, next_run_after
from git_refresh.model.values import Problem
from git_refresh.output.log import RedactingLogger, log_to_platform
from git_refresh.run.errors import failure_of, raise_failure
from git_refresh.run.ports import ClaimResult, SliceClaims
from git_refresh.run.refresh import lateness, refresh
from git_refresh.run.report import Report, log_dispatch, log_message, log_queued
from git_refresh.run.slices import Message, UnreadableMessageError, messages, read_message
from git_refresh.settings.functions_host import ENDING_S, read_storage
from git_refresh.settings.load import Settings, SettingsError, load

MIN_SLICE_SECONDS = 30.0
"""A slice with less time does not start. Equals the minimum of `REFRESH_TIMEOUT_SECONDS`."""

MAX_CLOCK_SKEW_SECONDS = 10.0
"""Assumed maximum clock difference between two instances."""

COLD_START_S = 15.0
"""Assumed time from queueing a message to the start of a new worker."""

MIN_GAP = timedelta(seconds=COLD_START_S + MIN_SLICE_SECONDS + ENDING_S + MAX_CLOCK_SKEW_SECONDS)
"""Minimum time between two runs. With less, slices expire before they start."""

ABANDON_AT_DELIVERY = 3
"""Delivery count at which a slice is abandoned. Must be less than `maxDequeueCount` in host.json."""


def dispatch(
    environ: Mapping[str, str], schedule_status: Mapping[str, object] | None, *, past_due: bool = False
) -> list[str]:
    """Return one message for each slice of the workspace list, and log the dispatch.

    Raises:
        RunFailedError: the settings are invalid, so no slice could run.
    """
    logger = RedactingLogger()
    log_to_platform()
    queued: list[Message] = []

    def queue_slices() -> None:
        now = SystemClock().now()
        settings = load(environ)
        storage = read_storage(environ)
        if isinstance(storage, Problem):
            raise SettingsError([storage])
        until = next_run_after(now, schedule_status, environ.get("REFRESH_SCHEDULE"))
        run_id = str(uuid4())
        found = messages(settings, run_id, until)
        problems = lateness(late_by(now, schedule_status), past_due=past_due)
        log_dispatch(run_id, len(found), len(settings.entries), until, problems, logger)
        for message in found:
            log_queued(message.slice, message.valid_until, message.workspaces, logger)
        queued.extend(found)

    raise_failure(failure_of(queue_slices, logger), logger)
    return [message.text() for message in queued]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of a queue message. `id` identifies the message; `count` includes this delivery."""

    text: str
    id: str
    count: int

    @classmethod
    def of(cls, message: "QueueMessage") -> "Delivery":
        """Return the delivery of a message from the Functions worker. A missing count is 1."""
        text = message.get_body().decode(errors="replace")
        return cls(text, message.id or "", message.dequeue_count or 1)


class QueueMessage(Protocol):
    """The part of `azure.functions.QueueMessage` that the app reads."""

    @property
    def id(self) -> str | None: ...
    @property
    def dequeue_count(self) -> int | None: ...
    def get_body(self) -> bytes: ...


def refresh_slice(environ: Mapping[str, str], delivery: Delivery) -> None:
    """Refresh one slice for the queue function, and raise if anything failed. Always logs.

    Raises:
        RunFailedError: something failed. The text is one line without secrets.
    """
    logger = RedactingLogger()
    log_to_platform()
    raise_failure(_refresh_slice(environ, delivery, logger, SystemClock()), logger)


def _refresh_slice(
    environ: Mapping[str, str], delivery: Delivery, logger: RedactingLogger, clock: Clock
) -> str:
    """Return the failure, or ""."""
    began = clock.monotonic()
    try:
        message = read_message(delivery.text)
    except UnreadableMessageError as error:
        log_message(None, finding("message_unreadable", DiagnosisContext(), why=error), logger)
        return ""
    due = next_run_after(
        clock.now() + timedelta(seconds=MAX_CLOCK_SKEW_SECONDS), None, environ.get("REFRESH_SCHEDULE")
    )
    until = min(message.valid_until, due)  # a message can shorten its slice's time, never extend it
    named = {**message.slice.as_dict(), "until": f"{until:%H:%M:%S} UTC"}
    log = partial(log_message, message.slice, logger=logger)
    if _seconds_left(until, clock) < MIN_SLICE_SECONDS:
        log(finding("slice_too_late", DiagnosisContext(), **named))
        return ""
    claim = _Claim(environ, logger, message, delivery, clock)
    try:
        match claim.begin():
            case ClaimResult.ANOTHERS:
                log(finding("slice_duplicate", DiagnosisContext(), **named), ok=True)
                return ""
            case ClaimResult.ENDED:
                log(finding("slice_already_completed", DiagnosisContext(), **named), ok=True)
                return ""
            case ClaimResult.AGAIN if delivery.count >= ABANDON_AT_DELIVERY:
                found = finding("slice_abandoned", DiagnosisContext(), **named, times=delivery.count - 1)
                log(found, result="failed")
                # Raise only if the claim records the end. Otherwise, redelivery would continue up to the poison queue.
                return str(found) if claim.end() else ""

        def budget(seconds: float) -> float:
            left = min(seconds - (clock.monotonic() - began), _seconds_left(until, clock))
            return max(left, 1.0)

        failure = _run(environ, message, logger, clock, due=due, notes=claim.problems, budget=budget)
        # Raise only if the claim records the end. Otherwise, redelivery would run the slice twice.
        return failure if claim.end() else ""
    finally:
        claim.close()


def _log_not_listed(message: Message, settings: Settings, logger: RedactingLogger) -> None:
    """Log the workspaces of a message that the list does not contain, compared as the log shows them."""
    listed = {logger.redact_text(entry.name) for entry in settings.entries}
    others = [name for name in message.workspaces if logger.redact_text(name) not in listed]
    if others:
        found = finding("workspace_not_listed", DiagnosisContext(), count=len(others))
        log_message(message.slice, found, logger, ok=True, names=others)


def _run(
    environ: Mapping[str, str],
    message: Message,
    logger: RedactingLogger,
    clock: Clock,
    *,
    due: datetime,
    notes: Sequence[Problem],
    budget: Callable[[float], float],
) -> str:
    """Refresh the workspaces that are in both the message and the list. Return the failure, or ""."""
    from git_refresh import app  # noqa: PLC0415  # SDKs that the timer function does not need

    def run() -> Report | None:
        settings = load(environ)
        _log_not_listed(message, settings, logger)
        mine = settings.only(message.workspaces)
        if not mine.entries:
            return None
        mine = replace(mine, timeout_s=budget(mine.timeout_s))
        with closing(app.connect(mine, environ, logger, clock)) as clouds:
            return refresh(
                clouds.settings,
                clouds,
                clouds.deadline,
                logger=logger,
                next_run=due,
                interval=interval(clock.now(), due, environ.get("REFRESH_SCHEDULE")),
                slice_=message.slice,
                notes=notes,
                threads=clouds.threads,
            )

    return failure_of(run, logger, message.slice)


class _Claim:
    """The claim of a message on its slice. If storage fails, the slice runs without it, with a warning."""

    def __init__(
        self,
        environ: Mapping[str, str],
        logger: RedactingLogger,
        message: Message,
        delivery: Delivery,
        clock: Clock,
    ) -> None:
        self.problems: list[Problem] = []
        self._of = (message.slice, message.fingerprint, delivery.id)
        self._delivery = delivery
        self._claims: SliceClaims | None = None
        from git_refresh import app  # noqa: PLC0415  # see above

        try:
            self._claims = app.claims(environ, logger, clock)
        except SettingsError as error:
            self.problems += error.problems
        except Exception as error:  # noqa: BLE001  # a bug must not stop the other workspaces
            self.problems.append(noted("FAN_OUT", diagnose(error, DiagnosisContext())))

    def begin(self) -> ClaimResult:
        """Claim the slice. If storage fails, treat a second delivery as the result of a crash."""
        again = ClaimResult.AGAIN if self._delivery.count > 1 else ClaimResult.OURS
        if self._claims is None:
            return again
        try:
            return self._claims.begin(*self._of)
        except ServiceError as error:
            self.problems.append(noted("FAN_OUT", diagnose(error, DiagnosisContext())))
            return again

    def end(self) -> bool:
        """Record the end of the slice. Return False if that failed."""
        if self._claims is None:
            return False
        try:
            self._claims.end(*self._of)
        except ServiceError:
            return False
        return True

    def close(self) -> None:
        if self._claims is not None:
            self._claims.close()


def _seconds_left(until: datetime, clock: Clock) -> float:
    """Return the seconds left for a slice. It must end before the next run updates the same folders."""
    return (until - clock.now()).total_seconds() - ENDING_S - MAX_CLOCK_SKEW_SECONDS
