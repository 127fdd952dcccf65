"""The lines of the settings: what is wrong, misspelled, unused, or too long in them."""

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
"""Of a value: from here on it is time to write it shorter."""
_ALONE = " (to check a list alone: check FILE)"


def missing_beside(environ: Mapping[str, str], settings: Settings | None, *, hint: str = "") -> list[Problem]:
    """What the platform needs beside the list, a missing schedule with a hint; a run itself could do without."""
    schedule = environ.get(NAME, "")
    found = []
    if not schedule.strip():
        message = f"is missing, and without it the platform never runs the function; {EXAMPLE}{hint}"
        found.append(Problem(NAME, message))
    if settings is None or not settings.fan_out:
        return found
    storage = read_storage(environ)
    found += [storage] if isinstance(storage, Problem) else []
    if min(gaps(schedule, SystemClock().now())) < MIN_GAP:
        least = round(MIN_GAP.total_seconds())
        message = (
            f'"{redact(schedule)}" has runs less than {least} seconds apart, too few for a slice with FAN_OUT "queue"; '
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
    """Every problem, every odd name, every value that is too long; or that all is well.

    A run needs no schedule: it is checked if `scheduled`. `named` are the names in a file, where each must be a setting of this app.
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
    """The line of what is written in another form than its own; those of one kind share one."""
    if note.kind.startswith(RENAMED):
        diagnosis, in_general = finding("setting_renamed", DiagnosisContext(), understood=note.message), ""
    else:
        diagnosis = finding("setting_understood", DiagnosisContext(), understood=note.message)
        in_general = "This is written in another form; --json has what is used in place of each."
    line = warning("settings", note.location, replace(diagnosis, kind=note.kind))
    return replace(line, kind=in_general)


def check_proxy(settings: Settings, environ: Mapping[str, str], *, offline: bool) -> Iterator[Check]:
    """What is odd about the proxy that the environment names. One that cannot be used is a warning only if nothing is called."""
    if not any(name.lower() in {"https_proxy", "all_proxy"} for name in environ):
        return
    from git_refresh import app  # noqa: PLC0415  # the SDKs take a second: not where there is no proxy

    if odd := app.odd_proxy(settings, environ, offline=offline):
        variable, flaw = odd
        found = finding("proxy_surprising", DiagnosisContext(), found=f"It {flaw.found}", advice=flaw.advice)
        yield warning("settings", variable, found)


def _host_settings(environ: Mapping[str, str], named: Collection[str]) -> Iterator[Check]:
    """A line for each setting of the platform that changes when the app runs, or that is thought to."""
    zones = [name for name in TIME_ZONES if environ.get(name, "").strip()]
    for name in zones:
        if name != "TZ" or name in named:  # on a laptop TZ is its own
            yield warning("settings", name, finding("time_zone_ignored", DiagnosisContext()))
    for name, value in environ.items():
        function = disables(name)
        if function and value.strip().lower() in {"true", "1"}:
            diagnosis = finding("function_disabled", DiagnosisContext(), function=function)
            yield warning("settings", redact(name), diagnosis)


def check_sizes(environ: Mapping[str, str]) -> Iterator[Check]:
    """A line for each setting that is too long, or nearly. JSON counts without white space, as `jq` and Bicep set it."""
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
    """A line for each way of signing in for which the list has a secret's name without need."""
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
    """Those of the entries that can be used."""
    entries = settings.entries if settings else ()
    return [entry.workspace for entry in entries if isinstance(entry, Entry)]


def _first_of(workspaces: Sequence[Workspace]) -> str:
    return first_of([workspace.name for workspace in workspaces], 1)


def _wrong(problem: Problem) -> Diagnosis:
    code = "invalid_folder" if ".folders" in problem.location else "invalid_settings"
    return finding(code, DiagnosisContext(), problem=problem)
