"""What one writes in an afternoon: Databricks' and Azure's SDKs as their pages show them, one workspace after the other or on threads.

Like the app it stores a fresh token and brings each Git folder to its branch. It compares nothing, and stops at the first failure.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound

PROVIDER = "azureDevOpsServices"
DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798/.default"


def refresh(environ: Mapping[str, str], *, threads: int = 1) -> None:
    """Refresh every workspace of these app settings."""
    defaults = json.loads(environ["WORKSPACE_DEFAULTS"])
    identity = ManagedIdentityCredential()
    vault = SecretClient(environ["KEY_VAULT_URL"], identity)
    secret = vault.get_secret(defaults["client_secret_name"]).value
    token = identity.get_token(DEVOPS).token
    one = partial(_refresh, defaults=defaults, secret=secret, token=token)
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, json.loads(environ["WORKSPACES"])):
            pass


def _refresh(host: str, *, defaults: Mapping[str, Any], secret: str | None, token: str) -> None:
    client = WorkspaceClient(
        host=host, client_id=defaults["client_id"], client_secret=secret, auth_type="oauth-m2m"
    )
    stored = [it.credential_id for it in client.git_credentials.list() if it.git_provider == PROVIDER]
    if stored:
        client.git_credentials.update(
            stored[0], PROVIDER, git_username="databricks", personal_access_token=token
        )
    else:
        client.git_credentials.create(PROVIDER, git_username="databricks", personal_access_token=token)
    if not defaults["folders"]:
        return
    there = {repo.path: repo.id for repo in client.repos.list(path_prefix="/Repos")}
    for folder in defaults["folders"]:
        path = folder["path"]
        if (id_ := there.get(path) or _unlisted(client, path)) is None:
            client.workspace.mkdirs(path.rpartition("/")[0])
            id_ = client.repos.create(folder["url"], PROVIDER, path=path).id
        assert id_ is not None  # noqa: S101  # for the type checker
        client.repos.update(id_, branch=folder["branch"])


def _unlisted(client: WorkspaceClient, path: str) -> int | None:
    """The ID of a Git folder with Git CLI access, which the list leaves out."""
    try:
        return client.workspace.get_status(path).object_id
    except NotFound:
        return None
