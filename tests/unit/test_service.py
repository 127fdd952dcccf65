import errno
import json
import os
import socket
from collections.abc import Callable

import pytest
import requests
import urllib3

from git_refresh.clients.connections import AnswerTooLargeError
from git_refresh.clients.retry import Retry, call
from git_refresh.clients.session import LastResponse
from git_refresh.failures.failure import Operation, Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline, current_operation
from git_refresh.output.mask import SecretFilter
from tests.support.fakes import FakeClock


def answered(status: int, body: bytes = b"{}", **headers: str) -> None:
    current_operation().answer = LastResponse(
        status, {key.replace("_", "-"): value for key, value in headers.items()}, body
    )
    raise RuntimeError(f"secret of an SDK: {body!r}")


def symptom_of(
    request: Callable[[], object],
    *,
    repeat: Retry = Retry.IDEMPOTENT,
    clock: FakeClock | None = None,
    budget: float = 60,
    secrets: SecretFilter | None = None,
) -> ServiceFailure:
    clock = clock or FakeClock()
    with pytest.raises(ServiceError) as caught:
        call(
            Service.DATABRICKS,
            Operation.READ_JOB.of(),
            request,
            deadline=Deadline.after(budget, clock),
            secrets=secrets or SecretFilter(),
            repeat=repeat,
        )
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "secret" not in str(caught.value) + repr(caught.value.failure)
    return caught.value.failure


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"error_code": "GIT_CONFLICT", "message": "Conflict"}', "GIT_CONFLICT", "Conflict"),
        (
            b'{"error": "invalid_client", "error_description": "Client authentication failed"}',
            "invalid_client",
            "Client authentication failed",
        ),
        (
            b'{"error": {"code": "Forbidden", "message": "m", "innererror": {"code": "ForbiddenByRbac"}}}',
            "ForbiddenByRbac",
            "m",
        ),
        (b'{"error": {"code": "SecretNotFound", "message": "m"}}', "SecretNotFound", "m"),
        (
            b'{"typeKey": "GitRepositoryNotFoundException", "message": "TF401019: no"}',
            "GitRepositoryNotFoundException",
            "TF401019: no",
        ),
        (
            b'\xef\xbb\xbf{"typeKey": "VssServiceException", "message": "TF24668: no"}',
            "VssServiceException",
            "TF24668: no",
        ),
        (b'{"count": 1, "value": {"Message": "TF400813: no"}}', "", "TF400813: no"),
        (b'{"count": 0, "value": []}', "", ""),
        (b'{"value": {"Message": 5}}', "", ""),
        (
            b'{"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "detail": "Group with id 7 is not found", "status": "404"}',
            "",
            "Group with id 7 is not found",
        ),
        (b'{"message": null, "detail": "m"}', "", "m"),
        (b"\xef\xbb\xbfINVALID_STATE: no", "INVALID_STATE", "INVALID_STATE: no"),
        (b"INVALID_STATE: no", "INVALID_STATE", "INVALID_STATE: no"),
        (b"<html>no</html>", "", "<html>no</html>"),
        (b"\xff\xfe", "", "\ufffd\ufffd"),
        (b"[1]", "", ""),
        (b'{"error_code": 5, "message": ["x"]}', "", ""),
        (b'{"error_code": "what is this secret", "message": "m"}', "", "m"),
        (b"", "", ""),
    ],
)
def test_every_service_s_error_is_read(body: bytes, code: str, message: str) -> None:
    failure = symptom_of(lambda: answered(404, body, X_Request_Id="req-1"))
    assert (failure.kind, failure.status, failure.error_code, failure.message) == (
        "answer",
        404,
        code,
        message,
    )
    assert failure.request_id == "req-1"


def test_what_only_the_header_of_azure_devops_says_is_read() -> None:
    said = "TF400813%3A%20The%20user%20%27%27%20is%20not%20authorized."
    failure = symptom_of(lambda: answered(401, b"", X_TFS_ServiceError=said))
    assert failure.message == "TF400813: The user '' is not authorized."
    assert symptom_of(lambda: answered(401, b'{"message": "m"}', X_TFS_ServiceError=said)).message == "m"
    long = symptom_of(lambda: answered(401, b"", X_TFS_ServiceError="%41" * 1_000_000)).message
    assert len(long) <= 16 * 1024


