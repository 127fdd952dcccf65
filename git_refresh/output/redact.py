"""Redacts values of the settings, and withholds what SDKs log."""

import logging
import re
import string
from collections.abc import Callable

_READ = 4_000
"""Characters to read. An app setting can have 131,071, but far fewer than these are displayed."""

_PORTS = r":[0-9]++(?=[/?#]|\Z)"
_PASSWORD = re.compile(rf"[^/@:]*+(?:{_PORTS}[^/@:]*+)*+:")  # up to the colon before a password
_AUTHORITY = re.compile(r"[^/?#]*+")
_TOKEN_LIKE = re.compile(
    r"eyJ[\w-]{6,}[\w.-]*"  # JWT or its start.
    r"|(?<![A-Za-z0-9])(?:dose|dapi|dkea|dsapi)[0-9a-f]{16,}(?:-\d)?"  # Secret or token of Databricks.
    r"|[\w~-]{3}\dQ~[\w~.-]{20,}"  # Client secret of Microsoft Entra.
    r"|(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{44,}[\w~.+/=-]*"  # Azure DevOps token, or another text this long without a break.
)
_TOKEN_SIGNS = string.ascii_letters + string.digits + "+/=_-.~"
_LONGEST = 120


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
    """Return whether a text almost certainly is or contains a secret. It is then refused, not quoted.

    `redact` hides far more. Here, an ID, commit, host or path must never match.
    """
    text = text[:_READ]
    # Terminals and emails break long lines.
    return _SECRET.search(text) is not None or _SECRET.search(INVISIBLE.sub("", text)) is not None


INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # Control characters.
    r"\xad\u180e\u200b\u2060-\u2064\ufeff\ufff9-\ufffb"  # Characters without width.
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # Marks that change the direction of a text.
    r"\u2028\u2029\ud800-\udfff\ufffe\uffff"  # Line separators, surrogates and noncharacters.
    r"\U000e0000-\U000e007f"  # Tags: an invisible copy of ASCII.
    r"\u115f\u1160\u3164\uffa0]"  # Hangul fillers: letters in Unicode, but blank.
)
"""Invisible characters, which no name, path or URL can contain: a text with them reads as another.

Spaces and joiners of all scripts are allowed.
"""

CONTAINS_INVISIBLE = "contains a line break or another invisible character"


def redact(text: str) -> str:
    """Return a text of the settings, shortened and without possible secrets."""
    cut = len(text) > _READ
    if cut:
        # A token or a password could continue after the cut, so no piece of it remains.
        text = text[:_READ].rstrip(_TOKEN_SIGNS) + "***@"
    safe = _TOKEN_LIKE.sub("***", _without_url_secrets(text) if "://" in text else text)
    safe = escape_unprintable(safe.removesuffix("@") if cut else safe)
    safe += "…" if cut else ""
    return safe if len(safe) <= _LONGEST else safe[: _LONGEST - 1] + "…"


def shown_proxy(text: str) -> str:
    """Return a proxy's URL without user name and password, whatever characters they contain."""
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
    """Remove `user:password@`, `user@`, query and fragment, whatever characters the password contains.

    Takes linear time, however often // occurs in the text.
    """
    kept: list[str] = []
    last = text.rfind("@")
    done = at = 0
    while (at := text.find("//", at)) >= 0:
        at += 1  # a third / may follow
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
    """Withhold what SDKs log, even if a level is lowered or a handler added afterwards.

    Security: SDKs log request bodies (Databricks' prints `personal_access_token` in clear), and responses that might quote requests.
    Their words are removed when a record is created. Their loggers do not propagate, which spares the root's handlers empty lines.
    """
    for name in _SDK_LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())  # Without a handler, warnings would go to stderr.
    # Global: a logger's filter sees no records of its children, and anyone can add a handler to any of them.
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Withholding):
        logging.setLogRecordFactory(_Withholding(make))


_SDK_PLACES = tuple(f"site-packages/{name.replace('.', '/')}/" for name in _SDK_LOGGERS)


def _of_sdk(file: str) -> bool:
    """Return whether an SDK's code wrote a record: Databricks' uses the root logger at DEBUG."""
    return any(place in file.replace("\\", "/") for place in _SDK_PLACES)


class _Withholding:
    """Creates log records, without message, arguments, exception and stack if they are an SDK's."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, name: str, *arguments: object, **options: object) -> logging.LogRecord:
        record = self._make(name, *arguments, **options)
        if any(name == sdk or name.startswith(f"{sdk}.") for sdk in _SDK_LOGGERS) or _of_sdk(record.pathname):
            record.msg, record.args = "(SDK log message withheld)", ()
            record.exc_info = record.exc_text = record.stack_info = None
        return record
