"""Recorded refusals as faults."""

from typing import Literal

import pytest
import requests

from localcloud import Cloud, Fault, refusals
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from localcloud.rest import Rest

REST = "https://dev.azure.com/contoso/Data%20Platform/_apis/git/repositories/etl"


@pytest.mark.parametrize(
    ("form", "kind"), [("json", "application/json"), ("text", "text/plain"), ("html", "text/html")]
)
def test_a_workspace_can_be_closed_to_a_network(
    cloud: Cloud, api: Rest, workspace: Workspace, form: Literal["json", "text", "html"], kind: str
) -> None:
    other = cloud.workspace("adb-2222222222222222.2.azuredatabricks.net")
    cloud.inject(Fault(refusals.network_refused(form), host=workspace.host))
    text = "Unauthorized network access to workspace: 1111111111111111"
    for answer in (api("GET", "/git-credentials"), api.sign_in()):
        assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (403, kind)
        assert text in answer.text
        if form == "json":
            assert answer.json() == {"error_code": "403", "message": text}
    assert api.session.get(f"{other.url}/.well-known/databricks-config", timeout=10).ok


@pytest.mark.parametrize("name", refusals.DATABRICKS)
def test_each_of_a_workspace_is_a_refusal(cloud: Cloud, api: Rest, name: str) -> None:
    cloud.inject(Fault(refusals.DATABRICKS[name](), service="databricks"))
    assert api("GET", "/git-credentials").status_code in {400, 403}


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("answers 401 and nothing", 401, b""),
        ("answers 401 with an empty list", 401, b'{"count": 0, "value": []}'),
        ("answers an improper error", 400, b'{"count": 1, "value": {"Message": "An error has occurred."}}'),
        ("says why in a header alone", 500, b""),
    ],
)
def test_each_of_azure_devops_is_a_refusal(
    cloud: Cloud, session: requests.Session, name: str, status: int, body: bytes
) -> None:
    cloud.inject(Fault(refusals.DEVOPS[name](), service="devops"))
    answer = session.get(REST, timeout=10)
    assert (answer.status_code, answer.content) == (status, body)
    assert ("X-TFS-ServiceError" in answer.headers) == ("header" in name)


def test_a_path_without_a_controller_is_answered_in_plain_text(
    cloud: Cloud, session: requests.Session, devops_token: str, repository: Repository
) -> None:
    url = f"https://dev.azure.com/{repository.organization}/_apis/nothing"
    headers = {"Authorization": f"Bearer {devops_token}"}
    answers = [session.get(url, headers=headers, timeout=10)]
    cloud.inject(Fault(refusals.no_controller(), service="devops"))
    answers.append(session.get(url, headers=headers, timeout=10))
    for answer in answers:
        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.text.startswith("The controller for path '/contoso/_apis/nothing' was not found")
        assert answer.headers["X-TFS-ServiceError"].startswith("The%20controller")
