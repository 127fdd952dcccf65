"""What may be shown of a value that somebody typed, and what SDKs may log."""

import logging
import re

_URL_SECRETS = re.compile(r"(?<=//)[^/\s@]*@|[?#].*$", re.DOTALL)
_TOKEN_LIKE = re.compile(
    r"eyJ[\w-]{6,}[\w.-]*"  # a JWT, or the start of one
    r"|\b(?:dose|dapi|dkea|dsapi)[0-9a-f]{16,}(?:-\d)?"  # Databricks' secrets and tokens
    r"|\b[\w~-]{3}\dQ~[\w~.-]{20,}"  # an Entra client secret
    r"|\b[A-Za-z0-9+/=_-]{44,}"  # an Azure DevOps personal access token, or anything else that long without a break
)
_LONGEST = 120


def shown(text: str) -> str:
    """Text that somebody typed into the settings, without what could be a secret in it, and not too long."""
    safe = _TOKEN_LIKE.sub("***", _URL_SECRETS.sub("", text) if "://" in text else text)
    safe = re.sub(r"[\x00-\x1f\x7f]+", " ", safe)
    return safe if len(safe) <= _LONGEST else safe[: _LONGEST - 1] + "…"


class _NoBodies(logging.Filter):
    """Lets nothing below WARNING through: there the SDKs write request bodies."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING


_NO_BODIES = _NoBodies()
_TALKATIVE = (
    "databricks.sdk",  # prints personal_access_token in clear at DEBUG
    "azure.core.pipeline.policies._universal",  # prints a Key Vault secret when asked for bodies
)


def silence_sdk_logs() -> None:
    """Keep SDKs from logging what they send and receive, also when somebody lowers a level afterwards.

    A filter on the logger that writes stays whatever levels and handlers are set; the level only spares the work.
    """
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        logger.addFilter(_NO_BODIES)  # adding it again changes nothing
    for name in ("databricks", "azure", "msal", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
