"""Writes troubleshooting.md from the table of failures: `make docs`."""

from pathlib import Path

from git_refresh.diagnosis import in_general
from git_refresh.symptoms import OWN, SECTIONS, UNKNOWN, Row

PAGE = Path(__file__).with_name("troubleshooting.md")

_INTRO = """\
<!-- Made by `make docs` from git_refresh/symptoms.py. Change it there. -->
# Troubleshooting

Every failure has a `code`: in the log lines (`failures[].code`), in the report (`error.code`), and in the failed invocation's message.
Search this page for it. Words in capitals stand for your values; the log line has those filled in that the app knows.
The app shows a service's status, error code and request id, but never its text: that is what *Seen* is for.
"""


def page() -> str:
    """The whole page, in Markdown."""
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
    return "\n".join([_INTRO, index, "", *parts])


def _entry(row: Row) -> str:
    told = in_general(row)
    seen = [f"- **Seen**: `{told.message}`"] if told.message else []
    return "\n".join(
        [f"### `{row.code}`", "", *seen, f"- **Cause**: {told.cause}", f"- **Remedy**: {told.remedy}", ""]
    )


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
