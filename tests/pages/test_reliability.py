"""docs/reliability.md: its generated limits are those that matter to users, and its sentences name them."""

import re

from git_refresh.clients import retry
from git_refresh.settings.functions_host import ENDING_S
from tests.support.paths import ROOT
from tools import limits

PAGE = (ROOT / "docs/reliability.md").read_text()


def test_every_limit_is_on_the_page() -> None:
    for name in (*limits.WAITS, *limits.SIZES):
        assert f"\n| {name} | " in PAGE


def test_no_operation_may_take_longer_than_a_run() -> None:
    whole, *others = limits.WAITS.values()
    assert max(others) < whole


def test_a_run_ends_as_long_after_its_timeout_as_the_page_promises() -> None:
    assert ENDING_S == 5
    assert "within `REFRESH_TIMEOUT_SECONDS` and five seconds" in PAGE


def test_a_request_is_attempted_as_often_as_the_page_says() -> None:
    assert set(re.findall(r"(\d+) attempts", PAGE)) == {str(retry._ATTEMPTS)}
