"""The page of tasks has what the terminal shows today. (Made anew by `make docs`.)"""

import shutil

import pytest

from git_refresh.cli.main import main
from tools import tasks
from tools.queries import ROOT


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_every_task_is_shown_as_it_is_done() -> None:
    assert tasks.page() == (ROOT / tasks.PAGE).read_text(encoding="utf-8"), "make docs"


def test_every_command_that_an_admin_types_is_among_them() -> None:
    typed = {word for task in tasks.TASKS for word in task.typed.split()} & set(main.commands)
    assert (len(tasks.TASKS), typed) == (23, set(main.commands) - {"schema"})
