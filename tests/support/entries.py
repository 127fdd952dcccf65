"""A valid entry of a list."""

from typing import Any

HOST = "https://adb-1.1.azuredatabricks.net"
GOOD: dict[str, Any] = {
    "host": HOST,
    "client_id": "5a1e0000-0000-4000-8000-000000000001",
    "client_secret_name": "oauth-secret",
}


URL = "https://dev.azure.com/contoso/Data%20Platform/_git/etl"
GUID = "5a1e0000-0000-4000-8000-00000000000a"
