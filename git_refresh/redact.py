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
    """Lets nothing below WARNING through: there the Databricks SDK writes request bodies, `personal_access_token` in clear."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING


_NO_BODIES = _NoBodies()
_SDK_LOGGERS = ("azure.core", "azure.identity", "azure.keyvault", "databricks", "msal", "requests", "urllib3")


def silence_sdk_logs() -> None:
    """Keep what SDKs log out of every handler, also when somebody lowers a level afterwards.

    They quote requests, and answers that may quote requests; the app says by itself what went wrong. A logger that does not propagate
    keeps its whole family from the root's handlers, whatever level any of them is set to.
    """
    for name in _SDK_LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())  # without any, warnings would go to stderr
    logging.getLogger("databricks.sdk").addFilter(_NO_BODIES)  # adding it again changes nothing
