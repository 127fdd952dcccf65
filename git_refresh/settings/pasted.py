"""Recognizes texts that users paste instead of a value: placeholders, PowerShell output, browser URLs."""

import re
from urllib.parse import urlsplit

from git_refresh.model.values import GUID
from git_refresh.output.redact import redact

_EDGE = r"[/.:@=\s-]"
_NAME = r"[A-Za-z_][\w.-]*"
_SHELL = r"\$\{[A-Za-z_][\w.:-]*\}"
TEMPLATE = r"\$\{\{[^{}]*\}\}|\$\([\w. -]+\)|\{\{[^{}]*\}\}|#\{[^{}]*\}#?"
"""Placeholder of Azure Pipelines, GitHub, Jinja or Octopus. No valid value has these forms."""
PLACEHOLDER = re.compile(
    rf"{TEMPLATE}|(?:(?<={_EDGE})|\A){_SHELL}|{_SHELL}(?={_EDGE}|\Z)"
    # These can also be inside a name or an escape, so they count only as whole parts of a path or URL.
    rf"|(?:(?<={_EDGE})|\A)(?:__[A-Z][A-Z0-9_]*__|<[\w .-]+>|\{{[A-Za-z_ -]+\}}|%{_NAME}%|\$(?:env:)?[A-Z][A-Z0-9_]+)(?=[/?#]|{_EDGE}|\Z)"
)
_POWERSHELL = re.compile(
    r"@\{.*\}|System\.(?:Object|String|Int32|Collections\.[\w.`]+|Management\.Automation\.\w+)(?:\[.*\])?",
    re.DOTALL,
)
DEPTH = "is what ConvertTo-Json of PowerShell leaves of a nested value; add -Depth 10 to ConvertTo-Json"


def remains(text: str) -> str | None:
    """Return why a text is a placeholder or output of PowerShell, or None.

    The result continues a sentence that begins with the text.
    """
    if _POWERSHELL.fullmatch(text.strip()):
        return DEPTH
    found = PLACEHOLDER.search(text)
    if found is None:
        return None
    whole = found[0] == text.strip()
    what = "is a placeholder" if whole else f"contains {redact(found[0])}, a placeholder"
    return (
        f"{what} that was never filled in; write the value itself, or set it in the pipeline that fills it in"
    )


def powershell_items(text: str) -> bool:
    """Return whether a text consists of array items that PowerShell has joined."""
    return " /" in text.strip() or _POWERSHELL.fullmatch(text.strip()) is not None


_OPENER = re.compile(
    r"(?:^|[?&#;])[\w-]*(?:token|secret|passw(?:or)?d|pwd|apikey|api_key|sig|signature|code)=[^&]",
    re.IGNORECASE,
)


def without_openers(address: str) -> str:
    """Return a URL unchanged, unless its query or fragment contains a password, token or code.

    Raises:
        ValueError: the URL contains one. The text continues a sentence that begins with the URL.
    """
    parts = urlsplit(address)
    if _OPENER.search(f"{parts.query}#{parts.fragment}"):
        raise ValueError(
            "contains what could be a secret behind its path: revoke it, and write the address alone"
        )
    return address


def rest_of(address: str) -> bool:
    """Return whether a URL has a path, query or fragment."""
    parts = urlsplit(address.strip())
    return bool(parts.path.strip("/") or parts.query or parts.fragment)


def vault_name(text: str) -> str | None:
    """Return the Key Vault name in a portal page's URL, a resource ID, a host or a name, or None."""
    named = re.fullmatch(
        r"(?:https://portal\.azure\.com/.*?/vaults/|/?subscriptions/.*?/vaults/|https?://)?([a-z](?:-?[a-z0-9]){2,23})"
        r"(?:\.vault\.azure\.net|\.(?:privatelink\.)?vaultcore\.azure\.net)?(?::443)?(?:[/?#].*)?",
        text,
        re.IGNORECASE | re.DOTALL,
    )
    return named[1] if named and len(named[1]) <= _LONGEST_VAULT else None


_LONGEST_VAULT = 24
_WRAPPED = re.compile(
    rf"(?:[{{(]|urn:uuid:|api://|spn:|\W+)?({GUID.pattern}|[0-9a-fA-F]{{32}})[\W_]*", re.IGNORECASE
)


def guid_in(text: str) -> str | None:
    """Return the GUID in a text, for example in braces, after `api://` or without hyphens, or None."""
    found = _WRAPPED.fullmatch(text.strip())
    if found is None:
        return None
    plain = found[1].replace("-", "").lower()
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))
