"""What `check` says of REFRESH_SCHEDULE: ✗ where the host refuses it."""

import json
from typing import Any

import pytest

from git_refresh.cli.check import check_settings
from git_refresh.cli.check_schedule import schedule_problem
from git_refresh.model.schedule import Schedule
from git_refresh.settings.load import SettingsError, load
from tests.unit.test_schedule import CASES

LIST = {
    "WORKSPACES": json.dumps([{"host": "https://adb-1.1.azuredatabricks.net", "auth": "managed_identity"}])
}

REFUSED = {
    "0 0 0 ? * MON": ('"?" as its day of the month', "0 0 0 * * MON"),
    "0 0 0 * * ?": ('"?" as its day of the week', "0 0 0 * * *"),
    "0 0 0 * * 7": ('"7" as its day of the week', "0 0 0 * * 0"),
    "0 0 0 * * 1,7": ('"7" as its day of the week', "0 0 0 * * 1,0"),
    "0 0 0 * * 1-7": ('"1-7" as its day of the week', "write 0 (Sunday) to 6 (Saturday), or * for all"),
    "0 0 0 L * *": ('"L" as its day of the month', "NCRONTAB has no L, W or #: write numbers, 1 to 31"),
    "0 0 0 15W * *": ('"15W" as its day of the month', "NCRONTAB has no L, W or #: write numbers, 1 to 31"),
    "0 0 0 * * 5#3": (
        '"5#3" as its day of the week',
        "NCRONTAB has no L, W or #: write numbers, 0 (Sunday) to 6 (Saturday)",
    ),
    "0 61 * * * *": ('"61" as its minute', "write 0 to 59, or * for all"),
    "0 0 0 * Foo *": ('"Foo" as its month', "write 1 to 12, or * for all"),
    "0 0/15 * 1/1 * ? *": ("is neither NCRONTAB with six fields nor a time span", "0 0/15 * 1/1 * *"),
    "0 */15 * * * *\n": ("as its day of the week", "0 */15 * * * *"),
    "0\u00a0*/15 * * * *": ("as its minute", "0 */15 * * * *"),
    "'0 */15 * * * *'": ("as its second", "0 */15 * * * *"),
    "*/15 * * * ?": ('"?" as its day of the week', "0 */15 * * * *"),
    "0 0,30 * * *": ('"30" as its hour', "0 0,30 * * * *"),
    "@hourly": ("is neither NCRONTAB with six fields nor a time span", "0 */15 * * * *"),
    "00:60:00": ("is neither NCRONTAB with six fields nor a time span", "0 */15 * * * *"),
}
"""The schedule → what is wrong, and what to write."""


@pytest.mark.parametrize(("text", "expected"), REFUSED.items(), ids=map(repr, REFUSED))
def test_a_refused_schedule_is_an_error_with_field_and_remedy(text: str, expected: tuple[str, str]) -> None:
    environ = {**LIST, "REFRESH_SCHEDULE": text}
    (line,) = check_settings(environ, (), load(environ))
    assert (line.subject, line.status) == ("REFRESH_SCHEDULE", "failed")
    assert line.error is not None
    assert line.error.code == "invalid_settings"
    found, instead = expected
    assert found in line.message
    assert instead in line.message
    if text.strip() and instead[0].isdigit():
        Schedule.read(instead)


def test_check_refuses_what_the_host_refuses_and_nothing_else() -> None:
    judged = {case[0]: schedule_problem(case[0]) is None for case in CASES}
    assert judged == {case[0]: case[1] != "refused" for case in CASES}


@pytest.mark.parametrize(
    "text", ["dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48", "0 */15 * * * *\u202e", "0\t*/15 * * * *"]
)
def test_a_schedule_that_must_not_be_shown_is_told_once(text: str) -> None:
    environ = {**LIST, "REFRESH_SCHEDULE": text}
    with pytest.raises(SettingsError) as caught:
        load(environ)
    (line,) = check_settings(environ, caught.value.problems, None)
    assert (line.subject, line.status) == ("REFRESH_SCHEDULE", "failed")
    assert text not in line.message


@pytest.mark.parametrize(
    "text",
    [
        "0 0 0 ? * *",
        "nonsense",
        "0 */15 * * * *\n",
        "*/15 * * * *",
        "0 */\t15 * * * *",
        f"{'0,' * 600}0 * * * * *",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_no_schedule_stops_a_run(text: str) -> None:
    assert load({**LIST, "REFRESH_SCHEDULE": text}) == load(LIST)


def test_a_schedule_beside_a_list_alone_is_judged_and_not_demanded() -> None:
    def subjects(**environ: Any) -> list[str]:
        lines = check_settings({**LIST, **environ}, (), load(LIST), scheduled=False)
        return [line.subject for line in lines if line.status == "failed"]

    assert subjects() == []
    assert subjects(REFRESH_SCHEDULE="0 0 0 ? * *") == ["REFRESH_SCHEDULE"]
