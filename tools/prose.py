"""The house rules for prose that a program can check: `.venv/bin/python -m tools.prose [FILE …]` lists what breaks them.

CONTRIBUTING.md has the style guide. Text in backticks, code blocks, and URLs count as one word and are not checked.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MAX_SENTENCE_WORDS = 25
MAX_PAGES_WORDS = 20_000

WORDS = {
    r"\b(?:tells?|told|telling)\b": "report, show, return",
    r"\b(?:some|any|no|every)body\b|\bwhoever\b|\bwhom\b": "the role, such as workspace admin",
    r"\b(?:lest|anew|besides|beside|mends?|mended|withal|thereof|all the same|once more|at last)\b": "the plain word",
    r"\b(?:token|secret|sign-in|credential|it)s? (?:has |have |had )?end(?:s|ed)?\b|\bnear (?:its|their) end\b|\bends? soon\b": "expire",
    r"\b(?:is|are|was|were) (?:already )?there\b|\bthere already\b|\b(?:is|are) none\b|\bis no \w+(?=[.,;:])": "exists, is missing",
    r"\b(?:is|are|was|were) (?:yet |still )?to (?:be|have|stay|keep|say|go|manage|do|look|stand|make|sign)\b|\b(?:has|have) to be\b": "must",
    r"\bstands?\b(?! for|-)": "is, works",
    r"\blets? (?:\w+ ){0,4}in\b": "grant access, add",
    r"\blook(?:s|ed|ing)? (?:at|after|whether|what)\b|\bnot looked\b": "check, read",
    r"\bformer\b": "previous",
    r"\bmostly\b": "usually",
    r"\bcosts? (?:that|no|the|one) (?:other )?(?:folder|workspace|zone|other)\b": "affects only",
    r"\b(?:makes?|made) (?:a|an|the|one|it|new)?\s?(?:new )?(?:service principal|secret|directory|version|folder|identity|list)\b|\b(?:was|is) made\b": "create",
    r"\bgiv(?:e|es|en|ing) (?:\w+ ){0,3}(?:role|right|rights|access|can manage)\b": "assign (role), grant (permission)",
    r"\bmay not\b": "cannot, does not have permission to",
    r"(?:^|[.;:|] )who(?:ever)? (?:may|has|is|can|reads|changes|writes|controls|publishes)\b": "anyone who, or the role",
    r"\b(?:green|red)\b": "succeeded, failed",
    r"\b(?:good|bad) (?:run|fleet|one|entry|folder)\b|\bnot well\b|\bin order\b(?! to| of)": "successful, invalid, no problems",
    r"\b(?:he|she|his|her|him)\b": "they",
    r"\bfresh(?:ly|ness)?\b": "refreshed, valid, new",
    r"\bticks?\b": "scheduled run",
    r"\bby hand\b": "manually",
    r"\bso that\b": "so",
    r"\banswer(?:s|ed|ing)?\b": "response, respond, return",
    r"\balone\b": "only",
    r"(?:^|[.!?] )(?-i:What|Whether|Whose|Of|That|Those|How|Why|By which|In which|As if|The same,)\b": "a sentence that begins with its subject or verb",
}
"""What the project does not write, and what it writes instead."""

BUDGETS = {
    "README.md": 700,
    "SECURITY.md": 700,
    "CONTRIBUTING.md": 950,
    "CHANGELOG.md": 150,
    "infra/README.md": 950,
    "docs/README.md": 180,
    "docs/cli.md": 800,
    "docs/configuration.md": 1000,
    "docs/cost.md": 320,
    "docs/e2e.md": 280,
    "docs/examples.md": 550,
    "docs/fan-out.md": 600,
    "docs/glossary.md": 230,
    "docs/handover.md": 250,
    "docs/logs.md": 850,
    "docs/monitoring.md": 650,
    "docs/permissions.md": 750,
    "docs/pipelines/README.md": 700,
    "docs/reliability.md": 650,
    "docs/runbook.md": 1400,
    "docs/setup.md": 1200,
    "docs/troubleshooting.md": 6200,
    "tests/recorded/README.md": 300,
    ".github/PULL_REQUEST_TEMPLATE.md": 50,
}
"""Maximum words of each page, as `wc -w` counts them. All pages for users and maintainers have at most `MAX_PAGES_WORDS`."""

OUTSIDE = {
    ".venv",
    ".git",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "mutants",
    "dist",
    "node_modules",
    "snapshots",
}
QUOTED = {
    "git_refresh/settings": "messages about the settings are the pattern that others follow",
    "localcloud": "the emulator returns the services' own texts",
    "tests": "tests quote what services and commands print",
}
"""Where text constants are not checked, only docstrings and comments."""
SPOKEN = {"localcloud/__main__.py", "localcloud/demo.py", "localcloud/play.py"}
"""Files among `QUOTED` with texts of the project's own."""
SERVICE_TEXTS = {"pattern", "seen", "error_code"}
"""Arguments that quote services."""


