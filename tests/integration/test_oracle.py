"""The fuzzer's oracle detects violations: each promise is broken on purpose once."""

import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from git_refresh.run.errors import RunFailedError
from tests.support.oracle import LONGEST_LINE, Outcome, broken

SECRET = "0123456789+/abcdefghijKLMNOP"
ERROR = {"code": "timeout", "message": "m", "cause": "c", "remedy": "r"}
NAMES = ("data-1", "data-2", "data-3")


def _line(**fields: Any) -> str:
    return json.dumps({"event": "git_refresh.workspace", "result": "ok", "failures": [], **fields})


RUN = _line(event="git_refresh.run", name=None)
FINE = [_line(name=name) for name in NAMES]
FAILED = _line(name="data-2", result="failed", failures=[{"location": "data-2", **ERROR}])


def _printed(whole: str = "ok", /, **second: Any) -> str:
    workspaces: list[dict[str, Any]] = [
        {"name": name, "result": "ok", "folders": [], "error": None} for name in NAMES
    ]
    workspaces[1] |= second
    return json.dumps({"result": whole, "workspaces": workspaces})


GOOD = Outcome((*FINE, RUN), _printed())
BAD = Outcome(
    (FINE[0], FAILED, FINE[2], RUN),
    _printed("failed", result="failed", error=ERROR),
    RunFailedError("2 of 3 workspaces"),
)


@pytest.mark.parametrize("outcome", [GOOD, BAD])
def test_it_finds_nothing_where_nothing_is(outcome: Outcome) -> None:
    assert broken(outcome, [SECRET]) == []


def _with_line(line: str) -> Outcome:
    return replace(GOOD, lines=(*FINE, line))


def _leaks(text: str) -> dict[str, Outcome]:
    return {
        "in a line": _with_line(_line(event="git_refresh.run", problems=[text])),
        "in the report": replace(GOOD, printed=_printed(name=text)),
        "in the exception": replace(BAD, raised=RunFailedError(text)),
        "in its cause": replace(BAD, raised=_caused(text)),
        "elsewhere": replace(GOOD, words=text),
    }


def _caused(text: str) -> RunFailedError:
    error = RunFailedError("x")
    error.__context__ = ValueError(text)
    return error


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        SECRET[5:17],
        SECRET.upper(),
        SECRET.lower(),
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"git-refresh:{SECRET}".encode()).decode(),
    ],
)
def test_it_finds_a_secret(text: str) -> None:
    for place, outcome in _leaks(f"before {text} behind").items():
        assert [line for line in broken(outcome, [SECRET]) if line.startswith("secrets: ")], place


PLANTED: dict[str, tuple[Outcome, str]] = {
    "a run past its budget": (replace(GOOD, took_s=6.1, budget_s=1.0), "budget"),
    "a workspace left behind": (replace(GOOD, stale=("data-3",)), "others"),
    "another exception": (replace(BAD, raised=ValueError("x")), "ending"),
    "a failure that is not raised": (replace(BAD, raised=None), "ending"),
    "a success that is raised": (replace(GOOD, raised=RunFailedError("x")), "ending"),
    "no report": (replace(GOOD, printed=""), "ending"),
    "a thread that died": (replace(GOOD, lost=("a thread died",)), "ending"),
    "no run line": (replace(GOOD, lines=tuple(FINE)), "lines"),
    "two run lines": (replace(GOOD, lines=(*FINE, RUN, RUN)), "lines"),
    "a workspace without a line": (replace(GOOD, lines=(*FINE[:2], RUN)), "lines"),
    "a line that is too long": (_with_line(_line(event="git_refresh.run", x="x" * LONGEST_LINE)), "lines"),
    "a line that is no JSON": (_with_line("Traceback"), "lines"),
    "a line with NaN": (_with_line(_line(event="git_refresh.run", x=float("nan"))), "lines"),
    "a line with a key twice": (
        _with_line('{"event": "git_refresh.run", "event": "git_refresh.run"}'),
        "lines",
    ),
    "a line that is not ASCII": (_with_line('{"event": "git_refresh.run", "x": "é"}'), "lines"),
    "a line that is two": (_with_line(RUN.replace(" ", "\n", 1)), "lines"),
    "a line that cannot be encoded": (_with_line('{"event": "git_refresh.run", "x": "\ud800"}'), "encodable"),
    "a report that cannot be encoded": (replace(GOOD, printed=_printed(name="\ud800")), "printed"),
    "a report that is unbounded": (replace(GOOD, printed=_printed(name="x" * 9000)), "printed"),
    "a report that is printed in other than ASCII": (
        replace(GOOD, printed=_printed().replace("data-1", "dätä-1"), printed_is_final=True),
        "printed",
    ),
    "an exception of two lines": (replace(BAD, raised=RunFailedError("a\nb")), "exception"),
    "an exception with an escape": (replace(BAD, raised=RunFailedError("\x1b[31m")), "exception"),
    "an exception with a bidi mark": (replace(BAD, raised=RunFailedError("\u202e")), "exception"),
    "an exception with a separator": (replace(BAD, raised=RunFailedError("\u2028")), "exception"),
    "an exception that is too long": (replace(BAD, raised=RunFailedError("x" * 9000)), "exception"),
    "a mistake of ours": (replace(GOOD, words="internal_error"), "mistakes"),
    "a traceback": (replace(GOOD, words="Traceback (most recent call last):"), "mistakes"),
    "a failure without a code in the report": (
        replace(BAD, printed=_printed("failed", result="failed")),
        "reasons",
    ),
    "a failure without a code in the line": (
        replace(BAD, lines=(FINE[0], _line(name="data-2", result="failed"), FINE[2], RUN)),
        "reasons",
    ),
}


@pytest.mark.parametrize(("outcome", "rule"), PLANTED.values(), ids=PLANTED)
def test_it_finds(outcome: Outcome, rule: str) -> None:
    assert [line for line in broken(outcome, [SECRET]) if line.startswith(f"{rule}: ")]
