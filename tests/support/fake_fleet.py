"""A fleet of fakes, and runs over it."""

import json
from datetime import timedelta
from typing import Any

from git_refresh.model.clock import Deadline
from git_refresh.model.values import GitFolder, StoredCredential
from git_refresh.output.log import RedactingLogger
from git_refresh.run.refresh import refresh
from git_refresh.run.report import Report
from git_refresh.settings.load import load
from tests.support.fakes import NOW, FakeClock, FakeServices

URL = "https://dev.azure.com/contoso/Data%20Platform/_git/etl"
OLD, NEW = "a" * 40, "b" * 40
OURS = StoredCredential(5, "azureDevOpsServices", "git-refresh")


def host(number: int) -> str:
    return f"https://adb-{number}.1.azuredatabricks.net"


def behind(path: str = "/Repos/etl/prod") -> dict[str, Any]:
    return {path: GitFolder(1, path, URL, "main", OLD)}


def run(
    services: FakeServices, *workspaces: dict[str, Any], clock: FakeClock | None = None, **options: Any
) -> Report:
    entries = [
        {
            "host": key,
            "client_id": "5a1e0000-0000-4000-8000-000000000001",
            "client_secret_name": "secret",
            "folders": ["/Repos/etl/prod"],
            **more,
        }
        for key, more in zip(services.workspaces, workspaces or [{}] * len(services.workspaces), strict=True)
    ]
    environ = {
        "WORKSPACES": json.dumps(entries),
        "KEY_VAULT_URL": "https://v.vault.azure.net",
        **options.pop("settings", {}),
    }
    clock = clock or FakeClock()
    options.setdefault("next_run", NOW + timedelta(minutes=15))
    options.setdefault("logger", RedactingLogger())
    return refresh(load(environ), services, Deadline.after(540, clock), **options)


def frozen(path: str = "/Repos/etl/prod") -> dict[str, Any]:
    """Return a folder with a detached HEAD, as after checking out a tag."""
    return {path: GitFolder(1, path, URL, None, OLD)}
