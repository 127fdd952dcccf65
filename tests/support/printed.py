"""Every command that the product or a page prints, as a reader pastes it."""

import ast
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import click
import yaml

from git_refresh.admin import commands
from git_refresh.cli.main import main
from git_refresh.failures.diagnosis import DiagnosisContext, _arguments, _values
from git_refresh.failures.table import OWN, TABLE, UNKNOWN, Row
from git_refresh.output.shell import Command, Invocation, fill
from tests.support.paths import PAGES, ROOT
from tests.support.shells import Call, paste

PROGRAMS = ("az", "azd", "func", "databricks")
"""Programs of vendors."""
HOST = "https://adb-1234567890123456.7.azuredatabricks.net"
GUID = "5a1e0000-0000-4000-8000-000000000001"
FACTS = DiagnosisContext(
    host=HOST,
    vault="https://contoso.vault.azure.net",
    secret="databricks-oauth-secret",  # a name
    client_id=GUID,
    object_id=GUID,
    account_id=GUID,
    tenant=GUID,
    registration=GUID,
    principal_id="7",
    oauth_secret="0a1b",  # an id
    url="https://dev.azure.com/contoso/Data%20Platform/_git/etl",
    invocation=Invocation(options=Command(" --settings list.json --trust-host devops.contoso.com")),
    command=Command("az ad sp show --id x"),
)
_BLOCK = re.compile(r"^( *)```(?:sh|console)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_OPERATIONS = "docs/runbook.md"
_BEFORE = {
    "docs/fan-out.md": _OPERATIONS,
    "docs/pipelines/README.md": _OPERATIONS,
}
"""Pages that say to paste the first block of another page first."""
_ALSO = {
    "docs/pipelines/README.md": "RESOURCE_GROUP=git-refresh\n",
}
"""Further variables that a page expects."""


def blocks(name: str) -> list[str]:
    """Return the shell blocks of a page without prompts and indentation."""
    text = (ROOT / name).read_text()
    return [
        re.sub(rf"^{indent}(?:\$ )?", "", block, flags=re.MULTILINE) for indent, block in _BLOCK.findall(text)
    ]


def pasted(name: str) -> str:
    """Return all blocks of a page, after the block of the page before it."""
    before = blocks(_BEFORE[name])[0] if name in _BEFORE else ""
    return before + _ALSO.get(name, "") + "".join(blocks(name))


WITH_BLOCKS = [name for page in PAGES if blocks(name := str(page.relative_to(ROOT)))]


def in_prose() -> Iterator[tuple[str, str]]:
    """Yield commands in sentences and tables, each with its place."""
    for page in PAGES:
        for line in _BLOCK.sub("", page.read_text()).splitlines():
            for found in re.findall(rf"`((?:{'|'.join(PROGRAMS)}) [a-z][^`]*)`", line):
                # In a table, | is escaped. … shows an omission.
                for command in _simple(re.split(r"…", found.replace("\\|", "|"))[0]):
                    yield f"{page.relative_to(ROOT)}: {command}", command


def in_pipelines() -> Iterator[tuple[str, str]]:
    """Yield the simple commands of the pipelines and of the end-to-end workflow."""
    for file in sorted((ROOT / "docs/pipelines").glob("*.yml")):
        for script in _scripts(yaml.safe_load(file.read_text())):
            for line in re.sub(r"\$\([\w.]+\)", "WORD", script).splitlines():
                for command in _simple(line):
                    yield f"{file.name}: {command}", command
    for line in (ROOT / "tools/e2e.sh").read_text().splitlines():
        for command in _simple(re.sub(r"\$\(|\{ ", "; ", line)):
            yield f"e2e.sh: {command}", command


def _scripts(value: object) -> Iterator[str]:
    match value:
        case dict():
            for key, item in value.items():
                if key in {"run", "bash", "inlineScript"} and isinstance(item, str):
                    yield item
                else:
                    yield from _scripts(item)
        case list():
            for item in value:
                yield from _scripts(item)


def _simple(line: str) -> Iterator[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();<>|&"):
            if words and words[0].rpartition("/")[2] in {*PROGRAMS, "python", "git-refresh"}:
                yield shlex.join(words)
            words = []
        else:
            words.append(word)


def remedies() -> Iterator[tuple[str, str]]:
    """Yield the commands of all remedies, each with its code."""
    known = _values(FACTS)
    for row in (*TABLE, UNKNOWN, *OWN):
        for template in _templates(row):
            yield row.code, fill(template, {**known, **_arguments(known)})


def _templates(row: Row) -> list[str]:
    return [*row.cause.split("`")[1::2], *row.remedy.split("`")[1::2]]


def for_others() -> Iterator[tuple[str, str]]:
    """Yield the commands that `onboard` prints for another admin."""
    yield "add_to_organization", commands.add_to_organization("contoso", GUID, ["p"], looked_up="it's")
    yield "add_to_group", commands.add_to_group("contoso", "aadsp.x", "vssgp.y")
    yield "assign", commands.assign(GUID, "1", GUID)
    yield "add_principal", commands.add_principal(HOST, GUID, "it's")
    yield "add_principal of Databricks", commands.add_principal(HOST, None, "it's")
    yield "entitle", commands.entitle(HOST, 7)
    yield "show_principal", commands.show_principal(HOST, 7)
    yield (
        "create_policy",
        commands.create_policy(GUID, GUID, "https://login.microsoftonline.com/x/v2.0", GUID),
    )
    yield "grant_can_manage", commands.grant_can_manage(HOST, "repos", "/Repos/it's", GUID, creates=True)
    yield "look_up_identity", commands.look_up_identity(GUID)
    yield "consent", commands.consent(GUID, GUID)
    yield "onboard", commands.onboard(FACTS.invocation)


def removals() -> Iterator[tuple[str, str]]:
    """Yield the commands that `onboard --remove` prints."""
    yield "delete_credential", commands.delete_credential(HOST, 9, 7)
    yield "remove_permission", commands.remove_permission(HOST, "repos", 8, GUID)
    yield "delete_oauth_secret", commands.delete_oauth_secret(HOST, 7, "0a1b")
    yield "delete_policy", commands.delete_policy(GUID, 7, "git-refresh-x")
    yield "unassign", commands.unassign(GUID, "1", 7)
    yield "delete_principal", commands.delete_principal(HOST, 7)
    yield "delete_from_account", commands.delete_from_account(GUID, 7)
    verbs: tuple[Literal["delete", "purge", "recover"], ...] = ("delete", "purge", "recover")
    for verb in verbs:
        yield f"{verb} a secret", commands.on_vault_secret(verb, FACTS.vault, "it's")
    for tenant in ("", GUID):
        yield "leave_organization", commands.leave_organization("contoso", GUID, tenant)
        yield "leave_group", commands.leave_group("contoso", "aadsp.x", "vssgp.y", tenant)
    yield "pause", commands.pause("contoso-git-refresh", "git-refresh", GUID)


def in_messages() -> Iterator[tuple[str, str]]:
    """Yield the commands in other texts of the product."""
    for file in sorted((ROOT / "git_refresh").rglob("*.py")):
        if file.name in {"table.py", "commands.py"}:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                pattern = rf"\b((?:{'|'.join(PROGRAMS)})(?: [a-z][a-z-]+)+(?: --[a-z-]+(?: (?:'[^']*'|[^\s;,)-]\S*))?)*)"
                for found in re.findall(pattern, node.value):
                    yield f"{file.name}:{node.lineno}: {found}", found


@cache
def calls(text: str, shell: str = "bash") -> tuple[Call, ...]:
    """Return the calls of programs in a pasted text."""
    with tempfile.TemporaryDirectory() as folder:
        return tuple(paste(text, shell, Path(folder)))


def all_words() -> Iterator[Sequence[str]]:
    """Yield each printed command line of a vendor, which `vendors.json` must describe."""
    for _, text in (*in_prose(), *in_pipelines(), *in_messages()):
        yield shlex.split(text)
    texts = [pasted(name) for name in WITH_BLOCKS]
    texts.append("\n".join(text for _, text in (*remedies(), *for_others(), *removals())))
    for text in texts:
        yield from (call.words for call in calls(text))


def parse(arguments: str) -> None:
    """Parse a command line without running it.

    Raises:
        click.UsageError: the command, an option or an argument is invalid.
    """
    if arguments in {option for parameter in main.params for option in parameter.opts}:
        return
    name, *rest = shlex.split(arguments)
    command = main.commands.get(name)
    if command is None:
        raise click.UsageError(f"no such command: {name}")
    _, left, order = command.make_parser(click.Context(command)).parse_args(rest)
    if left:
        raise click.UsageError(f"too much: {left} {order}")
