"""The checks of all output of a run: promises 2, 3, 6 and 7 of the design.

`broken` returns every violation. Lines are parsed again, and secrets are searched in every form.
"""

import json
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.support.planted_secrets import PIECE, everything_raised, pieces

LONGEST_LINE = 32_768
"""Characters: Application Insights truncates a longer message."""
LONGEST_EXCEPTION = 8 * 1024
LONGEST_TEXT = 8 * 1024
"""Characters of a text in the report, which limits quotes of responses."""
LATE_S = 5.0
"""Promise 2: seconds beyond its budget that a run can take."""
INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of control and formatting characters, unpaired surrogates, and line separators."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All output of one run.

    `lines`: the app's log lines.
    `printed`: the report of `run --json`, or "".
    `raised`: the exception of the timer's function.
    `words`: other text: loggers, stdout, stderr.
    `lost`: failures of output, such as unencodable lines and dead threads.
    `printed_is_final`: a process has printed `printed`.
    `debug`: SDKs can log their internal errors.
    `stale`: workspaces without the expected refresh.
    """

    lines: tuple[str, ...]
    printed: str
    raised: BaseException | None = None
    words: str = ""
    lost: tuple[str, ...] = ()
    printed_is_final: bool = False
    debug: bool = False
    took_s: float = 0.0
    budget_s: float = 1.0
    stale: tuple[str, ...] = ()
    names: Collection[str] = field(default=("data-1", "data-2", "data-3"))

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = _strictly(self.printed)
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        events = [_strictly(line) for line in self.lines]
        return [event for event in events if event.get("event") == f"git_refresh.{name}"]


def broken(outcome: Outcome, secrets: Collection[str]) -> list[str]:
    """Return every violation as a line."""
    found = [problem for rule in RULES for problem in _safely(rule, outcome)]
    return found + list(_secrets(outcome, secrets))


def _safely(rule: Callable[[Outcome], Iterator[str]], outcome: Outcome) -> list[str]:
    try:
        return list(rule(outcome))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [f"{rule.__name__.strip('_')}: not even readable: {error!r}"[:300]]


def _budget(outcome: Outcome) -> Iterator[str]:
    if outcome.took_s > outcome.budget_s + LATE_S:
        yield f"budget: it took {outcome.took_s:.1f} s of {outcome.budget_s:.1f} s"


def _others(outcome: Outcome) -> Iterator[str]:
    for name in outcome.stale:
        yield f"others: {name} is not fresh, though another workspace is the hostile one"


def _ending(outcome: Outcome) -> Iterator[str]:
    """Only RunFailedError, exactly if the run failed."""
    if outcome.raised is not None and type(outcome.raised).__name__ != "RunFailedError":
        yield f"ending: tick raised {type(outcome.raised).__name__}"
    if not outcome.printed:
        yield "ending: there is no report"
    elif not outcome.printed_is_final and (outcome.report()["result"] == "failed") != bool(outcome.raised):
        yield f"ending: the report says {outcome.report()['result']!r}, and tick raised {outcome.raised!r}"
    for lost in outcome.lost:
        yield f"ending: {lost[:300]}"


def _lines(outcome: Outcome) -> Iterator[str]:
    """One bounded JSON object in ASCII per line; one line for the run and each workspace."""
    for line in outcome.lines:
        if len(line) >= LONGEST_LINE:
            yield f"lines: one has {len(line)} characters"
        if not line.isascii():
            yield f"lines: not ASCII: {_excerpt(line)}"
        if "\n" in line or "\r" in line:
            yield f"lines: one is several: {_excerpt(line)}"
        try:
            _strictly(line)
        except ValueError as error:
            yield f"lines: no JSON ({error}): {_excerpt(line)}"
    if (runs := len(outcome.events("run"))) != 1:
        yield f"lines: {runs} run lines"
    told = sorted(event["name"] for event in outcome.events("workspace"))
    if told != sorted(outcome.names):
        yield f"lines: there are workspace lines for {told}"


def _printed(outcome: Outcome) -> Iterator[str]:
    """The report is valid JSON; its texts are encodable and bounded."""
    if outcome.printed_is_final and not outcome.printed.isascii():
        yield f"printed: not ASCII: {_excerpt(outcome.printed)}"
    for text in _texts(outcome.report()):
        if len(text) > LONGEST_TEXT:
            yield f"printed: a text of {len(text)} characters: {text[:50]!r}"
        if any(unicodedata.category(character) == "Cs" for character in text):
            yield f"printed: an unpaired surrogate: {_excerpt(text)}"


def _exception(outcome: Outcome) -> Iterator[str]:
    """One line for people, with visible characters only."""
    if outcome.raised is None:
        return
    text = str(outcome.raised)
    if len(text) > LONGEST_EXCEPTION:
        yield f"exception: {len(text)} characters"
    invisible = sorted({hex(ord(found)) for found in text if unicodedata.category(found) in INVISIBLE})
    if invisible:
        yield f"exception: has {invisible[:5]}"


def _mistakes(outcome: Outcome) -> Iterator[str]:
    everywhere = "".join((*outcome.lines, outcome.printed, outcome.words, str(outcome.raised)))
    if "internal_error" in everywhere:
        at = everywhere.index("internal_error")
        yield f"mistakes: internal_error: {everywhere[at : at + 160]!r}"
    if "Traceback (most recent" in outcome.words and not outcome.debug:
        yield f"mistakes: a traceback: {outcome.words[-300:]!r}"


def _reasons(outcome: Outcome) -> Iterator[str]:
    """A failed workspace has a reason in the report and in its line."""
    for found in outcome.report()["workspaces"]:
        failed = [folder["error"] for folder in found["folders"] if folder["action"] == "failed"]
        codes = [error["code"] for error in (found["error"], *failed) if error]
        if found["result"] != "ok" and not any(codes):
            yield f"reasons: {found['name']} is {found['result']} without a code"
    for event in outcome.events("workspace"):
        if event["result"] != "ok" and not any(failure["code"] for failure in event["failures"]):
            yield f"reasons: the line of {event['name']} has no code"


def _encodable(outcome: Outcome) -> Iterator[str]:
    for name, text in (
        ("lines", "\n".join(outcome.lines)),
        ("report", outcome.printed),
        ("exception", str(outcome.raised)),
        ("words", outcome.words),
    ):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            yield f"encodable: the {name}: {error}"


RULES = (_budget, _others, _ending, _encodable, _lines, _printed, _exception, _mistakes, _reasons)


def _secrets(outcome: Outcome, secrets: Collection[str]) -> Iterator[str]:
    """No `PIECE` characters of a secret, in any form or letter case."""
    places: Mapping[str, str] = {
        "log lines": "\n".join(outcome.lines),
        "report": outcome.printed,
        "exception": everything_raised(outcome.raised),
        "other words": outcome.words + "\n".join(outcome.lost),
    }
    windows = {place: _windows(text.lower()) for place, text in places.items()}
    for secret in secrets:
        if len(secret) < PIECE:
            continue
        forms = {piece.lower() for piece in pieces(secret) | _windows(quote(_payload(secret), safe=""))}
        for place, found in windows.items():
            if out := sorted(found & forms):
                yield f"secrets: {out[:2]} of {secret[:4]}… is in the {place}"


def _payload(secret: str) -> str:
    return secret.split(".", 1)[1] if secret.startswith("eyJ") and "." in secret else secret


def _windows(text: str) -> set[str]:
    return {text[start : start + PIECE] for start in range(len(text) - PIECE + 1)}


def _strictly(text: str) -> Any:
    """Parse strict JSON: no NaN, infinities or duplicate keys."""

    def no_constant(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    return json.loads(text, parse_constant=no_constant, object_pairs_hook=no_doubles)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _excerpt(text: str) -> str:
    odd = next((at for at, character in enumerate(text) if not " " <= character <= "~"), 0)
    return repr(text[max(0, odd - 40) : odd + 40])
