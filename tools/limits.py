"""The limits of docs/reliability.md, from the constants that hold them."""

from collections.abc import Iterator

from git_refresh.clients import databricks, devops, identity, key_vault, oauth, rest, retry, session
from git_refresh.output import log
from git_refresh.run import listing, walk
from git_refresh.settings.load import Settings

_MIB = 1024 * 1024

WAITS = {
    "Whole run (`REFRESH_TIMEOUT_SECONDS`)": Settings(()).timeout_s,
    "Token from a managed identity, Azure CLI, or Entra": identity.TOKEN_LIMIT_S,
    "Secret from Key Vault": key_vault.SECRET_LIMIT_S,
    "Sign-in to a workspace": oauth.SIGN_IN_LIMIT,
    "Reading or storing a Git credential": databricks.CREDENTIAL_LIMIT,
    "Listing Git folders": databricks.LOOKUP_LIMIT,
    "Search below one path ending in `/*`": walk.WALK_LIMIT_S,
    "All searches in a workspace": listing.WALKS_LIMIT_S,
    "Ref lookup in Azure DevOps": devops.REF_LIMIT_S,
    "Pause for `Retry-After`": retry.LONGEST_WAIT,
}
"""Seconds by operation."""

SIZES = {
    "One response": f"{session.MAX_BODY // _MIB} MiB",
    "One response of Azure DevOps": f"{rest.MAX_RESPONSE_BYTES // _MIB} MiB",
    "All responses of a workspace in a run": f"{databricks.MAX_BODIES // _MIB} MiB",
    "Git folders in a workspace's list": databricks.ENTRIES,
    "Requests of a search below `/*`": walk.MAX_REQUESTS,
    "Objects that the search reads": walk.MAX_OBJECTS,
    "One text in a log line or report": f"{log.MAX_TEXT_CHARS:,} characters",
    "One log line": f"{log.MAX_LINE_CHARS:,} characters",
}
"""Upper bounds by subject."""


def waits() -> Iterator[str]:
    """Yield the time limit of each operation."""
    yield from ("| Operation | Seconds |", "|---|---|")
    yield from (f"| {operation} | {seconds:.0f} |" for operation, seconds in WAITS.items())
    yield "| Creating or updating a Git folder | Rest of the run |"


def sizes() -> Iterator[str]:
    """Yield the upper bounds of what the app reads and writes."""
    yield from ("| Subject | At most |", "|---|---|")
    for subject, bound in SIZES.items():
        yield f"| {subject} | {f'{bound:,}' if isinstance(bound, int) else bound} |"
