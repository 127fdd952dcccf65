"""`python -m localcloud`, as somebody plays with it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from git_refresh.run.report import Report
from git_refresh.settings.names import SETTINGS
from localcloud import Cloud, play, seed
from localcloud.__main__ import main
from localcloud.databricks.variant import values
from localcloud.play import FAULTS
from tests.support.app import run_app
from tests.support.embedded_cloud import embedded_cloud


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with embedded_cloud(monkeypatch) as cloud:
        yield cloud


@contextmanager
def playing(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, until the test is done with it, and what it has said on stderr."""
    command = [sys.executable, "-m", "localcloud", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = ""
            while "git push" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            yield process, said
        finally:
            process.terminate()
            process.wait(10)


def typed(exports: str, command: str) -> subprocess.CompletedProcess[str]:
    """A command of ours in a shell that has taken the exports."""
    return subprocess.run(
        ["/bin/sh", "-c", f"{exports}\n{sys.executable} -m git_refresh {command}"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run(cloud: Cloud, settings: Mapping[str, str], *, dry_run: bool = False) -> Report:
    environ = {**os.environ, **cloud.environment(), **settings}
    return run_app(environ, dry_run=dry_run)


def test_serves_until_ctrl_c_what_can_be_pasted() -> None:
    with playing("--workspaces", "1") as (process, said):
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        exports = process.stdout.read()
    assert "Ctrl+C" in said.splitlines()[0]
    pasted = subprocess.run(
        ["/bin/sh", "-c", f"{exports}\nenv"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    values = dict(line.split("=", 1) for line in pasted.stdout.splitlines())
    assert {"HTTPS_PROXY", "IDENTITY_ENDPOINT", "WORKSPACES", "KEY_VAULT_URL"} < set(values)
    assert json.loads(values["WORKSPACES"])[0]["name"] == "data-1"


def test_writes_a_settings_file_that_the_printed_commands_take(tmp_path: Path) -> None:
    settings = tmp_path / "local.settings.json"
    with playing("--settings", str(settings)) as (process, said):
        commands = re.findall(r"^  \.venv/bin/python -m git_refresh (.*)$", said, re.MULTILINE)
        tried = ("check", "plan", "run", "onboard", "rotate")
        app = "--app func-git-refresh-contoso"
        assert commands == [
            *(f"{command} --settings {settings}" for command in tried),
            f"deploy {settings} {app}",
            f"runs {app}",
        ]
        process.terminate()
        assert process.stdout is not None
        exports = process.stdout.read()
    done = typed(exports, f"{commands[0]} --offline")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    content = json.loads(settings.read_text())
    assert content["IsEncrypted"] is False
    assert content["Values"].keys() <= SETTINGS.keys(), "the environment is no file's"
    assert "export HTTPS_PROXY=" in exports
    assert "export WORKSPACES=" not in exports


def test_lists_what_is_in_it(cloud: Cloud) -> None:
    fleet = play.furnish(seed(cloud, 2), edits=True, secret_ends=9)
    listed = "\n".join(play.contents(fleet))
    etl = fleet.repositories[0]
    first, head = etl.refs()["refs/tags/v1.0.0"][0][:8], etl.head()[:8]
    assert first != head
    for line in (
        "  data-1  https://adb-0000000000000001.1.azuredatabricks.net  (no Git credential yet)",
        f"    /Repos/etl/prod      branch main   {first}  with uncommitted changes",
        f"    /Repos/etl/next      branch next   {etl.head('next')[:8]}",
        "    /Repos/reports/prod  missing; a run clones it",
        "  https://dev.azure.com/contoso/Data%20Platform/_git/etl",
        f"    branch main          {head}",
        f"    tag    v1.0.0        {first}",
    ):
        assert f"{line}\n" in listed
    assert re.search(
        r"^  databricks-oauth-secret   expires on 20\d\d-\d\d-\d\d \d\d:\d\d UTC, in 9 days$",
        listed,
        re.MULTILINE,
    )
    report = run(cloud, fleet.settings)
    assert [error.code for ws in report.workspaces for _, error in ws.failures()] == ["git_conflict"]
    assert "(a Git credential)" in "\n".join(play.contents(fleet))
    assert f"    /Repos/etl/release   tag v1.0.0    {first}" in play.contents(fleet)


def test_a_large_fleet_is_listed_in_part(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "SHOWN", 2)
    listed = list(play.contents(play.furnish(seed(cloud, 4))))
    assert "  and 2 more with the same Git folders" in listed
    assert not [line for line in listed if "data-3" in line]


def test_without_options_the_first_run_moves_each_kind_of_folder(cloud: Cloud) -> None:
    fleet = play.furnish(seed(cloud))
    report = run(cloud, fleet.settings)
    assert report.result == "ok", report.summary()
    actions = {folder.path: (folder.action, folder.ref) for folder in report.workspaces[0].folders}
    assert actions == {
        "/Repos/etl/prod": ("updated", "main"),
        "/Repos/reports/prod": ("created", "main"),
        "/Repos/etl/next": ("unchanged", "next"),
        "/Repos/etl/release": ("updated", "v1.0.0"),
    }
    assert not report.problems


def test_a_secret_expires_at_its_time(cloud: Cloud) -> None:
    fleet = seed(cloud, 1)
    soon = run(cloud, play.furnish(fleet, secret_ends=9).settings, dry_run=True)
    assert soon.result == "ok"
    assert "secret_expires_soon" in json.dumps(soon.as_dict())
    play.end_secret(fleet, -3)
    assert "expired on" in list(play.contents(fleet))[-1]
    ended = run(cloud, fleet.settings, dry_run=True)
    assert [error.code for _, error in ended.workspaces[0].failures()] == ["secret_expired"]


def test_what_is_pushed_by_the_printed_commands_arrives_with_the_next_run(
    cloud: Cloud, tmp_path: Path
) -> None:
    fleet = play.furnish(seed(cloud, 1))
    run(cloud, fleet.settings)
    etl, before = fleet.repositories[0], fleet.repositories[0].head()
    person = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "GIT_SSL_CAINFO": "/etc/ssl/certs/ca-certificates.crt",
    }
    (tmp_path / "gitconfig").write_text(
        "[user]\nname = You\nemail = you@contoso.com\n"
        '[credential]\nhelper = "!touch $HOME/helper-was-asked; :"\n'
    )
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **person}
    done = subprocess.run(
        ["/bin/sh", "-e"],
        input="\n".join(play.pushing(cloud, etl)),
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert etl.head() != before
    assert {path.name for path in tmp_path.iterdir()} == {"gitconfig"}, "nothing is left but in the cloud"
    report = run(cloud, fleet.settings)
    (moved,) = [folder for folder in report.workspaces[0].folders if folder.path == "/Repos/etl/prod"]
    assert (moved.action, moved.to) == ("updated", etl.head())
    folder = fleet.workspaces[0].folder("/Repos/etl/prod")
    assert folder
    assert "fastest" in folder.read("jobs/load.py")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_a_name_that_needs_no_quotes(name: str) -> None:
    assert play.named(name.replace(" ", "-").replace("'", "").lower()) == name


def test_a_fault_strikes_where_it_is_put(cloud: Cloud) -> None:
    fleet = play.furnish(seed(cloud, 2))
    cloud.inject(play.fault(fleet, "answers 400 with a JSON list", "data-2"))
    results = {found.name: found.result for found in run(cloud, fleet.settings).workspaces}
    assert results == {"data-1": "ok", "data-2": "failed"}
    cloud.clear_faults()
    cloud.inject(play.fault(fleet, "answers 400 with a JSON list", None))
    assert {found.result for found in run(cloud, fleet.settings).workspaces} == {"failed"}
    cloud.clear_faults()
    cloud.inject(play.fault(fleet, "answers 400 with a JSON list", "keyvault"))
    assert {found.result for found in run(cloud, fleet.settings).workspaces} == {"failed"}


def test_latency_and_fault_are_said_and_there(tmp_path: Path) -> None:
    settings = tmp_path / "local.settings.json"
    options = ("--latency", "120", "--fault", "answers-502-in-html", "--at", "data-2", "--secret-ends", "-1")
    with playing("--settings", str(settings), *options) as (process, said):
        assert "\nFault: data-2 answers 502 in HTML\n" in said
        assert "\nLatency: 120 ms\n" in said
        assert process.stdout is not None
        exports = iter(process.stdout.readline, "")
        endpoint = next(line for line in exports if line.startswith("export IDENTITY_ENDPOINT="))
        began = time.monotonic()
        address = endpoint.partition("http://")[2].partition("/")[0].split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:
            connection.sendall(b"GET /msi/token HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"401" in connection.recv(100)
        assert time.monotonic() - began >= 0.12


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option: str) -> None:
    done = CliRunner().invoke(main, [option])
    assert done.exit_code == 0
    assert "--secret-ends" in done.output


def test_the_faults_are_listed() -> None:
    done = CliRunner().invoke(main, ["--fault", "list"])
    assert (done.exit_code, done.output.splitlines()) == (0, list(FAULTS))


def test_the_variants_are_listed() -> None:
    done = CliRunner().invoke(main, ["--variant", "list"])
    lines = done.output.splitlines()
    assert (done.exit_code, len(lines)) == (0, len(values()))
    assert "directory_info=with-git-info|always|absent" in lines


@pytest.mark.parametrize("kind", ["git-cli", "legacy", "mixed"])
def test_the_git_folders_are_of_the_kind_that_is_asked_for(kind: str) -> None:
    variant = play.variant(kind, ["not_found=message"])
    assert (variant.git_folders, variant.not_found) == (kind, "message")
    with Cloud(variant=variant) as cloud:
        first, *_ = play.furnish(seed(cloud, 1)).workspaces
    kinds = {"git-cli": [True, True, True], "legacy": [False, False, False], "mixed": [True, False, True]}
    assert [folder.git_cli for folder in first.folders] == kinds[kind]


def wrong(*options: str | Path) -> str:
    """The one line with which it refuses to begin."""
    done = CliRunner().invoke(main, [*map(str, options)])
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--port 70000", "'--port'"),
        ("--port eighty", "'--port'"),
        ("--port -1", "'--port'"),
        ("--workspaces 0", "'--workspaces'"),
        ("--latency -1", "'--latency'"),
        ("--secret-ends soon", "'--secret-ends'"),
        ("--fault accepts-and-hang", "did you mean 'accepts and hangs'?"),
        ("--fault nonsense", "--fault list"),
        ("--fault accepts-and-hangs --at data-9", "data-1, data-2, data-3, identity, keyvault, devops"),
        ("--fault refuses-the-connection --at identity", "HTTP without TLS"),
        ("--fault has-no-such-controller --at data-1", "data-1 cannot have the fault"),
        ("--fault throttles-with-400 --at devops", "devops cannot have the fault"),
        ("--git-folders new", "'git-cli', 'legacy', 'mixed'"),
        ("--variant directory_info=never", "with-git-info or always or absent"),
        ("--variant directories=1", "directory_info"),
        ("--at data-1", "--fault"),
        ("--ungranted --workspaces 2", "--workspaces"),
        ("--prot 1", "--port"),
        ("surplus", "surplus"),
        ("--settings /nowhere/local.settings.json", "/nowhere/local.settings.json cannot be written"),
        ("--settings /dev/null/local.settings.json", "/dev/null/local.settings.json cannot be written"),
    ],
)
def test_a_wrong_use_is_one_line(options: str, words: str) -> None:
    assert words in wrong(*options.split())


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert wrong("--port", str(port)) == (
            f"Error: port {port} cannot be used: Address already in use. Add another --port, or omit it to use a free port."
        )


@pytest.mark.parametrize("text", ['{"Values": {"WORKSPACES": "[]"}}', "\udcff"])
def test_a_settings_file_that_is_not_its_own_is_not_overwritten(tmp_path: Path, text: str) -> None:
    file = tmp_path / "local.settings.json"
    content = text.encode(errors="surrogateescape")
    file.write_bytes(content)
    assert "name another file" in wrong("--settings", file)
    assert file.read_bytes() == content
    assert "is a directory" in wrong("--settings", tmp_path)


def test_a_list_is_deployed_from_nothing_and_its_run_is_shown(tmp_path: Path) -> None:
    settings = tmp_path / "local.settings.json"
    app = "--app func-git-refresh-contoso"
    with playing("--ungranted", "--settings", str(settings)) as (process, said):
        assert process.stdout is not None
        exports: list[str] = []
        while not exports or "PATH=" not in exports[-1]:
            exports.append(process.stdout.readline())

        def code_of(command: str) -> int:
            return typed("".join(exports), f"{command} --yes").returncode

        assert "disabled, without a list" in said
        assert code_of(f"onboard --settings {settings} --apply") == 0
        assert code_of(f"deploy {settings} {app} --apply") == 0
        assert code_of(f"deploy {settings} {app} --apply --exit-code") == 0
        (run_now,) = re.findall(r"kill -USR1 (\d+)$", said, re.MULTILINE)
        os.kill(int(run_now), signal.SIGUSR1)
        assert process.stderr is not None
        while "The app has run." not in process.stderr.readline():
            assert process.poll() is None
        shown = typed("".join(exports), f"runs {app} --json")
    assert [run["result"] for run in json.loads(shown.stdout)["runs"]] == ["ok"]


def test_everything_is_let_in_for_who_plays(cloud: Cloud) -> None:
    fleet = play.furnish(seed(cloud, 2), secret_ends=9)
    you = play.admin(cloud, fleet)
    assert you.user_name == play.PERSON
    assert fleet.app.settings.items() >= fleet.settings.items()
    report = run(cloud, fleet.settings, dry_run=True)
    assert report.result == "ok", report.summary()
    assert "secret_expires_soon" in json.dumps(report.as_dict())
