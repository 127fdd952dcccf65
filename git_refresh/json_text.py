"""The JSON of an app setting → its value, or its first mistake in words that somebody in a hurry can act on.

The standard library reads. Only what it refuses is read a second time here, up to the mistake, to say where it is, what it is and what to
write. What stands around it is shown without a word that could be a secret.
"""

import json
import re
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from git_refresh.models import Folder, Workspace
from git_refresh.redact import shown


class JsonError(ValueError):
    """The text is no JSON; its text says where, what the mistake is, and what to write, and reads on after the setting's name."""


class JsonObject(dict[str, Any]):
    """An object as it was written; `twice` names the keys that stand in it more than once (the last value counts)."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        pairs = list(pairs)
        super().__init__(pairs)
        times = Counter(key for key, _ in pairs) if len(self) < len(pairs) else {}
        self.twice = tuple(key for key, count in times.items() if count > 1)


def parse(text: str) -> Any:  # noqa: ANN401  # whatever JSON may stand for
    """The value that the text stands for, each object in it a `JsonObject`.

    Raises:
        JsonError: it is no JSON, or it is JSON inside the quotes of a JSON text.
    """
    text = text.removeprefix("\ufeff")
    with suppress(ValueError, RecursionError):  # theirs holds the text, so it may not be the cause of ours
        value = json.loads(text, object_pairs_hook=JsonObject, parse_constant=_refuse)
        if not (isinstance(value, str) and value.lstrip().startswith(("[", "{", '"'))):
            return value
    raise JsonError(_Reader(text).mistake())


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity, which Python takes for JSON and nobody else does


_NO_CLOSING_QUOTE = 'this text has no closing quote; write " where it ends'
_OUTER_QUOTES = (
    "the whole value stands in quotes, as in local.settings.json; "
    'remove the first and the last ", and every \\ before a "'
)
_NOT_FILLED_IN = "this placeholder was never filled in; write the value itself"
_PLACEHOLDER = r"(?:%[\w.]+%|\$\([\w.]+\)|\$\{[\w.:-]+\}|\{\{[^{}]*\}\}|#\{[^{}]*\}#?|__\w+__|\$\w+)"
_CURLY = "“”„‟‘’‚‛«»‹›″′´＂"  # noqa: RUF001  # the point of it

# What may be due where a mistake is found.
_VALUE = "item first-item value"
_KEY = "key first-key"
_NEXT = "next-item next-pair"
_END = "end-object end-array end-text"
_ANY = f"start {_VALUE} {_KEY} colon {_NEXT} {_END}"

# By what is due: what stands there instead, and what is wrong then. The first that fits is said. "whole" is asked before anything is read.
# A pattern that only looks ahead is about what was read last; an empty one about what is missing behind that.
_MISTAKES = [
    ("whole", r"@Microsoft\.KeyVault\b",
     "Azure could not put the secret in place of this Key Vault reference; see the status beside this setting in the portal"),
    ("whole", rf'"?{_PLACEHOLDER}"?\s*$', f"{_NOT_FILLED_IN}, or set the variable in the pipeline that fills it in"),
    ("whole",
     r"""(?:(?:export|set|setx|ENV|env|const|let|var|-e|--settings)\s+|\$env:)?["']?(?:[A-Z][A-Z_]{3,}|workspaces)["']?\s*[=:](?!//)""",
     "the setting's name was pasted along; paste only its value, from the first [ or { to the last ] or }"),
    ("whole", r"'\s*[\[{\"]", "the shell's quotes were pasted along; remove the ' at the start and the ' at the end"),
    ("whole", r"`+\w*\s*[\[{]", "the ` of a chat message were pasted along; remove them at the start and at the end"),
    ("whole", rf'["{_CURLY}]\s*(?:\\*"\s*)?[\[{{]', _OUTER_QUOTES),
    ("whole", r"<", "this is a web page, or a placeholder in < >; write the value itself, which starts with [ or {"),
    ("whole", r"https?://|[\w.-]+\.azuredatabricks\.net",
     'an address must stand in quotes, and all of them in [ ]; write ["https://…"], or ["https://…", "https://…"]'),
    ("whole", r"-(?:\s|--)|[a-z_]+:(?:\s|$)", "this is YAML; write JSON, which starts with [ or {"),
    (_ANY, r"…|\.\.\.?", "the … of an example was left in; write what it stands for, or remove it"),
    (_VALUE, _PLACEHOLDER, f"{_NOT_FILLED_IN}, in double quotes"),
    (_ANY, r"//|/\*|#", "a comment starts here, and JSON has no comments; remove it"),
    (_ANY, r"\\[nrt]?", "a FOUND stands outside of quotes, as in text copied from local.settings.json; remove it, here and elsewhere"),
    (_END, rf"[\"'`{_CURLY}](?=\s*$)", "a quote stands after the end; remove it"),
    (_ANY, rf"[{_CURLY}]", 'FOUND is a curly quote; type the plain " instead, here and elsewhere'),
    (_ANY, r"['`]", 'FOUND is not a double quote; write " instead, here and elsewhere'),
    ("first-item first-key", r",", "a comma stands right after the opening bracket; remove it"),
    ("item key", r",", "two commas stand in a row; remove one"),
    ("item", r"(?=\])", "a comma stands before the closing ]; remove it"),
    ("key", r"(?=\})", "a comma stands before the closing }; remove it"),
    ("value", r"[,}\]]", "the value after the colon is missing; write it, or remove the key too"),
    ("value", r":", "two colons stand in a row; remove one"),
    ("value", r"=>?", "a FOUND stands after the colon; remove it"),
    ("colon", r"(?=[,}])", 'this key has no value; write "key": value'),
    ("colon", r"(?=\])", 'this text stands in { }, where only "key": value may; write } before it, or [ where its list begins'),
    ("colon", r"=>?|->|;", "a FOUND stands where a colon should; write : instead"),
    (_KEY, r":", 'the key before the colon is missing; write "key": value'),
    ("key", r"\{", "a { stands where a key should; write } before the comma, to end the entry there"),
    ("first-key", r"\{", "two { stand in a row; remove one"),
    (_NEXT, r"[;|&]", "a FOUND stands where a comma should; write , instead"),
    (_NEXT, r'[^\w":,{}\[\]+.$%-]', "a FOUND stands where a comma or a closing bracket should; write that instead"),
    ("next-item", r"(?=:)", '"key": value may only stand in { }; write { before it, or ] if the list ends here'),
    ("next-pair", r":", 'a second colon stands behind one key; write "key": value, "key": value'),
    ("end-text", r":", "the brackets are missing; write { at the start and } at the end"),
    (_END, r"[\]}]", "this FOUND closes nothing; remove it, or write the bracket that should open it"),
    (_END, r";|,(?=\s*$)", "a FOUND stands after the end; remove it"),
    ("end-object", r"[,{]", "another entry follows the first; put [ ] around all of them, and a comma between them"),
    ("end-text", r'[,"]', "another text follows the first; put [ ] around all of them, and a comma between them"),
    ("end-array", r'[,\[{"]', "more follows after the closing ]; write all entries in one [ ], with a comma between them"),
    (_VALUE, r"[\[{]", "far too many brackets are open here, one inside the other; remove those that are too many"),
    (_VALUE, r"(?:None|NULL|Null|nil|undefined|NaN|-?Infinity)\b", "JSON does not know FOUND; write null, or leave it out"),
    (_VALUE, r"(?:True|TRUE|False|FALSE)\b", "FOUND must stand in small letters; write true or false"),
    (_VALUE, r"[\d-][\d.eE+-]{299}", "this number is far too long; shorten it, or write it in double quotes if it is text"),
    (_VALUE, r"-?0\d+(?![\w.-])", "a number cannot start with 0; remove the 0, or write it in double quotes if it is text"),
    (_VALUE, r"\+[\d.]+(?![\w.-])", "a number cannot start with +; remove the +"),
    (_VALUE, r"-?(?:\.\d+|\d+\.)(?![\w.-])", "a number needs a digit on both sides of the point; write 0.5 or 5.0"),
    (_VALUE, r"0[xX][0-9a-fA-F]+(?![\w.-])", "JSON does not know 0x; write the number without it, or in double quotes if it is text"),
    (_VALUE, r'[^\s",{}\[\]][^"\n,{}\[\]]*"(?=\s*(?:[,}\]]|$))', 'this text has a closing quote but no opening one; write " before it'),
    (_VALUE, r'(?:[^\s",:{}\[\]]|:(?=/))*\w', 'this text has no quotes; write " before and after it'),
    (_KEY, r'\w+"(?=\s*[:=])', 'this key has a closing quote but no opening one; write " before it'),
    (_KEY, r'[^\s",:={}\[\]]+', 'this key has no quotes; write " before and after it'),
    (_KEY, r"\S", 'here must be a key in double quotes; write "key": value'),
    ("next-item", r"", "a comma is missing between two items; write , here"),
    ("next-pair", r"", 'a comma is missing before the next "key": value; write , here'),
    ("colon", r"", "a colon is missing between key and value; write : here"),
    ("start", r"\S", "JSON starts with [ or {, and this does not; write the value anew, or copy it again"),
    (_VALUE, r"\S", "here must be a value; write text in double quotes, a number, true, false, null, [ ] or { }"),
    (_END, r"\S", "the JSON is complete before this; remove what follows"),
]  # fmt: skip

