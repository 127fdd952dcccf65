"""Writes what is made from the code and from the queries: `make docs`."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import figures
from git_refresh.cli.schema import schema
from git_refresh.failures.diagnosis import in_general
from git_refresh.failures.table import PAGE, SHARED, Row
from git_refresh.settings.names import SETTINGS
from tools import alerts, examples
from tools.queries import FOLDER, ROOT, Query, queries, read
from tools.workbook import workbook as workbook_of

DOCS = ROOT / "docs"

_PART = r"(?P<begin><!-- (?P<name>[\w-]+): made by `make docs` -->\n).*?(?P<end><!-- end -->\n)"
_ON_CALL = ("03-failures-of-the-last-run", "14-every-failure-in-this-time-range")
_MADE = "<!-- Made by `make docs` from {}. Change it there. -->"
_TITLE = """\
# Troubleshooting

If a run or a command fails, find its code here to see the cause and the remedy.
"""
_TRIAGE = """\
## Find your code

The log has the code in `failures[].code`, the report in `error.code`, and a command in parentheses.
If a run has several codes, start with the first of these sections that has one:
"""
_LEGEND = """\
Words in capitals stand for your values.
If a command ends with …, see the failure's own remedy or run `git-refresh explain CODE`.
"""
_MAX_COMMAND_WORDS = 7


def troubleshooting() -> str:
    """Return the page with every failure of the table."""
    sections = ", ".join(f"[{title}](#{_anchor(title)})" for title in PAGE)
    parts = [f"## {title}\n\n{'\n'.join(map(_entry, rows))}" for title, rows in PAGE.items()]
    shared = [f"### {title}\n\n{_in_full(remedy)}\n" for title, remedy in SHARED.items()]
    parts.append("\n".join(["## Shared remedies\n", *shared]))
    header = _MADE.format("git_refresh/failures/table.py")
    return "\n".join([header, _TITLE, _TRIAGE, f"{sections}.\n", _LEGEND, *parts])


def _entry(row: Row) -> str:
    general = in_general(row, "`")
    remedy = general.remedy
    for title, shared in SHARED.items():
        remedy = remedy.replace(_in_full(shared), f"[{title}](#{_anchor(title)}).")
    # A status without text is not worth a search.
    seen = re.sub(r"^(?:\d{3}\b ?)?…?", "", general.message)
    parts = [f"`{seen}`"] if seen else []
    return "\n\n".join([f"### `{row.code}`", *parts, general.cause, _shortened(remedy)]) + "\n"


def _shortened(remedy: str) -> str:
    """Return a remedy in which long commands end before their first option."""
    parts = remedy.split("`")
    for number in range(1, len(parts), 2):
        words = parts[number].split()
        if len(words) > _MAX_COMMAND_WORDS:
            name = itertools.takewhile(lambda word: not word.startswith(("-", '"')), words)
            parts[number] = f"{' '.join(name)}…"
    return "`".join(parts)


def _in_full(remedy: str) -> str:
    return in_general(Row("", remedy=remedy), "`").remedy


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def configuration() -> str:
    """The reference for the settings: what is written by hand, with its tables anew."""
    definitions = schema()["$defs"]
    tables = {
        "settings": _settings(),
        "workspace": _keys(definitions["Workspace"]),
        "folder": _keys(definitions["Folder"]),
    }
    return _filled("configuration.md", tables)


def operations() -> str:
    """The runbook, with the queries that it shows anew."""
    return _filled("runbook.md", {name: _fence(read(FOLDER / f"{name}.kql")) for name in _ON_CALL})


def reference() -> str:
    """What there is to look up, with the times of the alerts anew."""
    made = {
        "alert-times": alerts.table(),
        "alert-waits": alerts.waits(),
        "alert-mails": alerts.mails(),
    }
    return _filled("reference.md", made)


def performance() -> str:
    """How fast a run is, with the figures anew."""
    return _filled("performance.md", {"cases": figures.table(), "machine": figures.machine()})


def _fence(query: Query) -> Iterator[str]:
    yield from ("```kusto", query.text, "```")


def _filled(name: str, made: dict[str, Iterator[str]]) -> str:
    """A page that is written by hand, with the parts that are made anew.

    Raises:
        ValueError: the parts on the page are others than those that are made.
    """
    text = (DOCS / name).read_text(encoding="utf-8")
    if sorted(part["name"] for part in re.finditer(_PART, text, re.DOTALL)) != sorted(made):
        raise ValueError(f"{name} must have these parts, each once: {', '.join(made)}.")

    def fill(part: re.Match[str]) -> str:
        return "".join([part["begin"], *(f"{line}\n" for line in made[part["name"]]), part["end"]])

    return re.sub(_PART, fill, text, flags=re.DOTALL)


def _settings() -> Iterator[str]:
    yield "| Setting | Default | Meaning | Example |"
    yield "|---|---|---|---|"
    for name, setting in SETTINGS.items():
        default = f"`{setting.default}`" if setting.default in {"{}", "32", "540", "off"} else setting.default
        yield f"| `{name}` | {default} | {_cell(setting.description)} | `{_cell(setting.example)}` |"


def _keys(model: dict[str, Any]) -> Iterator[str]:
    yield "| Key | Default | Meaning | Example |"
    yield "|---|---|---|---|"
    for key, value in model["properties"].items():
        required = key in model.get("required", [])
        default = (
            "required"
            if required
            else f"`{json.dumps(value['default'])}`"
            if value.get("default")
            else "none"
        )
        choices = (
            f" One of {', '.join(f'`{choice}`' for choice in value['enum'])}." if "enum" in value else ""
        )
        examples = value.get("examples") or value.get("enum") or []
        shown = ", ".join(f"`{_cell(json.dumps(example))}`" for example in examples)
        yield f"| `{key}` | {default} | {_cell(value['description'])}{choices} | {shown} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def workspaces_schema() -> str:
    """The schema, as `python -m git_refresh schema` prints it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def workbook() -> str:
    """The queries on one page of Application Insights."""
    return json.dumps(workbook_of(queries()), indent=2, ensure_ascii=False) + "\n"


MADE: dict[str, Callable[[], str]] = {
    "docs/troubleshooting.md": troubleshooting,
    "docs/configuration.md": configuration,
    "docs/runbook.md": operations,
    "docs/reference.md": reference,
    "docs/performance.md": performance,
    "docs/workspaces.schema.json": workspaces_schema,
    "infra/workbook.json": workbook,
}
"""What is made from text, by its path from the top of the repository."""
RUN: dict[str, Callable[[], str]] = {examples.PAGE: examples.page, examples.PICTURE: examples.picture}
"""What is made by running commands."""


def write(name: str) -> None:
    """Write a page or file anew, by its path from the top of the repository."""
    (ROOT / name).write_text((MADE | RUN)[name](), encoding="utf-8")


if __name__ == "__main__":
    for path in MADE | RUN:
        write(path)
