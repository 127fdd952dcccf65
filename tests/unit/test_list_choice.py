"""The list that a command reads: the given file, else ./workspaces.json, else the environment."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from git_refresh import app
from git_refresh.cli.main import main
from git_refresh.cli.options import SettingsSource
from git_refresh.cli.shared import allow, given_settings
from git_refresh.run.errors import RunFailedError
from git_refresh.settings.load import load
from git_refresh.settings.names import SETTINGS
from tests.support.paths import ROOT

PRINCIPAL = "5a1e0000-0000-4000-8000-000000000001"


def content(name: str) -> dict[str, Any]:
    prod = {
        "host": "https://adb-1.1.azuredatabricks.net",
        "name": name,
        "client_secret_name": f"secret-of-{name}",
        "folders": ["/Repos/etl/prod", "/Repos/etl/*"],
    }
    dev = {"host": "https://adb-2.2.azuredatabricks.net", "name": f"{name}-2", "folders": ["/Repos/dev"]}
    return {
        "REFRESH_SCHEDULE": "0 */15 * * * *",
        "KEY_VAULT_URL": "https://contoso.vault.azure.net",
        "WORKSPACE_DEFAULTS": {"client_id": PRINCIPAL, "client_secret_name": "shared"},
        "WORKSPACES": [prod, dev],
    }


def write(name: str, file: str = "workspaces.json") -> str:
    Path(file).write_text(json.dumps(content(name)))
    return file


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield an empty directory, with no app settings in the environment."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path  # noqa: PT022  # restores the directory afterwards


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def used(*arguments: str) -> tuple[str, bool]:
    """Return the source that a check names, and whether the list was valid."""
    done = cli("check", "--offline", *arguments)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Settings: ")]
    return line, done.exit_code == 0


def test_the_list_in_this_directory_is_read_where_no_file_is_named() -> None:
    write("here")
    assert used() == ("Settings: workspaces.json.", True)


def test_a_file_that_is_named_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("workspaces.json").write_text("{")
    other = write("other", "other.json")
    assert used("--settings", other) == ("Settings: other.json.", True)
    assert used(other) == ("Settings: other.json.", True)
    monkeypatch.setenv("REFRESH_SCHEDULE", "0 */15 * * * *")
    assert used(other) == ("Settings: the environment and other.json.", True)


def test_the_environment_is_read_where_there_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in content("environment").items():
        monkeypatch.setenv(name, value if isinstance(value, str) else json.dumps(value))
    assert used() == ("Settings: the environment.", True)
    write("here")
    assert used()[0] == "Settings: workspaces.json."


def test_quiet_and_json_keep_stdout_as_it_is() -> None:
    write("here")
    done = cli("check", "--offline", "--json")
    assert json.loads(done.stdout)["result"] == "ok"
    assert done.stderr.count("workspaces.json") == 1
    assert "Settings:" not in cli("check", "--offline", "--quiet").output
    verbose = cli("check", "--offline", "--verbose").stderr
    assert verbose.lower().count("settings: ") == 1


@pytest.mark.parametrize("command", ["check", "plan", "run", "status", "onboard", "rotate"])
@pytest.mark.parametrize("kind", ["no JSON", "a link to nothing", "a directory"])
def test_a_broken_list_is_an_error_of_every_command(
    command: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in content("environment").items():
        monkeypatch.setenv(name, value if isinstance(value, str) else json.dumps(value))
    file = Path("workspaces.json")
    match kind:
        case "no JSON":
            file.write_text("[")
        case "a directory":
            file.mkdir()
        case _:
            file.symlink_to("nowhere.json")
    done = cli(command)
    assert done.exit_code == 2
    assert "workspaces.json" in done.output


def test_the_deployed_app_does_not_read_it() -> None:
    write("here")
    with pytest.raises(RunFailedError, match="WORKSPACES"):
        app.run_scheduled({}, None)


@pytest.mark.parametrize(
    ("file", "argument", "options"),
    [
        (None, None, ""),
        ("a b.json", None, " --settings 'a b.json'"),
        ("-", None, " --settings workspaces.json"),
        (None, "list.json", " --settings list.json"),
    ],
)
def test_remedies_name_a_file_only_where_one_was_named(
    file: str | None, argument: str | None, options: str
) -> None:
    for name in ("workspaces.json", "a b.json", "list.json"):
        write("here", name)
    source = SettingsSource(Path(file) if file else None)
    if file == "-":
        settings = load(given_settings(SettingsSource()).values)
    else:
        given = given_settings(source, Path(argument) if argument else None)
        source, settings = given.source, load(given.values)
    with click.Context(main, info_name=".venv/bin/python -m git_refresh"):
        invocation = allow(settings, source).invocation
    assert invocation.of("onboard{options}") == f".venv/bin/python -m git_refresh onboard{options}"


def usage(words: list[str], path: str = "") -> str:
    environ = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*words, "nonsense"], env=environ, capture_output=True, text=True, check=False)
    return done.stderr.splitlines()[0].partition("[OPTIONS]")[0].strip()


def test_the_program_is_called_as_it_was_started(here: Path) -> None:
    script = here / "bin 1/git-refresh"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom git_refresh.__main__ import git_refresh\ngit_refresh()\n")
    script.chmod(0o755)
    python = shlex.quote(sys.executable)
    assert usage([sys.executable, "-m", "git_refresh"]) == f"Usage: {python} -m git_refresh"
    assert usage([str(script)]) == f"Usage: '{script}'"
    assert usage([str(script)], path=str(script.parent)) == "Usage: git-refresh"


def completed(*words: str) -> list[str]:
    """Return the shell's completions of the last word."""
    found = ShellComplete(main, {}, "git-refresh", "_X").get_completions([*words[:-1]], words[-1])
    return [item.value for item in found]


def test_a_shell_completes_what_the_list_names() -> None:
    write("prod")
    assert completed("check", "--only", "") == ["prod", "prod-2"]
    assert completed("plan", "--only", "prod,p") == ["prod,prod-2"]
    assert completed("run", "--only", "prod", "--only", "") == ["prod-2"]
    assert completed("check", "--folder", "/Repos/e") == ["/Repos/etl/prod", "/Repos/etl/*"]
    assert completed("check", "--only", "prod-2", "--folder", "") == ["/Repos/dev"]
    assert completed("rotate", "") == ["secret-of-prod", "shared"]
    assert completed("rotate", "shared", "") == ["secret-of-prod"]


def test_completion_reads_the_file_that_is_named_before() -> None:
    write("here")
    other = write("other", "other.json")
    assert completed("plan", "--settings", other, "--only", "o") == ["other", "other-2"]
    assert completed("check", other, "--only", "h") == []


@pytest.mark.parametrize("text", ["[", '{"WORKSPACES": 7}', "\x00"])
def test_a_broken_list_offers_nothing_and_prints_nothing(
    text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("workspaces.json").write_text(text)
    for words in (("check", "--only", ""), ("check", "--folder", ""), ("rotate", "")):
        assert completed(*words) == []
    assert completed("check", "--settings", "-", "--only", "") == []
    assert capfd.readouterr() == ("", "")
