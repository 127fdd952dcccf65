"""The settings layer of `check`: invalid, misspelled, unused, and too long settings."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from git_refresh.cli.check_schedule import EXAMPLE, NAME, schedule_problem, schedule_warnings
from git_refresh.cli.checks import Check, failed, warning
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, finding
from git_refresh.fan_out import MIN_GAP
from git_refresh.model.clock import SystemClock
from git_refresh.model.schedule import gaps
from git_refresh.model.values import Problem
from git_refresh.output.redact import redact
from git_refresh.output.text import count, first_of
from git_refresh.run.slices import cut
from git_refresh.settings.entries import RENAMED, Entry
from git_refresh.settings.functions_host import read_storage
from git_refresh.settings.load import Settings
from git_refresh.settings.models import Workspace
from git_refresh.settings.names import (
    MOST_BYTES,
    SETTINGS,
    TIME_ZONES,
    disables,
    environment_names,
    near_misses,
    unknown_names,
)

MANY_BYTES = 120_000
"""Size of a value that causes a warning, below the limit of 131,071 bytes."""
_ALONE = " (to check only a list: check FILE)"


def missing_beside(environ: Mapping[str, str], settings: Settings | None, *, hint: str = "") -> list[Problem]:
    """Return problems of the schedule and the storage, which only the Functions host uses.

    `hint` is added to the message about a missing schedule.
    """
    schedule = environ.get(NAME, "")
    found = []
    if not schedule.strip():
        message = f"is missing, so Azure Functions never runs the function; {EXAMPLE}{hint}"
        found.append(Problem(NAME, message))
    if settings is None or not settings.fan_out:
        return found
    storage = read_storage(environ)
    found += [storage] if isinstance(storage, Problem) else []
    if min(gaps(schedule, SystemClock().now())) < MIN_GAP:
        least = round(MIN_GAP.total_seconds())
        message = (
            f'"{redact(schedule)}" has runs less than {least} seconds apart, too close for a slice with FAN_OUT "queue"; '
            'write a schedule with longer gaps, or set FAN_OUT to "off"'
        )
        found.append(Problem(NAME, message))
    return found


def check_settings(
    environ: Mapping[str, str],
    problems: Sequence[Problem],
    settings: Settings | None,
    *,
    scheduled: bool = True,
    named: Collection[str] = (),
) -> list[Check]:
    """Return a line for each problem and warning. Without problems, the last line has the counts.

    If `scheduled`, a missing schedule is a problem. `named` has all names in files, where those of other
    programs cause a warning.
    """
    if scheduled:
        problems = [*problems, *missing_beside(environ, settings, hint=_ALONE)]
    schedule = environ.get(NAME, "")
    reported = not schedule.strip() or any(problem.location == NAME for problem in problems)
    if not reported and (refused := schedule_problem(schedule)):
        problems = [*problems, refused]
    found = [
        Check("settings", problem.location, "failed", problem.message, _wrong(problem))
        for problem in problems
    ]
    found += [_noted(note) for note in (settings.notes if settings else ())]
    near = near_misses({**dict.fromkeys(named, ""), **environ})
    for name, meant in near.items():
        found.append(
            warning("settings", redact(name), finding("misspelled_setting", DiagnosisContext(), meant=meant))
        )
    found += [
        warning("settings", redact(name), finding("unknown_setting", DiagnosisContext()))
        for name in unknown_names(named)
        if name not in near
    ]
    found += [
        warning("settings", redact(name), finding("ignored_setting", DiagnosisContext()))
        for name in environment_names(named)
    ]
    found += schedule_warnings(schedule, SystemClock().now())
    found += _host_settings(environ, named)
    found += check_sizes(environ)
    if "client_secret_name" not in environ.get("WORKSPACE_DEFAULTS", ""):
        found += _unused_secret_names(settings)
    if settings is not None and not problems:
        workspaces = workspaces_of(settings)
        folders = sum(len(workspace.folders) for workspace in workspaces)
        listed = f"{len(workspaces)} of " if settings.listed else ""
        listed += count(len(settings.listed or workspaces), "workspace")
        message = f"{listed}, {count(folders, 'Git folder')}"
        message += (
            f", in {count(len(cut(settings)), 'slice')}" if settings.fan_out and not settings.listed else ""
        )
        found.append(Check("settings", "app settings", "ok", message))
    return found


def _noted(note: Problem) -> Check:
    """Return the warning for a value that is accepted in another form."""
    if note.kind.startswith(RENAMED):
        diagnosis, in_general = finding("setting_renamed", DiagnosisContext(), understood=note.message), ""
    else:
        diagnosis = finding("setting_understood", DiagnosisContext(), understood=note.message)
        in_general = "The value has another form. To show the value that is used instead, add --json."
    line = warning("settings", note.location, replace(diagnosis, kind=note.kind))
    return replace(line, kind=in_general)


def check_proxy(settings: Settings, environ: Mapping[str, str], *, offline: bool) -> Iterator[Check]:
    """Yield a warning about an unusual proxy in the environment. If `offline`, also about an unusable one."""
    if not any(name.lower() in {"https_proxy", "all_proxy"} for name in environ):
        return
    from git_refresh import app  # noqa: PLC0415  # loading the SDKs takes a second

    if odd := app.odd_proxy(settings, environ, offline=offline):
        variable, flaw = odd
        found = finding("proxy_surprising", DiagnosisContext(), found=f"It {flaw.found}", advice=flaw.advice)
        yield warning("settings", variable, found)


def _host_settings(environ: Mapping[str, str], named: Collection[str]) -> Iterator[Check]:
    """Yield a warning for each time zone setting, which has no effect, and each disabled function."""
    zones = [name for name in TIME_ZONES if environ.get(name, "").strip()]
    for name in zones:
        if name != "TZ" or name in named:  # TZ in the environment is the laptop's
            yield warning("settings", name, finding("time_zone_ignored", DiagnosisContext()))
    for name, value in environ.items():
        function = disables(name)
        if function and value.strip().lower() in {"true", "1"}:
            diagnosis = finding("function_disabled", DiagnosisContext(), function=function)
            yield warning("settings", redact(name), diagnosis)


def check_sizes(environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield a line for each setting near or above the size limit. White space in JSON does not count."""
    for name in SETTINGS:
        size = _bytes(_compact(environ.get(name, "")))
        most = MOST_BYTES - _bytes(f"{name}=")
        if size >= MANY_BYTES:
            diagnosis = finding(
                "long_setting", DiagnosisContext(), setting=name, size=f"{size:,}", most=f"{most:,}"
            )
            yield (failed if size > most else warning)("settings", name, diagnosis)


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _compact(value: str) -> str:
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _unused_secret_names(settings: Settings | None) -> Iterator[Check]:
    users: dict[str, list[Workspace]] = {}
    for workspace in workspaces_of(settings):
        if workspace.auth != "oauth_secret" and workspace.client_secret_name is not None:
            users.setdefault(workspace.auth, []).append(workspace)
    for auth, workspaces in users.items():
        diagnosis = finding(
            "unused_secret_name", DiagnosisContext(), auth=auth, workspaces=_first_of(workspaces)
        )
        yield warning("settings", "WORKSPACES", diagnosis)


def workspaces_of(settings: Settings | None) -> list[Workspace]:
    """Return the workspaces of the valid entries."""
    entries = settings.entries if settings else ()
    return [entry.workspace for entry in entries if isinstance(entry, Entry)]


def _first_of(workspaces: Sequence[Workspace]) -> str:
    return first_of([workspace.name for workspace in workspaces], 1)


def _wrong(problem: Problem) -> Diagnosis:
    code = "invalid_folder" if ".folders" in problem.location else "invalid_settings"
    return finding(code, DiagnosisContext(), problem=problem)
