"""A terminal shows names literally: no markup, emoji, link, style or control character takes effect."""

import ast
import os
import re
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from git_refresh.admin.deployment import Change
from git_refresh.admin.grants import Grant
from git_refresh.admin.resource_manager import FunctionApp
from git_refresh.admin.rotation.report import (
    NotSignedIn,
    PreviousSecretReport,
    RotationReport,
    SecretReport,
    UnmanagedSecretReport,
)
from git_refresh.admin.values import SignIn
from git_refresh.cli import render
from git_refresh.cli.checks import LAYERS, Check, CheckReport
from git_refresh.cli.deploy import DeployReport, show_deployment
from git_refresh.cli.onboard import OnboardResult, OnboardView
from git_refresh.cli.progress import Lines, Live
from git_refresh.cli.rotate import show_rotation
from git_refresh.cli.status import CredentialStatus, FolderStatus, StatusReport, WorkspaceStatus, show_status
from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.model.values import Problem
from git_refresh.output.log import RedactingLogger
from git_refresh.output.redact import escape_unprintable
from git_refresh.output.shell import NO_COMMAND, Command
from git_refresh.run.report import CredentialReport, FolderReport, Report, WorkspaceReport
from tests.support.examples import as_often_as
from tests.support.paths import PACKAGE

MOMENT = datetime(2026, 11, 24, tzinfo=UTC)
PLAIN = "PLAIN"

names = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    st.lists(
        st.sampled_from(
            [
                *(
                    "[/b]",
                    "[/]",
                    "[b]",
                    "[red on blue]",
                    "[link=https:evil.example]x[/link]",
                    "[@click=x]",
                    "\\[",
                ),
                *(":warning:", ":x:", "\x1b[31m", "\x1b]8;;https://evil.example\x07x\x1b]8;;\x07", "\x9b31m"),
                *(
                    "\x1b[2J",
                    "\r",
                    "\n",
                    "\t",
                    "\x07",
                    "\x08",
                    "\u202e",
                    "\u200d",
                    "\xa0",
                    "\u3000",
                    "%s",
                    "{x}",
                ),
                *(
                    "az login",
                    "→",
                    "5a1e0000-0000-4000-8000-000000000001",
                    "https://evil.example/x",
                    "'a'",
                    "/Repos",
                ),
            ]
        ),
        min_size=1,
        max_size=6,
    ).map("".join),
)


@contextmanager
def a_terminal(columns: int = 20_000) -> Iterator[Callable[[], str]]:
    """Yield a pseudo-terminal as stdout and stderr; calling the value returns its input."""
    master, slave = os.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    received = bytearray()

    def read() -> None:
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:
                return
            received.extend(piece)
            if b"\x04END" in piece or received.endswith(b"\x04END"):
                return

    reader = threading.Thread(target=read)
    reader.start()
    environ = {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "100", "NO_COLOR": ""}
    out = os.fdopen(slave, "w", encoding="utf-8")

    def shown() -> str:
        out.write("\x04END")
        out.flush()
        reader.join(10)
        return received.decode().removesuffix("\x04END")

    try:
        with (
            patch.dict(os.environ, environ),
            patch.object(sys, "stdout", out),
            patch.object(sys, "stderr", out),
        ):
            yield shown
    finally:
        out.close()
        os.close(master)


def diagnosis(text: str) -> Diagnosis:
    return Diagnosis("git_conflict", f"Could not move {text}.", f"It is {text}.", f"Look at {text}.")


def workspaces(text: str) -> Report:
    folders = (
        FolderReport(text, "updated", text, "a" * 40, "b" * 40, why=text),
        FolderReport(text, "failed", text, error=diagnosis(text)),
    )
    one = WorkspaceReport(
        text, text, "failed", CredentialReport("updated", 7, text), folders, diagnosis(text)
    )
    return Report("id", MOMENT, 1.0, False, "failed", (), (Problem(text, text),), (one,))


def a_run(text: str) -> None:
    render.show_report(workspaces(text), render.console())


def a_plan(text: str) -> None:
    render.show_plan(workspaces(text), render.console())


def a_check(text: str) -> None:
    checks = [Check(layer, text, "failed", text, diagnosis(text)) for layer in LAYERS]
    checks += [Check(layer, text, "ok", text) for layer in LAYERS]
    render.show_check(CheckReport(tuple(checks)), render.console(), {text: text}, left_out=text)


def a_status(text: str) -> None:
    credential = CredentialStatus(text, "failed", text, 7, text, MOMENT, diagnosis(text))
    folder = FolderStatus(text, "warning", text, text, text, diagnosis(text))
    one = WorkspaceStatus(text, text, "failed", text, diagnosis(text), (credential,), (folder,))
    show_status(StatusReport((one,)), render.console(), with_ends=True)


def a_rotation(text: str) -> None:
    former = PreviousSecretReport(text, MOMENT, "kept", None, text)
    unknown = UnmanagedSecretReport(text, MOMENT, MOMENT, diagnosis(text))
    one = SecretReport(
        text,
        text,
        text,
        (text, text),
        "rotated",
        text,
        MOMENT,
        text,
        (former,),
        (unknown,),
        (NotSignedIn(text, SignIn.REJECTED, diagnosis(text)),),
        (text,),
        (diagnosis(text),),
    )
    show_rotation(RotationReport((one,), (Problem(text, text),), applied=True), render.console())


