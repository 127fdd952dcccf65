import json
import subprocess
from pathlib import Path

import jwt
import pytest

from localcloud import Cloud
from localcloud.authority import LOGS_RESOURCE, MANAGEMENT_RESOURCE, OTHER_TENANT, TENANT
from localcloud.people import Person


def az(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([place / "az", *words], capture_output=True, text=True, check=False)


def account(place: Path) -> dict[str, object]:
    found = json.loads(az(place, "account", "show", "--output", "json").stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("resource", [MANAGEMENT_RESOURCE, LOGS_RESOURCE])
def test_there_are_tokens_for_resource_manager_and_logs(ada: Person, tmp_path: Path, resource: str) -> None:
    ada.sign_in(tmp_path, [OTHER_TENANT])
    asked = ("account", "get-access-token", "--output", "json", "--resource", resource)
    for more, tenant in (((), TENANT), (("--tenant", OTHER_TENANT), OTHER_TENANT)):
        found = json.loads(az(tmp_path, *asked, *more).stdout)
        claims = jwt.decode(found["accessToken"], options={"verify_signature": False})
        assert (claims["aud"], claims["tid"], found["tenant"]) == (resource, tenant, tenant)


def test_the_chosen_subscription_is_the_first_with_a_role(cloud: Cloud, ada: Person, tmp_path: Path) -> None:
    manager = cloud.resource_manager
    manager.subscription("of others")
    for name in ("first", "second"):
        manager.subscription(name).assign(ada.object_id, "Reader")
    found = account(ada.sign_in(tmp_path))
    assert (found["id"], found["name"]) == (manager.subscription("first").subscription_id, "first")
    assert (found["tenantId"], found["user"]) == (TENANT, {"name": "ada@contoso.com", "type": "user"})
    assert account(ada.sign_in(tmp_path, subscription="second"))["name"] == "second"
    listed = json.loads(az(tmp_path, "account", "list", "--output", "json").stdout)
    assert [(each["name"], each["isDefault"]) for each in listed] == [("first", False), ("second", True)]


def test_without_a_subscription_the_tenant_is_the_account(ada: Person, tmp_path: Path) -> None:
    found = account(ada.sign_in(tmp_path))
    assert (found["id"], found["name"]) == (TENANT, "N/A(tenant level account)")


def test_other_commands_are_refused(ada: Person, tmp_path: Path) -> None:
    ada.sign_in(tmp_path)
    done = az(tmp_path, "group", "list")
    assert (done.returncode, done.stdout) == (2, "")
    refused = az(tmp_path, "account", "get-access-token", "--output", "json", "--resource", "none")
    assert (refused.returncode, "AADSTS50020" in refused.stderr) == (1, True)
