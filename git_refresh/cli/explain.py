"""`explain`: the cause and remedy of an error code, from the table of failures."""

import json
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from git_refresh.cli import options, render
from git_refresh.cli.findings import TROUBLESHOOTING, code_style, fold, place_of
from git_refresh.failures.diagnosis import in_general
from git_refresh.failures.table import PAGE, Row
from git_refresh.output.redact import redact
from git_refresh.output.text import closest


def _completed(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    return [row.code for rows in PAGE.values() for row in rows if row.code.startswith(typed)]


@click.command()
@click.argument("code", required=False, shell_complete=_completed)
@options.json_option
def explain(code: str | None, *, as_json: bool) -> None:
    """Explain an error code and its remedy. Without CODE, list all codes.

    CODE comes from the log line, the report, or the parentheses after a failure, for example key_vault_forbidden.
    Words in capitals stand for your values. Calls no service.
    """
    rows = {row.code: (section, row) for section, rows in PAGE.items() for row in rows}
    if code is None:
        with render.writing():
            if as_json:
                codes = [_as_dict(section, row) for section, row in rows.values()]
                render.echo(json.dumps({"version": 1, "codes": codes}, indent=2))
            else:
                _list(render.console())
        return
    wanted = code.strip(" ()`:.,").lower().replace("-", "_")
    if wanted not in rows:
        raise click.UsageError(f'"{redact(code)}" is not a code; {_suggestion(wanted, list(rows))}')
    section, row = rows[wanted]
    with render.writing():
        if as_json:
            render.echo(json.dumps({"version": 1, **_as_dict(section, row)}, indent=2))
        else:
            _show(section, row, render.console())


def _suggestion(wanted: str, codes: list[str]) -> str:
    near = closest(wanted, codes, 3)
    near += [code for code in codes if len(wanted) > 2 and wanted in code and code not in near][:5]  # noqa: PLR2004
    if not near:
        return "to list all codes, run explain without a code"
    *others, last = near
    return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?"


def _as_dict(section: str, row: Row) -> dict[str, Any]:
    diagnosis = in_general(row)
    return {
        "code": row.code,
        "section": section,
        "message": diagnosis.message,
        "cause": diagnosis.cause,
        "remedy": diagnosis.remedy,
        "page": place_of(row.code),
    }


def _show(section: str, row: Row, out: Console) -> None:
    diagnosis = in_general(row)
    style = code_style(row.code, out)
    fold(Text(), Text.assemble((row.code, "bold"), f"  {section}"), out)
    if diagnosis.message:
        fold(Text("  "), Text(f"The service returns: {diagnosis.message}", "dim"), out)
    elif row.title:
        fold(Text("  "), Text(f"{row.title}."), out)
    fold(Text("  "), Text(diagnosis.cause), out, diagnosis.commands)
    fold(Text("  "), Text.assemble(("→ ", "bold"), diagnosis.remedy), out, diagnosis.commands)
    if TROUBLESHOOTING.exists():
        out.print(Text.assemble("  ", (place_of(row.code), style)), soft_wrap=True)


def _list(out: Console) -> None:
    width = max(len(row.code) for rows in PAGE.values() for row in rows)
    for section, rows in PAGE.items():
        out.print(Text(section, "bold"))
        for row in rows:
            padding = " " * (width - len(row.code))
            line = Text.assemble("  ", (row.code, code_style(row.code, out)), f"{padding}  {title_of(row)}")
            out.print(line, soft_wrap=True)


def title_of(row: Row) -> str:
    """Return the meaning of a row in at most eight words."""
    return row.title or in_general(row).cause.removesuffix(".")
