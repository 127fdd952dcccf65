"""App settings by name, with their documentation, and detection of misspelled names."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from git_refresh.output.text import closest


@dataclass(frozen=True, slots=True)
class Setting:
    default: str
    description: str
    example: str


SETTINGS = {
    "WORKSPACES": Setting(
        "required",
        "JSON array of workspaces, each a URL or an object.",
        '[{"host": "https://adb-1234567890123456.7.azuredatabricks.net", "auth": "managed_identity"}]',
    ),
    "WORKSPACE_DEFAULTS": Setting(
        "{}",
        "JSON object with keys for every workspace that does not set them.",
        '{"client_id": "5a1e0000-0000-4000-8000-000000000001", "client_secret_name": "databricks-oauth-secret"}',
    ),
    "KEY_VAULT_URL": Setting(
        "required by oauth_secret",
        "Vault URI of the Key Vault with the OAuth secrets.",
        "https://contoso.vault.azure.net",
    ),
    "REFRESH_SCHEDULE": Setting(
        "required",
        "NCRONTAB expression in UTC, such as 0 */15 * * * *.",
        "0 */15 * * * *",
    ),
    "AZURE_CLIENT_ID": Setting(
        "system-assigned identity",
        "Client ID of the user-assigned managed identity to use.",
        "5a1e0000-0000-4000-8000-000000000002",
    ),
    "TRUSTED_HOSTS": Setting(
        "none",
        "Comma-separated host names, suffixes (.contoso.com) and IP addresses that can also receive tokens.",
        "git.contoso.com,.databricks.contoso.com",
    ),
    "REFRESH_CONCURRENCY": Setting(
        "32",
        "Maximum number of concurrent operations, 1 to 256. Operations that wait long for a response do not count.",
        "32",
    ),
    "REFRESH_TIMEOUT_SECONDS": Setting(
        "540",
        "Time limit of a run, 30 to 3600, and at least 6 below functionTimeout in host.json.",
        "540",
    ),
    "FAN_OUT": Setting(
        "off",
        "off: one instance refreshes the whole list. queue: several instances refresh slices (docs/fan-out.md).",
        "off",
    ),
}
"""The app's own settings."""

SET_BY_DEPLOY = (
    "WORKSPACES",
    "WORKSPACE_DEFAULTS",
    "KEY_VAULT_URL",
    "TRUSTED_HOSTS",
    "REFRESH_CONCURRENCY",
    "REFRESH_TIMEOUT_SECONDS",
)
"""The Bicep template sets the other settings, because alerts and roles depend on them."""
PREVIOUS = {name: f"PREVIOUS_{name}" for name in SET_BY_DEPLOY}
"""App settings in which `deploy` saves the previous values; empty if a setting was not set."""
_PREVIOUS_NAMES = frozenset(PREVIOUS.values())
MOST_BYTES = 32 * 4096 - 1
"""Maximum bytes of `NAME=value` in the environment of a Linux process.

Source: `MAX_ARG_STRLEN` (with the final zero byte) in https://man7.org/linux/man-pages/man2/execve.2.html
"""


def near_misses(environ: Mapping[str, str]) -> dict[str, str]:
    """Return names that look misspelled, each with the missing setting that it probably means."""
    found: dict[str, str] = {}
    for name in (name for name in environ if name not in SETTINGS and name not in _PREVIOUS_NAMES):
        meant = _meant(name.upper().replace("-", "_"))
        if meant and not environ.get(meant, "").strip():
            found[name] = meant
    return found


def _meant(name: str) -> str | None:
    own = [known for known in SETTINGS if not (known.startswith("AZURE_") and _of_another_program(name))]
    near = closest(name, own, cutoff=_SPELLED_ALIKE)
    if near or len(name) < _MIN_PART_CHARS:
        return near[0] if near else None
    return next((known for known in _FOUND_BY_PART if f"_{name}_" in f"_{known}_"), None)


def _of_another_program(name: str) -> bool:
    """Return whether the first word is not a misspelling of AZURE, as in Terraform's ARM_CLIENT_ID."""
    return difflib.SequenceMatcher(None, name.split("_", maxsplit=1)[0], "AZURE").ratio() < _ALIKE


_ALIKE = 0.7
_SPELLED_ALIKE = 0.85
_MIN_PART_CHARS = 8
_FOUND_BY_PART = [name for name in SETTINGS if not name.startswith("AZURE_")]
"""Settings that a part of their name identifies, such as CONCURRENCY. Many programs have a CLIENT_ID."""


def unknown_names(names: Iterable[str]) -> list[str]:
    """Return the names of settings that neither this app nor its platform uses."""
    return [name for name in _others(names) if not _ENVIRONMENT.match(name)]


def environment_names(names: Iterable[str]) -> list[str]:
    """Return the names of environment variables that SDKs, Python or the operating system use."""
    return [name for name in _others(names) if _ENVIRONMENT.match(name)]


def _others(names: Iterable[str]) -> list[str]:
    known = SETTINGS.keys() | _PREVIOUS_NAMES
    return [name for name in names if name not in known and not _PLATFORM.match(name)]


TIME_ZONES = ("WEBSITE_TIME_ZONE", "TZ")
"""Settings for the time zone of schedules, in other hosting plans."""
_DISABLED = re.compile(r"AzureWebJobs(?:\.|__)(refresh_git|refresh_slice)(?:\.|__)Disabled", re.IGNORECASE)


def disables(name: str) -> str | None:
    """Return the function that an app setting of this name can disable, or None."""
    found = _DISABLED.fullmatch(name)
    return found[1].lower() if found else None


_PLATFORM = re.compile(
    # App Service, the Functions host, its builds and its logs
    r"AzureWebJobs|AzureFunctions|FUNCTIONS?_|WEBSITES?_|WEBJOBS_|SCM_|APPLICATIONINSIGHTS_|APPINSIGHTS_|DIAGNOSTICS_|"
    r"DEPLOYMENT_|ENABLE_ORYX_BUILD$|ORYX_|BUILD_FLAGS$|XDG_CACHE_HOME$|Logging(:|__)|OTEL_|CONTAINER_|"
    r"HTTP_LOGGING_|REMOTEDEBUGGING|DOTNET_|ASPNETCORE_|AZURE_FUNCTIONS_|PYTHON_|TZ$",
    re.IGNORECASE,
)
_ENVIRONMENT = re.compile(
    # Microsoft's SDKs, Python and its loaders
    r"AZURE_|IDENTITY_|MSI_|ARM_|PYTHON|PIP_|UV_|LD_|"
    # Proxies and trusted certificates
    r"(HTTPS?|ALL|NO)_PROXY$|(REQUESTS|CURL)_CA_BUNDLE$|SSL_CERT_|NODE_EXTRA_CA_CERTS$|LANG$|LC_|PATH$|HOME$",
    re.IGNORECASE,
)
