"""What may be shown of a typed value, and what SDKs may log."""

import logging
import re
import string
from collections.abc import Callable

_READ = 4_000
"""Characters of a text that are looked at. An app setting may have 131,071, and far fewer than these are shown."""

_PORTS = r":[0-9]++(?=[/?#]|\Z)"
_PASSWORD = re.compile(rf"[^/@:]*+(?:{_PORTS}[^/@:]*+)*+:")  # up to the colon before a password
_AUTHORITY = re.compile(r"[^/?#]*+")
_TOKEN_LIKE = re.compile(
    r"eyJ[\w-]{6,}[\w.-]*"  # a JWT, or the start of one
    r"|(?<![A-Za-z0-9])(?:dose|dapi|dkea|dsapi)[0-9a-f]{16,}(?:-\d)?"  # Databricks' secrets and tokens
    r"|[\w~-]{3}\dQ~[\w~.-]{20,}"  # an Entra client secret
    r"|(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{44,}[\w~.+/=-]*"  # an Azure DevOps token, or anything else that long without a break
)
_TOKEN_SIGNS = string.ascii_letters + string.digits + "+/=_-.~"
_LONGEST = 120


_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:dose|dapi|dkea|dsapi)[0-9a-f]{28,}"  # Databricks' secrets and tokens
    r"|eyJ[A-Za-z0-9_-]{17,}"  # a JWT, or its first part
    r"|(?=[a-z]{0,51}[2-7])[a-z2-7]{52}(?![A-Za-z0-9])"  # an Azure DevOps personal access token, as they were
    r"|[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}(?![A-Za-z0-9])"  # and as they are
    r")|[\w~.-]{3}[0-9]Q~[\w~.-]{31}"  # an Entra client secret
    r"|[A-Za-z0-9+/]{86}==",  # the key of a storage account
    re.ASCII,
)
REVOKE_IT = (
    "looks like a secret: revoke it, store a new one in Key Vault and write its name in client_secret_name"
)


def looks_like_secret(text: str) -> bool:
    """Whether this can hardly be anything but a secret, or contain one: then it is refused, wherever it was typed, and not quoted.

    `shown` withholds far more; here an id, a commit, a host or a path must never be taken for a secret.
    """
    text = text[:_READ]
    # Terminals and mails break long lines.
    return _SECRET.search(text) is not None or _SECRET.search(INVISIBLE.sub("", text)) is not None


INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # control characters
    r"\xad\u180e\u200b\u2060-\u2064\ufeff\ufff9-\ufffb"  # characters without width
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # marks that turn the direction in which a text is shown
    r"\u2028\u2029\ud800-\udfff\ufffe\uffff"  # line separators, surrogates and noncharacters
    r"\U000e0000-\U000e007f"  # tags: all of ASCII once more, unseen
    r"\u115f\u1160\u3164\uffa0]"  # Hangul fillers: letters to Unicode, and blank
)
"""What no name, path or address may contain: it is not seen, and a text with it reads as another. Spaces and joiners of all scripts may."""

CONTAINS_INVISIBLE = "contains a line break or another invisible character"


def redact(text: str) -> str:
    """Text of the settings, without what could be a secret in it, and not too long."""
    cut = len(text) > _READ
    if cut:
        # What ends here may go on as a token, or up to the @ behind a password: so no piece of it is left.
        text = text[:_READ].rstrip(_TOKEN_SIGNS) + "***@"
    safe = _TOKEN_LIKE.sub("***", _without_url_secrets(text) if "://" in text else text)
    safe = escape_unprintable(safe.removesuffix("@") if cut else safe)
    safe += "…" if cut else ""
    return safe if len(safe) <= _LONGEST else safe[: _LONGEST - 1] + "…"


def shown_proxy(text: str) -> str:
    """The address of a proxy without user name and password, whatever characters these contain."""
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
    r"""On one line, with every invisible character, and every mark of direction, as Python writes it: \n, \x1b, \u202e."""
    if text.isprintable() and not INVISIBLE.search(text):
        return text
    return "".join(
        char
        if char.isprintable() and not INVISIBLE.match(char)
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def _without_url_secrets(text: str) -> str:
    """Without `user:password@`, whatever characters the password contains, `user@`, query and fragment.

    Each character is looked at a fixed number of times, however often // occurs in the text.
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
    """Withhold what SDKs log, also when a level is lowered or a handler added afterwards.

    They write request bodies (the Databricks SDK prints `personal_access_token` in clear), and quote answers that may quote requests; the
    app says by itself what went wrong. So their words are taken out of every record as it is made, and their loggers do not propagate,
    which spares the root's handlers the empty lines.
    """
    for name in _SDK_LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())  # without any, warnings would go to stderr
    # Global, and stays: a filter on a logger sees no record of its children, and anyone can add a handler to any of them.
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Withholding):
        logging.setLogRecordFactory(_Withholding(make))


_SDK_PLACES = tuple(f"site-packages/{name.replace('.', '/')}/" for name in _SDK_LOGGERS)


def _of_sdk(file: str) -> bool:
    """Whether an SDK's code has written it, to whatever logger: that of Databricks uses the root's at DEBUG."""
    return any(place in file.replace("\\", "/") for place in _SDK_PLACES)


class _Withholding:
    """Makes log records; those of SDKs without their message, arguments, exception and stack."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, name: str, *arguments: object, **options: object) -> logging.LogRecord:
        record = self._make(name, *arguments, **options)
        if any(name == sdk or name.startswith(f"{sdk}.") for sdk in _SDK_LOGGERS) or _of_sdk(record.pathname):
            record.msg, record.args = "(an SDK's own words, withheld)", ()
            record.exc_info = record.exc_text = record.stack_info = None
        return record