TOKEN = "dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48"


def test_nothing_that_is_kept_of_an_error_repeats_what_was_sent() -> None:
    body = json.dumps({"error_code": TOKEN[:20], "message": f"not with {TOKEN}, please"}).encode()
    failure = symptom_of(
        lambda: answered(403, body, X_Request_Id=TOKEN[9:], Location=f"/login?hint={TOKEN}"),
        secrets=SecretFilter([TOKEN]),
    )
    assert (failure.error_code, failure.request_id) == ("", "")
    assert failure.message == "*** not with *** please"


def test_of_an_error_only_so_much_is_kept_as_is_looked_at() -> None:
    long = "x " * 1_000_000
    bodies = (json.dumps({"message": long}).encode(), json.dumps({"error": {"message": long}}).encode())
    for body in (*bodies, long.encode()):
        assert len(symptom_of(lambda body=body: answered(404, body)).message) <= 16 * 1024  # type: ignore[misc]
    assert len(symptom_of(lambda: answered(404, b"", Location=long)).message) <= 17 * 1024

    def request() -> None:
        raise requests.ConnectionError(long)

    assert len(symptom_of(request).message) <= 4096


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise ValueError("secret")


def test_an_exception_that_cannot_say_what_it_is_is_read_all_the_same() -> None:
    def request() -> None:
        raise UnspeakableError

    assert symptom_of(request).kind == "unexpected"


def test_a_chain_of_exceptions_is_followed_to_a_bound_and_in_no_circle() -> None:
    looked: list[int] = []

    class LinkError(Exception):
        @property
        def reason(self) -> Exception:
            looked.append(1)
            return LinkError()

    circle = RuntimeError()
    circle.args = (circle, circle)

    def request() -> None:
        raise LinkError

    def around() -> None:
        raise circle

    assert symptom_of(request).kind == symptom_of(around).kind == "unexpected"
    assert len(looked) <= 50


def test_a_reason_is_found_below_others_that_are_named_more_than_once() -> None:
    error: Exception = ConnectionRefusedError()
    for _ in range(10):
        wrapped, error = error, RuntimeError()
        error.args = (wrapped, wrapped)
        error.__cause__ = wrapped

    def request() -> None:
        raise error

    assert symptom_of(request).kind == "refused"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_lack_of_descriptors_is_recognized_in_any_wrapper(number: int) -> None:
    def request() -> None:
        raise requests.ConnectionError(urllib3.exceptions.ProtocolError("aborted", OSError(number, "full")))

    assert symptom_of(request).kind == "descriptors"


def test_a_failed_name_look_up_without_descriptors_is_recognized(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def request() -> None:
        raise requests.ConnectionError(socket.gaierror(-3, "Temporary failure in name resolution"))

    assert symptom_of(request).kind == "dns"

    def full(*_: object) -> int:
        raise OSError(errno.EMFILE, "full")

    monkeypatch.setattr(os, "open", full)
    assert symptom_of(request).kind == "descriptors"


@pytest.mark.parametrize("wanted", ["", "-1", "0.5", "1e9", "\u0661", "9" * 10, "inf", "nan", "soon"])
def test_a_wait_that_is_no_number_of_seconds_is_none(wanted: str) -> None:
    assert symptom_of(lambda: answered(429, retry_after=wanted)).retry_after_s is None


def test_a_truncated_response_is_reported_by_its_cause() -> None:
    """The valid beginning must not be reported as an unexpected response."""
    for error, kind in ((AnswerTooLargeError(), "too_large"), (requests.Timeout(), "timeout")):

        def request(error: Exception = error) -> None:
            current_operation().answer = LastResponse(200, {}, b"{}")
            raise error

        assert symptom_of(request).kind == kind


def test_a_request_id_that_is_none_is_not_shown() -> None:
    assert symptom_of(lambda: answered(404, x_request_id="<script>")).request_id == ""


@pytest.mark.parametrize(("repeat", "attempts"), [(Retry.IDEMPOTENT, 3), (Retry.IF_THROTTLED, 1)])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_passing_failure_is_tried_again_only_where_that_is_safe(
    repeat: Retry, attempts: int, status: int
) -> None:
    tried: list[int] = []

    def request() -> None:
        tried.append(1)
        answered(status)

    symptom_of(request, repeat=repeat)
    assert len(tried) == attempts


@pytest.mark.parametrize(("repeat", "attempts"), [(Retry.IDEMPOTENT, 3), (Retry.IF_THROTTLED, 1)])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"message": "Timed out after 30s"}'),
        (400, b'{"error_code": "BAD_REQUEST", "message": "rpc error: deadline exceeded"}'),
        (408, b""),
    ],
)
def test_an_answer_that_says_it_was_lost_leaves_open_what_was_done(
    repeat: Retry, attempts: int, status: int, body: bytes
) -> None:
    tried: list[int] = []

    def request() -> None:
        tried.append(1)
        answered(status, body)

    failure = symptom_of(request, repeat=repeat)
    assert (len(tried), failure.kind, failure.outcome_unknown) == (attempts, "lost", True)


