"""REFRESH_SCHEDULE in `check`: ✗ if the host refuses it, ! if it means something unexpected."""

import json
from typing import Any

import pytest

from git_refresh.cli.check_schedule import MAX_WARNINGS, schedule_problem, schedule_warnings
from git_refresh.cli.check_settings import check_settings
from git_refresh.model.schedule import Schedule
from git_refresh.settings.load import SettingsError, load
from tests.support.fakes import NOW
from tests.support.recorded import CASES

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
"""The schedule → the problem, and the replacement."""


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


SURPRISING: dict[str, list[tuple[str, str]]] = {
    "0 */15 * * *": [('"*/15" is its hour', '"0 */15 * * * *" for every 15 minutes')],
    "0 */6 * * *": [('"*/6" is its hour', '"0 0 */6 * * *", or "0 */6 * * * *" for every 6 minutes')],
    "*/15 * * * *": [("five fields", '"0 */15 * * * *"')],
    "30 7 * * *": [("five fields", '"0 30 7 * * *"')],
    "00:15:00": [("a time span of 15 minutes", '"0 */15 * * * *" for every 15 minutes')],
    "02:00:00": [("a time span of 2 hours", '"0 0 */2 * * *" for every 2 hours')],
    "00:07:00": [("a time span of 7 minutes", "write six fields")],
    "1.00:00:00": [("a time span of 1 day", '"0 0 0 * * *" for every day')],
    "24:00:00": [("24 days pass", "once an hour"), ("a time span of 24 days", '"0 0 0 * * *" for every day')],
    "15": [("15 days pass", "once an hour"), ("span of 15 days", '"0 */15 * * * *" for every 15 minutes')],
    "00:00:00": [("without a pause", '"0 */15 * * * *"')],
    "-1": [("without a pause", '"0 */15 * * * *"')],
    "0 */0 * * * *": [('"*/0" as its minute counts as a step of 1', "1 or more")],
    "0 0/-5 * * * *": [('"0/-5" as its minute counts as a step of 1', "1 or more")],
    "0 */90 * * * *": [('"*/90" as its minute is only one value', "at most 60")],
    "* */15 * * * *": [("every second", "0 as the second")],
    "0 0 0 30 2 *": [("never runs", "a day of the month that the month has")],
    "0 0 0 31 4,6,9,11 *": [("never runs", "a day of the month that the month has")],
    "10675199": [("never runs", '"0 */15 * * * *"'), ("a time span of 10675199 days", "six fields")],
    "0 0 8 * * *": [],
    "0 0 8 * * MON-FRI": [("3 days pass", "once an hour")],
    "0 0 0 29 2 *": [("1461 days pass", "once an hour")],
    "0 0 22-6 * * *": [('"22-6" as its hour is 6 to 22', '"22-23,0-6" for 22 to 6')],
    "0 0 * * * FRI-MON": [
        ("pass between", "once an hour"),
        ('"FRI-MON" as its day of the week is Monday to Friday', '"5-6,0-1" for Friday to Monday'),
    ],
    "0 0 * 1-30 * MON-SAT": [
        ("pass between", "once an hour"),
        ("its day of the month and its day of the week must both match", "write * for one of them"),
    ],
    "0 0 * * M *": [("pass between", "once an hour"), ('"M" is March, not May', "three letters")],
    "0 0 * * * S,T": [
        ("pass between", "once an hour"),
        ('"S" is Sunday, not Saturday', "three letters"),
        ('"T" is Tuesday, not Thursday', "three letters"),
    ],
    "0 */15 * * * *": [],
    "0 5,20-50/15 * * * *": [],
    "0 */15 * * Jan-Dec Sun-Sat": [],
    "  0 */15 * * * *  ": [],
}
"""The schedule → each unexpected meaning, and its replacement."""


@pytest.mark.parametrize(("text", "expected"), SURPRISING.items(), ids=map(repr, SURPRISING))
def test_a_surprising_schedule_is_a_warning_with_what_to_write(
    text: str, expected: list[tuple[str, str]]
) -> None:
    environ = {**LIST, "REFRESH_SCHEDULE": text}
    lines = check_settings(environ, (), load(environ))
    told = [line for line in lines if line.error]
    assert {(line.subject, line.status) for line in told} <= {("REFRESH_SCHEDULE", "warning")}
    assert {line.error.code for line in told if line.error} <= {"schedule_surprising"}
    for line, (found, advice) in zip(told, expected, strict=True):
        assert found in line.message
        assert advice in line.message.partition("; ")[2]


def test_check_refuses_what_the_host_refuses_and_nothing_else() -> None:
    judged = {case[0]: schedule_problem(case[0]) is None for case in CASES}
    assert judged == {case[0]: case[1] != "refused" for case in CASES}


def test_what_check_says_of_a_schedule_is_short_whatever_it_is() -> None:
    for text in (case[0] for case in CASES):
        warnings = schedule_warnings(text, NOW)
        assert len(warnings) <= MAX_WARNINGS
        messages = [warning.message for warning in warnings]
        problem = schedule_problem(text)
        messages += [problem.message] if problem else []
        assert all(len(message) < 400 and message.isprintable() for message in messages)


@pytest.mark.parametrize(
    "text", ["dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48", "0 */15 * * * *\u202e", "0\t*/15 * * * *"]
)
def test_a_secret_schedule_is_reported_once(text: str) -> None:
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