def an_onboarding(text: str) -> None:
    grants = [
        Grant("principal", text, text, text, Command(text), "planned", text),
        Grant("principal", text, text, text, Command(text), "granted", text, client_id=text),
        Grant("principal", text, text, text, Command(text), "failed", text, error=diagnosis(text)),
    ]
    display = OnboardView(RedactingLogger(), {text: text}, NO_COMMAND, as_json=False)
    display.show_plan(grants)
    for grant in grants:
        display.show_grant(grant)
    checked = CheckReport((Check("folder", text, "failed", text, diagnosis(text)),))
    display.show_summary(OnboardResult(tuple(grants), checked, applied=True, interrupted=False))


def a_deployment(text: str) -> None:
    app = FunctionApp(text, text, text, text)
    changes = (Change("changed", "WORKSPACES", text, text, text, text, text),)
    left = ((text, diagnosis(text)),)
    report = DeployReport(
        "different", app, changes, left, (text,), (text,), (text,), notes=(diagnosis(text),)
    )
    show_deployment(report, render.console())


def what_is_wrong(text: str) -> None:
    render.show_nothing_run([Problem(text, text)], render.console(stderr=True))


def lines_beside(text: str) -> None:
    lines = Lines(render.console(stderr=True))
    lines.finished(WorkspaceReport(text, text, "failed", error=diagnosis(text)))
    render.say(text)


SHOWS = [
    a_run,
    a_plan,
    a_check,
    a_status,
    a_rotation,
    an_onboarding,
    a_deployment,
    what_is_wrong,
    lines_beside,
]


def once_shown(show: Callable[[str], None], text: str) -> str:
    with a_terminal() as shown:
        show(text)
        return shown()


@pytest.mark.parametrize("show", SHOWS)
@as_often_as(40)
@given(raw=names)
@example(raw="[/b]")
@example(raw="[link=https:evil.example]x")
@example(raw="\x1b]8;;https://evil.example\x07x\x1b]8;;\x07")
@example(raw=":warning:")
def test_a_name_is_shown_as_it_is_and_nothing_of_it_is_obeyed(show: Callable[[str], None], raw: str) -> None:
    text = f"<{RedactingLogger().redact_text(raw)}>"
    sent, plain = once_shown(show, text), once_shown(show, PLAIN)
    assert text in sent
    assert _comparable(sent.replace(text, PLAIN)) == _comparable(plain), "but for the name it is the same"


def _comparable(sent: str) -> list[str]:
    """Return words and terminal controls in sequence, for any width of columns."""
    ours = re.sub(r"\x1b\]8;id=\d+;", "\x1b]8;id=;", sent)
    return re.findall(
        r"\x1b\][^\x1b\x07]*(?:\x1b\\|\x07)|\x1b\[[0-9;?]*[A-Za-z]|[^\s\x1b]+", ours.replace("─", "")
    )


@as_often_as(60)
@given(raw=names)
def test_the_console_itself_escapes_what_no_command_has(raw: str) -> None:
    kept = raw.translate(
        dict.fromkeys(map(ord, "\a\b\v\f\r\n\t"))
    )  # rich removes these or uses them for layout
    with a_terminal() as shown:
        render.console().print(f"<{kept}>", soft_wrap=True)
        assert shown() == f"<{escape_unprintable(kept)}>\n"


@as_often_as(15)
@given(raw=names)
@example(raw="[/b]")
def test_what_is_under_way_is_shown_as_it_is(raw: str) -> None:
    kept = "".join(raw.translate(dict.fromkeys(map(ord, "\a\b\v\f\r\n\t"))).split()) or "x"
    with a_terminal(400) as shown:
        live = Live(render.console(stderr=True), 2)
        with live:
            live.started(kept, kept)
            live.progress.refresh()
            live.started(kept, f"{kept}2")
            live.progress.refresh()
            live.finished(WorkspaceReport(kept, "h", "ok"))
        sent = shown()
    if len(escape_unprintable(kept)) < 80:  # otherwise the table has no room for it
        assert escape_unprintable(kept) in sent
    assert "\x1b]8" not in sent


def test_there_is_one_console() -> None:
    """Code that parses markup anyway has it turned off."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="Console" | "_Console")):
                    found[file.name] = "a console"
                case ast.Call(func=ast.Attribute(attr="from_markup" | "render_str")):
                    found[file.name] = "markup"
                case ast.Call(func=ast.Name(id="TextColumn"), keywords=keywords):
                    assert any(
                        each.arg == "markup"
                        and isinstance(each.value, ast.Constant)
                        and each.value.value is False
                        for each in keywords
                    )
                case ast.Call(func=ast.Attribute(attr="status"), args=[said, *_]) if (
                    file.parent.name == "cli"
                ):
                    ours = isinstance(said, ast.Constant) or (
                        isinstance(said, ast.Name) and said.id == "what"
                    )
                    assert ours, f"{file.name}:{node.lineno}"
    assert found == {"render.py": "a console"}
    assert issubclass(render._Console, Console)
