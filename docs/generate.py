"""Writes the pages and the schema that are made from the code: `make docs`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from git_refresh.cli.schema import schema
from git_refresh.diagnosis import in_general
from git_refresh.settings import SETTINGS
from git_refresh.symptoms import OWN, SECTIONS, UNKNOWN, Row

DOCS = Path(__file__).parent

_MADE = "<!-- Made by `make docs` from {}. Change it there. -->"
_INTRO = """\
# Troubleshooting

Every failure has a `code`: in the log lines (`failures[].code`), in the report (`error.code`), and in the failed invocation's message.
Search this page for it. Words in capitals stand for your values; the log line has those filled in that the app knows.
The app shows a service's status, error code and request id, but never its text: that is what *Seen* is for.
"""


def troubleshooting() -> str:
    """Every failure, from the table."""
    sections = {
        **SECTIONS,
        "Any service": (*SECTIONS["Any service"], UNKNOWN),
        "Found by the app itself": OWN,
    }
    index = "\n".join(
        f"- [{title}](#{_anchor(title)}): {', '.join(f'[`{row.code}`](#{row.code})' for row in rows)}"
        for title, rows in sections.items()
    )
    parts = [f"## {title}\n\n{'\n'.join(map(_entry, rows))}" for title, rows in sections.items()]
    return "\n".join([_MADE.format("git_refresh/symptoms.py"), _INTRO, index, "", *parts])


def _entry(row: Row) -> str:
    told = in_general(row)
    seen = [f"- **Seen**: `{told.message}`"] if told.message else []
    return "\n".join(
        [f"### `{row.code}`", "", *seen, f"- **Cause**: {told.cause}", f"- **Remedy**: {told.remedy}", ""]
    )


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def configuration() -> str:
    """The reference for the settings: what is written by hand, with its tables anew."""
    definitions = schema()["$defs"]
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    tables = {
        "settings": _settings(),
        "workspace": _keys(definitions["workspace"]),
        "folder": _keys(definitions["folder"]),
    }
    for name, lines in tables.items():
        head, begin, rest = text.partition(f"<!-- {name}: made by `make docs` -->\n")
        _, end, tail = rest.partition("<!-- end -->\n")
        text = "".join([head, begin, *(f"{line}\n" for line in lines), end, tail])
    return text


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


MADE: dict[str, Callable[[], str]] = {
    "troubleshooting.md": troubleshooting,
    "configuration.md": configuration,
    "workspaces.schema.json": workspaces_schema,
}
"""What is made, by file name."""


if __name__ == "__main__":
    for name, make in MADE.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
