"""Printed commands: a shell passes each value to its program unchanged, and runs nothing in it."""

import ast
import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from git_refresh.admin import commands
from git_refresh.failures import diagnosis
from git_refresh.failures.diagnosis import DiagnosisContext
from git_refresh.failures.table import OWN, TABLE, UNKNOWN, Row
from git_refresh.output.log import MAX_TEXT_CHARS
from git_refresh.output.redact import escape_unprintable
from git_refresh.output.shell import MAX_LENGTH, Command, command, fill, quote
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import load
from tests.support.examples import as_often_as
from tests.support.paths import ROOT

LOOKS_LIKE_A_COMMAND = re.compile(
    r"(?:(?<=\s)\.venv/bin/|\b)(?:DATABRICKS_\w+=\S+ )*(?:(?:az|databricks|git|func|azd|ulimit|python) [a-z-]|read -rs )"
)
HOST = "https://adb-1.1.azuredatabricks.net"
GUID = "5a1e0000-0000-4000-8000-000000000001"

WITH_HISTORY = "set -o history; set -H\n"
"""As in a terminal, where bash expands ! in a line first."""
STAND_INS = """
called() { printf '%s\\0' $(($# + 1)) "$@" "HOST=$DATABRICKS_HOST"; }
for name in az curl databricks git ulimit; do
  eval "$name() { called $name \\"\\$@\\" >&3; echo 42; }"
done
jq() { builtin read -r; echo "$REPLY"; }
read() { eval "$2=typed"; }
command_not_found_handle() { called "$@" >&3; }
"""


def calls(*lines: str, folder: Path) -> list[list[str]]:
    """Return the arguments of each program, one by one, for lines pasted into bash."""
    python = folder / ".venv/bin/python"
    if not python.exists():
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/bash\nprintf '%s\\0' $(($# + 1)) python \"$@\" >&3\n")
        python.chmod(0o755)
    script = WITH_HISTORY + STAND_INS + "\n".join(lines) + "\n"
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", 'exec bash --norc 3>&1 >/dev/null <<< "$SCRIPT"'],
        env={"PATH": "/nowhere:/bin:/usr/bin", "SCRIPT": script, "LC_ALL": "C.UTF-8"},
        cwd=folder,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert not done.stderr, (done.stderr, lines)
    assert [*folder.iterdir()] == [folder / ".venv"], "nothing else was done"
    words = iter(done.stdout.decode(errors="surrogateescape").split("\0")[:-1])
    return [[next(words) for _ in range(int(number))] for number in words]


hostile = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    st.text("'\"$`\\!#&;|<>(){}[]*?~ \t\n=-a/", max_size=20),
    st.sampled_from(
        [
            "",
            "'$(touch x)'",
            "`touch x`",
            "a; touch x",
            "a\ntouch x",
            "!!",
            "a'!x'b",
            "$'\\001'",
            "-x",
            "~",
            "*",
        ]
    ),
)


@as_often_as(60)
@given(values=st.lists(hostile, min_size=1, max_size=30))
def test_a_quoted_value_is_one_argument_whatever_is_in_it(
    values: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    line = command("az {all}", all=Command(" ".join(map(quote, values))))
    assert escape_unprintable(line) == line, "on one line, and all of it seen"
    (call,) = calls(line, folder=tmp_path_factory.mktemp("typed"))
    assert call == ["az", *values, "HOST="]


@pytest.mark.parametrize("value", ["a\0b", "\ud800", "x" * 3000])
def test_what_no_program_can_be_given_stays_in_capitals(value: str) -> None:
    assert command("az {name} --at {place}", name=value, place="p") == "az NAME --at p"


def test_of_a_command_without_room_the_longest_values_stay_in_capitals() -> None:
    found = command("az {first} {second} {third}", first="a" * 700, second="b" * 900, third="c" * 500)
    assert found == f"az {'a' * 700} SECOND {'c' * 500}"
    assert MAX_LENGTH + 400 < MAX_TEXT_CHARS, "with the sentence around it"


@pytest.mark.parametrize(
    "template", ["az '{x}'", 'az "{x}"', "az '$({x})'", "az \"$(az '{x}')\"", 'a "$(b)" "{x}"']
)
def test_a_template_with_a_value_in_quotes_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="is in quotes"):
        command(template, x="y")


@pytest.mark.parametrize(
    "template", ["az {x}", 'az "$(az {x})"', "az '(' {x} \"'\"", "az $(az '{' | az {x}) {x}"]
)
def test_a_template_with_a_value_outside_of_quotes_is_filled(template: str) -> None:
    assert command(template, x="a b") == template.replace("{x}", "'a b'")


ROWS = [row for row in (*TABLE, UNKNOWN, *OWN) if "`" in row.remedy]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
@given(data=st.data())
@as_often_as(6)
def test_a_remedy_s_commands_are_what_they_are_whatever_values_they_have(
    row: Row, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    drawn = {
        each.name: data.draw(hostile)
        for each in fields(DiagnosisContext)
        if each.name not in {"command", "invocation"}
    }
    context = DiagnosisContext(**{name: value or "x" for name, value in drawn.items()})  # type: ignore[arg-type]  # no commands among them
    known = diagnosis._values(context)
    known |= {"address": data.draw(hostile), "vault_name": data.draw(hostile), "audience": data.draw(hostile)}
    plain = {
        name: value if isinstance(value, Command) else f"Z{name}Z" if value else ""
        for name, value in known.items()
    }
    templates = row.remedy.split("`")[1::2]
    folder = tmp_path_factory.mktemp("typed")
    meant = calls(
        *(fill(each, {**plain, **diagnosis._arguments(plain)}) for each in templates), folder=folder
    )
    assert meant
    hostile_ones = {**known, **diagnosis._arguments(known)}
    typed = calls(*(fill(each, hostile_ones) for each in templates), folder=folder)
    assert typed == [[_with(known, argument) for argument in call] for call in meant]


def _with(values: dict[str, str], argument: str) -> str:
    in_json = argument.startswith("{")
    return re.sub(
        r"Z([a-z_]+)Z",
        lambda found: json.dumps(values[found[1]])[1:-1] if in_json else values[found[1]],
        argument,
    )


@pytest.mark.parametrize("row", [*TABLE, UNKNOWN, *OWN], ids=lambda row: row.code)
def test_a_command_with_a_value_stands_in_backticks(row: Row) -> None:
    for text in (row.cause, row.remedy):
        assert text.count("`") % 2 == 0
        for prose in text.split("`")[::2]:
            for found in LOOKS_LIKE_A_COMMAND.finditer(prose):
                assert "{" not in re.split(r"[.;,)](?:\s|$)", prose[found.start() :])[0], prose
    if row.message:
        assert "`" not in row.message


def test_no_command_is_put_together_by_hand() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in (ROOT / "git_refresh").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.JoinedStr) and _is_a_command(node.values)
    ]
    assert found == []


