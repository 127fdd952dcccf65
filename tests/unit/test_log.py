"""All output passes one place, which protects logs, terminals and secrets."""

import ast
import base64
import json
import logging
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.output.log import MAX_LINE_CHARS, MAX_TEXT_CHARS, RedactingLogger
from git_refresh.output.redact import escape_unprintable
from tests.support.paths import PACKAGE

SECRET = "dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48"

ODD = st.text(st.characters(codec=None), max_size=80) | st.sampled_from(
    [
        "\ud800",
        "a\nb",
        "\x1b[31m",
        "\u2028",
        "\u202e",
        "x" * 5000,
        "\U000f0000" * 5000,
        SECRET,
        f"/Repos/{SECRET}/x",
        "\U0001f600",
    ]
)


@pytest.fixture
def logger() -> RedactingLogger:
    made = RedactingLogger()
    made.secrets.add(SECRET)
    return made


@dataclass(frozen=True)
class Holder:
    text: str
    more: tuple[object, ...] = ()


@given(ODD)
def test_a_logged_text_is_one_printable_bounded_line_without_secrets(text: str) -> None:
    logger = RedactingLogger()
    logger.secrets.add(SECRET)
    gone = logger.redact_text(text)
    assert gone.isprintable()
    gone.encode()
    assert len(gone) <= MAX_TEXT_CHARS
    assert not logger.secrets.contains(gone)
    assert logger.redact_text(gone) == gone, "passing twice changes nothing"


@given(
    st.recursive(
        ODD | st.none() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
    )
)
def test_json_that_goes_out_is_ascii_and_holds_no_secret(value: object) -> None:
    logger = RedactingLogger()
    logger.secrets.add(SECRET)
    text = logger.json({"value": value})
    text.encode("ascii")
    assert SECRET not in json.dumps(json.loads(text))


def test_all_that_a_value_holds_is_cleaned(logger: RedactingLogger) -> None:
    held = Holder("a\nb", (SECRET, {"key": [SECRET]}, 5, None, Holder("\ud800")))
    assert logger.redact(held) == Holder("a\\nb", ("***", {"key": ["***"]}, 5, None, Holder("\\ud800")))


FORMS = [
    SECRET[:14],
    SECRET.upper(),
    base64.b64encode(f"me:{SECRET}".encode()).decode(),
    "".join(f"%{ord(char):02x}" for char in SECRET),
    ".".join(SECRET),
    "%",
    "%6",
    "4%",
    "abc+/def",
]


@given(st.lists(ODD | st.sampled_from(FORMS) | st.sampled_from([SECRET[:9], SECRET[9:18]]), max_size=60))
def test_texts_that_are_looked_through_together_go_out_as_each_would_alone(texts: list[str]) -> None:
    logger = RedactingLogger()
    logger.secrets.add(SECRET)
    assert logger.redact(texts) == [logger.redact_text(text) for text in texts]


def test_a_value_without_anything_to_clean_is_returned_as_it_is(logger: RedactingLogger) -> None:
    held = Holder("fine", ("Prüfung", {"key": ["/Repos/etl"]}, Holder("fine")))
    assert logger.redact(held) is held


def test_a_log_line_leaves_what_it_is_given_as_it_is(logger: RedactingLogger) -> None:
    event = {"event": "x", "problems": ["p"] * 10_000}
    logger.log(event, "problems", ok=False)
    assert event == {"event": "x", "problems": ["p"] * 10_000}


def test_what_is_not_printed_is_shown_as_an_escape() -> None:
    assert escape_unprintable("a\r\n\x1b[2J\x7f\u2028\u202e\ud800\u200b") == (
        "a\\r\\n\\x1b[2J\\x7f\\u2028\\u202e\\ud800\\u200b"
    )
    assert escape_unprintable("Prüfung 数据 …") == "Prüfung 数据 …"


def test_one_long_text_does_not_crowd_the_others_out(
    logger: RedactingLogger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "git_refresh")
    logger.log({"event": "x", "problems": ["p" * 3_000_000, "second", "third"]}, "problems", ok=False)
    line = json.loads(caplog.messages[0])
    assert line["problems"][1:] == ["second", "third"]
    assert line["problems_omitted"] == 0


