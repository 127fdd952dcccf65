"""The tables of docs/logs.md: fields of log lines, and of JSON reports from the dataclasses that produce them.

`tests/pages/test_operations.py` compares the fields with lines that the app writes.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args, get_origin

from git_refresh.admin.grants import Grant
from git_refresh.admin.removal import Removal
from git_refresh.admin.rotation.report import (
    NotSignedIn,
    PreviousSecretReport,
    RotationReport,
    SecretReport,
    UnmanagedSecretReport,
)
from git_refresh.admin.runs import HostReport, LoggedRun
from git_refresh.admin.values import SignIn
from git_refresh.cli.checks import Check, CheckReport
from git_refresh.cli.onboard import OnboardResult
from git_refresh.cli.remove import RemovalReport
from git_refresh.cli.runs import History
from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.model.values import Problem, json_of
from git_refresh.run.report import (
    LOGGED_CODES,
    LOGGED_TOKENS,
    PLACES,
    CredentialReport,
    FolderReport,
    Report,
    TokenReport,
    WorkspaceReport,
)

COMMON = {
    "event, run_id, app_version": "Name of the line, ID of the run, version of the app",
    "slice, slices": "Number of the slice, from 1, and of all slices",
    "result": "`ok`, `failed` or `rejected` (invalid entry)",
    "code": "Code of a failure that concerns no workspace, or `null`",
    "problems, problems_omitted": "Texts that begin with their subject, such as a workspace or `token`",
    "workspaces": "Number of entries in `WORKSPACES`, or in the slice",
    "valid_until": "When the next run is due and messages expire",
    "names, names_omitted": "Workspaces of the slice, or unknown names",
}
"""Fields that several lines have, and their meaning."""
LINES = {
    "git_refresh.run": {
        "dry_run": "`true` for `plan`",
        "duration_s, next_run": "Duration, and when the next run is due",
        "workspaces_ok, workspaces_failed, workspaces_rejected": "Workspaces by result",
        "folders": "Git folders, including those that `/*` matches",
        "folders_created, folders_updated, folders_unchanged, folders_failed, folders_skipped": (
            "Git folders by action: cloned, moved, up to date, failed, not tried"
        ),
        "min_token_remaining_s": "Seconds until the first token expires, or `null`",
        "tokens": (
            f"First {LOGGED_TOKENS} tokens to expire: `identity` (client ID), `tenant`, `expires_at`, `remaining_s`, "
            "`workspaces` (how many store it)"
        ),
        "failures, failures_omitted": (
            f"One object for each code, at most {LOGGED_CODES}, the most frequent first: `location` (the first), `code`, "
            f"`message`, `cause`, `remedy`, `count`, `places` (the first {PLACES}), `workspaces` (how many)"
        ),
    },
    "git_refresh.workspace": {
        "name, host": "Name and URL of the workspace",
        "alert_after_runs": "Failed runs in a row until [an alert](monitoring.md#temporary-failures) fires; only if not `ok`",
        "credential": (
            "`created` or `updated`: a new token is stored; `token_rejected`: the stored token is kept; `failed`; or `null`"
        ),
        "folders": "Counts of `created`, `updated`, `unchanged`, `failed` and `skipped`, without zeros",
        "failures, failures_omitted": "As above, without `workspaces`",
    },
    "git_refresh.message_skipped": {
        "result": "`dropped`, or `failed` for `slice_abandoned`",
        "code": (
            "`slice_too_late`, `message_unreadable`, `slice_abandoned`, `slice_duplicate`, `slice_already_completed` or "
            "`workspace_not_listed`"
        ),
    },
}
"""Each line's own fields, and their meaning."""

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_ERROR = Diagnosis("", "", "", "")
_REPORTS: dict[str, Mapping[str, Any]] = {
    "`run`, `plan`": {
        "": Report("", _NOW, 0, False, "ok", (), (), ()),  # the only positional flag
        "`tokens`": TokenReport(None, None, _NOW, 0, 0),
        "`problems`": Problem("", ""),
        "`workspaces`": WorkspaceReport("", "", "ok"),
        "`credential`": CredentialReport("created"),
        "`folders`": FolderReport("", "created"),
        "`error`": _ERROR,
    },
    "`check`": {"": CheckReport(()), "`checks`": Check("settings", "", "ok", "")},
    "`onboard`": {
        "": OnboardResult((), None, applied=False, interrupted=False),
        "`grants`": Grant("identity", "", ""),
    },
    "`onboard --remove`": {"": RemovalReport(()), "`removals`": Removal("app", "", "")},
    "`rotate`": {
        "": RotationReport(()),
        "`secrets`": SecretReport("", "", "", (), "rotate"),
        "`previous`": PreviousSecretReport("", None, "delete"),
        "`unmanaged`": UnmanagedSecretReport("", None, None, _ERROR),
        "`not_signed_in`": NotSignedIn("", SignIn.REJECTED, _ERROR),
    },
    "`runs`": {
        "": History("", "", _NOW, _NOW, None, True, (), None, (), False, ()),  # positional fields
        "`runs`": LoggedRun("", _NOW, None, "ok"),
        "`host`": HostReport("", 0, _NOW),
    },
}
"""A sample of each object in the JSON report of a command."""


def lines() -> Iterator[str]:
    """Yield the table of each log line."""
    yield from _table(COMMON)
    for event, fields in LINES.items():
        yield from ("", f"### `{event}`", "")
        yield from _table(fields)


def _table(fields: Mapping[str, str]) -> Iterator[str]:
    yield "| Field | Meaning |"
    yield "|---|---|"
    for names, meaning in fields.items():
        yield f"| {', '.join(f'`{name}`' for name in names.split(', '))} | {meaning} |"


def reports() -> Iterator[str]:
    """Yield the fields of each command's JSON report, with the values of those that have few."""
    for command, objects in _REPORTS.items():
        yield f"- {command}: {_fields(objects[''])}"
        yield from (f"  - {name}: {_fields(sample)}" for name, sample in objects.items() if name)


def _fields(sample: Any) -> str:  # noqa: ANN401  # any dataclass
    types = type(sample).__annotations__
    return ", ".join(f"`{name}`{_values(types.get(name))}" for name in keys(sample))


def _values(type_: object) -> str:
    if get_origin(type_) is not Literal:
        return ""
    return f" ({', '.join(f'`{value}`' for value in get_args(type_))})"


def keys(sample: Any) -> list[str]:  # noqa: ANN401  # any dataclass
    """Return the keys of the JSON that a dataclass becomes."""
    if isinstance(sample, History):
        return [*sample.as_dict(only_failed=False)]
    return [*(sample.as_dict() if hasattr(sample, "as_dict") else json_of(sample))]
