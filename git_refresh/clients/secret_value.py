"""Recognizes values that were stored in Key Vault by mistake instead of an OAuth secret."""

import re

from git_refresh.clients.responses import read_json
from git_refresh.settings.pasted import PLACEHOLDER

_MAX_CHARS = 16 * 1024
"""The maximum of `responses.SecretText`."""

_TABLE = re.compile(r"(?:^|\s)-{3,}(?:\s|$)")
_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_FORMS = (
    (re.compile(r"[\w~.-]{3}\dQ~[\w~.-]{25,}", re.ASCII), "a client secret of Microsoft Entra"),
    (re.compile(r"eyJ[\w-]+\.[\w-]*(?:\.[\w-]*)?", re.ASCII), "an access token"),
    (
        re.compile(r"(?:dapi|dkea)[0-9a-f]{16,}(?:-\d)?", re.IGNORECASE),
        "a personal access token of Databricks",
    ),
    (re.compile(r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}"), "a personal access token of Azure DevOps"),
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE), "an ID"),
    (re.compile(r"https?://\S*", re.IGNORECASE), "an address"),
    (re.compile(r"@Microsoft\.KeyVault\(.*", re.IGNORECASE), "a Key Vault reference"),
    (PLACEHOLDER, "a placeholder that was never filled in"),
)


def flaw_of(value: str) -> str:
    """Return why a value is not an OAuth secret, without quoting it; "" if it might be one.

    The text continues a sentence that begins with "it". Surrounding whitespace is ignored.
    """
    text = value[:_MAX_CHARS].strip().strip("\ufeff").strip()
    if not text:
        return "is blank"
    if isinstance(read_json(text.encode(errors="replace")), dict | list) or text[0] in "{[":
        return "is JSON text"
    if text[0] in _QUOTES or text[-1] in _QUOTES:
        return "is in quotation marks"
    form = next((form for pattern, form in _FORMS if pattern.fullmatch(text)), "")
    if form:
        return f"is {form}"
    if _TABLE.search(text):
        return "is table output of az: read it with --output tsv"
    if re.search(r"\s", text):
        return "has several lines or words"
    if not (text.isascii() and text.isprintable()):
        return "has characters that no OAuth secret has, as in a file of another encoding"
    return ""