def test_another_bad_request_was_decided_and_is_not_sent_again() -> None:
    tried: list[int] = []

    def request() -> None:
        tried.append(1)
        answered(400, b'{"message": "no"}')

    failure = symptom_of(request)
    assert (len(tried), failure.kind, failure.outcome_unknown, failure.throttled) == (
        1,
        "answer",
        False,
        False,
    )


@pytest.mark.parametrize(
    ("status", "body"), [(429, b"{}"), (400, b'{"error_code": "REQUEST_LIMIT_EXCEEDED"}')]
)
def test_a_refused_creation_is_tried_again(status: int, body: bytes) -> None:
    clock, tried = FakeClock(), []

    def request() -> str:
        tried.append(1)
        if len(tried) < 2:
            answered(status, body, retry_after="7")
        return "made"

    assert (
        call(
            Service.DATABRICKS,
            Operation.READ_JOB.of(),
            request,
            deadline=Deadline.after(60, clock),
            secrets=SecretFilter(),
            repeat=Retry.IF_THROTTLED,
        )
        == "made"
    )
    assert clock.slept == [7.0]


@pytest.mark.parametrize(("retry_after", "budget"), [("3600", 540.0), ("19", 10.0)])
def test_retry_after_is_not_obeyed_past_patience_or_budget(retry_after: str, budget: float) -> None:
    clock = FakeClock()
    failure = symptom_of(lambda: answered(429, retry_after=retry_after), clock=clock, budget=budget)
    assert clock.slept == []
    assert failure.retry_after_s == float(retry_after)


def test_nothing_is_asked_when_the_time_is_over() -> None:
    tried: list[int] = []
    assert symptom_of(lambda: tried.append(1), budget=0).kind == "out_of_time"
    assert tried == []


def test_a_failure_before_any_response_has_a_kind() -> None:
    def request() -> None:
        raise requests.ConnectionError(ConnectionResetError("secret"))

    assert symptom_of(request).kind == "reset"


def test_a_good_answer_that_cannot_be_read_is_unexpected() -> None:
    assert symptom_of(lambda: answered(200, b"<html>")).kind == "unexpected"


def test_an_answer_that_asks_to_sign_in_says_no() -> None:
    assert symptom_of(lambda: answered(203, b"<html>")).kind == "answer"


def test_an_earlier_answer_does_not_explain_a_later_failure() -> None:
    symptom_of(lambda: answered(404))

    def request() -> None:
        raise requests.ConnectionError(ConnectionRefusedError())

    assert symptom_of(request).status is None


def test_the_inner_failure_of_two_is_reported() -> None:
    def inner() -> None:
        call(
            Service.IDENTITY,
            Operation.GET_TOKEN.of("x"),
            lambda: answered(400),
            deadline=Deadline.after(60, FakeClock()),
            secrets=SecretFilter(),
        )

    assert symptom_of(inner).service is Service.IDENTITY
