"""`init`: a first `workspaces.json`, from a workspace's address and a repository's; without asking anybody."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from git_refresh.cli import terminal, wrong
from git_refresh.hosts import NO_HOSTS
from git_refresh.redact import visible
from git_refresh.repository import parse_repository
from git_refresh.settings.load import SettingsError, load
from git_refresh.settings.names import SETTINGS
from git_refresh.values import Problem

_SCHEMA = Path(__file__).parents[2] / "docs/workspaces.schema.json"
_SECRET_NAME = "databricks-oauth-secret"  # noqa: S105  # its name in Key Vault, as in docs/setup.md
_OPTIONS = {
    "WORKSPACES[0].host": "--host",
    "WORKSPACES[0].folders[0].url": "--repository",
    "WORKSPACES[0].folders[0].path": "--path",
    "WORKSPACES[0].folders[0].branch": "--branch",
    "WORKSPACES[0].client_id": "--client-id",
    "KEY_VAULT_URL": "--vault",
}
"""What each place in the file is made from."""


@click.command(short_help="Write a first workspaces.json.")
@click.option("--host", help="The workspace's address: https://adb-….azuredatabricks.net")
@click.option("--repository", help="The repository's: https://dev.azure.com/ORGANIZATION/PROJECT/_git/NAME")
@click.option(
    "--client-id",
    help="Application id of the service principal to sign in as. Without: as the app's own managed identity.",
)
@click.option(
    "--vault",
    help="The Key Vault with the service principal's OAuth secret: https://NAME.vault.azure.net. Without: it has a federation policy, "
    "and no secret.",
)
@click.option(
    "--path", help="The Git folder's path.  [default: /Workspace/Shared/ and the repository's name]"
)
@click.option("--branch", help="The Git folder's branch.  [default: the repository's own]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("workspaces.json"),
    show_default=True,
    help="The file to write. One that exists is left as it is.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written, and nothing else.")
def init(output: Path, *, as_json: bool, **given: str | None) -> None:
    """Write a first workspaces.json, which editors complete and check by its schema.

    Asks for what is missing where it runs on a terminal. Calls no service; check then looks at everything.
    """
    if output.exists():
        wrong.end(
            [Problem(str(output), "exists, and is left as it is; name another file: -o FILE")],
            as_json=as_json,
        )
    content = _content(output, _asked(given))
    _check(content, as_json=as_json)
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        wrong.end([Problem(str(output), f"cannot be written: {error.strerror}")], as_json=as_json)
    with terminal.writing():
        terminal.echo(text.rstrip() if as_json else _next_steps(output, content))


def _asked(given: dict[str, str | None]) -> dict[str, str]:
    """All the answers, stripped; what is missing is asked for.

    Raises:
        click.UsageError: something is needed, and there is nobody to ask.
    """
    answers = {name: (value or "").strip() for name, value in given.items()}
    needed = {"host": "The workspace's address", "repository": "The repository's address"}
    missing = [name for name in needed if not answers[name]]
    if not _somebody_answers():
        if missing:
            raise click.UsageError(f"say {' and '.join(f'--{name}' for name in missing)}")
        return answers
    for name in missing:
        answers[name] = click.prompt(needed[name], err=True).strip()
    if missing and given["client_id"] is None:
        question = "The service principal's application id (empty: the app's own managed identity)"
        answers["client_id"] = click.prompt(question, default="", show_default=False, err=True).strip()
    if answers["client_id"] and not answers["vault"]:
        question = "The address of the Key Vault with its OAuth secret (empty: it has a federation policy, and no secret)"
        answers["vault"] = click.prompt(question, default="", show_default=False, err=True).strip()
    return answers


def _somebody_answers() -> bool:
    return sys.stdin.isatty()


def _content(output: Path, answers: dict[str, str]) -> dict[str, Any]:
    sign_in = {"auth": "managed_identity"}
    if answers["client_id"] and answers["vault"]:
        sign_in = {"client_id": answers["client_id"], "client_secret_name": _SECRET_NAME}
    elif answers["client_id"]:
        sign_in = {"auth": "federated", "client_id": answers["client_id"]}
    folder = {
        "path": answers["path"] or _path(answers["repository"]),
        "url": answers["repository"],
        **({"branch": answers["branch"]} if answers["branch"] else {}),
    }
    return {
        "$schema": _schema_from(output),
        "REFRESH_SCHEDULE": SETTINGS["REFRESH_SCHEDULE"].example,
        **({"KEY_VAULT_URL": answers["vault"]} if answers["vault"] else {}),
        "WORKSPACES": [{"host": answers["host"], **sign_in, "folders": [folder]}],
    }


def _path(url: str) -> str:
    """Where every user of a workspace may create folders."""
    try:
        return f"/Workspace/Shared/{parse_repository(url, NO_HOSTS).name}"
    except ValueError:
        return "/Workspace/Shared/repository"  # what is wrong with the URL is told by the check of the whole


def _schema_from(output: Path) -> str:
    """The schema in this checkout, as the file names it."""
    try:
        relative = os.path.relpath(_SCHEMA, output.resolve().parent)
    except ValueError:  # another drive of Windows
        return _SCHEMA.as_uri()
    return Path(relative).as_posix() if relative.startswith("..") else f"./{Path(relative).as_posix()}"


def _check(content: dict[str, Any], *, as_json: bool) -> None:
    """As `check FILE --offline` does; what is wrong is told by the option that it comes from."""
    settings = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in content.items()
        if name in SETTINGS
    }
    try:
        problems = list(load(settings, whole=False).problems)
    except SettingsError as error:
        problems = error.problems
    if problems:
        told = [Problem(_OPTIONS.get(problem.where, problem.where), problem.message) for problem in problems]
        wrong.end(told, as_json=as_json)


def _next_steps(output: Path, content: dict[str, Any]) -> str:
    (entry,) = content["WORKSPACES"]
    name = shlex.quote(visible(str(output)))
    who = f"service principal {entry['client_id']}" if "client_id" in entry else "the app's managed identity"
    command = click.get_current_context().find_root().command_path
    lines = [
        f"Written to {name}: one workspace, and its Git folder {entry['folders'][0]['path']}. The app signs in as {who}."
    ]
    if "client_secret_name" in entry:
        lines.append(f"The OAuth secret has to be in Key Vault, by the name {_SECRET_NAME}.")
    elif "client_id" in entry:
        lines.append(
            "The service principal has to have a federation policy for the app's managed identity: docs/setup.md."
        )
    lines += [
        "Next:",
        f"  {command} check {name} --offline   # the list alone",
        f"  {command} check --settings {name}  # every layer, read-only; after az login",
        f"  {command} plan --settings {name}   # what a run would do",
    ]
    return "\n".join(lines)
