"""Questions on a terminal, wrapped at blanks. One that is not answered ends the command with 130."""

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from git_refresh.cli import render
from git_refresh.cli.findings import wrapped
from git_refresh.model.values import Problem
from git_refresh.settings.load import SettingsError

NO_TERMINAL = (
    "cannot ask for confirmation, because the input is not a terminal. "
    "To continue without confirmation, add --yes"
)
NOT_WITH_JSON = "--json cannot ask for confirmation. To continue, add --yes"
CANCELED = "canceled; nothing was changed"
ADD_APPLY = "No changes made. To apply this plan, add --apply."


def after_interrupt(*, changed: bool) -> str:
    """Return the last line of a command that Ctrl-C has stopped."""
    done = "Completed changes remain. To continue, run the command again." if changed else "No changes made."
    return f"Interrupted. {done}"


def confirm(question: str) -> bool:
    """Ask a question whose default is no.

    Raises:
        KeyboardInterrupt: there is no answer.
    """
    try:
        return click.confirm(_shown(f"{question} [y/N]:"), err=True, show_default=False, prompt_suffix=" ")
    except click.Abort as abort:
        _end(abort)


def agree(
    location: str,
    questions: Sequence[str],
    *,
    without_terminal: str = NO_TERMINAL,
    declined: str = CANCELED,
) -> None:
    """Ask questions that must all be answered with yes.

    Raises:
        SettingsError: an answer is no, or there is no terminal to ask on.
        KeyboardInterrupt: there is no answer.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError([Problem(location, without_terminal)])
    if not all(confirm(question) for question in questions):
        raise SettingsError([Problem(location, declined)])


def prompt(
    question: str,
    *,
    choices: Sequence[str] = (),
    default: str | None = None,
    read: Callable[[str], str] | None = None,
) -> str:
    """Ask for a text, and return it without blanks at its ends.

    Args:
        question: what is asked.
        choices: the answers that are taken; empty: any.
        default: the answer where none is typed; None: it is asked again.
        read: makes the answer of what was typed; where it raises a `click.UsageError`, the question is asked again.

    Raises:
        KeyboardInterrupt: there is no answer.
    """
    offered = f" ({', '.join(choices)})" if choices else ""
    preset = f" [{default}]" if default else ""
    try:
        answer: str = click.prompt(
            _shown(f"{question}{offered}{preset}:"),
            default=default,
            type=click.Choice(choices) if choices else str,
            show_default=False,
            show_choices=False,
            prompt_suffix=" ",
            err=True,
            value_proc=read,
        )
    except click.Abort as abort:
        _end(abort)
    return answer.strip()


def _shown(question: str) -> str:
    return "\n".join(wrapped(question, render.console(stderr=True).width))


def _end(abort: click.Abort) -> NoReturn:
    """End the line of the question, and the command.

    Raises:
        KeyboardInterrupt: always.
    """
    render.say("")
    if isinstance(abort.__context__, EOFError):
        render.say("The input ended before the question was answered.")
    raise KeyboardInterrupt from None
