"""How a command ends that has done nothing, since what it was given is wrong."""

import json
import sys
from collections.abc import Sequence
from typing import NoReturn

from git_refresh.cli import terminal
from git_refresh.cli.findings import Told, tell
from git_refresh.cli.shared import WRONG
from git_refresh.outlet import Outlet
from git_refresh.values import Problem, json_of


def end(problems: Sequence[Problem], *, as_json: bool) -> NoReturn:
    """Say what is wrong, a line each on stderr or one JSON object on stdout.

    Raises:
        SystemExit: always, with 2.
    """
    problems = Outlet().clean(list(problems))
    if as_json:
        listed = [json_of(problem) for problem in problems]
        with terminal.writing():
            terminal.echo(json.dumps({"version": 1, "result": "failed", "problems": listed}, indent=2))
    else:
        told = [Told("failed", problem.where, problem.message, kind=problem.kind) for problem in problems]
        tell(told, terminal.console(stderr=True))
    sys.exit(WRONG)
