"""A run does not start if the Functions host would stop it before the end of its budget."""

import json
from pathlib import Path

import pytest

from git_refresh.settings import functions_host
from git_refresh.settings.load import SettingsError, load

LIST = '[{"host": "https://adb-1.1.azuredatabricks.net", "auth": "managed_identity"}]'
OVERRIDE = "AzureFunctionsJobHost__functionTimeout"


def problems(**environ: str) -> list[str]:
    try:
        load({"WORKSPACES": LIST, **environ})
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "host.json"
    monkeypatch.setattr(functions_host, "HOST_JSON", file)
    return file


def test_more_than_the_shipped_host_json_allows_is_refused() -> None:
    assert problems(REFRESH_TIMEOUT_SECONDS="1000") == [
        (
            'REFRESH_TIMEOUT_SECONDS: "1000" is too long for a functionTimeout of "00:10:00" in host.json, '
            "because a run may end up to 5 seconds after it; write at most 594, or raise functionTimeout"
        )
    ]
    assert problems(REFRESH_TIMEOUT_SECONDS="595")
    assert not problems(REFRESH_TIMEOUT_SECONDS="594")
    assert not problems()


@pytest.mark.parametrize(
    ("timeout", "most"),
    [
        ("00:10:00", 594),
        ("00:10", 594),
        ("0:9:7.5", 541),
        ("01:00:00", 3594),
        ("0.00:15:00", 894),
        ("1.00:00:00", 3600),
        ("1", 3600),
        ("-1", 3600),
        (-1, 3600),
        ("-00:10:00", 3600),
        ("24:00:00", 3600),
        ("soon", 3600),
        (None, 3600),
        ([], 3600),
    ],
)
def test_the_limit_is_a_time_span_as_net_reads_it_or_none(timeout: object, most: int, host: Path) -> None:
    host.write_text(json.dumps({"version": "2.0", "functionTimeout": timeout}))
    assert not problems(REFRESH_TIMEOUT_SECONDS=str(most))
    assert most == 3600 or problems(REFRESH_TIMEOUT_SECONDS=str(most + 1))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\xff"])
def test_without_a_limit_that_can_be_read_nothing_is_said(content: str, host: Path) -> None:
    host.write_bytes(content.encode("latin-1"))
    assert not problems(REFRESH_TIMEOUT_SECONDS="3600")


@pytest.mark.parametrize("name", [OVERRIDE, OVERRIDE.upper(), "AzureFunctionsJobHost:functionTimeout"])
def test_an_app_setting_overrides_host_json(name: str) -> None:
    assert not problems(REFRESH_TIMEOUT_SECONDS="3594", **{name: "01:00:00"})
    assert not problems(REFRESH_TIMEOUT_SECONDS="3600", **{name: "-1"})
    assert not problems(REFRESH_TIMEOUT_SECONDS="3600", **{name: ""})
    assert problems(**{name: " 00:05:00 "}) == [
        (
            'REFRESH_TIMEOUT_SECONDS: its default, 540, is too long for a functionTimeout of "00:05:00" in the app setting '
            f"{name}, because a run may end up to 5 seconds after it; write at most 294, or raise functionTimeout"
        )
    ]


def test_where_no_budget_is_short_enough_the_limit_must_be_raised(host: Path) -> None:
    host.write_text('{"functionTimeout": "00:00:35"}')
    (problem,) = problems(REFRESH_TIMEOUT_SECONDS="30")
    assert problem.endswith("after it; raise functionTimeout")
