"""Where a person's sign-in may go: to the built-in domains, and to hosts that the person has allowed.

A file's `TRUSTED_HOSTS` says where the app may send tokens. It does not decide where the token of a person goes who only looks at the
file. The environment is the caller's own, so its `TRUSTED_HOSTS` holds.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from git_refresh.cli import ask
from git_refresh.cli.options import SettingsSource, naming
from git_refresh.model.hosts import Domain, TrustedHosts, parse_trusted_hosts
from git_refresh.output.shell import Command, command
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings

_MOST_NAMED = 5
"""Hosts, each by its own name, of one question."""


def with_allowed(values: Mapping[str, str], allowed: Sequence[str]) -> Mapping[str, str]:
    """The settings by name, with what was allowed on the command line among `TRUSTED_HOSTS`."""
    if not allowed:
        return values
    listed = [each for each in (values.get("TRUSTED_HOSTS", "").strip(), *allowed) if each]
    return {**values, "TRUSTED_HOSTS": ",".join(listed)}


def allow(settings: Settings, source: SettingsSource) -> Settings:
    """The settings, as far as the person who runs the command lets tokens go where they lead; asks on a terminal.

    Raises:
        SettingsError: a host is not allowed; nothing may be contacted.
    """
    typed = source.trusted_hosts
    own, _ = parse_trusted_hosts(os.environ.get("TRUSTED_HOSTS", ""))
    allowed = TrustedHosts([*own.entries, *typed])
    asked = {host: place for host, place in _beyond(settings) if not allowed.trusts(host)}
    if asked:
        typed = (*typed, *_ask(asked, settings.trusted))
    return replace(settings, options=Command(naming(source.file) + _trusting(typed)))


def _beyond(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each host outside of the built-in domains that gets a token, with the place that names it."""
    named = [
        (f"host of {entry.workspace.name}", entry.workspace.host, Domain.DATABRICKS)
        for entry in settings.entries
        if isinstance(entry, Entry)
    ]
    named += [("url of a Git folder", origin, Domain.AZURE_DEVOPS) for origin in sorted(settings.origins())]
    named += [("KEY_VAULT_URL", settings.key_vault_url or "", Domain.KEY_VAULT)]
    for place, origin, domain in named:
        host = urlsplit(origin).hostname or ""
        if host and not domain.has(host):
            yield host, place


def _ask(asked: Mapping[str, str], trusted: TrustedHosts) -> Sequence[str]:
    """The hosts, or what covers them in `TRUSTED_HOSTS` where they are many, once the person has agreed."""
    hosts: Sequence[str] = list(asked)
    if len(hosts) > _MOST_NAMED:
        covering = [entry for entry in trusted.entries if any(map(TrustedHosts([entry]).trusts, hosts))]
        hosts = sorted(covering)
    named = ", ".join(f"{host} ({asked[host]})" if host in asked else host for host in hosts)
    ask.agree(
        "TRUSTED_HOSTS",
        [
            f"TRUSTED_HOSTS in the file names hosts outside of Azure: {named}. Send your own sign-in's tokens there?"
        ],
        without_terminal=f"in a file does not let your own sign-in go to {named}; if you trust it, add{_trusting(hosts)}",
        declined=f"was declined: {named}; nothing was contacted",
    )
    return hosts


def _trusting(hosts: Sequence[str]) -> Command:
    """The option for each, as a command line repeats them."""
    return Command("".join(command(" --trust-host {host}", host=host) for host in hosts))
