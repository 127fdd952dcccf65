"""The command reference of docs/cli.md, from click: the first sentence of each command and option."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

import click

from git_refresh.cli.main import main

NAMES = sorted(main.commands)


def commands() -> Iterator[str]:
    """Yield each command with its own options."""
    shared = _shared()
    for name in NAMES:
        command = main.commands[name]
        arguments = " ".join(_metavar(each, command) for each in command.params if _is_argument(each))
        yield from (f"### `{name}`", "", brief(command.help or ""))
        if arguments:
            yield f"Arguments: `{arguments}`."
        yield ""
        own = [each for each in _options(command) if _key(each) not in shared]
        yield from (f"- {_described(option, command)}" for option in own)
        if own:
            yield ""


def shared_options() -> Iterator[str]:
    """Yield the options that several commands have, below the names of these commands."""
    by_holders: dict[str, list[str]] = {}
    for key in _shared():
        holders = [name for name in NAMES if any(_key(each) == key for each in _options(main.commands[name]))]
        command = main.commands[holders[0]]
        (option,) = (each for each in _options(command) if _key(each) == key)
        by_holders.setdefault(_in_brief(holders), []).append(f"- {_described(option, command)}")
    for holders_, options in by_holders.items():
        yield from (f"{holders_}:", "", *options, "")


MAX_WORDS = 10
"""Words of a description that the page has in full. `--help` has the rest of a longer one."""
MIN_WORDS = 4
"""Words of a clause that is clear by itself, unlike "With --apply"."""


_SUBORDINATE = "as|for|from|if|instead|then|unless|where|which"
"""Words after a comma that does not separate the items of a list."""


def brief(text: str) -> str:
    """Return the first sentence of a help text, or the first clause of a long one."""
    sentence = re.split(r"(?<=[.?!])\s+(?=[A-Z\[])", " ".join(text.split()))[0]
    if len(sentence.split()) <= MAX_WORDS:
        return sentence
    clauses = re.split(rf"(?<=[:;]) |(?<=,) (?=(?:{_SUBORDINATE})\b)", sentence)
    lengths = accumulate(len(clause.split()) for clause in clauses)
    count = next((number for number, length in enumerate(lengths, 1) if length >= MIN_WORDS), 1)
    return f"{' '.join(clauses[:count]).rstrip('.:;,')}."


def _shared() -> list[tuple[str, str]]:
    counts = Counter(_key(each) for name in NAMES for each in _options(main.commands[name]))
    return [key for key, count in counts.items() if count > 1]


def _key(option: click.Option) -> tuple[str, str]:
    """Return what two commands must have in common to share an option."""
    return option.opts[0], option.help or ""


def _options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option) and not each.hidden]


def _is_argument(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument)


def _metavar(parameter: click.Parameter, command: click.Command) -> str:
    return parameter.make_metavar(click.Context(command))


def _described(option: click.Option, command: click.Command) -> str:
    value = "" if option.is_flag else f" {_metavar(option, command)}"
    long, *others = sorted(option.opts, key=len, reverse=True)
    names = ", ".join(f"`{each}`" for each in (f"{long}{value}", *others))
    default = option.get_help_extra(click.Context(command)).get("default")
    return f"{names}: {brief(option.help or '')}{f' Default: `{default}`.' if default else ''}"


def _in_brief(holders: Sequence[str]) -> str:
    """Return the names of commands, or those of all others if these are fewer."""
    missing = [name for name in NAMES if name not in holders]
    shown = missing if len(missing) < len(holders) else holders
    names = ", ".join(f"`{name}`" for name in shown)
    return names if shown is holders else f"All but {names}" if missing else "All"
