"""`python -m localcloud`: the local emulator with a small fleet, until Ctrl+C."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, override

import click

from localcloud import play
from localcloud.cloud import Cloud
from localcloud.databricks.variant import Variant, values
from localcloud.fleet import Fleet, UngrantedFleet, seed, seed_ungranted
from localcloud.host import Host


class _Command(click.Command):
    """A command that reports invalid usage in one line."""

    @override
    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _in_one_line():
            return super().make_context(*arguments, **options)

    @override
    def invoke(self, ctx: click.Context) -> Any:
        with _in_one_line():
            return super().invoke(ctx)


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        text = error.format_message().replace("\n", " ")
        raise click.UsageError(text) from None  # without a context: without the usage


def _fault(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    if value == "list":
        click.echo("\n".join(play.FAULTS))
        context.exit()
    try:
        return play.named(value) if value else None
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _variants(context: click.Context, _: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    if "list" in texts:
        click.echo("\n".join(f"{name}={'|'.join(known)}" for name, known in values().items()))
        context.exit()
    return texts


@click.command(
    cls=_Command,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Start the local emulator with a small fleet. It listens only on loopback, until Ctrl+C.",
    epilog="Example: python -m localcloud --settings local.settings.json --fault accepts-and-hangs --at data-2",
)
@click.option(
    "--settings",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the app settings, in the format of local.settings.json. Without it, they are printed with the environment.",
)
@click.option(
    "--workspaces", default=3, show_default=True, type=click.IntRange(1, 1000), help="Number of workspaces."
)
@click.option(
    "--ungranted",
    is_flag=True,
    help="Start without permissions: three workspaces in two trust zones, and an app without a list.",
)
@click.option("--edits", is_flag=True, help="Add uncommitted changes to a Git folder of data-1.")
@click.option(
    "--secret-ends",
    metavar="DAYS",
    type=click.FloatRange(-10_000, 10_000),
    help="Days until the OAuth secret expires. Negative: since it expired.  [default: 180]",
)
@click.option(
    "--token-lifetime",
    metavar="SECONDS",
    default=3900.0,
    show_default=True,
    type=click.FloatRange(-86_400, 86_400),
    help="Lifetime of Microsoft Entra tokens.",
)
@click.option(
    "--latency",
    metavar="MS",
    default=0.0,
    type=click.FloatRange(0, 600_000),
    help="Delay of every response.",
)
@click.option(
    "--fault",
    metavar="NAME",
    callback=_fault,
    help="Fault to inject. To list the names: --fault list.",
)
@click.option(
    "--at",
    metavar="PLACE",
    help="Location of the fault: name of a workspace, identity, keyvault, or devops.  [default: all workspaces]",
)
@click.option(
    "--git-folders",
    type=click.Choice(values()["git_folders"]),
    help="Kind of the Git folders: with Git CLI access, legacy, or both alternately.",
)
@click.option(
    "--variant",
    "variants",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_variants,
    help="Behavior in which real workspaces differ. To list the names: --variant list.",
)
@click.option(
    "--port", default=0, type=click.IntRange(0, 65535), help="Port of the proxy.  [default: a free port]"
)
def main(  # noqa: PLR0913  # one for each option
    *,
    settings: Path | None,
    workspaces: int,
    ungranted: bool,
    edits: bool,
    secret_ends: float | None,
    token_lifetime: float,
    latency: float,
    fault: str | None,
    at: str | None,
    git_folders: str | None,
    variants: tuple[str, ...],
    port: int,
) -> None:
    if at and not fault:
        raise click.UsageError("--at needs --fault.")
    if ungranted and (workspaces != 3 or edits or secret_ends is not None):  # noqa: PLR2004  # the default
        raise click.UsageError("--ungranted cannot be combined with --workspaces, --edits, or --secret-ends.")
    if settings:
        _check_file(settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _cloud(port, _variant(git_folders, variants)) as cloud, contextlib.suppress(KeyboardInterrupt):
        cloud.identity.token_lifetime = token_lifetime
        cloud.latency = latency / 1000
        fleet: Fleet = seed_ungranted(cloud) if ungranted else seed(cloud, workspaces)
        if isinstance(fleet, UngrantedFleet):
            person = fleet.admin
        else:
            fleet = play.furnish(fleet, edits=edits, secret_ends=secret_ends)
            person = play.admin(cloud, fleet)
        person.token_lifetime = play.SIGN_IN_S
        az = person.sign_in(cloud.directory / "az")
        variables = cloud.environment()
        if fault:
            _inject(cloud, fleet, fault, at)
        if settings:
            _write(settings, fleet.settings)
        else:
            variables |= fleet.settings
        _say(
            "The local emulator is running, on loopback only. To stop it: Ctrl+C.",
            "",
            *play.contents(fleet),
            *play.deployed(fleet),
        )
        if fault:
            _say(f"Fault: {at or 'every workspace'} {fault}")
        if latency:
            _say(f"Latency: {latency:g} ms")
        _say("", "Paste these lines into another shell:")
        click.echo("\n".join(play.exports(variables, az)))
        _say("Then run:")
        _say(*(f"  {line}" for line in play.commands(settings, fleet.app.name)))
        _say("", f"The deployed app runs on its REFRESH_SCHEDULE. To run it now: kill -USR1 {os.getpid()}")
        _say("", "Push a commit, and the next run updates the Git folders:")
        _say(*(f"  {line}" for line in play.pushing(cloud, fleet.repositories[0])))
        _host(Host(cloud, fleet))


def _host(host: Host) -> None:
    """Let the deployed app run when it is to, until Ctrl-C."""
    signal.signal(signal.SIGUSR1, lambda *_: host.run_now())
    with contextlib.closing(host):
        ended = 0
        while True:
            host.step()
            if host.runs > ended:
                ended = host.runs
                _say("The app has run. To show the result: .venv/bin/python -m git_refresh runs")
            time.sleep(0.5)  # and not `signal.pause()`: a signal just before it would go unnoticed


def _variant(git_folders: str | None, variants: tuple[str, ...]) -> Variant:
    try:
        return play.variant(git_folders, variants)
    except ValueError as error:
        raise click.UsageError(f"--variant: {error}") from None


def _cloud(port: int, variant: Variant) -> Cloud:
    """Return the cloud. Raise click.UsageError if it cannot listen there."""
    try:
        return Cloud(port=port, variant=variant)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        if not port:
            raise click.UsageError(f"the emulator cannot start: {why}.") from None
        raise click.UsageError(
            f"port {port} cannot be used: {why}. Add another --port, or omit it to use a free port."
        ) from None


def _inject(cloud: Cloud, fleet: Fleet, fault: str, place: str | None) -> None:
    try:
        cloud.inject(play.fault(fleet, fault, place))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _check_file(path: Path) -> None:
    """Raise click.UsageError if the file exists and this command did not create it."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        try:
            ours = _MADE_BY in path.read_text(encoding="utf-8")
        except (PermissionError, UnicodeDecodeError):
            ours = False
        if not ours:
            raise click.UsageError(f"{path} exists and was not created by this command; name another file.")


_MADE_BY = "python -m localcloud"


def _write(path: Path, settings: Mapping[str, str]) -> None:
    content = {"MadeBy": _MADE_BY, "IsEncrypted": False, "Values": dict(settings)}
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {os.strerror(error.errno or 0)}.") from None


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(line, err=True)


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m localcloud"))
