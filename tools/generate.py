"""Generates pages and files from the code and the queries: `make docs`."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from git_refresh.cli.schema import schema
from git_refresh.failures.diagnosis import in_general
from git_refresh.failures.table import PAGE, PRINCIPALS, SHARED, Row
from git_refresh.settings.names import SETTINGS
from tools import alerts, cli_page, costs, examples, limits, log_fields, parameters
from tools.queries import ROOT, queries
from tools.workbook import workbook as workbook_of

DOCS = ROOT / "docs"

_PART = r"(?P<begin><!-- (?P<name>[\w-]+): made by `make docs` -->\n).*?(?P<end><!-- end -->\n)"
_MADE = "<!-- Made by `make docs` from {}. Change it there. -->"
_TITLE = """\
# Troubleshooting

For admins and on-call engineers: find the cause and the remedy of a failure by its code.
"""
_TRIAGE = """\
## Find your code

The log has the code in `failures[].code`, the report in `error.code`, and a command in parentheses.
If a run has several codes, start with the one that is first on this page.
"""
_LEGEND = """\
Words in capitals stand for your values.
In commands, … stands for omitted options. To see the whole command, run `git-refresh explain CODE`.
"""
_MAX_COMMAND_WORDS = 12
"""Longest command that the page prints in full."""
_LOCATORS = r"(?: --(?:vault-name VAULT|name (?:APP|VAULT|SECRET_NAME)|resource-group GROUP))+"
"""Options that name the app, the vault, or the secret."""
_OF_ROLE = "az role assignment create "
"""Command whose role is in the sentence before it."""


_PLACES = {"Service principals": PRINCIPALS}
"""Locations that several remedies name, by title."""


def troubleshooting() -> str:
    """Return the page with every failure of the table."""
    parts = [f"## {title}\n\n{'\n'.join(map(_entry, rows))}" for title, rows in PAGE.items()]
    shared = [f"### {title}\n\n{_in_full(remedy)}\n" for title, remedy in {**SHARED, **_PLACES}.items()]
    parts.append("\n".join(["## Shared remedies\n", *shared]))
    header = _MADE.format("git_refresh/failures/table.py")
    return "\n".join([header, _TITLE, _TRIAGE + _LEGEND, *parts])


def _entry(row: Row) -> str:
    general = in_general(row, "`")
    remedy = general.remedy
    for title, shared in SHARED.items():
        remedy = remedy.replace(_in_full(shared), f"[{title}](#{_anchor(title)}).")
    for title, place in _PLACES.items():
        remedy = remedy.replace(_in_full(place), f"[{title}](#{_anchor(title)})")
    # A status without text is not worth a search.
    seen = re.sub(r"^(?:\d{3}\b ?)?…?", "", general.message)
    parts = [f"`{seen}`"] if seen else []
    return "\n\n".join([f"### `{row.code}`", *parts, general.cause, _shortened(remedy)]) + "\n"


def _shortened(remedy: str) -> str:
    """Return a remedy with shortened commands: without `_LOCATORS`, and long ones only up to their first option."""
    parts = remedy.split("`")
    for number in range(1, len(parts), 2):
        words = parts[number].split()
        if len(words) > _MAX_COMMAND_WORDS or parts[number].startswith(_OF_ROLE):
            name = itertools.takewhile(lambda word: not word.startswith(("-", '"')), words)
            parts[number] = f"{' '.join(name)}…"
        else:
            parts[number] = re.sub(_LOCATORS, "…", parts[number])
    return "`".join(parts)


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
        default = f"`{json.dumps(value['default'])}`" if value.get("default") else "none"
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
