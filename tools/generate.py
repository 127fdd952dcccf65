"""Generates pages and files from the code and the queries: `make docs`."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from git_refresh.cli.schema import schema
from git_refresh.failures.diagnosis import in_general
from git_refresh.failures.table import PAGE, SHARED, Row
from git_refresh.settings.names import SETTINGS
from tools import alerts, cli_page, costs, examples, limits, log_fields, parameters
from tools.queries import ROOT, queries
from tools.workbook import workbook as workbook_of

DOCS = ROOT / "docs"

_PART = r"(?P<begin><!-- (?P<name>[\w-]+): made by `make docs` -->\n).*?(?P<end><!-- end -->\n)"
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
    """Return the page of the settings, with its tables generated."""
    definitions = schema()["$defs"]
    tables = {
        "settings": _settings(),
        "workspace": _keys(definitions["Workspace"]),
        "folder": _keys(definitions["Folder"]),
    }
    return _filled("configuration.md", tables)


def cli() -> str:
    """Return the page of the command line."""
    return _filled("cli.md", {"shared-options": cli_page.shared_options(), "commands": cli_page.commands()})


def logs() -> str:
    """Return the page of log lines and JSON reports."""
    return _filled("logs.md", {"lines": log_fields.lines(), "reports": log_fields.reports()})


def monitoring() -> str:
    """Return the page of the alerts."""
    return _filled("monitoring.md", {"alert-rules": alerts.table(), "alert-waits": alerts.waits()})


def cost() -> str:
    """Return the page of the cost."""
    return _filled("cost.md", {"costs": costs.table()})


def reliability() -> str:
    """Return the page of guarantees and limits."""
    return _filled("reliability.md", {"waits": limits.waits(), "sizes": limits.sizes()})


def infrastructure() -> str:
    """Return infra/README.md with the current table of parameters."""
    return _filled("../infra/README.md", {"parameters": parameters.table()})


def _filled(name: str, made: dict[str, Iterator[str]]) -> str:
    """Return a page with its marked parts generated.

    Raises:
        ValueError: the page has other parts.
    """
    text = (DOCS / name).read_text(encoding="utf-8")
    if sorted(part["name"] for part in re.finditer(_PART, text, re.DOTALL)) != sorted(made):
        raise ValueError(f"{name} must have each of these parts once: {', '.join(made)}.")

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
    """Return the schema, as `git-refresh schema` prints it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def workbook() -> str:
    """Return the Azure Monitor workbook."""
    return json.dumps(workbook_of(queries()), indent=2, ensure_ascii=False) + "\n"


MADE: dict[str, Callable[[], str]] = {
    "docs/troubleshooting.md": troubleshooting,
    "docs/configuration.md": configuration,
    "docs/cli.md": cli,
    "docs/cost.md": cost,
    "docs/logs.md": logs,
    "docs/monitoring.md": monitoring,
    "docs/reliability.md": reliability,
    "infra/README.md": infrastructure,
    "docs/workspaces.schema.json": workspaces_schema,
    "infra/workbook.json": workbook,
}
"""Functions that generate a file from text, by its path in the repository."""
RUN: dict[str, Callable[[], str]] = {
    examples.PAGE: examples.page,
    **{name: partial(examples.picture, name) for name in examples.PICTURES},
}
"""Functions that generate a file by running commands."""


def write(name: str) -> None:
    """Generate a file, by its path in the repository."""
    (ROOT / name).write_text((MADE | RUN)[name](), encoding="utf-8")


if __name__ == "__main__":
    for path in MADE | RUN:
        write(path)
