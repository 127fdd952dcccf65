"""The text around a mistake, shown without a word that could be a secret."""

import re
from collections import deque
from collections.abc import Iterable

from git_refresh.output.redact import redact
from git_refresh.settings.json_mistakes import CURLY
from git_refresh.settings.models import Folder, Workspace

HARMLESS = {*Workspace.model_fields, *Folder.model_fields, "WORKSPACES", "WORKSPACE_DEFAULTS"}
HARMLESS |= {"oauth_secret", "managed_identity", "fail", "discard"}
HARMLESS |= {"true", "false", "null", "None", "True", "False"}
_NO_WORD = rf"\s{{}}\[\],\"'`\\;()<>…{CURLY}"
_PIECE = re.compile(rf"\s+|https?://[^{_NO_WORD}]*|[^{_NO_WORD}:=]+|.")
_RUN = re.compile(r"\S*")
_ADDRESS = re.compile(r"https?://(?:[\w-]+\.)+[a-zA-Z]{2,}(?:[/?#].*)?", re.ASCII)
_PATH = re.compile(r"/(?:Repos|Shared|Users|Workspace)(?:/.*)?")
_LONGEST = 200
_BEFORE, _AFTER = 40, 20


def excerpt(text: str, mark: int) -> str:
    """The text around the mark, in whole words: those that are known to be harmless, and … for all others."""
    before: deque[re.Match[str]] = deque(maxlen=_BEFORE)
    after: list[re.Match[str]] = []
    for piece in _PIECE.finditer(text):
        (before if piece.start() < mark else after).append(piece)
        if len(after) == _AFTER:
            break
    left = "".join(reversed(_within(_BEFORE, reversed(before))))
    right = "".join(_within(_AFTER, after))
    line = re.sub(r"…(?:\s*…)+", "…", f"{left} <-- HERE {right}")
    return "" if line.strip("… ") == "<-- HERE" else f". At: {' '.join(line.split())}"


def _within(length: int, pieces: Iterable[re.Match[str]]) -> list[str]:
    words: list[str] = []
    for piece in pieces:
        if length <= 0 and (piece[0].isspace() or piece[0] == ","):
            return [*words, " … "]
        words.append(_shown(piece))
        length -= len(words[-1])
    return words


def _shown(piece: re.Match[str]) -> str:
    word = piece[0]
    if word.isspace():
        return " "
    if not word.isprintable() or len(word) > _LONGEST:
        return "…"
    if word in HARMLESS or (len(word) <= 2 and not any(map(str.isalnum, word))):  # noqa: PLR2004  # , or //
        return word
    # What looks like a host may be a user name, followed by a password and an @.
    run = _RUN.match(piece.string, piece.start())
    address = _ADDRESS.fullmatch(word) and run and "@" not in run[0]
    return redact(word) if address or _PATH.fullmatch(word) else "…"