class Finding(NamedTuple):
    """One place that breaks a rule."""

    line: int
    found: str
    instead: str


def files() -> list[Path]:
    """Return each file with prose that a person reads."""
    suffixes = {".md", ".py", ".bicep", ".kql", ".yml", ".yaml", ".sh", ".toml"}
    return sorted(
        path
        for path in ROOT.rglob("*")
        if not OUTSIDE & set(path.relative_to(ROOT).parts)
        and (path.suffix in suffixes or path.name in {"Makefile", ".funcignore", ".gitignore"})
        and path.is_file()
        and path != Path(__file__)
    )


def findings(path: Path) -> list[Finding]:
    """Return what breaks the rules in one file, in the order of its lines."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        parts = _markdown(text)
    elif path.suffix == ".py":
        parts = _python(path, text)
    else:
        parts = _other(text)
    found = [finding for line, part in parts for finding in _broken(line, part)]
    return sorted(found)


def _broken(line: int, text: str) -> Iterator[Finding]:
    plain = _plain(text)
    for pattern, instead in WORDS.items():
        for match in re.finditer(pattern, plain, re.IGNORECASE):
            around = plain[max(0, match.start() - 30) : match.end() + 30]
            yield Finding(line, around.strip(), instead)
    for sentence in re.split(r"(?<=[.!?:])\s+(?=[A-Z*`])", plain):
        if len(sentence.split()) > MAX_SENTENCE_WORDS:
            yield Finding(
                line, sentence[:80], f"at most {MAX_SENTENCE_WORDS} words, not {len(sentence.split())}"
            )


def _plain(text: str) -> str:
    text = re.sub(r"``.*?``|`[^`]*`", "CODE", " ".join(text.split()))
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"https?://\S+", "URL", text)
    return re.sub(r"\"[^\"]*\"|“[^”]*”", "QUOTED", text)


def _markdown(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line or table cell outside code; a line is a paragraph's sentence or more."""
    blank = re.compile(r"```.*?```|~~~.*?~~~|<!--.*?-->|<[a-z/][^>]*>", re.DOTALL)
    text = blank.sub(lambda match: "\n" * match[0].count("\n"), text)
    for number, line in enumerate(text.splitlines(), 1):
        cells = re.split(r"(?<!\\)\|", line) if line.lstrip().startswith("|") else [line]
        for cell in cells:
            words = re.sub(r"^\s*(?:#+|[-*>]|\d+\.)\s+", "", cell).strip()
            if words and not set(words) <= set("-:| "):
                yield number, words


def _python(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield docstrings, comments and, where they are the project's own words, text constants."""
    place = path.relative_to(ROOT).as_posix()
    quoted = any(place.startswith(each) for each in QUOTED) and place not in SPOKEN
    tree = ast.parse(text)
    skipped = {
        id(constant)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg in SERVICE_TEXTS
        for constant in ast.walk(node)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            skipped.add(id(node.value))
            for paragraph in re.split(r"\n\s*\n", node.value.value):
                yield node.lineno, paragraph
    for node in ast.walk(tree):
        if quoted or not isinstance(node, ast.Constant) or id(node) in skipped:
            continue
        if isinstance(node.value, str) and re.search(r"\w+ [a-z]+ \w", node.value):
            yield from ((node.lineno, line) for line in node.value.splitlines())
    yield from _comments(
        (token.start[0], token.string.lstrip("#: "))
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
        and not re.match(r"#\s*(?:noqa|type:|fmt:|pragma|%%)[^#]*$", token.string)
    )


def _other(text: str) -> Iterator[tuple[int, str]]:
    """Yield comments and quoted descriptions of a file in another language."""
    described = re.compile(
        r"@description\('(.*)'\)|^\s*(?:description|title|label|name|value|message|summary): ['\"]?(.*)"
    )
    lines = list(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if match := described.search(line):
            yield number, (match[1] or match[2] or "").strip("'\"")
    comments = ((number, re.search(r"(?:^|\s)(?:#+|//+)\s+(\S.*)$", line)) for number, line in lines)
    yield from _comments((number, match[1]) for number, match in comments if match)


def _comments(found: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield comments on consecutive lines as one text."""
    start, last, text = 0, -1, ""
    for number, words in found:
        if number == last + 1:
            text, last = f"{text} {words}", number
            continue
        if text:
            yield start, text
        start, last, text = number, number, words
    if text:
        yield start, text


def main() -> int:
    """Print what breaks the rules, in the given files or in all."""
    paths = [Path(name).resolve() for name in sys.argv[1:]] or files()
    total = 0
    for path in paths:
        for line, found, instead in findings(path):
            total += 1
            sys.stdout.write(f"{path.relative_to(ROOT)}:{line}: {found} → {instead}\n")
    sys.stdout.write(f"{total}\n")
    return min(total, 1)


if __name__ == "__main__":
    sys.exit(main())
