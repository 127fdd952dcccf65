"""A workspace that is closed to this network: each authentication method and command reports it."""

import json
import os
import re
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from localcloud import Cloud, Fault, Fleet, faults, refusals, seed
from localcloud.authority import TENANT, entra_v2
from localcloud.databricks.workspace import Workspace
from localcloud.fleet import CLIENT_ID, real_secret, seed_ungranted
from tests.support import warm
from tests.support.admin_laptop import admin_of, environ_of, laptop_of
from tests.support.app import run_app

Form = Literal["json", "text", "html"]
Way = Literal["oauth_secret", "managed_identity", "federated"]
RIGHTS = re.compile(r"403 403|secret|assigned|entitlement|Can Manage|admin of data|Rotate", re.IGNORECASE)

each_way_and_form = pytest.mark.parametrize(
    ("way", "form"), [*zip(get_args(Way), get_args(Form), strict=True)]
)
"""Unit tests cover every form at every step, because the method does not matter there."""


def close(cloud: Cloud, host: str, form: Form, route: str | None = None) -> None:
    cloud.inject(Fault(refusals.network_refused(form), host=host, route=route))


def entry_of(cloud: Cloud, workspace: Workspace, way: Way) -> dict[str, Any]:
    if way == "managed_identity":
        workspace.add_managed_identity(cloud.identity.object_id)
    if way == "federated":
        workspace.federate(CLIENT_ID, issuer=entra_v2(TENANT), subject=cloud.identity.object_id)
    return {"host": workspace.url, "name": "data-1", "auth": way, "folders": ["/Repos/etl/prod", "/Shared/*"]}


def errors_in(value: object) -> list[dict[str, str]]:
    """Return every error in a JSON report."""
    if isinstance(value, list):
        return [found for each in value for found in errors_in(each)]
    if not isinstance(value, dict):
        return []
    own = [value] if {"code", "message", "cause", "remedy"} <= value.keys() else []
    return own + [found for each in value.values() for found in errors_in(each)]


def assert_closed(errors: list[dict[str, str]]) -> None:
    assert errors
    for error in errors:
        assert error["code"] == "workspace_network_denied", error
        assert not RIGHTS.search(" ".join(error.values())), error


@each_way_and_form
@pytest.mark.parametrize("route", [None, "^/api/2.0/git-credentials", "^/api/2.0/(repos|workspace)"])
def test_a_run_blames_the_network_and_nothing_else(
    cloud: Cloud, fleet: Fleet, way: Way, form: Form, route: str | None
) -> None:
    workspace = fleet.workspaces[0]
    fleet.repositories[0].commit({"new": "1"})
    entries = [entry_of(cloud, workspace, way), {"host": fleet.workspaces[1].url, "name": "data-2"}]
    close(cloud, workspace.host, form, route)
    report = run_app({**os.environ, **fleet.settings, "WORKSPACES": json.dumps(entries)})
    assert [found.result for found in report.workspaces] == ["failed", "ok"]
    assert_closed(errors_in(report.as_dict()["workspaces"]))


@each_way_and_form
def test_check_and_status_blame_the_network_too(cloud: Cloud, fleet: Fleet, way: Way, form: Form) -> None:
    entry = entry_of(cloud, fleet.workspaces[0], way)
    close(cloud, fleet.workspaces[0].host, form)
    environ = {**os.environ, **fleet.settings, "WORKSPACES": json.dumps([entry])}
    for command in (["check", "--jobs"], ["status"]):
        done = warm.run(*command, "--json", environ=environ)
        assert done.returncode == 1
        assert_closed(errors_in(json.loads(done.stdout)))


def test_check_jobs_as_a_person_blames_the_network(cloud: Cloud, fleet: Fleet, tmp_path: Path) -> None:
    environ = laptop_of(admin_of(cloud, fleet), cloud, tmp_path) | dict(fleet.settings)
    fleet.vault.allow(cloud.person("ada").object_id)
    cloud.devops.organization("contoso").add_member(cloud.person("ada").object_id)
    close(cloud, fleet.workspaces[0].host, "html", "^/api/2.[12]/jobs")
    done = warm.run("check", "--jobs", "--json", environ=environ)
    checks = json.loads(done.stdout)["checks"]
    found = [check for check in checks if check["subject"].startswith("data-1") and check["layer"] == "job"]
    assert_closed(errors_in(found))


def test_onboard_blames_the_network(cloud: Cloud, tmp_path: Path) -> None:
    fleet = seed_ungranted(cloud)
    environ = environ_of(cloud, fleet, tmp_path)
    close(cloud, fleet.workspaces[0].host, "text")
    done = warm.run("onboard", "--json", environ=environ)
    grants = json.loads(done.stdout)["grants"]
    assert_closed(errors_in([grant for grant in grants if grant["location"] == "data-1"]))


@pytest.mark.parametrize(("form", "apply"), [("json", []), ("html", ["--apply", "--yes"])])
def test_rotate_blames_the_network(cloud: Cloud, tmp_path: Path, form: Form, apply: list[str]) -> None:
    fleet = seed(cloud, 2)
    real_secret(cloud, fleet, scopes=("all-apis",))
    environ = laptop_of(admin_of(cloud, fleet), cloud, tmp_path) | dict(fleet.settings)
    for workspace in fleet.workspaces:
        close(cloud, workspace.host, form)
    done = warm.run("rotate", *apply, "--json", environ=environ)
    assert_closed(errors_in(json.loads(done.stdout)))


def test_a_page_of_something_on_the_way_is_no_matter_of_rights_either(cloud: Cloud, fleet: Fleet) -> None:
    page = "<!doctype html><html><head><title>Blocked</title></head></html>"
    cloud.inject(Fault(faults.status(403, page), service="databricks"))
    report = run_app({**os.environ, **fleet.settings})
    errors = errors_in(report.as_dict()["workspaces"])
    assert {error["code"] for error in errors} == {"workspace_blocked"}
    assert not RIGHTS.search(json.dumps(errors))
