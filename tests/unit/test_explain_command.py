"""`explain`: a code's cause and remedy, offline."""

import io
import json

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from git_refresh.cli import render
from git_refresh.cli.main import main
from git_refresh.failures.diagnosis import in_general
from git_refresh.failures.table import OWN, TABLE, UNKNOWN, Row
from tests.support.paths import ROOT

ROWS = (*TABLE, UNKNOWN, *OWN)


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["explain", *arguments], prog_name="git-refresh")


def test_every_code_of_the_table_is_explained_and_leads_to_its_section() -> None:
    codes = {entry["code"]: entry for entry in json.loads(explain("--json").stdout)["codes"]}
    pages = {
        file: (ROOT / file).read_text() for file in {e["page"].partition("#")[0] for e in codes.values()}
    }
    for told in map(in_general, ROWS):
        entry = codes[told.code]
        assert (entry["cause"], entry["remedy"]) == (told.cause, told.remedy)
        file, _, section = entry["page"].partition("#")
        assert f"### `{section}`\n" in pages[file]


@pytest.mark.parametrize("row", [TABLE[0], UNKNOWN, OWN[0]], ids=lambda row: row.code)
def test_one_code_has_its_cause_and_remedy(row: Row) -> None:
    told = in_general(row)
    done = explain(told.code)
    assert done.exit_code == 0
    assert told.cause in done.stdout
    assert f"→ {told.remedy}\n" in done.stdout
    as_json = json.loads(explain(told.code, "--json").stdout)
    assert (as_json["code"], as_json["cause"], as_json["remedy"]) == (told.code, told.cause, told.remedy)


def test_without_a_code_it_lists_all_with_one_line_each() -> None:
    done = explain()
    assert done.exit_code == 0
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted({row.code for row in ROWS})
    codes = json.loads(explain("--json").stdout)["codes"]
    assert [entry["code"] for entry in codes] == listed
    assert all(entry.keys() == {"code", "section", "message", "cause", "remedy", "page"} for entry in codes)


@pytest.mark.parametrize("typed", ["(key_vault_forbidden)", "Key-Vault-Forbidden", "key_vault_forbidden:"])
def test_a_code_is_known_as_it_is_copied(typed: str) -> None:
    assert explain(typed).stdout.startswith("key_vault_forbidden  Key Vault\n")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("key_vault_forbiden", 'Error: "key_vault_forbiden" is not a code; did you mean key_vault_forbidden'),
        ("conflict", "did you mean git_conflict?"),
        ("qqqqqq", "run explain without a code"),
        ("\x1b[31m", r'"\x1b[31m" is not a code'),
    ],
)
def test_an_unknown_code_is_wrong_usage_and_near_ones_are_suggested(typed: str, said: str) -> None:
    done = explain(typed)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_on_a_narrow_terminal_a_command_stays_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Console(file=io.StringIO(), width=60, highlight=False)
    monkeypatch.setattr(render, "console", lambda: out)
    explain("key_vault_forbidden")
    assert isinstance(out.file, io.StringIO)
    lines = out.file.getvalue().splitlines()
    assert any("az role assignment create" in line and "Key Vault Secrets User" in line for line in lines)
    assert all(len(line) <= 60 for line in lines if "az " not in line)
