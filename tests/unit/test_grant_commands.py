"""The commands that `onboard` prints for other admins: a shell passes all values on unchanged."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from git_refresh.admin import commands

STAND_IN = """\
#!/bin/sh
{{ basename "$0"; for argument in "$@"; do printf '%s\\n' "$argument"; done; echo "HOST=$DATABRICKS_HOST"; echo --; }} >> {calls}
case "$*" in *get-status*|*list*|*_apis/projects*) echo 42;; esac
"""
HOST = "https://adb-1.1.azuredatabricks.net"
CLIENT_ID = "5a1e0000-0000-4000-8000-000000000001"
OBJECT_ID = "1b2c3d4e-0000-4000-8000-00000000001d"
ACCOUNT = "0d26daa6-5e44-4c97-a497-ef015f91254a"

type Typed = Callable[[str], list[list[str]]]


ACCESS = {
    "object_id": "/repos/8",
    "access_control_list": [
        {
            "service_principal_name": CLIENT_ID,
            "all_permissions": [{"permission_level": "CAN_MANAGE", "inherited": False}],
        },
        {
            "user_name": "bob@contoso.com",
            "display_name": "Bob",
            "all_permissions": [
                {"permission_level": "CAN_RUN", "inherited": False},
                {"permission_level": "CAN_MANAGE", "inherited": True},
            ],
        },
        {"group_name": "admins", "all_permissions": [{"permission_level": "CAN_MANAGE", "inherited": True}]},
    ],
}


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    """Return a function that runs a command with fakes, and returns the arguments of each program."""
    calls = tmp_path / "calls"
    for name in ("az", "databricks"):
        (tmp_path / name).write_text(STAND_IN.format(calls=calls))
        (tmp_path / name).chmod(0o755)
    (tmp_path / "jq").write_text("#!/bin/sh\ncat\n")
    (tmp_path / "jq").chmod(0o755)

    def type_(command: str) -> list[list[str]]:
        environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        subprocess.run(["/bin/sh", "-c", command], env=environ, check=True)
        return [call.splitlines() for call in calls.read_text().split("--\n") if call]

    return type_


def after(call: list[str], option: str) -> str:
    return call[call.index(option) + 1]


def test_an_organization_gets_a_member_with_basic_access_as_reader(typed: Typed) -> None:
    (call,) = typed(commands.add_to_organization("O'Neill & Co", OBJECT_ID, ["p-1", "p-2"]))
    body = json.loads(after(call, "--body"))
    assert body["accessLevel"] == {"accountLicenseType": "express"}
    assert body["servicePrincipal"]["originId"] == OBJECT_ID
    assert [entry["projectRef"]["id"] for entry in body["projectEntitlements"]] == ["p-1", "p-2"]
    assert {entry["group"]["groupType"] for entry in body["projectEntitlements"]} == {"projectReader"}
    assert after(call, "--url").startswith("https://vsaex.dev.azure.com/O%27Neill%20%26%20Co/_apis/")
    assert call[:4] == ["az", "rest", "--method", "post"]


def test_a_command_looks_up_a_project_id_that_onboard_could_not(typed: Typed) -> None:
    command = commands.add_to_organization("contoso", OBJECT_ID, [], looked_up='It\'s "a" $(x)/ü')
    look_up, call = typed(command)
    assert after(look_up, "--url").startswith(
        "https://dev.azure.com/contoso/_apis/projects/It%27s%20%22a%22%20%24%28x%29%2F%C3%BC?api-version="
    )
    (entry,) = json.loads(after(call, "--body"))["projectEntitlements"]
    assert entry["projectRef"]["id"] == "42"


def test_an_empty_list_grants_no_access(typed: Typed) -> None:
    (call,) = typed(commands.add_to_organization("contoso", OBJECT_ID, []))
    assert "projectEntitlements" not in json.loads(after(call, "--body"))


def test_a_member_is_put_into_a_group_by_their_descriptors(typed: Typed) -> None:
    (call,) = typed(commands.add_to_group("contoso", "aadsp.x", "vssgp.y"))
    assert after(call, "--url").startswith(
        "https://vssps.dev.azure.com/contoso/_apis/graph/memberships/aadsp.x/vssgp.y?api-version="
    )
    assert after(call, "--method") == "put"


@pytest.mark.parametrize("path", ["/Repos/etl", "/Workspace/a b/$(rm -rf x)", '/It\'s "here"', "/ä/`x`;y"])
def test_can_manage_is_given_on_the_very_path_and_nothing_in_it_is_run(typed: Typed, path: str) -> None:
    make, status, update = typed(
        commands.grant_can_manage(HOST, "directories", path, CLIENT_ID, creates=True)
    )
    assert make[:4] == ["databricks", "workspace", "mkdirs", path]
    assert status[:4] == ["databricks", "workspace", "get-status", path]
    assert update[:5] == ["databricks", "permissions", "update", "directories", "42"]
    (entry,) = json.loads(after(update, "--json"))["access_control_list"]
    assert entry == {"service_principal_name": CLIENT_ID, "permission_level": "CAN_MANAGE"}
    assert {call[-1] for call in (make, status, update)} == {f"HOST={HOST}"}


def test_of_a_folder_that_is_there_nothing_is_made(typed: Typed) -> None:
    calls = typed(commands.grant_can_manage(HOST, "repos", "/Repos/etl/prod", CLIENT_ID, creates=False))
    assert [call[2] for call in calls] == ["get-status", "update"]


def test_the_account_assigns_a_principal_and_never_with_an_empty_list(typed: Typed) -> None:
    look, update = typed(commands.assign(ACCOUNT, "1", CLIENT_ID))
    assert look[-1] == update[-1] == "HOST=https://accounts.azuredatabricks.net"
    assert after(look, "--filter") == f'applicationId eq "{CLIENT_ID}"'
    assert update[:6] == ["databricks", "account", "workspace-assignment", "update", "1", "42"]
    assert json.loads(after(update, "--json")) == {"permissions": ["USER"]}


def test_a_policy_trusts_this_issuer_and_subject_alone(typed: Typed) -> None:
    issuer = "https://login.microsoftonline.com/72f988bf-0000-4000-8000-2d7cd011db47/v2.0"
    look, create = typed(commands.create_policy(ACCOUNT, CLIENT_ID, issuer, OBJECT_ID))
    assert look[-1] == create[-1] == "HOST=https://accounts.azuredatabricks.net"
    assert after(create, "--policy-id") == f"git-refresh-{OBJECT_ID}"
    assert json.loads(after(create, "--json")) == {
        "oidc_policy": {
            "issuer": issuer,
            "audiences": ["fb60f99c-7a34-4190-8149-302f77469936"],
            "subject": OBJECT_ID,
        }
    }


def test_workspace_access_is_added_and_replaces_nothing(typed: Typed) -> None:
    (patch,) = typed(commands.entitle(HOST, 7))
    (operation,) = json.loads(after(patch, "--json"))["Operations"]
    assert operation == {"op": "add", "path": "entitlements", "value": [{"value": "workspace-access"}]}


@pytest.mark.parametrize("name", ["git-refresh", 'Ops\' "best" $name'])
def test_a_principal_is_made_with_its_name_and_workspace_access(typed: Typed, name: str) -> None:
    added, made = (
        json.loads(after(call, "--json"))
        for call in typed(
            f"{commands.add_principal(HOST, CLIENT_ID, name)} && {commands.add_principal(HOST, None, name)}"
        )
    )
    assert added == {**made, "applicationId": CLIENT_ID}
    assert made["displayName"] == name
    assert made["entitlements"] == [{"value": "workspace-access"}]


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_permissions_are_set_again_without_one_principal_s(tmp_path: Path) -> None:
    (tmp_path / "access.json").write_text(json.dumps(ACCESS))
    stand_in = f'#!/bin/sh\ncase "$2" in get) cat {tmp_path}/access.json;; set) echo "$6" > {tmp_path}/set.json;; esac\n'
    (tmp_path / "databricks").write_text(stand_in)
    (tmp_path / "databricks").chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(
        ["/bin/sh", "-c", commands.remove_permission(HOST, "repos", 8, CLIENT_ID)], env=environ, check=True
    )
    assert json.loads((tmp_path / "set.json").read_text()) == {
        "access_control_list": [{"user_name": "bob@contoso.com", "permission_level": "CAN_RUN"}]
    }
