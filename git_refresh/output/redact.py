"""Redacts values of the settings, and withholds the log messages of SDKs."""

import logging
import re
import string
from collections.abc import Callable

_MAX_READ_CHARS = 4_000
"""An app setting can have 131,071, but `redact` returns at most `_MAX_SHOWN_CHARS`."""

_PORTS = r":[0-9]++(?=[/?#]|\Z)"
_PASSWORD = re.compile(rf"[^/@:]*+(?:{_PORTS}[^/@:]*+)*+:")  # up to the colon before a password
_AUTHORITY = re.compile(r"[^/?#]*+")
_TOKEN_LIKE = re.compile(
    r"eyJ[\w-]{6,}[\w.-]*"  # JWT or its start.
    r"|(?<![A-Za-z0-9])(?:dose|dapi|dkea|dsapi)[0-9a-f]{16,}(?:-\d)?"  # Secret or token of Databricks.
    r"|[\w~-]{3}\dQ~[\w~.-]{20,}"  # Client secret of Microsoft Entra.
    r"|(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{44,}[\w~.+/=-]*"  # Azure DevOps token, or other long text without a break.
)
_TOKEN_SIGNS = string.ascii_letters + string.digits + "+/=_-.~"
_MAX_SHOWN_CHARS = 120


_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:dose|dapi|dkea|dsapi)[0-9a-f]{28,}"  # Secret or token of Databricks.
    r"|eyJ[A-Za-z0-9_-]{17,}"  # JWT or its first part.
    r"|(?=[a-z]{0,51}[2-7])[a-z2-7]{52}(?![A-Za-z0-9])"  # Azure DevOps personal access token in the old form.
    r"|[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}(?![A-Za-z0-9])"  # Azure DevOps personal access token in the new form.
    r")|[\w~.-]{3}[0-9]Q~[\w~.-]{31}"  # Client secret of Microsoft Entra.
    r"|[A-Za-z0-9+/]{86}==",  # Key of a storage account.
    re.ASCII,
)
REVOKE_IT = (
    "looks like a secret: revoke it, store a new one in Key Vault and write its name in client_secret_name"
)


def looks_like_secret(text: str) -> bool:
    """Return whether a text almost certainly contains a secret. Such a setting is invalid and not quoted.

    `redact` hides more. Here, an ID, commit, host or path must not match.
    """
    text = text[:_MAX_READ_CHARS]
    # Terminals and emails can insert line breaks into a secret.
    return _SECRET.search(text) is not None or _SECRET.search(INVISIBLE.sub("", text)) is not None


INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # Control characters.
    r"\xad\u180e\u200b\u2060-\u2064\ufeff\ufff9-\ufffb"  # Characters without width.
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # Marks that change the direction of a text.
    r"\u2028\u2029\ud800-\udfff\ufffe\uffff"  # Line separators, surrogates and noncharacters.
    r"\U000e0000-\U000e007f"  # Tags: an invisible copy of ASCII.
    r"\u115f\u1160\u3164\uffa0]"  # Hangul fillers: letters in Unicode, but blank.
)
"""Invisible characters. No name, path or URL can contain them, because it could look like another one.

Spaces and joiners of all scripts are allowed.
"""

CONTAINS_INVISIBLE = "contains a line break or another invisible character"


def redact(text: str) -> str:
    """Return a value of the settings, truncated and without possible secrets."""
    cut = len(text) > _MAX_READ_CHARS
    if cut:
        # The cut could be inside a token or a password, so its beginning is removed.
        text = text[:_MAX_READ_CHARS].rstrip(_TOKEN_SIGNS) + "***@"
    safe = _TOKEN_LIKE.sub("***", _without_url_secrets(text) if "://" in text else text)
    safe = escape_unprintable(safe.removesuffix("@") if cut else safe)
    safe += "…" if cut else ""
    return safe if len(safe) <= _MAX_SHOWN_CHARS else safe[: _MAX_SHOWN_CHARS - 1] + "…"


def shown_proxy(text: str) -> str:
    """Return a proxy's URL without user name and password, which can contain any characters."""
    scheme, has_scheme, rest = text.strip().partition("://")
    if not has_scheme:
        scheme, rest = "", text.strip()
    address = re.split("[/?#]", rest.rpartition("@")[2])[0]
    readable = re.fullmatch(r"[a-z0-9+.-]*", scheme, re.IGNORECASE) and _PROXY.fullmatch(address)
    return (
        escape_unprintable(f"{scheme}{has_scheme}{address}")
        if readable
        else "(an address that cannot be read)"
    )


_PROXY = re.compile(r"(?:[\w.-]*|\[[0-9a-f:.]+\])(?::[0-9]*)?", re.IGNORECASE)


def escape_unprintable(text: str) -> str:
    r"""Return a text on one line, with invisible characters escaped as in Python: \n, \x1b, \u202e."""
    if text.isprintable() and not INVISIBLE.search(text):
        return text
    return "".join(
        char
        if char.isprintable() and not INVISIBLE.match(char)
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def _without_url_secrets(text: str) -> str:
    """Remove `user:password@`, `user@`, query and fragment. The password can contain any characters.

    Takes linear time, also for a text with many //.
    """
    kept: list[str] = []
    last = text.rfind("@")
    done = at = 0
    while (at := text.find("//", at)) >= 0:
        at += 1  # a third / can follow
        start, end = at + 1, 0
        if (password := _PASSWORD.match(text, start)) and last >= password.end():
            end = last + 1
        elif found := _AUTHORITY.match(text, start):
            end = text.rfind("@", start, found.end()) + 1
        if end > start >= done:
            kept.append(text[done:start])
            done = end
    return re.split("[?#]", "".join(kept) + text[done:], maxsplit=1)[0]


_SDK_LOGGERS = (
    "azure.core",
    "azure.identity",
    "azure.keyvault",
    "azure.storage",
    "databricks",
    "msal",
    "requests",
    "urllib3",
)


def silence_sdk_logs() -> None:
    """Withhold the log messages of SDKs, even if a level is changed or a handler is added later.

    Security: SDKs log request bodies (Databricks' SDK shows `personal_access_token`), and responses that might quote them.
    The text of their log records is replaced. Their loggers do not propagate, so the root's handlers get no empty lines.
    """
    for name in _SDK_LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())  # Without a handler, warnings would go to stderr.
    # A global factory, because a logger's filter does not apply to child loggers, and any logger can get a handler.
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Withholding):
        logging.setLogRecordFactory(_Withholding(make))


_SDK_PLACES = tuple(f"site-packages/{name.replace('.', '/')}/" for name in _SDK_LOGGERS)


def _of_sdk(file: str) -> bool:
    """Return whether an SDK's file created a record. Databricks' SDK uses the root logger at DEBUG."""
    return any(place in file.replace("\\", "/") for place in _SDK_PLACES)


class _Withholding:
    """Factory of log records that withholds message, arguments, exception and stack of SDKs."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, name: str, *arguments: object, **options: object) -> logging.LogRecord:
        record = self._make(name, *arguments, **options)
        if any(name == sdk or name.startswith(f"{sdk}.") for sdk in _SDK_LOGGERS) or _of_sdk(record.pathname):
            record.msg, record.args = "(SDK log message withheld)", ()
            record.exc_info = record.exc_text = record.stack_info = None
        return record
