import json
import os
import subprocess
from pathlib import Path

import pytest
import requests

from localcloud import Cloud
from localcloud.authority import DATABRICKS_RESOURCE, DEVOPS_RESOURCE, OTHER_TENANT, TENANT
from localcloud.devops.repository import Repository

REST = "https://dev.azure.com/contoso/Data%20Platform/_apis/git/repositories/etl"


def get(session: requests.Session, url: str, token: str, **query: str) -> requests.Response:
    headers = {"X-TFS-FedAuthRedirect": "Suppress"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return session.get(
        url, params={"api-version": "7.1"} | query, headers=headers, allow_redirects=False, timeout=10
    )


def git(cloud: Cloud, token: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "GIT_TRACE_PACKET": "1",
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSL_CAINFO": cloud.environment()["REQUESTS_CA_BUNDLE"],
        "https_proxy": cloud.environment()["HTTPS_PROXY"],
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Bearer {token}",
    }
    command = ["git", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)


def test_the_filter_is_a_prefix(session: requests.Session, repository: Repository, devops_token: str) -> None:
    repository.commit({"a": "1"}, branch="main-2")
    repository.commit({"a": "1"}, branch="dev")
    names = [
        ref["name"] for ref in get(session, f"{REST}/refs", devops_token, filter="heads/main").json()["value"]
    ]
    assert names == ["refs/heads/main", "refs/heads/main-2"]


def test_pages_by_continuation_token(
    session: requests.Session, repository: Repository, devops_token: str
) -> None:
    repository.commit({"a": "1"}, branch="dev")
    first = get(session, f"{REST}/refs", devops_token, **{"$top": "1"})
    token = first.headers["x-ms-continuationtoken"]
    second = get(session, f"{REST}/refs", devops_token, **{"$top": "1", "continuationToken": token})
    names = [answer.json()["value"][0]["name"] for answer in (first, second)]
    assert names == ["refs/heads/dev", "refs/heads/main"]
    assert "x-ms-continuationtoken" not in second.headers


def test_a_project_may_be_left_out_when_it_has_the_repositorys_name(
    cloud: Cloud, session: requests.Session, devops_token: str, tmp_path: Path
) -> None:
    cloud.devops.repository("contoso", "etl", "etl")
    answer = get(session, "https://dev.azure.com/contoso/_apis/git/repositories/etl", devops_token)
    assert answer.json()["project"]["name"] == "etl"
    clone = git(cloud, devops_token, "clone", "https://dev.azure.com/contoso/_git/etl", str(tmp_path / "a"))
    assert clone.returncode == 0, clone.stderr


@pytest.mark.usefixtures("repository")
def test_takes_the_token_as_a_password(session: requests.Session, devops_token: str) -> None:
    assert session.get(REST, auth=("anybody", devops_token), timeout=10).status_code == 200


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("kind", ["none", "garbage", "lapsed", "for something else"])
def test_does_not_take_a_bad_token(cloud: Cloud, session: requests.Session, kind: str) -> None:
    tokens = {
        "none": "",
        "garbage": "garbage",
        "lapsed": cloud.identity.token("499b84ac-1321-427f-aa17-267ca6975798"),
        "for something else": cloud.identity.token(DATABRICKS_RESOURCE),
    }
    if kind == "lapsed":
        cloud.identity.expire_tokens()
    answer = get(session, REST, tokens[kind])
    assert answer.status_code == 401
    assert answer.json()["message"].startswith("TF400813:")
    assert "login.microsoftonline.com" in answer.headers["WWW-Authenticate"]


@pytest.mark.usefixtures("repository")
def test_shows_the_sign_in_page_to_who_does_not_suppress_it(session: requests.Session) -> None:
    anonymous = session.get(REST, allow_redirects=False, timeout=10)
    assert (anonymous.status_code, "_signin" in anonymous.headers["Location"]) == (302, True)
    wrong = session.get(REST, headers={"Authorization": "Bearer garbage"}, timeout=10)
    assert (wrong.status_code, wrong.headers["Content-Type"]) == (203, "text/html; charset=utf-8")
    assert "Sign In" in wrong.text


def test_git_fetches_with_a_long_gzipped_request(
    cloud: Cloud, repository: Repository, devops_token: str, tmp_path: Path
) -> None:
    git(cloud, devops_token, "clone", repository.url, str(tmp_path / "clone"))
    for number in range(40):
        repository.commit({"a": str(number)}, branch=f"b{number}")
    done = git(cloud, devops_token, "-C", str(tmp_path / "clone"), "fetch", "--all")
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("repository")
def test_git_cannot_clone_without_a_live_token(cloud: Cloud, devops_token: str, tmp_path: Path) -> None:
    cloud.identity.expire_tokens()
    url = "https://dev.azure.com/contoso/Data%20Platform/_git/etl"
    done = git(cloud, devops_token, "clone", url, str(tmp_path / "clone"))
    assert done.returncode == 128
    assert "could not read Username" in done.stderr or "Authentication failed" in done.stderr


def test_git_hears_that_a_repository_is_not_there(cloud: Cloud, devops_token: str, tmp_path: Path) -> None:
    cloud.devops.organization("contoso")
    done = git(
        cloud, devops_token, "clone", "https://dev.azure.com/contoso/p/_git/r", str(tmp_path / "clone")
    )
    assert "VS800075" in done.stderr
    assert "not found" in done.stderr


def pushed(cloud: Cloud, token: str, repository: Repository, place: Path) -> subprocess.CompletedProcess[str]:
    """Clone, commit and push with this token."""
    clone = str(place / "clone")
    assert git(cloud, token, "clone", repository.url, clone).returncode == 0
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@contoso.com")
    git(cloud, token, "-C", clone, *who, "commit", "--allow-empty", "-m", "Nothing much")
    return git(cloud, token, "-C", clone, "push", "origin", "HEAD:main", "HEAD:refs/tags/v2")


def test_the_app_s_identity_cannot_push(
    cloud: Cloud, repository: Repository, devops_token: str, tmp_path: Path
) -> None:
    before = repository.refs()
    done = pushed(cloud, devops_token, repository, tmp_path)
    assert done.returncode != 0
    assert "TF401027" in done.stderr or "403" in done.stderr
    assert repository.refs() == before


def test_a_contributor_pushes_branches_and_tags(cloud: Cloud, repository: Repository, tmp_path: Path) -> None:
    cloud.devops.organization("contoso").add_member("somebody", contributor=True)
    before = repository.head()
    done = pushed(cloud, cloud.devops.personal_access_token("somebody"), repository, tmp_path)
    assert done.returncode == 0, done.stderr
    assert repository.refs()["refs/tags/v2"][0] == repository.head() != before


def test_a_personal_access_token_belongs_to_one_person(
    cloud: Cloud, repository: Repository, tmp_path: Path
) -> None:
    cloud.devops.organization("contoso").add_member("somebody", contributor=True)
    cloud.devops.organization("contoso").add_member("reader")
    done = pushed(cloud, cloud.devops.personal_access_token("reader"), repository, tmp_path)
    assert done.returncode != 0
    stranger = git(cloud, cloud.devops.personal_access_token("stranger"), "ls-remote", repository.url)
    assert stranger.returncode != 0


@pytest.fixture
def foreign(cloud: Cloud) -> Repository:
    """A repository in an organization of another tenant."""
    cloud.devops.organization("fabrikam", OTHER_TENANT)
    return cloud.devops.repository("fabrikam", "Ledger", "books")


def foreign_rest(repository: Repository) -> str:
    return repository.url.replace("/_git/", "/_apis/git/repositories/")


def test_an_organization_takes_the_tokens_of_its_own_tenant_alone(
    cloud: Cloud, session: requests.Session, repository: Repository, devops_token: str, foreign: Repository
) -> None:
    application = cloud.app_registration("git-refresh")
    for tenant_id, organization in ((TENANT, "contoso"), (OTHER_TENANT, "fabrikam")):
        cloud.devops.organization(organization).add_member(application.consent(tenant_id))
    cloud.devops.organization("fabrikam").add_member(cloud.identity.object_id)
    tokens = [application.token(tenant, DEVOPS_RESOURCE) for tenant in (TENANT, OTHER_TENANT)]
    tokens.append(devops_token)
    statuses = {
        place.name: [get(session, foreign_rest(place), token).status_code for token in tokens]
        for place in (repository, foreign)
    }
    assert statuses == {"etl": [200, 401, 200], "books": [401, 200, 401]}


def test_a_refusal_names_the_tenant_of_accepted_tokens(
    session: requests.Session, devops_token: str, foreign: Repository
) -> None:
    answer = get(session, foreign_rest(foreign), devops_token)
    assert answer.json()["message"].startswith("TF400813:")
    assert f"login.microsoftonline.com/{OTHER_TENANT}" in answer.headers["WWW-Authenticate"]


def test_a_service_principal_of_another_tenant_has_to_be_added_too(
    cloud: Cloud, session: requests.Session, foreign: Repository
) -> None:
    application = cloud.app_registration("git-refresh")
    answer = get(session, foreign_rest(foreign), application.token(OTHER_TENANT, DEVOPS_RESOURCE))
    identity = f"{OTHER_TENANT}\\{OTHER_TENANT}\\{application.object_id(OTHER_TENANT)}"
    assert answer.status_code == 401
    assert answer.json()["message"].startswith(f"TF401444: Please sign-in at least once as {identity} in")


def test_git_takes_the_tokens_of_the_organization_s_tenant_alone(
    cloud: Cloud, devops_token: str, foreign: Repository
) -> None:
    application = cloud.app_registration("git-refresh")
    cloud.devops.organization("fabrikam").add_member(application.consent(OTHER_TENANT))
    cloud.devops.organization("fabrikam").add_member(cloud.identity.object_id)
    token = application.token(OTHER_TENANT, DEVOPS_RESOURCE)
    assert foreign.head() in git(cloud, token, "ls-remote", foreign.url).stdout
    assert git(cloud, devops_token, "ls-remote", foreign.url).returncode == 128
    application.expire_tokens()
    assert git(cloud, token, "ls-remote", foreign.url).returncode == 128


def test_a_disabled_repository_does_not_exist(
    cloud: Cloud, session: requests.Session, repository: Repository, devops_token: str
) -> None:
    repository.disabled = True
    for url in (REST, f"{REST}/refs"):
        answer = get(session, url, devops_token)
        assert (answer.status_code, answer.json()["typeKey"]) == (404, "GitRepositoryNotFoundException")
        assert answer.json()["message"].startswith("TF401019")
    assert "not found" in git(cloud, devops_token, "ls-remote", repository.url).stderr


def test_a_deactivated_organization_answers_nothing_else(
    cloud: Cloud, session: requests.Session, repository: Repository, devops_token: str
) -> None:
    cloud.devops.organization(repository.organization).deactivated = True
    answer = get(session, f"{REST}/refs", devops_token)
    assert answer.status_code == 503
    assert answer.content.startswith(b"\xef\xbb\xbf{")
    assert json.loads(answer.content.decode("utf-8-sig"))["message"].startswith("TF24668")
    assert answer.headers["X-TFS-ServiceError"].startswith("TF24668%3A%20The%20following")
    assert "503" in git(cloud, devops_token, "ls-remote", repository.url).stderr
