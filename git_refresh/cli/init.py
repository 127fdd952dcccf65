"""`init`: a first `workspaces.json`, from a workspace's address and a repository's; without asking anybody."""

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
"""In a checkout alone: a wheel has none, and its place on one laptop means nothing to others who have the list."""

_SECRET_NAME = "databricks-oauth-secret"  # noqa: S105  # its name in Key Vault, as in docs/setup.md
_UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"
_WAYS = ("federated", "oauth_secret", "managed_identity")
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
"""What each place in the file is made from."""


@click.command(short_help="Write a first workspaces.json.")
@click.option("--host", help="The workspace's address: https://adb-….azuredatabricks.net")
@click.option("--repository", help="The repository's: https://dev.azure.com/ORGANIZATION/PROJECT/_git/NAME")
@click.option(
    "--client-id",
    help="Application id of the service principal to sign in as. Without, and without --auth and --vault: as the app's own managed "
    "identity, unless there is a terminal to ask on.",
)
@click.option(
    "--vault",
    help="The Key Vault with the service principal's OAuth secret: https://NAME.vault.azure.net. Without: it has a federation policy, "
    "and no secret.",
)
@click.option(
    "--auth",
    type=click.Choice(_WAYS),
    help="How the app signs in: with --vault, oauth_secret. With one of the first two and no --client-id, onboard makes the service "
    "principal.",
)
@click.option(
    "--identity",
    help="Client id of the app's user-assigned managed identity. Without: it has a system-assigned one.",
)
@click.option(
    "--path", help="The Git folder's path.  [default: /Workspace/Shared/ and the repository's name]"
)
@click.option("--branch", help="The Git folder's branch.  [default: the repository's own]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=options.LIST,
    show_default=True,
    help="The file to write. One that exists is left as it is.",
)
@options.json_option
def init(output: Path, *, as_json: bool, **given: str | None) -> None:
    """Write a first workspaces.json, which editors complete and check by its schema.

    Asks for what is missing where it runs on a terminal, and asks again where an answer is wrong. Calls no service; check then looks at
    everything.
    """
    if output.exists():
        exit_with_problems(
            [Problem(str(output), "exists, and is left as it is; name another file: -o FILE")],
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
    answers = _asked(given)
    _check_sign_in(answers)
    content = _content(output, answers)
    _take_as_meant(content, as_json=as_json)
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    try:
        _write(output, text)
    except OSError as error:
        exit_with_problems([Problem(str(output), f"cannot be written: {error.strerror}")], as_json=as_json)
    with render.writing():
        render.echo(text.rstrip() if as_json else _next_steps(output, content))


def _write(output: Path, text: str) -> None:
    """A new file with all of the text; where it cannot be written whole, as on a full disk, there is none.

    Raises:
        OSError: it exists, or cannot be written.
    """
    with output.open("x", encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
        except OSError:
            output.unlink()
            raise


def _asked(given: dict[str, str | None]) -> dict[str, str]:
    """All the answers, stripped; what is missing is asked for.

    Raises:
        click.UsageError: something is needed, and there is nobody to ask.
    """
    answers = {name: (value or "").strip() for name, value in given.items()}
    needed = {"host": "The workspace's address", "repository": "The repository's address"}
    missing = [name for name in needed if not answers[name]]
    if not _has_terminal():
        if missing:
            raise click.UsageError(f"say {' and '.join(f'--{name}' for name in missing)}")
        return answers
    for name in missing:
        answers[name] = _ask(name, needed[name])
    if not answers["auth"] and not answers["vault"]:
        ways = _WAYS[:2] if answers["client_id"] else _WAYS
        question = "How does the app sign in?"
        answers["auth"] = ask.prompt(question, choices=ways, default=_WAYS[0])
    if answers["auth"] == "oauth_secret" and not answers["vault"]:
        question = "The address of the Key Vault for its OAuth secret"
        answers["vault"] = _ask("vault", question)
    if missing and given["client_id"] is None and answers["auth"] != "managed_identity":
        question = "The service principal's application id (empty: onboard makes one)"
        answers["client_id"] = _ask("client_id", question, default="")
    return answers


def _ask(name: str, question: str, default: str | None = None) -> str:
    """An answer that can be used: after another one the question is asked again."""

    def usable(text: str) -> str:
        text = text.strip()
        problem = _problem_with(name, text) if text or default is None else None
        if problem:
            raise click.UsageError(problem)
        return text

    return ask.prompt(question, default=default, read=usable)


_SOUND = {
    "host": "https://adb-1234567890123456.7.azuredatabricks.net",
    "repository": "https://dev.azure.com/contoso/etl/_git/etl",
    **dict.fromkeys(("client_id", "vault", "auth", "identity", "path", "branch"), ""),
}
_WITH = {"client_id": {"auth": "federated"}, "vault": {"auth": "oauth_secret"}}


def _problem_with(name: str, value: str) -> str | None:
    """What is wrong with one answer, whatever the others are."""
    content = _content(Path(), {**_SOUND, **_WITH.get(name, {}), name: value.strip()})
    option = f"--{name.replace('_', '-')}"
    wrong = [problem.message for problem in _loaded(content)[1] if _OPTIONS.get(problem.location) == option]
    return wrong[0] if wrong else None


def _has_terminal() -> bool:
    return sys.stdin.isatty()


def _check_sign_in(answers: dict[str, str]) -> None:
    """Whether what was given can be meant.

    Raises:
        click.UsageError: it cannot.
    """
    auth = _auth(answers)
    if auth == "oauth_secret" and not answers["vault"]:
        raise click.UsageError("--auth oauth_secret needs --vault, where the secret is")
    of_no_use = {"federated": ("vault",), "managed_identity": ("client_id", "vault")}.get(auth, ())
    if given := [f"--{name.replace('_', '-')}" for name in of_no_use if answers[name]]:
        raise click.UsageError(f"--auth {auth} does not go with {' and '.join(given)}")


def _auth(answers: dict[str, str]) -> str:
    """How the app signs in, where nobody has said it: a vault is given for the secret in it."""
    otherwise = "federated" if answers["client_id"] else "managed_identity"
    return answers["auth"] or ("oauth_secret" if answers["vault"] else otherwise)


def _sign_in(answers: dict[str, str]) -> dict[str, str]:
    auth, client_id = _auth(answers), answers["client_id"]
    who = {"client_id": client_id} if client_id else {}
    if auth == "oauth_secret":
        return {**who, "client_secret_name": _SECRET_NAME}
    return {"auth": auth, **who}


def _content(output: Path, answers: dict[str, str]) -> dict[str, Any]:
    folder = {
        "path": answers["path"] or _path(answers["repository"]),
        "url": answers["repository"],
        **({"branch": answers["branch"]} if answers["branch"] else {}),
    }
    return {
        **({"$schema": _schema_from(output)} if SCHEMA.exists() else {}),
        "REFRESH_SCHEDULE": SETTINGS["REFRESH_SCHEDULE"].example,
        **({"AZURE_CLIENT_ID": answers["identity"]} if answers["identity"] else {}),
        **({"KEY_VAULT_URL": answers["vault"]} if answers["vault"] else {}),
        "WORKSPACE_DEFAULTS": _sign_in(answers),
        "WORKSPACES": [{"host": answers["host"], "folders": [folder]}],
    }


def _path(url: str) -> str:
    """Where every user of a workspace may create folders."""
    try:
        return f"/Workspace/Shared/{parse_repository(repository_url(url).url, NO_HOSTS).name}"
    except ValueError:
        return "/Workspace/Shared/repository"  # what is wrong with the URL is told by the check of the whole


def _schema_from(output: Path) -> str:
    """The schema in this checkout, as a file names it."""
    try:
        relative = os.path.relpath(SCHEMA, output.resolve().parent)
    except ValueError:  # another drive of Windows
        return SCHEMA.as_uri()
    return Path(relative).as_posix() if relative.startswith("..") else f"./{Path(relative).as_posix()}"


def _lacks_principal(content: dict[str, Any]) -> bool:
    """Whether the service principal is yet to be made."""
    defaults = content["WORKSPACE_DEFAULTS"]
    return "client_id" not in defaults and defaults.get("auth") != "managed_identity"


def _loaded(content: dict[str, Any]) -> tuple[Settings | None, list[Problem]]:
    """The settings as a command reads them from the file, and what is wrong with them."""
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


def _take_as_meant(content: dict[str, Any], *, as_json: bool) -> None:
    """Write each address as it is used. What is wrong is told by the option that it comes from, as `check FILE --offline` does."""
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
    made = not _lacks_principal(content)
    who = "the app's managed identity" if made else "a service principal that is yet to be made"
    if "client_id" in defaults:
        who = f"service principal {defaults['client_id']}"
    program = click.get_current_context().find_root().command_path
    lines = [
        f"Written to {name}: one workspace, and its Git folder {entry['folders'][0]['path']}. The app signs in as {who}."
    ]
    if made and "client_secret_name" in defaults:
        lines.append(f"The OAuth secret has to be in Key Vault, by the name {_SECRET_NAME}.")
    elif made and "client_id" in defaults:
        lines.append(
            "The service principal has to have a federation policy for the app's managed identity; onboard writes it."
        )
    named, listed = ("", "") if output == options.LIST else (f" {name}", f" --settings {name}")
    grants = f"onboard{listed} --apply"
    if made:
        steps = [
            (f"check{named} --offline", "Check the list alone"),
            (grants, "After az login, grant what is missing"),
        ]
    else:
        steps = [
            (f"onboard{listed} --new-principal git-refresh --apply", "After az login, create it"),
            (grants, "With its client_id in the list, grant what is missing"),
        ]
    steps.append((f"plan{listed}", "See what a run would do"))
    room = render.console().width
    commands = [line for typed, why in steps for line in (*wrapped(f"{why}:", room), f"  {program} {typed}")]
    return "\n".join([*(part for line in lines for part in wrapped(line, room)), *commands])
