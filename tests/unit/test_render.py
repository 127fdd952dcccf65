"""Output for people, compared as whole lines."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from git_refresh.cli import render
from git_refresh.cli.check import skipped_layers
from git_refresh.cli.checks import Check, CheckReport, Layer, failed, skipped, warning
from git_refresh.cli.findings import fold, of_problem, show_finding
from git_refresh.cli.progress import Lines, Live, outcome
from git_refresh.failures.diagnosis import Diagnosis, noted
from git_refresh.model.values import Problem
from git_refresh.run.report import CredentialReport, FolderReport, WorkspaceReport
from git_refresh.settings.entries import Rejected
from git_refresh.settings.load import load
from tests.support.reports import ERROR, HOST, NEW, OLD, console, report, text, workspace


def test_a_report_is_a_table_and_one_line_to_sum_up() -> None:
    out = console()
    render.show_report(report(workspace()), out)
    assert text(out) == (
        "Workspace  Credential  Git folder  Ref   From → to            Action\n"
        "data-1     updated     /Repos/a/b  main  aaaaaaaa → bbbbbbbb  updated\n"
        "                       /Repos/a/c  v1    aaaaaaaa             unchanged\n"
        "Refreshed 1 of 1 workspace in 1.2 s."
    )


def test_a_failure_is_shown_once_with_its_cause_and_remedy() -> None:
    folder = FolderReport("/Repos/a/b", "failed", "main", OLD, error=ERROR)
    wrong = Problem("WORKSPACES[1].host", "is missing")
    rejected = WorkspaceReport(
        "WORKSPACES[1]", "", "rejected", error=Diagnosis("invalid_settings", str(wrong), "Wrong.", "Mend it.")
    )
    out = console()
    late = Problem("timer", "late_run: This run started 5 minutes late.", severity="warning")
    render.show_report(
        report(workspace(result="failed", folders=(folder,)), rejected, problems=(wrong, late)), out
    )
    assert text(out).split("\n", 3)[3] == (
        "✗ data-1 /Repos/a/b: Could not move it.  (git_conflict)\n"
        "      It was edited: [a].\n"
        "      → Commit it.\n"
        "✗ WORKSPACES[1].host: is missing\n"
        "! timer: late_run: This run started 5 minutes late.\n"
        "Refreshed 0 of 2 workspaces and 1 of 2 Git credentials in 1.2 s."
    )


def test_a_plan_has_a_line_for_each_step_with_its_reason_and_a_count() -> None:
    made = FolderReport("/Repos/a/d", "created", "main", None, NEW, why="nothing exists at this path")
    fresh = workspace(
        name="data-2", credential=CredentialReport("created", None, "there is none"), folders=(made,)
    )
    out = console()
    render.show_plan(report(workspace(), fresh), out)
    assert text(out) == (
        f"data-1  {HOST}\n"
        "  ~ Git credential 7: a new token replaces the stored one\n"
        "  ~ /Repos/a/b main aaaaaaaa → bbbbbbbb: branch main has moved\n"
        "  = /Repos/a/c v1 aaaaaaaa: it is at the latest commit of tag v1\n"
        f"data-2  {HOST}\n"
        "  + Git credential: there is none\n"
        "  + /Repos/a/d main bbbbbbbb: nothing exists at this path\n"
        "\n"
        "Plan: Git credentials: 1 to create, 1 to update. Git folders: 1 to create, 1 to update, 1 unchanged."
    )


def test_the_table_marks_a_folder_that_there_is_something_to_know_of() -> None:
    note = Diagnosis("changes_discarded", "m", "c", "r")
    out = console()
    render.show_report(
        report(workspace(folders=(FolderReport("/a/b", "updated", "main", OLD, NEW, note=note),))), out
    )
    assert text(out).splitlines()[1].endswith("updated !")


def test_a_plan_marks_a_folder_that_nothing_brings_up_to_date() -> None:
    note = Diagnosis("folder_detached", "m", "c", "r")
    folder = FolderReport(
        "/Repos/a/b", "unchanged", None, OLD, OLD, why="it is on no branch, and nothing else", note=note
    )
    out = console()
    render.show_plan(report(workspace(folders=(folder,))), out)
    assert "  ! /Repos/a/b aaaaaaaa: it is on no branch, and nothing else" in text(out).splitlines()


def test_a_plan_names_what_it_cannot_do() -> None:
    folders = (FolderReport("/Repos/a/b", "failed", error=ERROR),)
    kept = workspace(
        credential=CredentialReport("token_rejected", 7, "Azure DevOps rejects the new token"),
        folders=folders,
    )
    failed = workspace(
        name="data-2",
        result="failed",
        credential=CredentialReport("failed"),
        error=Diagnosis("not_in_workspace", "m", "c", "r"),
        folders=(FolderReport("/Repos/a/b", "skipped", why="the credential failed"),),
    )
    rejected = WorkspaceReport(
        "WORKSPACES[1]", "", "rejected", error=Diagnosis("invalid_settings", "m", "c", "r")
    )
    out = console()
    render.show_plan(report(kept, failed, rejected), out)
    assert [
        line for line in text(out).splitlines() if line.startswith("  ") and not line.startswith("   ")
    ] == [
        "  = Git credential 7: Azure DevOps rejects the new token",
        "  ✗ /Repos/a/b: git_conflict",
        "  ✗ Git credential: not_in_workspace",
        "  – /Repos/a/b: the credential failed",  # noqa: RUF001  # as it is printed
        "  – invalid entry in WORKSPACES: invalid_settings",  # noqa: RUF001
    ]
    assert text(out).endswith(" 3 failures.")


def test_a_check_s_remedy_stands_indented_below_it_also_where_it_wraps() -> None:
    long = Diagnosis(
        "key_vault_forbidden", "Could not.", "It may not " + "read " * 20, "Grant it: " + "word " * 20
    )
    out = console(60)
    render.show_check(CheckReport((Check("key_vault", "secret", "failed", "Could not.", long),)), out)
    lines = text(out).splitlines()
    assert lines[:2] == ["Key Vault", "  ✗ secret: Could not.  (key_vault_forbidden)"]
    assert all(line.startswith("      ") and len(line) <= 60 for line in lines[2:-1]), lines
    assert lines[-1] == "1 check: 1 failed."


@pytest.mark.parametrize(
    ("whole", "commands", "times"),
    [
        ("/Workspace/Shared/" + "long/" * 12, (), 6),
        (COMMAND := "az keyvault secret set --vault-name contoso --name databricks", (COMMAND,), 4),
    ],
)
def test_a_path_or_a_command_is_in_one_piece_at_sixty_columns_too(
    whole: str, commands: tuple[str, ...], times: int
) -> None:
    out = console(60)
    error = Diagnosis(
        "git_conflict",
        f"Could not move {whole} there.",
        "It was edited.",
        f"Type this: {whole}",
        commands=commands,
    )
    render.show_check(CheckReport((Check("folder", "a folder", "failed", error.message, error),)), out)
    render.show_report(
        report(workspace(result="failed", folders=(FolderReport(whole, "failed", error=error),))), out
    )
    assert text(out).count(whole) == times


def test_a_narrow_terminal_has_a_list_instead_of_a_table() -> None:
    out = console(60)
    render.show_report(report(workspace()), out)
    assert text(out).splitlines()[:3] == [
        f"data-1  {HOST}",
        "  ~ Git credential 7: a new token replaces the stored one",
        "  ~ /Repos/a/b main aaaaaaaa → bbbbbbbb: branch main has",
    ]
    assert text(out).splitlines()[3] == "    moved"


def test_equal_mistakes_are_one_line_with_a_count_and_the_first_places() -> None:
    wrong = [Problem(f"WORKSPACES[{n}].hots", "is not a key of a workspace") for n in range(1500)]
    other = Problem("WORKSPACES[7].host", "is missing")
    line = "✗ WORKSPACES[0].hots, WORKSPACES[1].hots, WORKSPACES[2].hots and 1,497 more: is not a key of a workspace"
    out = console()
    render.show_nothing_run([*wrong[:8], other, *wrong[8:]], out)
    assert text(out).splitlines() == [line, "✗ WORKSPACES[7].host: is missing", "No changes made."]
    out = console()
    checks = [Check("settings", problem.location, "failed", problem.message) for problem in wrong]
    render.show_check(CheckReport(tuple(checks)), out)
    assert text(out).splitlines()[1:] == [f"  {line}", "1500 checks: 1500 failed."]


def test_mistakes_that_differ_only_in_value_are_one_line_with_the_first() -> None:
    wrong = [
        Problem(
            f"WORKSPACES[{n}].host", f'"http://{n}.net" must start with https://', "Workspace.host scheme"
        )
        for n in range(5)
    ]
    out = console()
    render.show_nothing_run(wrong, out)
    assert text(out).splitlines()[:-1] == [
        "✗ WORKSPACES[0].host, WORKSPACES[1].host, WORKSPACES[2].host and 2 more: " + wrong[0].message
    ]


def of_host(number: int, path: str = "") -> Diagnosis:
    """Return a failure that differs only in host, request ID and path."""
    host, id_ = f"https://adb-{number}.1.azuredatabricks.net", f"1b2c3d4e-0000-4000-8000-{number:012}"
    message = f"Could not move {path or 'it'}: Databricks returned 403 (request ID {id_})."
    return Diagnosis("permission_denied", message, f"{host} refuses {id_}.", f"Open {host} {path}.")


def fleet(workspaces: int, folders: int) -> list[WorkspaceReport]:
    return [
        workspace(
            name=f"data-{number}",
            result="failed",
            folders=tuple(
                FolderReport(f"/a/{folder}", "failed", error=of_host(number, f"/a/{folder}"))
                for folder in range(folders)
            ),
        )
        for number in range(workspaces)
    ]


@pytest.mark.parametrize("show", [render.show_report, render.show_plan])
def test_what_fails_alike_in_many_workspaces_is_one_line_and_one_finding(show: Any) -> None:
    out = console()
    show(report(*fleet(200, 30)), out)
    lines = text(out).splitlines()
    assert len([line for line in lines if "(permission_denied)" in line]) == 1
    assert "data-0 /a/0, data-0 /a/1, data-0 /a/2 and 5,997 more: " in text(out)
    assert sum("data-0, data-1, data-2 and 197 more" in line for line in lines) <= 1
    assert len(lines) < 12


@pytest.mark.parametrize("path", ["", "/Repos/a/b"])
def test_a_check_shows_equal_failures_once_in_each_layer(path: str) -> None:
    layers: tuple[Layer, ...] = ("workspace", "credential", "folder")
    checks = [
        failed(layer, f"data-{number}", of_host(number, path and f"{path}/{number}"))
        for layer in layers
        for number in range(1_000)
    ]
    out = console()
    render.show_check(CheckReport(tuple(checks)), out)
    lines = text(out).splitlines()
    assert len([line for line in lines if "data-0, data-1, data-2 and 997 more" in line]) == 3
    assert len([line for line in lines if "→" in line]) == 3
    assert len(lines) < 20


def test_problems_that_differ_in_their_value_alone_are_one_finding() -> None:
    problems = tuple(
        noted(
            f"secret-{n}", Diagnosis("secret_expires_soon", f"It expires on day {n % 28}.", "c", "r", f"{n}")
        )
        for n in range(500)
    )
    out = console()
    render.show_report(report(workspace(), problems=problems), out)
    assert "secret-0, secret-1, secret-2 and 497 more: " in text(out)
    assert len(text(out).splitlines()) < 10


def test_two_codes_and_a_single_finding_stay_separate() -> None:
    other = replace(of_host(7), code="git_conflict")
    checks = [failed("folder", f"data-{number}", of_host(number)) for number in range(50)]
    checks += [failed("folder", "data-7 /a", other), warning("folder", "data-8", of_host(8))]
    out = console()
    render.show_check(CheckReport(tuple(checks)), out)
    told = [line for line in text(out).splitlines() if line.endswith(")")]
    assert len(told) == 3


def test_what_was_not_looked_at_for_one_reason_is_one_line_in_each_layer() -> None:
    layers: dict[Layer, str] = {"credential": "", "folder": ", 2 Git folders"}
    checks = [
        skipped(layer, f"data-{n}{what}", "it is late") for layer, what in layers.items() for n in (1, 2)
    ]
    out = console()
    render.show_check(CheckReport(tuple(checks)), out)
    assert text(out).splitlines()[:-1] == [
        "Git credentials",
        "  – data-1, data-2: skipped, because it is late",  # noqa: RUF001  # as it is printed
        "Git folders",
        "  – data-1, 2 Git folders; data-2, 2 Git folders: skipped, because it is late",  # noqa: RUF001
    ]


def test_a_command_that_does_not_fit_has_a_line_of_its_own() -> None:
    command = "az keyvault secret set --vault-name contoso --name databricks --value VALUE"
    out = console(60)
    fold(
        Text("→ "),
        Text(f"Store it as a new version with the day on which it ends: {command}"),
        out,
        [command],
    )
    assert text(out).splitlines() == [
        "→ Store it as a new version with the day on which it ends:",
        f"  {command}",
    ]
    out = console()
    fold(Text("→ "), Text(f"Store it: {command}"), out, [command])
    assert text(out).splitlines() == [f"→ Store it: {command}"]


@pytest.mark.parametrize("path", ["/Repos/etl", "/Repos/Now Or Then, x: az login", "/a Or b: az login"])
def test_a_second_command_has_a_line_of_its_own_whatever_is_in_the_first(path: str) -> None:
    first, second = f"az rest --body '{path}'", f"databricks workspace mkdirs '{path}'"
    out = console(40)
    fold(Text("→ "), Text(f"Grant it: {first} Or let an admin run: {second}"), out, [first, second])
    lines = text(out).splitlines()
    assert lines == ["→ Grant it:", f"  {first}", "  Or let an admin run:", f"  {second}"]


@given(
    st.lists(st.sampled_from(["a", "sign-in", "https://x.net/a-b", "word,", "數據", "x" * 70]), max_size=60),
    st.sampled_from([(), ("az login --tenant 'a b'",), ("az login --tenant 'a b'", "git fetch origin main")]),
    st.integers(40, 200),
)
def test_no_word_and_no_command_is_broken_at_any_width(
    words: list[str], commands: tuple[str, ...], width: int
) -> None:
    parts = [" ".join(words), *(f"Then: {command}. And {' '.join(words)}" for command in commands)]
    out = console(width)
    fold(Text("  → "), Text(" ".join(parts)), out, commands)
    lines = text(out).splitlines()
    kept = {*words, *commands}
    assert all(line[4:] in kept or cell_len(line) <= width for line in lines), lines
    told = " ".join(line[4:] for line in lines)
    assert all(command in told for command in commands)
    assert told.split() == [part for part in " ".join(parts).split() if part != "."] or commands


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("identity", "mine"),
        ("additional_principal_ids", ["mine"]),
        ("devops", {"tenant_id": "contoso", "client_id": ERROR.code}),
    ],
)
def test_a_command_that_a_problem_names_is_in_one_piece(key: str, value: object) -> None:
    (entry,) = load({"WORKSPACES": json.dumps([{"host": HOST, key: value}])}).entries
    assert isinstance(entry, Rejected)
    for problem in entry.problems:
        assert problem.commands
        for width in range(40, 120):
            out = console(width)
            show_finding([of_problem(problem)], out)
            assert all(command in text(out) for command in problem.commands)


def test_a_bad_state_without_a_failure_is_shown_like_a_failure() -> None:
    note = Diagnosis("changes_discarded", "It may be lost.", "It has discard.", "Remove it.")
    folder = FolderReport("/Repos/a/b", "updated", "main", OLD, NEW, note=note)
    problem = replace(noted("data-1 /Repos/a/b", note), about="data-1")
    out = console()
    render.show_report(
        report(workspace(folders=(folder,)), problems=(problem,)), out, {"data-1": "WORKSPACES[4]"}
    )
    assert text(out).splitlines()[-4:-1] == [
        "! data-1 /Repos/a/b (WORKSPACES[4]): It may be lost.  (changes_discarded)",
        "      It has discard.",
        "      → Remove it.",
    ]


def test_layers_of_which_nothing_was_looked_at_are_one_line() -> None:
    checks = [
        Check("settings", "WORKSPACES", "failed", "is missing"),
        *skipped_layers("they are wrong", below="settings"),
    ]
    out = console()
    render.show_check(CheckReport(tuple(checks)), out)
    assert text(out).splitlines() == [
        "Settings",
        "  ✗ WORKSPACES: is missing",
        "– everything else: skipped, because they are wrong",  # noqa: RUF001  # as it is printed
        "7 checks: 1 failed, 6 skipped.",
    ]


LEFT_OUT = "Jobs were not checked. To check them, add --jobs."


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        ([Check("workspace", "data-1", "ok", "signed in")], True),
        ([Check("workspace", "data-1", "failed", "refused", ERROR)], False),
    ],
    ids=["all but that was looked at", "there is more to be done first"],
)
def test_what_was_not_asked_for_is_one_line_before_the_last(checks: list[Check], *, told: bool) -> None:
    out = console()
    render.show_check(CheckReport(tuple(checks)), out, left_out=LEFT_OUT)
    assert (text(out).splitlines()[-2] == LEFT_OUT) == told
    assert (LEFT_OUT in text(out)) == told


def test_many_jobs_of_one_principal_are_shown_once() -> None:
    error = Diagnosis("job_principal_not_refreshed", "It runs as x.", "Nobody renews it.", "Write run_as.")
    checks = [
        Check("job", "data-1", "ok", "900 jobs"),
        *(
            Check("job", f'data-1, job {number} "etl"', "failed", error.message, error)
            for number in range(900)
        ),
    ]
    out = console()
    render.show_check(CheckReport(tuple(checks)), out, {"data-1": "WORKSPACES[4]"})
    assert text(out).splitlines()[1:4] == [
        "  ✗ " + "; ".join(f'data-1, job {number} "etl"' for number in range(3)) + " and 897 more: "
        "It runs as x.  (job_principal_not_refreshed)",
        "      Nobody renews it.",
        "      → Write run_as.",
    ]


def test_a_failure_has_the_place_of_its_workspace_in_the_settings() -> None:
    places = {"data-1": "WORKSPACES[4]"}
    folder = FolderReport("/Repos/a/b", "failed", "main", OLD, error=ERROR)
    out = console()
    render.show_report(report(workspace(result="failed", folders=(folder,))), out, places)
    assert "✗ data-1 /Repos/a/b (WORKSPACES[4]): Could not move it.  (git_conflict)" in text(out)
    out = console()
    checks = (
        Check("workspace", "data-1", "ok", "signed in"),
        Check("workspace", "data-11", "failed", "Could not.", ERROR),
        Check("folder", "data-1 /Repos/a/b", "failed", "Could not.", ERROR, about="data-1"),
    )
    render.show_check(CheckReport(checks), out, places)
    assert "  ✓ data-1: signed in" in text(out)
    assert "  ✗ data-11: Could not." in text(out)
    assert "  ✗ data-1 /Repos/a/b (WORKSPACES[4]): Could not." in text(out)


def test_a_plan_of_changes_leaves_out_unchanged_folders_and_token_updates() -> None:
    quiet = workspace(name="data-2", folders=(FolderReport("/Repos/a/c", "unchanged", "v1", OLD, OLD),))
    out = console()
    render.show_plan(report(workspace(), quiet), out, changes=True)
    assert text(out).splitlines()[:-2] == [
        f"data-1  {HOST}",
        "  ~ /Repos/a/b main aaaaaaaa → bbbbbbbb: branch main has moved",
    ]


def test_the_common_part_of_several_failures_is_shown_once() -> None:
    checks = [Check("azure_devops", f"branch {n}", "failed", f"Could not {n}.", ERROR) for n in (1, 2)]
    out = console()
    render.show_check(CheckReport(tuple(checks)), out)
    assert text(out).splitlines()[1:5] == [
        "  ✗ branch 1: Could not 1.  (git_conflict)",
        "  ✗ branch 2: Could not 2.  (git_conflict)",
        "      It was edited: [a].",
        "      → Commit it.",
    ]
    out = console()
    failed = [workspace(name=f"data-{n}", result="failed", folders=(), error=ERROR) for n in (1, 2)]
    render.show_plan(report(*failed), out)
    assert text(out).count("✗ data-") == 2
    assert text(out).count("→ Commit it.") == 1


def test_a_rejected_entry_is_named_in_the_table() -> None:
    out = console()
    render.show_report(report(WorkspaceReport("WORKSPACES[1]", "", "rejected", error=ERROR)), out)
    assert text(out).splitlines()[1].split() == ["WORKSPACES[1]", "—", "—", "rejected"]


def test_what_is_wrong_with_the_settings_says_it_all_in_its_own_line() -> None:
    out = console()
    check = Check("settings", "WORKSPACES[0].hots", "failed", "is not a key of a workspace", ERROR)
    render.show_check(CheckReport((check,)), out)
    assert text(out) == "Settings\n  ✗ WORKSPACES[0].hots: is not a key of a workspace\n1 check: 1 failed."


def test_what_is_piped_is_never_folded() -> None:
    assert render.console().width >= 500


def test_square_brackets_in_a_name_are_no_markup() -> None:
    out = console()
    render.show_report(report(workspace(name="[red]x[/red]", folders=())), out)
    Lines(out).finished(workspace(name="[red]y[/red]", folders=()))
    assert "[red]x[/red]" in text(out)
    assert "[red]y[/red]" in text(out)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "credential updated, 1 Git folder updated, 1 Git folder unchanged"),
        ({"folders": (FolderReport("/a", "skipped"),) * 2}, "credential updated, 2 Git folders skipped"),
        ({"credential": None, "folders": (), "error": ERROR}, "git_conflict"),
    ],
)
def test_a_finished_workspace_is_shown_in_a_few_words(changes: dict[str, Any], words: str) -> None:
    assert outcome(workspace(**changes)) == words


def test_the_live_display_shows_a_dozen_workspaces_and_counts_the_rest() -> None:
    out = Console(file=io.StringIO(), width=100, force_terminal=True, highlight=False)
    with Live(out, 20) as live:
        for number in range(20):
            live.started(f"data-{number}", "signing in")
        names = [task.description for task in live.progress.tasks if task.visible]
        assert names == ["workspaces", *(f"data-{number}" for number in range(12))]
        live.started("data-0", "/Repos/a/b and 2 more")
        assert live.progress.tasks[1].fields["what"] == "/Repos/a/b and 2 more"
        live.finished(workspace(name="data-0"))
        names = [task.description for task in live.progress.tasks if task.visible]
        assert names == ["workspaces", *(f"data-{number}" for number in range(1, 13))]
        assert live.progress.tasks[0].fields["what"] == "1 of 20"
