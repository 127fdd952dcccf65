"""One mistake in many workspaces fits on one screen without broken words: real SDKs and terminals."""

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from localcloud import Cloud
from localcloud.fleet import seed
from tests.support import warm
from tests.support.terminal import screen

SCREEN = 24
"""Lines of a terminal with the default size."""
WRONG_ID = "7e5a11ed-0000-4000-8000-{:012}"
WIDTHS = (40, 60, 80, 120, 200)


def unknown_principal(entry: dict[str, Any], number: int) -> None:
    entry["client_id"] = WRONG_ID.format(number)


def misspelled_path(entry: dict[str, Any], number: int) -> None:
    entry["folders"] = ["/Repos/elt/prod" if number % 3 else "/Repos/ETL/prod"]


def missing_branch(entry: dict[str, Any], number: int) -> None:
    entry["folders"] = [{**entry["folders"][1], "branch": f"feature-{number}"}]


def no_address(entry: dict[str, Any], number: int) -> None:
    entry["host"] = f"http://adb-{number}.1.azuredatabricks.net"


def no_guid(entry: dict[str, Any], number: int) -> None:
    entry["client_id"] = f"principal-{number}"


MISTAKES = (unknown_principal, misspelled_path, missing_branch, no_address, no_guid)
Mistake = Callable[[dict[str, Any], int], None]


def with_mistakes(cloud: Cloud, workspaces: int, *mistakes: Mistake) -> dict[str, str]:
    """Return the environment of a fleet whose workspaces have these mistakes in turn."""
    fleet = seed(cloud, workspaces)
    entries = json.loads(fleet.settings["WORKSPACES"])
    for number, entry in enumerate(entries):
        mistakes[number % len(mistakes)](entry, number)
    return {**os.environ, **cloud.environment(), **fleet.settings, "WORKSPACES": json.dumps(entries)}


def shown(command: str, environ: Mapping[str, str], columns: int) -> tuple[int, list[str]]:
    done = warm.on_terminal(command, environ=environ, columns=columns)
    return done.returncode, screen(done.stdout)


def fits_one_screen(environ: Mapping[str, str]) -> None:
    for command in ("check", "plan", "run", "status"):
        code, lines = shown(command, environ, 80)
        assert code == 1 or command == "status", "status asks Azure DevOps nothing"
        assert len(lines) <= SCREEN, "\n".join([command, *lines])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_mistake_in_thirty_workspaces_fits_one_screen(cloud: Cloud, mistake: Mistake) -> None:
    fits_one_screen(with_mistakes(cloud, 30, mistake))


@pytest.mark.parametrize(
    "mistakes", [(unknown_principal, misspelled_path), (no_address, unknown_principal), (no_guid, no_address)]
)
def test_two_mistakes_mixed_over_sixty_workspaces_fit_one_screen(
    cloud: Cloud, mistakes: tuple[Mistake, ...]
) -> None:
    fits_one_screen(with_mistakes(cloud, 60, *mistakes))


@pytest.mark.parametrize("columns", WIDTHS)
def test_only_a_word_or_a_command_is_longer_than_the_terminal(cloud: Cloud, columns: int) -> None:
    environ = with_mistakes(cloud, 6, unknown_principal, misspelled_path, missing_branch)
    for command in ("check", "plan", "run", "status"):
        _, lines = shown(command, environ, columns)
        for line in lines:
            alone = " " not in line.strip(" →✗!✓–~+=-")  # noqa: RUF001  # as on the terminal
            assert len(line) <= columns or alone or re.match(r"\s+\S*(python|databricks|az|\w+=)", line), (
                command,
                line,
            )
