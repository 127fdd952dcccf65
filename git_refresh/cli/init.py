"""`init`: create a `workspaces.json` from the URLs of a workspace and a repository."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from git_refresh.cli import ask, options, render
from git_refresh.cli.findings import wrapped
from git_refresh.cli.shared import exit_with_problems
from git_refresh.model.hosts import NO_HOSTS
from git_refresh.model.repository import parse_repository, repository_url
from git_refresh.model.values import Problem
from git_refresh.output.shell import command
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings, SettingsError, load
from git_refresh.settings.names import SETTINGS

SCHEMA = Path(__file__).parents[2] / "docs/workspaces.schema.json"
"""The JSON Schema in a checkout. A wheel has none: its path would differ on each machine."""

_SECRET_NAME = "databricks-oauth-secret"  # noqa: S105  # its name in Key Vault, as in docs/setup.md
_UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"
_METHODS = ("federated", "oauth_secret", "managed_identity")
_OPTIONS = {
    "AZURE_CLIENT_ID": "--identity",
    "WORKSPACES[0].host": "--host",
    "WORKSPACES[0].folders[0].url": "--repository",
    "WORKSPACES[0].folders[0].path": "--path",
    "WORKSPACES[0].folders[0].branch": "--branch",
    "WORKSPACES[0].client_id": "--client-id",
    "WORKSPACE_DEFAULTS.client_id": "--client-id",
    "KEY_VAULT_URL": "--vault",
}
"""The option that sets each location in the file."""


@click.command()
@click.option("--host", help="Workspace URL: https://adb-….azuredatabricks.net")
@click.option("--repository", help="Clone URL: https://dev.azure.com/ORGANIZATION/PROJECT/_git/NAME")
@click.option("--client-id", help="Application ID of the service principal, if it already exists.")
@click.option("--vault", help="Key Vault for the OAuth secret: https://NAME.vault.azure.net")
@click.option(
    "--auth",
    type=click.Choice(_METHODS),
    help="Authentication method.  [default: oauth_secret with --vault, federated with --client-id, else managed_identity]",
)
@click.option(
    "--identity",
    help="Client ID of the app's user-assigned identity.  [default: system-assigned identity]",
)
@click.option("--path", help="Path of the Git folder.  [default: /Workspace/Shared/REPOSITORY]")
@click.option("--branch", help="Branch of the Git folder.  [default: that of the repository]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=options.LIST,
    show_default=True,
    help="File to create. Never overwrites a file.",
)
@options.json_option
def init(output: Path, *, as_json: bool, **given: str | None) -> None:
    """Create a workspaces.json.

    On a terminal, asks for missing values. Calls no service.

    Exit codes: 0 success; 2 invalid usage, or the file exists; 130 interrupted.
    """
    if output.exists():
        exit_with_problems(
            [Problem(str(output), "exists and was not changed; name another file: -o FILE")],
            as_json=as_json,
        )
    if not output.absolute().parent.is_dir():
        exit_with_problems(
            [Problem(str(output), "cannot be written: No such file or directory")], as_json=as_json
        )
    given_problems = [
        Problem(f"--{name.replace('_', '-')}", problem)
        for name, value in given.items()
        if value and (problem := _problem_with(name, value))
    ]
    if given_problems:
        exit_with_problems(given_problems, as_json=as_json)
    values = _complete(given)
    _check_auth(values)
    content = _content(output, values)
    _normalize(content, as_json=as_json)
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    try:
        _write(output, text)
    except OSError as error:
        exit_with_problems([Problem(str(output), f"cannot be written: {error.strerror}")], as_json=as_json)
    with render.writing():
        render.echo(text.rstrip() if as_json else _next_steps(output, content))


def _write(output: Path, text: str) -> None:
    """Create a file with the text. If that fails, for example on a full disk, leave no file.

    Raises:
        OSError: the file exists, or cannot be written.
    """
    with output.open("x", encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
        except OSError:
            output.unlink()
            raise


def _complete(given: dict[str, str | None]) -> dict[str, str]:
    """Return all values, stripped. Asks for missing ones on a terminal.

    Raises:
        click.UsageError: a required value is missing, and the input is not a terminal.
    """
    values = {name: (value or "").strip() for name, value in given.items()}
    required = {"host": "Workspace URL", "repository": "Clone URL of the repository"}
    missing = [name for name in required if not values[name]]
    if not _has_terminal():
        if missing:
            raise click.UsageError(f"add {' and '.join(f'--{name}' for name in missing)}")
        return values
    for name in missing:
        values[name] = _ask(name, required[name])
    if not values["auth"] and not values["vault"]:
        methods = _METHODS[:2] if values["client_id"] else _METHODS
        values["auth"] = ask.prompt("Authentication method", choices=methods, default=_METHODS[0])
    if values["auth"] == "oauth_secret" and not values["vault"]:
        values["vault"] = _ask("vault", "Vault URI of the Key Vault for the OAuth secret")
    if missing and given["client_id"] is None and values["auth"] != "managed_identity":
        question = "Application ID of the service principal (empty: onboard creates one)"
        values["client_id"] = _ask("client_id", question, default="")
    return values


def _ask(name: str, question: str, default: str | None = None) -> str:
    def usable(text: str) -> str:
        text = text.strip()
        problem = _problem_with(name, text) if text or default is None else None
        if problem:
            raise click.UsageError(problem)
        return text

    return ask.prompt(question, default=default, read=usable)


_VALID = {
    "host": "https://adb-1234567890123456.7.azuredatabricks.net",
    "repository": "https://dev.azure.com/contoso/etl/_git/etl",
    **dict.fromkeys(("client_id", "vault", "auth", "identity", "path", "branch"), ""),
}
_WITH = {"client_id": {"auth": "federated"}, "vault": {"auth": "oauth_secret"}}


def _problem_with(name: str, value: str) -> str | None:
    """Return the problem of one value, independent of the others; None if it is valid."""
    content = _content(Path(), {**_VALID, **_WITH.get(name, {}), name: value.strip()})
    option = f"--{name.replace('_', '-')}"
    wrong = [problem.message for problem in _loaded(content)[1] if _OPTIONS.get(problem.location) == option]
    return wrong[0] if wrong else None


def _has_terminal() -> bool:
    return sys.stdin.isatty()


def _check_auth(values: dict[str, str]) -> None:
    """Check that the options fit the authentication method.

    Raises:
        click.UsageError: an option is missing or unused.
    """
    auth = _auth(values)
    if auth == "oauth_secret" and not values["vault"]:
        raise click.UsageError("--auth oauth_secret needs --vault")
    unused = {"federated": ("vault",), "managed_identity": ("client_id", "vault")}.get(auth, ())
    if given := [f"--{name.replace('_', '-')}" for name in unused if values[name]]:
        raise click.UsageError(f"--auth {auth} cannot be combined with {' and '.join(given)}")


def _auth(values: dict[str, str]) -> str:
    otherwise = "federated" if values["client_id"] else "managed_identity"
    return values["auth"] or ("oauth_secret" if values["vault"] else otherwise)


def _defaults(values: dict[str, str]) -> dict[str, str]:
    auth, client_id = _auth(values), values["client_id"]
    who = {"client_id": client_id} if client_id else {}
    if auth == "oauth_secret":
        return {**who, "client_secret_name": _SECRET_NAME}
    return {"auth": auth, **who}


def _content(output: Path, values: dict[str, str]) -> dict[str, Any]:
    folder = {
        "path": values["path"] or _path(values["repository"]),
        "url": values["repository"],
        **({"branch": values["branch"]} if values["branch"] else {}),
    }
    return {
        **({"$schema": _relative_schema(output)} if SCHEMA.exists() else {}),
        "REFRESH_SCHEDULE": SETTINGS["REFRESH_SCHEDULE"].example,
        **({"AZURE_CLIENT_ID": values["identity"]} if values["identity"] else {}),
        **({"KEY_VAULT_URL": values["vault"]} if values["vault"] else {}),
        "WORKSPACE_DEFAULTS": _defaults(values),
        "WORKSPACES": [{"host": values["host"], "folders": [folder]}],
    }


def _path(url: str) -> str:
    """Return the default path, in the directory where every user can create folders."""
    try:
        return f"/Workspace/Shared/{parse_repository(repository_url(url).url, NO_HOSTS).name}"
    except ValueError:
        return "/Workspace/Shared/repository"  # `_normalize` reports the invalid URL


def _relative_schema(output: Path) -> str:
    try:
        relative = os.path.relpath(SCHEMA, output.resolve().parent)
    except ValueError:  # another drive on Windows
        return SCHEMA.as_uri()
    return Path(relative).as_posix() if relative.startswith("..") else f"./{Path(relative).as_posix()}"


def _lacks_principal(content: dict[str, Any]) -> bool:
    defaults = content["WORKSPACE_DEFAULTS"]
    return "client_id" not in defaults and defaults.get("auth") != "managed_identity"


def _loaded(content: dict[str, Any]) -> tuple[Settings | None, list[Problem]]:
    """Return the settings as a command reads them from the file, and their problems."""
    defaults = content["WORKSPACE_DEFAULTS"]
    if _lacks_principal(content):
        defaults = {**defaults, "client_id": _UNKNOWN_ID}
    settings = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in {**content, "WORKSPACE_DEFAULTS": defaults}.items()
        if name in SETTINGS
    }
    try:
        loaded = load(settings, whole=False)
    except SettingsError as error:
        return None, error.problems
    return loaded, list(loaded.problems)


def _normalize(content: dict[str, Any], *, as_json: bool) -> None:
    """Replace each URL by its normal form. If a value is invalid, report it at its option and exit."""
    settings, problems = _loaded(content)
    if settings is None or problems:
        wrong = [
            Problem(_OPTIONS.get(problem.location, problem.location), problem.message) for problem in problems
        ]
        exit_with_problems(wrong, as_json=as_json)
    (entry,) = settings.entries
    if isinstance(entry, Entry):
        (written,) = content["WORKSPACES"]
        written["host"] = entry.workspace.host
        written["folders"][0]["url"] = entry.workspace.folders[0].url
    if settings.key_vault_url:
        content["KEY_VAULT_URL"] = settings.key_vault_url
    for note in settings.notes:
        render.say(f"{_OPTIONS.get(note.location, note.location)} {note.message}.")


def _next_steps(output: Path, content: dict[str, Any]) -> str:
    (entry,) = content["WORKSPACES"]
    defaults = content["WORKSPACE_DEFAULTS"]
    name = command("{file}", file=str(output))
    lacks_principal = _lacks_principal(content)
    who = "a service principal that onboard creates" if lacks_principal else "the app's managed identity"
    if "client_id" in defaults:
        who = f"service principal {defaults['client_id']}"
    program = click.get_current_context().find_root().command_path
    lines = [
        f"Created {name} with 1 workspace and Git folder {entry['folders'][0]['path']}. The app signs in as {who}."
    ]
    if not lacks_principal and "client_secret_name" in defaults:
        lines.append(f"It reads the OAuth secret from Key Vault secret {_SECRET_NAME}.")
    named, listed = ("", "") if output == options.LIST else (f" {name}", f" --settings {name}")
    grant = f"onboard{listed} --apply"
    if lacks_principal:
        steps = [
            (f"onboard{listed} --new-principal git-refresh --apply", "After az login, create it"),
            (grant, "Grant what is missing"),
        ]
    else:
        steps = [
            (f"check{named} --offline", "Check the list"),
            (grant, "After az login, grant what is missing"),
        ]
    steps += [
        (f"plan{listed}", "Show what a run would do"),
        (f"deploy{named} --app APP --apply --wait", "Deploy the list, and show the first run"),
    ]
    room = render.console().width
    commands = [line for typed, why in steps for line in (*wrapped(f"{why}:", room), f"  {program} {typed}")]
    return "\n".join([*(part for line in lines for part in wrapped(line, room)), *commands])
