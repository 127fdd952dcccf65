"""How a command ends that has done nothing, since what it was given is wrong."""

import json
import sys
from collections.abc import Sequence
from typing import NoReturn

from git_refresh.cli import render
from git_refresh.cli.findings import of_problem, show_finding
from git_refresh.cli.shared import WRONG
from git_refresh.model.values import Problem, json_of
from git_refresh.output.log import RedactingLogger


def exit_with_problems(problems: Sequence[Problem], *, as_json: bool) -> NoReturn:
    """Say what is wrong, a line each on stderr or one JSON object on stdout.

    Raises:
        SystemExit: always, with 2.
    """
    problems = RedactingLogger().redact(list(problems))
    if as_json:
        listed = [json_of(problem) for problem in problems]
        with render.writing():
            render.echo(json.dumps({"version": 1, "result": "failed", "problems": listed}, indent=2))
    else:
        show_finding([*map(of_problem, problems)], render.console(stderr=True))
    sys.exit(WRONG)