@pytest.mark.parametrize("character", ["\U0001f600", "\U000e0001", "数", '"', "x"])
def test_long_texts_of_one_workspace_leave_room_for_the_others(
    logger: RedactingLogger, caplog: pytest.LogCaptureFixture, character: str
) -> None:
    caplog.set_level("INFO", "git_refresh")
    texts = [f"/Repos/{number}/{character * 2000}" for number in range(11)]
    logger.log({"event": "x", "problems": [*texts, "second"]}, "problems", ok=False)
    failure = dict.fromkeys(("location", "code", "message", "cause", "remedy"), character * 2000)
    logger.log({"event": "x", "failures": [failure, {"code": "second"}]}, "failures", ok=False)
    run, workspace = map(json.loads, caplog.messages)
    assert run["problems"][-1] == "second"
    assert workspace["failures"][-1] == {"code": "second"}


@given(st.lists(ODD, max_size=200), ODD)
def test_a_log_line_is_short_enough_whatever_is_in_it(problems: list[str], name: str) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("git_refresh")
    logger.addHandler(handler)
    try:
        RedactingLogger().log({"event": "x", "name": name, "problems": problems}, "problems", ok=False)
    finally:
        logger.removeHandler(handler)
    (line,) = lines
    assert len(line) <= MAX_LINE_CHARS
    said = json.loads(line)
    assert len(said["problems"]) + said["problems_omitted"] == len(problems)


def test_a_log_line_is_ascii(logger: RedactingLogger, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "git_refresh")
    logger.log({"event": "é", "problems": ["Prüfung 数据 …"]}, "problems", ok=False)
    assert caplog.messages[0].isascii()
    assert json.loads(caplog.messages[0])["problems"] == ["Prüfung 数据 …"]


def test_a_log_handler_that_fails_does_not_end_the_run(logger: RedactingLogger) -> None:
    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")

    platform, handler = logging.getLogger("git_refresh"), Failing()
    platform.addHandler(handler)
    try:
        logger.log({"event": "x", "problems": []}, "problems", ok=False)
    finally:
        platform.removeHandler(handler)


ALLOWED = {
    "output/log.py": {"getLogger", "StreamHandler", "NullHandler", ".log"},
    "output/redact.py": {"getLogger", "NullHandler"},  # silences SDK loggers and logs nothing
    "cli/render.py": {
        "echo",
        "Console",
        "print",
        "stdout",
        "stderr",
        "__stderr__",
        "write",
        "exit",
    },  # prints logger output to a lenient stderr
    "cli/progress.py": {"print"},  # as above
    "cli/findings.py": {"print"},
    "cli/ask.py": {"stderr"},  # tests for a terminal
    "cli/check.py": {"exit"},
    "cli/onboard.py": {"exit", "print"},
    "cli/status.py": {"print"},
    "cli/deploy.py": {"exit"},
    "cli/runs.py": {"print"},
    "clients/azure_cli.py": {"stdout", "stderr"},  # reads them from az
    "cli/shared.py": {"exit"},
    "cli/options.py": {"echo"},
    "cli/explain.py": {"print"},  # prints the table's texts
    "cli/init.py": {"write"},  # writes the user's input into their file
    "cli/main.py": {"stdout", "stderr", "exit"},  # sets their encoding
    "cli/run.py": {"exit"},
    "cli/rotate.py": {"stderr", "exit", "print"},  # tests for a terminal
    "__main__.py": {"exit"},  # reports a missing package
}
FUNCTIONS = {
    "getLogger",
    "StreamHandler",
    "NullHandler",
    "print",
    "echo",
    "secho",
    "write",
    "Console",
    "exit",
}
METHODS = {"log", "debug", "info", "warning", "warn", "error", "critical", "exception"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}


def ways_out(source: str) -> set[str]:
    """Return the calls by which a module could print or log, except on `render` and `RedactingLogger`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="render" | "logger"))):
                pass
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in FUNCTIONS:
                found.add(name)
            case ast.Call(func=ast.Attribute(attr=name)) if name in METHODS:
                found.add(f".{name}")
            case ast.Attribute(attr=name) if name in STREAMS:
                found.add(name)
    return found


def test_nothing_in_the_package_logs_or_prints_around_the_logger() -> None:
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if more := ways_out(file.read_text()) - ALLOWED.get(name, set()):
            found[name] = more
    assert found == {}


def test_the_search_for_ways_out_finds_them() -> None:
    assert ways_out(
        "import logging, sys\nlogging.getLogger('x').info('y')\nprint(1)\nsys.stdout.flush()"
    ) == {
        "getLogger",
        ".info",
        "print",
        "stdout",
    }
