"""From a symptom to what it means: a stable code, the cause, and what to type."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from git_refresh.redact import shown
from git_refresh.service import Symptom
from git_refresh.symptoms import OWN, TABLE, UNKNOWN, Row


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A failure as reports show it; the same four keys everywhere."""

    code: str
    message: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the run knows around a failure, to fill into the texts. All of it may be shown."""

    host: str = "the workspace's host"
    vault: str = "KEY_VAULT_URL"
    secret: str = "client_secret_name"  # noqa: S105  # the name of a setting
    client_id: str = "client_id"
    principal: str = "the service principal"
    object_id: str = "OBJECT_ID"
    organization: str = "ORGANIZATION"
    project: str = "PROJECT"
    repository: str = "the repository"
    url: str = "its url"
    path: str = "the path"
    ref: str = "The branch or tag"


def explain(symptom: Symptom, facts: Facts) -> Diagnosis:
    """Diagnose a failed call. Nothing of an answer's text is let out but file names of a conflict."""
    row = next((row for row in TABLE if _fits(row, symptom)), UNKNOWN)
    return _filled(
        row, _what_happened(symptom), facts, {"service": str(symptom.service), "files": _files(symptom)}
    )


def own(code: str, message: str, facts: Facts) -> Diagnosis:
    """The diagnosis of something that the app has found by itself."""
    row = next(row for row in OWN if row.code == code)
    return _filled(row, message, facts, {})


def out_of_time(facts: Facts) -> Diagnosis:
    """The diagnosis of what was not begun, or not waited for, when the run's time was over."""
    row = next(row for row in TABLE if row.code == "out_of_time")
    return _filled(row, "The run's time was over before this was done.", facts, {})


def internal(error: Exception, facts: Facts) -> Diagnosis:
    """The diagnosis of a mistake in this app. The exception's text could hold anything and is left out; its place cannot."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}" if frame else ""
    return own("internal_error", f"{type(error).__name__}{place}.", facts)


def _fits(row: Row, symptom: Symptom) -> bool:
    return (
        (not row.service or symptom.service in row.service)
        and (not row.kind or symptom.kind in row.kind)
        and (not row.status or symptom.status in row.status)
        and (not row.error_code or re.fullmatch(row.error_code, symptom.error_code) is not None)
        and (not row.pattern or re.search(row.pattern, symptom.message) is not None)
        and (not row.operation or re.match(row.operation, symptom.operation) is not None)
    )


_KINDS = {
    "dns": "its host name does not resolve",
    "tls": "its TLS certificate could not be verified",
    "refused": "the connection was refused",
    "reset": "the connection broke off",
    "connect_timeout": "nothing answered there in time",
    "timeout": "no answer came in time",
    "proxy": "the HTTP proxy did not let us through",
    "too_large": "the answer was too large",
    "lapsed": "what it handed out has lapsed",
    "unexpected": "the answer was not what it promises",
    "not_sent": "the request was for another host and was not sent",
}


def _what_happened(symptom: Symptom) -> str:
    if symptom.status is not None and symptom.kind == "answer":
        said = f"{symptom.service} answered {symptom.status} {symptom.error_code}".rstrip()
    else:
        said = f"{symptom.service}: {_KINDS.get(symptom.kind, symptom.kind)}"
    request_id = f" (request id {symptom.request_id})" if symptom.request_id else ""
    return f"Could not {symptom.operation}: {said}{request_id}."


def _files(symptom: Symptom) -> str:
    found = re.search(r"[Cc]onflicting files: ([^\n]{1,2000})", symptom.message)
    return f": {shown(found[1].rstrip('. '))}" if found else ""


def _filled(row: Row, message: str, facts: Facts, more: Mapping[str, str]) -> Diagnosis:
    values = {**asdict(facts), **more}

    def fill(text: str) -> str:
        # Not str.format: what is filled in may hold braces itself, and a text without a value keeps its name.
        return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)

    return Diagnosis(row.code, message, fill(row.cause), fill(row.remedy))
