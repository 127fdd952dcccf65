"""`status` over the real SDKs, as a process."""

import json
import os
import subprocess
from pathlib import Path

from localcloud import Cloud, Fleet
from tests.support import warm


def command(cloud: Cloud, fleet: Fleet, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return warm.run(*arguments, environ={**os.environ, **cloud.environment(), **fleet.settings})


def test_it_shows_what_a_run_has_stored_and_writes_nothing(
    cloud: Cloud, fleet: Fleet, tmp_path: Path
) -> None:
    before = command(cloud, fleet, "status")
    assert (before.returncode, before.stderr) == (1, b"Settings: the environment.\n")
    assert "✗ Git credential: missing for Azure DevOps" in before.stdout.decode()
    report = tmp_path / "report.json"
    report.write_bytes(command(cloud, fleet, "run", "--json").stdout)
    seen = len(cloud.requests)
    after = command(cloud, fleet, "status", "--report", report)
    assert (after.returncode, after.stderr) == (0, b"Settings: the environment.\n")
    lines = after.stdout.decode().splitlines()
    assert sum("UTC expires at " in line for line in lines) == 3
    assert lines[-1] == "3 workspaces: 3 ok."
    assert {request.path for request in cloud.requests[seen:] if request.method != "GET"} == {
        "/oidc/v1/token"
    }
    done = json.loads(command(cloud, fleet, "status", "--report", report, "--json").stdout)
    assert done["result"] == "ok"
    assert (
        done["workspaces"][0]["credentials"][0]["expires_at"]
        == json.loads(report.read_text())["token"]["expires_at"]
    )


def test_no_token_or_secret_is_shown(cloud: Cloud, fleet: Fleet) -> None:
    command(cloud, fleet, "run")
    stored = [credential.token for workspace in fleet.workspaces for credential in workspace.credentials]
    assert len(stored) == 3
    for options in ([], ["--json"]):
        done = command(cloud, fleet, "status", *options)
        printed = (done.stdout + done.stderr).decode()
        assert not any(token is None or token in printed for token in stored)


def test_what_is_wrong_with_the_settings_or_the_report_exits_with_2(
    cloud: Cloud, fleet: Fleet, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    file.write_text("{}")
    done = command(cloud, fleet, "status", "--report", file)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == f"✗ {file}: is not the output of run --json\n"
    environ = {**os.environ, **cloud.environment(), **fleet.settings, "WORKSPACES": "["}
    assert warm.run("status", environ=environ).returncode == 2
    assert cloud.requests == []
