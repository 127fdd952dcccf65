"""A small fleet to play with: what the demo shows and tests start from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from localcloud.cloud import Cloud
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from localcloud.keyvault import KeyVault

ORGANIZATION = "contoso"
PROJECT = "Data Platform"
CLIENT_ID = "5a1e0000-0000-4000-8000-000000000001"
SECRET_NAME = "databricks-oauth-secret"  # noqa: S105  # a name
SECRET = "dose00000000000000000000000000000001"  # noqa: S105  # opens nothing but the embedded cloud


@dataclass(frozen=True, slots=True)
class Fleet:
    """What `seed` has made.

    Attributes:
        settings: the app settings that an administrator would write for it.
    """

    workspaces: list[Workspace]
    repositories: list[Repository]
    vault: KeyVault
    settings: Mapping[str, str]

    @property
    def by_name(self) -> dict[str, Workspace]:
        """The workspaces by the names that the settings give them."""
        names = [entry["name"] for entry in json.loads(self.settings["WORKSPACES"])]
        return dict(zip(names, self.workspaces, strict=True))


def seed(cloud: Cloud, workspaces: int = 3) -> Fleet:
    """An organization, two repositories, a vault, and workspaces with one Git folder and one to create."""
    etl = cloud.devops.repository(
        ORGANIZATION, PROJECT, "etl", {"README.md": "# ETL\n", "jobs/load.py": "print('load')\n"}
    )
    reports = cloud.devops.repository(ORGANIZATION, PROJECT, "reports", {"README.md": "# Reports\n"})
    vault = cloud.keyvault(ORGANIZATION)
    vault.set(SECRET_NAME, SECRET, expires_on=datetime.now(UTC) + timedelta(days=180))
    made = []
    for number in range(1, workspaces + 1):
        workspace = cloud.workspace(f"adb-{number:016}.{number % 20}.azuredatabricks.net")
        workspace.service_principal(CLIENT_ID, SECRET)
        workspace.add_folder("/Repos/etl/prod", etl)
        made.append(workspace)
    folders = ["/Repos/etl/prod", {"path": "/Repos/reports/prod", "url": reports.url, "branch": "main"}]
    entries = [
        {"host": workspace.url, "name": f"data-{number}", "folders": folders}
        for number, workspace in enumerate(made, start=1)
    ]
    settings = {
        "WORKSPACES": json.dumps(entries),
        "WORKSPACE_DEFAULTS": json.dumps({"client_id": CLIENT_ID, "client_secret_name": SECRET_NAME}),
        "KEY_VAULT_URL": vault.url,
        "REFRESH_SCHEDULE": "0 */15 * * * *",
    }
    return Fleet(made, [etl, reports], vault, settings)
