"""`FAN_OUT=queue`: the timer puts slices of the list on a queue, and the queue's function refreshes each with the code of a run.

Who tries again? The next run does what has failed: it is minutes away, and a second attempt would meet the same. So a slice in which
something failed is red, but done once. Only a slice whose worker has died is tried again at once, because it is not known how far it came;
twice at most, for a slice may be what kills its worker. The poison queue gets none of these.
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
"""Seconds that a slice needs to be worth beginning; the shortest budget that a run may have."""

MAX_CLOCK_SKEW_SECONDS = 10.0
"""Seconds by which the clocks of two instances may differ."""

START_S = 15.0
"""Seconds until a message has reached a worker that had to be started for it."""

MIN_GAP = timedelta(seconds=START_S + MIN_SLICE_SECONDS + ENDING_S + MAX_CLOCK_SKEW_SECONDS)
"""The shortest time between two runs in which a slice can be begun."""

ABANDON_AT_DELIVERY = 3
"""The delivery at which a message is given up whose worker has died each time. The host's own limit, in host.json, is above it."""


def dispatch(
    environ: Mapping[str, str], schedule_status: Mapping[str, object] | None, *, past_due: bool = False
) -> list[str]:
    """Cut the list into slices, say so in one line, and return the messages, which the platform puts on the queue.

    Raises:
        RunFailedError: the settings are wrong, so that no slice could run.
    """
    logger = RedactingLogger()
    log_to_platform()
    queued: list[Message] = []

    def cut_the_list() -> None:
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

    raise_failure(failure_of(cut_the_list, logger), logger)
    return [message.text() for message in queued]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message, as the queue hands it over: the ID is the same at each delivery, and the count includes this one."""

    text: str
    id: str
    count: int

    @classmethod
    def of(cls, message: "QueueMessage") -> "Delivery":
        """Of the message that the platform's worker passes; what it does not know of it counts as a first delivery."""
        text = message.get_body().decode(errors="replace")
        return cls(text, message.id or "", message.dequeue_count or 1)


class QueueMessage(Protocol):
    """What is read of `azure.functions.QueueMessage`."""

    @property
    def id(self) -> str | None: ...
    @property
    def dequeue_count(self) -> int | None: ...
    def get_body(self) -> bytes: ...


def refresh_slice(environ: Mapping[str, str], delivery: Delivery) -> None:
    """What the queue's function does: refresh a slice, and raise when anything in it failed. Whatever happens, there is one line.

    Raises:
        RunFailedError: something failed; its text is one line for people, without secrets.
    """
    logger = RedactingLogger()
    log_to_platform()
    raise_failure(_refresh_slice(environ, delivery, logger, SystemClock()), logger)


def _refresh_slice(
    environ: Mapping[str, str], delivery: Delivery, logger: RedactingLogger, clock: Clock
) -> str:
    """Why it failed, or nothing."""
    began = clock.monotonic()
    try:
        message = read_message(delivery.text)
    except UnreadableMessageError as error:
        log_message(None, finding("message_unreadable", DiagnosisContext(), why=error), logger)
        return ""
    due = next_run_after(
        clock.now() + timedelta(seconds=MAX_CLOCK_SKEW_SECONDS), None, environ.get("REFRESH_SCHEDULE")
    )
    until = min(message.valid_until, due)  # a message may take time away from its slice, and give it none
    named = {**message.slice.as_dict(), "until": f"{until:%H:%M:%S} UTC"}
    log = partial(log_message, message.slice, logger=logger)
    if _seconds_left(until, clock) < MIN_SLICE_SECONDS:
        log(finding("slice_too_late", DiagnosisContext(), **named))
        return ""
    claims = _Claims(environ, logger, message, delivery, clock)
    try:
        match claims.begin():
            case ClaimResult.ANOTHERS:
                log(finding("slice_duplicate", DiagnosisContext(), **named), ok=True)
                return ""
            case ClaimResult.ENDED:
                log(finding("slice_already_completed", DiagnosisContext(), **named), ok=True)
                return ""
            case ClaimResult.AGAIN if delivery.count >= ABANDON_AT_DELIVERY:
                found = finding("slice_abandoned", DiagnosisContext(), **named, times=delivery.count - 1)
                log(found, result="failed")
                # Without a claim that remembers it, the host would go on until the poison queue has it.
                return str(found) if claims.end() else ""

        def budget(seconds: float) -> float:
            left = min(seconds - (clock.monotonic() - began), _seconds_left(until, clock))
            return max(left, 1.0)

        failure = _run(environ, message, logger, clock, due=due, notes=claims.problems, budget=budget)
        # Red only if the message is dropped when it comes again: else the slice would be done twice. Its run line tells anyway.
        return failure if claims.end() else ""
    finally:
        claims.close()


def _log_not_listed(message: Message, settings: Settings, logger: RedactingLogger) -> None:
    """Log the names that are not in the list, if any. They are compared as the log shows them: none reads there as one of the list."""
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
    """Refresh what a message names and the list has, within what is left of a run's budget; why that failed, or nothing."""
    from git_refresh import app  # noqa: PLC0415  # the SDKs: the timer's function, which only cuts the list, needs none

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


class _Claims:
    """The claim on what a message asks for. Without one the slice is refreshed all the same, and its report says so."""

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
        except Exception as error:  # noqa: BLE001  # a defect must not cost the slice
            self.problems.append(noted("FAN_OUT", diagnose(error, DiagnosisContext())))

    def begin(self) -> ClaimResult:
        """How it stands with the slice. Without a claim too, a message that was delivered before is one whose worker has died."""
        again = ClaimResult.AGAIN if self._delivery.count > 1 else ClaimResult.OURS
        if self._claims is None:
            return again
        try:
            return self._claims.begin(*self._of)
        except ServiceError as error:
            self.problems.append(noted("FAN_OUT", diagnose(error, DiagnosisContext())))
            return again

    def end(self) -> bool:
        """Note that the slice has ended; whether that was possible."""
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
    """How long a slice may take: it has ended when the next run's begins, so that no two of them work on one Git folder."""
    return (until - clock.now()).total_seconds() - ENDING_S - MAX_CLOCK_SKEW_SECONDS