def _is_a_command(parts: Sequence[ast.expr]) -> bool:
    text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in parts)  # type: ignore[misc]
    begins = re.search(rf"(?:^|: |run |type ){LOOKS_LIKE_A_COMMAND.pattern}", text)
    return begins is not None and "{}" in text[begins.start() :].split(". ")[0]


@as_often_as(60)
@given(path=hostile, name=hostile, project=hostile)
@example(path="/Repos/Wow!/it's $(here)", name="a", project="b")
@example(path="/Repos/\u3000/👩\u200d🔧", name="a", project="b")
def test_a_grant_s_command_has_the_path_and_the_names_that_are_meant(
    path: str, name: str, project: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("typed")
    entry = {"host": HOST, "auth": "managed_identity", "folders": [f"/Repos/{path}"]}
    (read,) = load({"WORKSPACES": json.dumps([entry])}).entries
    if isinstance(read, Entry) and read.workspace.folders:
        (accepted,) = read.workspace.folders
        found = calls(
            commands.grant_can_manage(HOST, "directories", accepted.path, GUID, creates=True), folder=folder
        )
        at = f"HOST={HOST}"
        assert [call[:-1] for call in found[:2]] == [
            ["databricks", "workspace", "mkdirs", accepted.path],
            ["databricks", "workspace", "get-status", accepted.path, "--output", "json"],
        ]
        assert found[2][:5] == ["databricks", "permissions", "update", "directories", "42"]
        assert {call[-1] for call in found} == {at}
    (added,) = calls(commands.add_principal(HOST, GUID, name), folder=folder)
    assert json.loads(added[4])["displayName"] == name
    look, let = calls(
        commands.add_to_organization("contoso", GUID, [], looked_up=f"x{project}"), folder=folder
    )
    assert (look[:2], let[:2]) == (["az", "rest"], ["az", "rest"])
    body = json.loads(let[let.index("--body") + 1])
    assert [each["projectRef"]["id"] for each in body["projectEntitlements"]] == ["42"]
