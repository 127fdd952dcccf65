"""The size of an app setting for a process, to the byte."""

import json
import subprocess
import sys

import pytest

from git_refresh.cli.check_settings import MANY_BYTES, check_settings, check_sizes
from git_refresh.settings.names import MOST_BYTES

MOST = MOST_BYTES - len("WORKSPACES=")


def told(**environ: str) -> list[tuple[str, str, str]]:
    lines = list(check_sizes(environ))
    assert all(line.error is not None and line.error.code == "long_setting" for line in lines)
    return [(line.status, line.subject, line.message) for line in lines]


@pytest.mark.parametrize(
    ("size", "status"),
    [
        (MANY_BYTES - 1, None),
        (MANY_BYTES, "warning"),
        (MOST, "warning"),
        (MOST + 1, "failed"),
        (1_000_000, "failed"),
    ],
)
def test_it_warns_from_120_000_bytes_on_and_fails_above_what_fits(size: int, status: str | None) -> None:
    lines = told(WORKSPACES="x" * size)
    assert lines == (
        [(status, "WORKSPACES", f"WORKSPACES has {size:,} bytes, and at most 131,060 fit.")] if status else []
    )


def test_it_counts_bytes_and_not_characters() -> None:
    assert told(WORKSPACE_DEFAULTS="ü" * (MANY_BYTES // 2)) == [
        ("warning", "WORKSPACE_DEFAULTS", "WORKSPACE_DEFAULTS has 120,000 bytes, and at most 131,052 fit.")
    ]
    assert told(WORKSPACE_DEFAULTS="ü" * (MANY_BYTES // 2 - 1)) == []


def test_json_is_measured_as_it_is_set_and_not_as_it_is_read() -> None:
    entries = [{"host": f"https://adb-{number}.7.azuredatabricks.net", "name": "é"} for number in range(1500)]
    written = json.dumps(entries, indent=8)
    compact = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    assert len(written) > MOST_BYTES
    assert len(compact.encode()) < MANY_BYTES
    assert told(WORKSPACES=written) == []
    (line,) = told(WORKSPACES=json.dumps(entries * 2, indent=8))
    assert line[0] == "failed"


@pytest.mark.parametrize("value", ["[" * 200_000, "\ud800" * 50_000, "x"])
def test_what_is_no_json_is_measured_as_it_is(value: str) -> None:
    assert [status for status, *_ in told(WORKSPACES=value)] == ([] if value == "x" else ["failed"])


def test_settings_of_others_are_none_of_ours() -> None:
    assert told(PATH="x" * 1_000_000) == []


def test_it_is_a_line_of_the_settings_and_says_how_to_stay_below() -> None:
    (line,) = check_settings({"WORKSPACES": "x" * MANY_BYTES}, [], None, scheduled=False)
    assert (line.layer, line.status) == ("settings", "warning")
    assert line.error is not None
    assert "WORKSPACE_DEFAULTS" in line.error.remedy
    assert "/*" in line.error.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_linux_takes_the_longest_and_refuses_one_byte_more() -> None:
    def start(size: int) -> None:
        subprocess.run(["/bin/true"], env={"WORKSPACES": "x" * size}, check=True)

    start(MOST)
    with pytest.raises(OSError, match="Argument list too long"):
        start(MOST + 1)
