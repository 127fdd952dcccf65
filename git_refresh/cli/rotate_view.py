"""What people see of a rotation: the plan in the manner of `terraform plan`, and what was done."""

from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from git_refresh.admin.rotation.report import RotationReport, SecretReport
from git_refresh.cli.findings import STYLE, Finding, fold, show_finding
from git_refresh.cli.options import quiet
from git_refresh.output.text import first_of


def show_rotation(report: RotationReport, out: Console, *, asks: bool = False) -> None:
    """Each secret with what is done about it, then what is not well, then how much of each; and what to add, unless it is asked next."""
    for secret in [] if quiet() else report.secrets:
        principal = f"  service principal {secret.client_id}" if secret.client_id else ""
        used = (
            f", {first_of(secret.workspaces, 1, 'workspace')}, looked after in {secret.host}"
            if secret.workspaces
            else ""
        )
        fold(Text(), Text.assemble((secret.name, "bold"), f"{principal}{used}"), out)
        for mark, step in _steps(secret):
            fold(mark, step, out)
    if report.secrets and not quiet():
        out.print()
    told = [
        Finding("failed", secret.name, error.message, error)
        for secret in report.secrets
        for error in secret.errors
    ]
    told += [
        Finding("warning", each.host, each.error.message, each.error)
        for secret in report.secrets
        for each in secret.not_signed_in
    ]
    told += [
        Finding(
            "warning", secret.name, each.note.message, replace(each.note, kind=each.id)
        )  # each has a command
        for secret in report.secrets
        for each in secret.unmanaged
    ]
    told += [
        Finding("failed", problem.location, problem.message, kind=problem.kind) for problem in report.problems
    ]
    show_finding(told, out)
    style = STYLE[report.result]
    if not report.secrets and not report.problems:
        nothing = "No workspace of the list signs in with an OAuth secret: there is nothing to rotate."
        fold(Text(), Text(nothing, style), out)
        return
    fold(Text(), Text(report.summary(), style if report.applied else "bold"), out)
    if report.interrupted:
        done = "what was done is above" if report.applied else "nothing was done"
        fold(Text(), Text(f"Interrupted; {done}.", STYLE["failed"]), out)
    elif not asks and not report.applied and any(secret.acts for secret in report.secrets):
        fold(Text(), Text("Nothing was done: to do it, add --apply."), out)


def _steps(secret: SecretReport) -> Iterator[tuple[Text, Text]]:
    sign, style = {
        "rotate": ("+", "created"),
        "rotated": ("+", "created"),
        "unchanged": ("=", "unchanged"),
        "failed": ("✗", "failed"),
    }[secret.action]
    what = {
        "rotate": "a new OAuth secret is made and stored",
        "rotated": f"OAuth secret {secret.new_id} was made and stored",
        "unchanged": "stays",
        "failed": "was not rotated",
    }[secret.action]
    until = (
        f", and ends on {secret.expires_at:%Y-%m-%d}"
        if secret.action == "rotated" and secret.expires_at
        else ""
    )
    yield _step(sign, style, f"{what}{until}", secret.reason)
    for each in secret.previous:
        made = f" of {each.created_at:%Y-%m-%d}" if each.created_at else ""
        name = f"former OAuth secret {each.id}{made}"
        match each.action:
            case "delete":
                yield _step("-", "failed", f"{name} is deleted", "it was replaced")
            case "deleted":
                yield _step("-", "failed", f"{name} was deleted", "it was replaced")
            case "failed":
                yield _step("✗", "failed", f"{name} is still there", "it could not be deleted")
            case "kept":
                until = (
                    f"a run may still use it until {each.kept_until:%Y-%m-%d %H:%M} UTC"
                    if each.kept_until
                    else each.reason
                )
                yield _step("=", "unchanged", f"{name} stays", until)


def _step(sign: str, style: str, what: str, why: str) -> tuple[Text, Text]:
    return Text(f"  {sign} ", STYLE[style]), Text.assemble(what, (f": {why}" if why else "", "dim"))
