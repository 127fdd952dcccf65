"""Prompts on a terminal, wrapped at blanks. End of input or Ctrl+C exits the command with 130."""

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
CANCELED = "canceled; no changes made"
ADD_APPLY = "No changes made. To apply this plan, add --apply."


def after_interrupt(*, changed: bool) -> str:
    """Return the last line of a command that Ctrl+C interrupted."""
    done = "Completed changes remain. To continue, run the command again." if changed else "No changes made."
    return f"Interrupted. {done}"


def confirm(question: str) -> bool:
    """Ask a yes-or-no question and return whether the user entered yes. The default is no.

    Raises:
        KeyboardInterrupt: the input ended, or the user pressed Ctrl+C.
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
    """Ask questions until the user declines one.

    Raises:
        SettingsError: the user declined, or the input is not a terminal.
        KeyboardInterrupt: the input ended, or the user pressed Ctrl+C.
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
    """Ask for a text, and return it without surrounding blanks.

    Without choices, any text is valid. Without a default, empty input repeats the question.
    `read` converts the input; if it raises a `click.UsageError`, the question is repeated.

    Raises:
        KeyboardInterrupt: the input ended, or the user pressed Ctrl+C.
    """
    offered = f" ({', '.join(choices)})" if choices else ""
    preset = f" [{default}]" if default else ""
    try:
        entered: str = click.prompt(
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
    return entered.strip()


def _shown(question: str) -> str:
    return "\n".join(wrapped(question, render.console(stderr=True).width))


def _end(abort: click.Abort) -> NoReturn:
    render.say("")
    if isinstance(abort.__context__, EOFError):
        render.say("The input ended at this prompt.")
    raise KeyboardInterrupt from None