_CLOSING = {"[": "]", "{": "}"}
_DEEPEST = 100
_TEXT = re.compile(r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+')
_NUMBER = r"(?![\d.eE+-]{300})-?(?:0|[1-9]\d*+)(?:\.\d++)?+(?:[eE][+-]?\d++)?+(?![\w.+-])"
_PART = re.compile(
    rf'([\[\]{{}},:]|{_TEXT.pattern}"|{_NUMBER}|(?:true|false|null)(?!\w))[ \t\r\n]*+', re.ASCII
)
_WRONGLY_CLOSED = re.compile(
    rf"""\"(?:[^'`{_CURLY}]|['’‘´′](?=\w))*+(['`{_CURLY}])\s*(?:[,:\]}}]|$)"""  # noqa: RUF001
)
_CLOSING_ESCAPED = re.compile(r'\\(?="\s*[,:}\]])')
_SWALLOWED = re.compile(r'[,:{\[]\s*"$')
_SECOND_QUOTE = re.compile(r'"(?=\s*(?:[,:}\]]|$))')
_QUOTE_INSIDE = re.compile(r'\w[^",:{}\[\]\n]*"')
_NEXT_LINE = re.compile(r'\s*+(?:[{}\[\],]|"(?!\s*(?:[,:}\]]|$))|$)')


@dataclass(slots=True)
class _Bracket:
    """A bracket that is open, and the item or key that is being read in it."""

    sign: str
    at: int
    item: int = 0
    key: str = ""


@dataclass(slots=True)
class _Reader:
    """Reads JSON to the letter, up to the first mistake."""

    text: str
    at: int = 0
    due: str = "start"
    open: list[_Bracket] = field(default_factory=list)
    last: tuple[int, int] = (0, 0)

    def mistake(self) -> str:
        """Where the first mistake is, what it is, and what to write."""
        self.at = len(self.text) - len(self.text.lstrip(" \t\r\n"))
        if whole := self._listed("whole", self.at):
            return whole
        while (part := _PART.match(self.text, self.at)) and self._takes(part[1]):
            self.last = part.span(1)
            self.at = part.end()
        if self.at == len(self.text):
            return self._ended()
        return self._ran_on() or self._broken_text() or self._misplaced()

    def _is_due(self, any_of: str) -> bool:
        return self.due in any_of.split()

    def _takes(self, part: str) -> bool:
        """Whether the part is due; if so, what is due next."""
        inside = self.open[-1] if self.open else None
        if self._is_due(f"start {_VALUE}") and part in _CLOSING and len(self.open) < _DEEPEST:
            self.open.append(_Bracket(part, self.at))
            self.due = "first-item" if part == "[" else "first-key"
        elif self._is_due(f"start {_VALUE}") and part not in "[]{},:":
            self._value_ends("end-text")
        elif inside and self._is_due(f"first-item first-key {_NEXT}") and part == _CLOSING[inside.sign]:
            self.open.pop()
            self._value_ends("end-array" if part == "]" else "end-object")
        elif inside and self._is_due(_NEXT) and part == ",":
            inside.item += 1
            self.due = "item" if inside.sign == "[" else "key"
        elif inside and self._is_due(_KEY) and part[0] == '"':
            inside.key = part[1:-1]
            self.due = "colon"
        elif self.due == "colon" and part == ":":
            self.due = "value"
        else:
            return False
        return True

    def _value_ends(self, end: str) -> None:
        self.due = {"[": "next-item", "{": "next-pair"}[self.open[-1].sign] if self.open else end

    def _ended(self) -> str:
        if self.due == "start":
            return self._said("nothing stands here; write the value, which starts with [ or {", self.at, None)
        if not self.open:
            is_text = self.text[self.last[0]] == '"'
            return self._said(_OUTER_QUOTES if is_text else "it cannot be read; write it anew", 0, None)
        missing = "".join(_CLOSING[bracket.sign] for bracket in reversed(self.open))
        either = f"write {missing} at the end, or " if self._is_due(f"first-item first-key {_NEXT}") else ""
        bracket = self.open.pop()
        advice = (
            f"this {bracket.sign} is never closed, the text ends too early; {either}paste it again, whole"
        )
        return self._said(advice, bracket.at, bracket.at + 1, "value")

    def _ran_on(self) -> str | None:
        """What is wrong with the last text, if it went on into what follows it, or ended too early."""
        start, end = self.last
        text = self.text[start:end]
        if self.at != end or not text.startswith('"'):
            return None
        due = "key" if self.due == "colon" else "value"
        if closed := _WRONGLY_CLOSED.match(text):
            return self._listed(due, start + closed.start(1))
        if escaped := _CLOSING_ESCAPED.search(text):
            advice = "a \\ stands before the closing quote; remove it, or write / instead"
            return self._said(advice, start + escaped.start(), start + escaped.end(), due)
        if _SWALLOWED.search(text):
            return self._said(_NO_CLOSING_QUOTE, start, start + 1, due)
        if text == '""' or _SECOND_QUOTE.match(self.text, end):
            at = start if text == '""' else end - 1
            return self._said("two quotes stand in a row; remove one", at, at + 2, due)
        if self._is_due(_NEXT) and _QUOTE_INSIDE.match(self.text, end):
            advice = 'this quote ends the text too early; write \\" for a quote inside a text'
            return self._said(advice, end - 1, end, due)
        return None

    def _broken_text(self) -> str | None:
        """What is wrong with the text that starts here, if it does not end, or holds what it may not."""
        text = _TEXT.match(self.text, self.at)
        if not text or self.text.startswith('"', text.end()) or self._is_due(_END):
            return None
        stop = text.end()
        sign = self.text[stop : stop + 1]
        if sign == "\\" and stop + 1 < len(self.text):
            advice = "a \\ cannot stand alone in a text; write / instead, or \\\\ if it must be a \\"
            return self._said(advice, stop, stop + 1)
        if closed := _WRONGLY_CLOSED.match(text[0]):
            return self._listed(self.due, self.at + closed.start(1))
        if sign in {"", "\\"} or (sign in "\r\n" and _NEXT_LINE.match(self.text, stop)):
            return self._said(_NO_CLOSING_QUOTE, self.at, self.at + 1)
        name = {"\n": "a line break", "\r": "a line break", "\t": "a tab"}.get(sign, "an invisible sign")
        return self._said(f"{name} stands inside a text in quotes; remove it", stop, stop)

    def _misplaced(self) -> str:
        """What is wrong with what stands here, or with what does not."""
        sign = self.text[self.at]
        if not sign.isprintable():
            name = unicodedata.name(sign, "control character").lower()
            advice = f"an invisible sign stands here ({name}); delete it, and type a plain space if needed"
            return self._said(advice, self.at, self.at + 1)
        bracket = self.open[-1] if self.open and not self._is_due("value colon") else None
        if bracket and sign in "]}" and sign != (closing := _CLOSING[bracket.sign]):
            line, column = self._line_and_column(bracket.at)
            opened = f"the {bracket.sign} of line {line}, column {column}"
            advice = f"{sign} stands here, but {opened} is still open; write {closing} before it or instead of it, or remove it"
            return self._said(advice, self.at, self.at + 1)
        return self._listed(self.due, self.at) or ""

    def _listed(self, due: str, at: int) -> str | None:
        """What is wrong with what stands there, by the list."""
        for dues, pattern, advice in _MISTAKES:
            if due in dues.split() and (found := re.compile(pattern).match(self.text, at)):
                start, end = found.span()
                if start == end:
                    start, end = self.last if pattern else (self.last[1], self.last[1])
                mark = None if "KeyVault" in pattern else end
                return self._said(advice.replace("FOUND", found[0]), start, mark, due)
        return None

    def _said(self, advice: str, at: int, mark: int | None, due: str | None = None) -> str:
        """The message for a mistake that starts at `at` and ends at `mark`, where the arrow is; without one, nothing is shown."""
        due = due or self.due
        in_item = due in {"colon", "value"} or (due in _VALUE.split() and self.text[at] not in ",]}")
        place = _place(self.open if in_item else self.open[:-1])
        line, column = self._line_and_column(at)
        excerpt = "" if mark is None else _excerpt(self.text, mark)
        return f"is not valid JSON: line {line}, column {column}{place}: {advice}{excerpt}"

    def _line_and_column(self, at: int) -> tuple[int, int]:
        return self.text.count("\n", 0, at) + 1, at - self.text.rfind("\n", 0, at)


_HARMLESS = {*Workspace.model_fields, *Folder.model_fields, "WORKSPACES", "WORKSPACE_DEFAULTS"}
_HARMLESS |= {"oauth_secret", "managed_identity", "report", "discard"}
_HARMLESS |= {"true", "false", "null", "None", "True", "False"}
_NO_WORD = rf"\s{{}}\[\],\"'`\\;()<>…{_CURLY}"
_PIECE = re.compile(rf"\s+|https?://[^{_NO_WORD}]*|[^{_NO_WORD}:=]+|.")
_RUN = re.compile(r"\S*")
_ADDRESS = re.compile(r"https?://(?:[\w-]+\.)+[a-zA-Z]{2,}(?:[/?#].*)?", re.ASCII)
_PATH = re.compile(r"/(?:Repos|Shared|Users|Workspace)(?:/.*)?")
_LONGEST = 200
_BEFORE, _AFTER = 40, 20


def _place(brackets: list[_Bracket]) -> str:
    parts = [
        f"[{one.item}]" if one.sign == "[" else f".{one.key if one.key in _HARMLESS else '…'}"
        for one in brackets
    ]
    place = "".join(parts[:6]).removeprefix(".").removesuffix(".…") + "…" * (len(parts) > 6)  # noqa: PLR2004  # deeper than any setting
    return f", in {place}" if place.strip("…") else ""


def _excerpt(text: str, mark: int) -> str:
    """What stands around the mark, in whole words: those that are known to be harmless, and … for all others."""
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
    if word in _HARMLESS or (len(word) <= 2 and not any(map(str.isalnum, word))):  # noqa: PLR2004  # , or //
        return word
    run = _RUN.match(
        piece.string, piece.start()
    )  # what looks like a host may be a user, with an @ far behind
    address = _ADDRESS.fullmatch(word) and run and "@" not in run[0]
    return shown(word) if address or _PATH.fullmatch(word) else "…"
