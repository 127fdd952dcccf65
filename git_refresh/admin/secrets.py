"""An OAuth secret of Databricks and a version of a secret in Key Vault, and the tags that say which belongs to which."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import SecretStr

MADE_BY = "made-by"
TOOL = "databricks-git-refresh"
"""The mark on a version that a command of ours has stored."""

SECRET_ID = "databricks-secret-id"  # noqa: S105  # a tag's name
CLIENT_ID = "databricks-client-id"
"""The tags that tell of which OAuth secret a version has the value, and whose that is: its id and its principal's application id.

They may have been written by hand, and travel with a copy: they tell, and prove nothing.
"""

STORED_AS = "databricks-stored-as"
"""The tag that tells where that was stored, as `VAULT_HOST/NAME`: what is found elsewhere is a copy."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a secret in Key Vault, without its value."""

    id: str
    created_on: datetime | None = None
    expires_on: datetime | None = None
    enabled: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def whose(self) -> str | None:
        """The application id of the service principal whose OAuth secret this is, if its tags tell."""
        tags = self.tags
        return tags.get(CLIENT_ID, "").lower() or None if _ID.fullmatch(tags.get(SECRET_ID, "")) else None

    def names(self, client_id: str) -> str | None:
        """The id of the OAuth secret whose value this is, if its tags tell so, and of this service principal; None: nobody knows."""
        return self.tags[SECRET_ID] if self.whose == client_id.lower() else None

    def stored_by_us(self, client_id: str, place: str) -> str | None:
        """The same, if besides a command of ours has stored it, and at this very place: only that may ever be deleted."""
        ours = self.tags.get(MADE_BY) == TOOL and self.tags.get(STORED_AS) == place
        return self.names(client_id) if ours else None


@dataclass(frozen=True, slots=True)
class Current:
    """The latest version of a secret, which the app reads, with its value."""

    version: Version
    value: SecretStr


@dataclass(frozen=True, slots=True)
class OAuthSecret:
    """What a workspace tells of an OAuth secret: never its value."""

    id: str
    created_at: datetime | None = None
    expires_at: datetime | None = None
    """None: it does not end."""
    status: str = ""
    scopes: tuple[str, ...] = ()
    """Those that a token of it can have; none: all that the principal may do."""


@dataclass(frozen=True, slots=True)
class NewSecret:
    """An OAuth secret that was made just now: the only time that its value is told."""

    about: OAuthSecret
    value: SecretStr = field(repr=False)


def place_of(vault: str, name: str) -> str:
    """Where a secret is stored, as it is written into a tag: the same for each way to write the vault's URL and the name."""
    return f"{urlsplit(vault).hostname or ''}/{name}".lower()


def tags_of(secret_id: str, client_id: str, place: str) -> dict[str, str]:
    """What to tag a version with whose value is this OAuth secret of this service principal, and which is stored at this place."""
    return {MADE_BY: TOOL, SECRET_ID: secret_id, CLIENT_ID: client_id, STORED_AS: place}
