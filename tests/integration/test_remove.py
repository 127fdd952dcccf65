"""`onboard --remove`: the commands that take back what was granted, each really typed, and then all of it granted again."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from localcloud import Cloud
from localcloud.databricks.workspace import Workspace
from localcloud.fleet import UngrantedFleet, seed_ungranted
from tests.support import acting, warm
from tests.support.admin_laptop import environ_of
from tests.support.app import run_app

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        shutil.which("jq") is None or shutil.which("bash") is None, reason="needs jq and bash"
    ),
]

PRINCIPAL = "service principal"


@pytest.fixture(params=[False, True], ids=["one tenant", "two tenants"])
def foreign(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def fleet(cloud: Cloud) -> UngrantedFleet:
    return seed_ungranted(cloud)


@pytest.fixture
def environ(cloud: Cloud, fleet: UngrantedFleet, tmp_path: Path) -> dict[str, str]:
    return granted(cloud, fleet, tmp_path)


def granted(cloud: Cloud, fleet: UngrantedFleet, place: Path) -> dict[str, str]:
    """A shell on the laptop from which all was granted, after the first run of the app."""
    fleet.vault.deletion_s = 0
    environ = environ_of(cloud, fleet, place)
    assert onboard(environ, "--apply", "--yes")[0] == 0
    assert run_app({**os.environ, **fleet.settings}).result == "ok"
    return environ


def onboard(environ: Mapping[str, str], *options: str) -> tuple[int, dict[str, Any]]:
    done = warm.run("onboard", "--json", *options, environ=environ)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, json.loads(done.stdout)


def remove(environ: Mapping[str, str], *options: str) -> tuple[int, dict[str, Any]]:
    return onboard(environ, "--remove", *options)


def kinds(report: Mapping[str, Any], status: str = "remove") -> list[str]:
    return [each["kind"] for each in report["removals"] if each["status"] == status]


def type_all(environ: Mapping[str, str], place: Path, commands: Iterable[str]) -> None:
    """Type the commands in order, with stand-ins that act on the cloud."""
    shell = acting.write(place / "tools", place / "az", environ)
    for command in commands:
        acting.type_in(command, shell)


def rights(cloud: Cloud, fleet: UngrantedFleet) -> dict[str, object]:
    """All that was granted anywhere, but for what is new each time: numbers and values."""
    return {
        "members": {
            organization.name: {
                each.object_id: (each.license, sorted(each.groups)) for each in organization.seen()
            }
            for organization in map(cloud.devops.organization, ("contoso", "fabrikam"))
        },
        "policies": {
            each.client_id: [(known.id, known.subject) for known in each.policies]
            for each in cloud.account.principals
        },
        "secrets": {each.client_id: len(each.secrets) for each in cloud.account.principals},
        "vault": sorted(fleet.vault.ends),
        "workspaces": [in_workspace(each) for each in fleet.workspaces],
    }


def in_workspace(workspace: Workspace) -> dict[str, object]:
    return {
        "principals": {
            each.client_id: sorted(each.entitlements)
            for each in workspace.service_principals
            if each.assigned
        },
        "rights": {
            path: workspace._tree.rights.shown(path) for path in ("/Repos/etl/prod", "/Repos/reports/prod")
        },
        "credentials": [(each.principal.client_id, each.name) for each in workspace.credentials],
    }


def test_granted_removed_and_granted_again_the_cloud_is_as_before(
    cloud: Cloud, tmp_path: Path, foreign: bool
) -> None:
    fleet = seed_ungranted(cloud, foreign=foreign)
    environ = granted(cloud, fleet, tmp_path)
    before = rights(cloud, fleet)
    code, report = remove(environ)
    assert code == 0, report
    own = [each for each in report["removals"] if each["kind"] != "principal" and each["status"] == "remove"]
    type_all(environ, tmp_path, [each["command"] for each in own])
    assert rights(cloud, fleet) != before
    _, left = remove(environ)
    assert kinds(left) == ["principal"] * 3
    code, again = onboard(environ, "--apply", "--yes")
    assert code == 0, again
    assert run_app({**os.environ, **fleet.settings}).result == "ok"
    assert rights(cloud, fleet) == before
