"""`python -m tools.prove`: verify a deployed app, with the permissions of your Azure CLI session.

It changes nothing. Names, IDs and addresses are masked on stdout, so you can paste the output into an issue.
Errors before the first row go to stderr.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from git_refresh import __version__
from git_refresh.admin.deployment import is_ours
from git_refresh.admin.services import AdminServices
from git_refresh.admin.values import DiagnosedError
from git_refresh.cli import options, render
from git_refresh.cli.deployed import APP_NAME, GROUP_NAME, SUBSCRIPTION_ID
from git_refresh.cli.findings import Finding, show_finding
from git_refresh.cli.shared import FAILED, WRONG, exit_with_problems, outlet_for, put_out
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, diagnose, finding
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.values import GUID, json_of
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import SettingsError
from tools.prove_rows import ROWS, TRIALS, Deployed, addresses_of, at, zone_of

_LIMIT_S = 600.0
_STYLE = {"held": "green", "failed": "red", "not_tried": "dim"}
_FORMS = (
    ("id", re.compile(GUID.pattern, re.IGNORECASE)),
    ("address", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("host", re.compile(r"(?<![\w.-])(?:[\w-]+\.)+(?:net|com|org|io|ms)(?![\w-])", re.IGNORECASE)),
    ("address", re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")),
    ("address", re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)),
)
"""Patterns that are masked wherever they match."""


@dataclass
class Masks:
    """Replacements such as `app-1` for names; equal names have equal masks."""

    _masks: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, names: Iterable[object]) -> None:
        for name in names:
            if isinstance(name, str) and name:
                self._of(kind, name)

    def masked(self, text: str) -> str:
        """Return a text with names, IDs, hosts and addresses masked."""
        for name in sorted(self._masks, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", self._masks[name], text, flags=re.IGNORECASE)
        for kind, form in _FORMS:
            text = form.sub(lambda found, kind=kind: self._of(kind, found[0]), text)  # type: ignore[misc]
        return text

    def _of(self, kind: str, name: str) -> str:
        number = 1 + len({mask for mask in self._masks.values() if mask.rpartition("-")[0] == kind})
        return self._masks.setdefault(name.lower(), f"{kind}-{number}")


@dataclass(frozen=True, slots=True)
class Proof:
    """A row and its result."""

    row: str
    proves: str
    result: str
    seen: str
    command: str | None = None
    """The command for a trial installation."""


def prove(deployed: Deployed) -> list[Proof]:
    """Return each row with its masked result."""
    seen = [(row, row.seen(deployed)) for row in ROWS]
    masks = Masks()
    for kind, names in _names(deployed):
        masks.add(kind, names)
    proofs = [Proof(row.key, row.proves, it.result, masks.masked(it.text)) for row, it in seen]
    return proofs + [Proof(each.key, each.proves, "not_tried", each.sign, each.command) for each in TRIALS]


def _names(deployed: Deployed) -> Iterator[tuple[str, list[object]]]:
    """Yield the names to mask, as far as they can be read."""
    app = deployed.app
    yield "app", [app.name]
    yield "group", [app.group]
    yield "id", [app.subscription_id]
    yield "component", [app.component_id.rpartition("/")[2]]
    reads: Sequence[Callable[[], tuple[str, list[object]]]] = (
        lambda: ("storage", [deployed.storage.get("name")]),
        lambda: ("vault", [deployed.vault_name]),
        lambda: ("component", [deployed.component.get("name")]),
        lambda: ("log-workspace", [deployed.workspace.get("name")]),
        lambda: ("identity", [each.rpartition("/")[2] for each in deployed.identities]),
        lambda: (
            "zone",
            [zone_of(each) for each in deployed.identities if zone_of(each) not in each.split("/")],
        ),
        lambda: ("workspace", [entry.name for entry in _entries(deployed)]),
        lambda: ("host", [entry.workspace.host.removeprefix("https://") for entry in _entries(deployed)]),
        lambda: ("secret", [entry.workspace.client_secret_name for entry in _entries(deployed)]),
        lambda: ("path", [folder.path for entry in _entries(deployed) for folder in entry.workspace.folders]),
        lambda: ("repository", [*_repositories(deployed)]),
    )
    for read in reads:
        try:
            yield read()
        except ServiceError:
            continue  # unreadable names are in no row


def _entries(deployed: Deployed) -> list[Entry]:
    return [each for each in (deployed.loaded.entries if deployed.loaded else ()) if isinstance(each, Entry)]


def _repositories(deployed: Deployed) -> Iterator[str]:
    for entry in _entries(deployed):
        for folder in entry.workspace.folders:
            if folder.repository is not None:
                yield str(folder.repository.url)


@click.command("prove")
@click.option("--group", required=True, type=GROUP_NAME, help="Resource group of the app.")
@click.option("--app", "name", required=True, type=APP_NAME, help="Name of the function app.")
@click.option("--subscription", type=SUBSCRIPTION_ID, help="Its subscription. Default: the Azure CLI's.")
@options.json_option
@options.output_options
def main(group: str, name: str, subscription: str | None, *, as_json: bool) -> None:
    """Verify a deployed app with your Azure CLI session, without changes.

    Exit codes: 0 nothing failed; 1 a row failed; 2 wrong usage, or the app cannot be read.
    """
    logger = outlet_for(as_json=as_json)
    try:
        with closing(AdminServices(Deadline.after(_LIMIT_S, SystemClock()), os.environ, logger)) as services:
            proofs = _prove(services, name, subscription or "", group)
    except SettingsError as error:
        exit_with_problems(error.problems, as_json=as_json)
    except DiagnosedError as error:
        _end_with(logger.redact(error.diagnosis), Masks(), (name, group, subscription or ""), as_json=as_json)
    proofs = logger.redact(proofs)
    put_out(logger, as_json, _as_dict(proofs), lambda: _show(proofs, render.console()))
    sys.exit(FAILED if any(proof.result == "failed" for proof in proofs) else 0)


def _prove(services: AdminServices, name: str, subscription: str, group: str) -> list[Proof]:
    """Verify an app.

    Raises:
        DiagnosedError: the app cannot be read, or is another product.
    """
    context = DiagnosisContext(app=name, group=group, subscription=subscription or "SUBSCRIPTION_ID")
    try:
        deployed = Deployed(services, services.find_app(name, subscription, group), addresses_of)
        ours = at(deployed.site, "tags", "azd-service-name") == "refresh" or is_ours(deployed.settings)
    except ServiceError as error:
        raise DiagnosedError(diagnose(error, context)) from None
    if not ours:
        raise DiagnosedError(finding("not_a_git_refresh_app", context))
    return prove(deployed)


def _end_with(failed: Diagnosis, masks: Masks, names: tuple[str, str, str], *, as_json: bool) -> None:
    """Show the reason and exit: masked as JSON, or unmasked on stderr for the remedy's command.

    Raises:
        SystemExit: always, with code 2.
    """
    if as_json:
        for kind, name in zip(("app", "group", "id"), names, strict=True):
            masks.add(kind, [name])
        error = {key: masks.masked(value) for key, value in json_of(failed).items()}
        render.echo(json.dumps({"version": 1, "result": "failed", "error": error}, indent=2))
    else:
        show_finding([Finding("failed", "", failed.message, failed)], render.console(stderr=True))
    sys.exit(WRONG)


def _as_dict(proofs: Sequence[Proof]) -> Mapping[str, Any]:
    numbers = {result: sum(proof.result == result for proof in proofs) for result in _STYLE}
    whole = {"version": 1, "result": "failed" if numbers["failed"] else "ok", "checkout": __version__}
    return {**whole, **numbers, "rows": [json_of(proof) for proof in proofs]}


def _show(proofs: Sequence[Proof], out: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Row", "Result", "Property", "Seen"):
        table.add_column(heading, overflow="fold")
    for proof in proofs:
        if proof.command is None:
            result = Text(proof.result.replace("_", " "), _STYLE[proof.result])
            table.add_row(proof.row, result, proof.proves, proof.seen)
    out.print(table)
    out.print(
        Text("\nNot tried, because they change the installation. On a trial installation, run:", "bold")
    )
    for proof in proofs:
        if proof.command is not None:
            out.print(
                Text(f"\n{proof.row}: {proof.proves}. {proof.seen}"), Text(f"  {proof.command}"), sep="\n"
            )
    numbers = [
        f"{sum(proof.result == result for proof in proofs)} {result.replace('_', ' ')}" for result in _STYLE
    ]
    out.print(Text(f"\n{', '.join(numbers)} (checkout {__version__})", "bold"))


if __name__ == "__main__":
    main()
