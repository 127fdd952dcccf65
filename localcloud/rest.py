"""A plain REST client for a workspace, for tests that need more than an SDK sends."""

from typing import Any

import requests

from localcloud.databricks.sign_in import ServicePrincipal
from localcloud.databricks.workspace import Workspace


class Rest:
    """A workspace's REST API for one service principal, authenticated on construction."""

    def __init__(self, session: requests.Session, workspace: Workspace, principal: ServicePrincipal) -> None:
        self.session = session
        self.workspace = workspace
        self.principal = principal
        self.token: str = self.sign_in().json()["access_token"]

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:  # noqa: ANN401  # as `requests`
        """Call `/api/2.0{path}`."""
        return self.session.request(
            method,
            f"{self.workspace.url}/api/2.0{path}",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=10,
            **options,
        )

    def sign_in(self) -> requests.Response:
        return self.session.post(
            f"{self.workspace.url}/oidc/v1/token",
            data={"grant_type": "client_credentials", "scope": "all-apis"},
            auth=(self.principal.client_id, str(self.principal.secret)),
            timeout=10,
        )

    def store_token(self, token: str) -> int:
        """Store a Git credential for Azure DevOps and return its id."""
        fields = {"git_provider": "azureDevOpsServices", "git_username": "x", "personal_access_token": token}
        number: int = self("POST", "/git-credentials", json=fields).json()["credential_id"]
        return number


def error_of(answer: requests.Response) -> tuple[int, str | int, str]:
    """Return status, error code and message of an error."""
    body = answer.json()
    return answer.status_code, body["error_code"], body["message"]
