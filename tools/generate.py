"""Writes what is made from the code and from the queries: `make docs`."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from git_refresh.cli.schema import schema
from git_refresh.failures.diagnosis import in_general
from git_refresh.failures.table import PAGE, SHARED, Row
from git_refresh.settings.names import SETTINGS
from tools import alerts, examples, parameters
from tools.queries import FOLDER, ROOT, Query, queries, read
from tools.workbook import workbook as workbook_of

DOCS = ROOT / "docs"

_PART = r"(?P<begin><!-- (?P<name>[\w-]+): made by `make docs` -->\n).*?(?P<end><!-- end -->\n)"
_ON_CALL = ("03-failures-of-the-last-run", "14-every-failure-in-this-time-range")
_MADE = "<!-- Made by `make docs` from {}. Change it there. -->"
_INTRO = """\
# Troubleshooting

Search for the `code` from the log line (`failures[].code`), the report (`error.code`) or the failed invocation's message.
Each entry has what the service says (the app never shows its text), the cause, and → the remedy. Words in capitals are your values;
the log line has them filled in where the app knows them.
"""


def troubleshooting() -> str:
    """Every failure, from the table."""
    told_at: dict[tuple[str, str], str] = {}
    parts = [
        f"## {title}\n\n{'\n'.join(_entry(row, told_at) for row in rows)}" for title, rows in PAGE.items()
    ]
    shared = [f"### {title}\n\n→ {_in_full(remedy)}\n" for title, remedy in SHARED.items()]
    parts.append("\n".join(["## Remedies of several failures\n", *shared]))
    return "\n".join([_MADE.format("git_refresh/failures/table.py"), _INTRO, *parts])


def _entry(row: Row, told_at: dict[tuple[str, str], str]) -> str:
    """One row; `told_at` has the codes whose entries have told a cause and a remedy before."""
    told = in_general(row, "`")
    seen = [f"`{told.message}`", ""] if told.message else []
    remedy = told.remedy
    for title, shared in SHARED.items():
        remedy = remedy.replace(_in_full(shared), f"[{title}](#{_anchor(title)}).")
    first = told_at.setdefault((told.cause, told.remedy), row.code)
    text = [told.cause, "", f"→ {remedy}"] if first == row.code else [f"As [`{first}`](#{first})."]
    return "\n".join([f"### `{row.code}`", "", *seen, *text, ""])


def _in_full(remedy: str) -> str:
    return in_general(Row("", remedy=remedy), "`").remedy


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def configuration() -> str:
    """Return the page on settings with generated tables."""
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


def infrastructure() -> str:
    """Return infra/README.md with the current table of parameters."""
    return _filled("../infra/README.md", {"parameters": parameters.table()})


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
    yield "| Setting | Default | Meaning |"
    yield "|---|---|---|"
    for name, setting in SETTINGS.items():
        default = f"`{setting.default}`" if setting.default in {"{}", "32", "540", "off"} else setting.default
        yield f"| `{name}` | {default} | {_cell(setting.description)} |"


def _keys(model: dict[str, Any]) -> Iterator[str]:
    yield "| Key | Default | Meaning |"
    yield "|---|---|---|"
    for key, value in model["properties"].items():
        default = f"`{json.dumps(value['default'])}`" if value.get("default") else "–"
        default = "required" if key in model.get("required", []) else default
        yield f"| `{key}` | {default} | {_cell(value['description'])} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def workspaces_schema() -> str:
    """Return the JSON schema of a workspace list."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def workbook() -> str:
    """The queries on one page of Application Insights."""
    return json.dumps(workbook_of(queries()), indent=2, ensure_ascii=False) + "\n"


MADE: dict[str, Callable[[], str]] = {
    "docs/troubleshooting.md": troubleshooting,
    "docs/configuration.md": configuration,
    "docs/runbook.md": operations,
    "docs/reference.md": reference,
    "infra/README.md": infrastructure,
    "docs/workspaces.schema.json": workspaces_schema,
    "infra/workbook.json": workbook,
}
"""What is made from text, by its path from the top of the repository."""
RUN: dict[str, Callable[[], str]] = {
    examples.PAGE: examples.page,
    **{name: partial(examples.picture, name) for name in examples.PICTURES},
}
"""What is made by running commands."""


def write(name: str) -> None:
    """Write a page or file anew, by its path from the top of the repository."""
    (ROOT / name).write_text((MADE | RUN)[name](), encoding="utf-8")


if __name__ == "__main__":
    for path in MADE | RUN:
        write(path)
