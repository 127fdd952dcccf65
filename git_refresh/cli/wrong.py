"""How a command ends that has done nothing, since what it was given is wrong."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import NoReturn

import click

from git_refresh.outlet import Outlet
from git_refresh.values import Problem

WRONG = 2


def end(problems: Sequence[Problem], *, as_json: bool) -> NoReturn:
    """Say what is wrong, a line each on stderr or one JSON object on stdout.

    Raises:
        SystemExit: always, with 2.
    """
    problems = Outlet().clean(list(problems))
    if as_json:
        listed = [asdict(problem) for problem in problems]
        click.echo(json.dumps({"version": 1, "result": "failed", "problems": listed}, indent=2))
    for problem in () if as_json else problems:
        click.echo(f"✗ {problem}", err=True)
    sys.exit(WRONG)
