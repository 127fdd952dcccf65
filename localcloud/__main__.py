"""`python -m localcloud`: a small seeded fleet to play with, until Ctrl-C."""

import contextlib
import json
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path

import click

from localcloud.cloud import Cloud
from localcloud.fleet import seed


@click.command(help="Serve an embedded cloud with a small fleet, on loopback only, until Ctrl-C.")
@click.option("--workspaces", default=3, show_default=True, help="How many workspaces.")
@click.option(
    "--token-lifetime", default=3900.0, show_default=True, help="Seconds that an Entra token lives."
)
@click.option("--port", default=0, help="The proxy's port. [default: a free one]")
@click.option(
    "--settings",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the variables to this file, in the shape of local.settings.json.",
)
def main(workspaces: int, token_lifetime: float, port: int, settings: Path | None) -> None:
    if settings and settings.exists() and "IDENTITY_ENDPOINT" not in settings.read_text():
        raise click.UsageError(f"{settings} exists, and is not from here; name another file.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Cloud(port=port) as cloud, contextlib.suppress(KeyboardInterrupt):
        cloud.identity.token_lifetime = token_lifetime
        fleet = seed(cloud, workspaces)
        variables = {**cloud.environment(), **fleet.settings}
        for name, value in variables.items():
            click.echo(f"export {name}={shlex.quote(value)}")
        if settings:
            settings.write_text(local_settings(variables))
        way = (
            f"Try: .venv/bin/python -m git_refresh check --settings {settings}"
            if settings
            else "Paste these lines"
        )
        click.echo(f"# {way} in another shell. Ctrl-C ends the cloud.", err=True)
        signal.pause()


def local_settings(variables: Mapping[str, str]) -> str:
    """The text of a local.settings.json with these variables."""
    return json.dumps({"IsEncrypted": False, "Values": dict(variables)}, indent=2) + "\n"


if __name__ == "__main__":
    main()
