"""--quiet, --verbose and --no-color on every command that has them."""

import json
import os
import re
import subprocess

import pytest

from git_refresh import __version__
from localcloud import Cloud, Fleet
from localcloud.fleet import CLIENT_ID
from tests.support import warm
from tests.support.terminal import on_a_terminal

COMMANDS = ("check", "plan", "run", "status")


def command(cloud: Cloud, fleet: Fleet, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    done = warm.run(*arguments, environ={**os.environ, **cloud.environment(), **fleet.settings, **environ})
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_quiet_where_all_is_well_is_the_last_line_alone(cloud: Cloud, fleet: Fleet) -> None:
    assert command(cloud, fleet, "run").returncode == 0
    for name in COMMANDS:
        loud, quiet = command(cloud, fleet, name), command(cloud, fleet, name, "--quiet")
        assert (quiet.returncode, quiet.stderr) == (0, ""), name
        (line,) = quiet.stdout.splitlines()
        last = loud.stdout.splitlines()[-1]
        assert re.sub(r"\d\.\d s", "… s", line) == re.sub(r"\d\.\d s", "… s", last), name


def test_quiet_shows_each_failure_with_its_remedy_and_no_more(cloud: Cloud, fleet: Fleet) -> None:
    assert command(cloud, fleet, "run").returncode == 0
    fleet.workspaces[2].service_principal(CLIENT_ID, "dose" + "0" * 32)
    for name in COMMANDS:
        done = command(cloud, fleet, name, "-q")
        assert done.returncode == 1, name
        assert "(not_in_workspace)" in done.stdout
        assert "→ " in done.stdout
        assert "data-3" in done.stdout
        assert not re.search(r"data-[12]\b", done.stdout), name


def test_quiet_leaves_json_whole_and_the_log_lines_out(cloud: Cloud, fleet: Fleet) -> None:
    for name in COMMANDS:
        done = command(cloud, fleet, name, "--json", "--quiet")
        assert done.stderr == "", name
        report = json.loads(done.stdout)
        assert len(report.get("workspaces", report.get("checks"))) >= 3


def test_verbose_prints_what_was_used_and_the_log_lines_on_stderr(cloud: Cloud, fleet: Fleet) -> None:
    proxy = cloud.environment()["HTTPS_PROXY"]
    for name in COMMANDS:
        done = command(cloud, fleet, name, "--verbose")
        lines = done.stderr.splitlines()
        assert lines[0].startswith(f"git_refresh {__version__}, Python 3.")
        assert lines[1].startswith("settings: the environment (WORKSPACES, ")
        assert f"HTTPS_PROXY: {proxy}" in lines
        events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
        expected = ["git_refresh.workspace"] * 3 + ["git_refresh.run"] if name in {"plan", "run"} else []
        assert events == expected, name


def test_verbose_shows_no_password_of_a_proxy(cloud: Cloud, fleet: Fleet) -> None:
    proxy = "http://somebody:canary@127.0.0.1:9"
    done = command(cloud, fleet, "check", "--offline", "--verbose", HTTPS_PROXY=proxy)
    assert "HTTPS_PROXY: http://127.0.0.1:9" in done.stderr
    assert "canary" not in done.stderr + done.stdout


def test_quiet_and_verbose_together_are_wrong_usage(cloud: Cloud, fleet: Fleet) -> None:
    for name in COMMANDS:
        done = command(cloud, fleet, name, "--verbose", "--quiet")
        assert (done.returncode, done.stdout) == (2, "")
        assert "--quiet cannot be combined with --verbose" in done.stderr
    assert cloud.requests == []


@pytest.mark.parametrize("name", ["check", "plan", "run"])
def test_without_colour_there_are_neither_colours_nor_links(cloud: Cloud, fleet: Fleet, name: str) -> None:
    shown = on_a_terminal(cloud, name, "--no-color", **fleet.settings)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", shown)
    assert "\x1b]8" not in shown
