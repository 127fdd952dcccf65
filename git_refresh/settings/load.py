"""Reads the app settings, and reports all problems together with their locations.

Only problems that affect every workspace prevent the run.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from git_refresh.model.hosts import NO_HOSTS, Domain, TrustedHosts, origin_of, parse_trusted_hosts
from git_refresh.model.repository import BUILT_IN
from git_refresh.model.schedule import accepts
from git_refresh.model.values import GUID, Problem, Zone
from git_refresh.output.redact import CONTAINS_INVISIBLE, INVISIBLE, REVOKE_IT, looks_like_secret, redact
from git_refresh.output.shell import UNTYPED, Invocation
from git_refresh.output.text import closest
from git_refresh.settings.entries import (
    LACKING_NOTHING,
    MAX_WORKSPACES,
    Defaults,
    Entry,
    Rejected,
    read_defaults,
    read_entries,
)
from git_refresh.settings.functions_host import ENDING_S, function_timeout
from git_refresh.settings.json_text import JsonError, parse
from git_refresh.settings.models import Workspace
from git_refresh.settings.names import SETTINGS, near_misses
from git_refresh.settings.pasted import guid_in, remains, rest_of, vault_name, without_openers
from git_refresh.settings.problems import kind_of

REPORT_S = 1.0
REPORT_S_OF_WORKSPACE = 0.002
REPORT_S_OF_FOLDER = 0.0002
REPORT_S_OF_PATTERN = 0.5
REPORT_S_OF_PATTERNS = 20.0
"""Seconds for writing the report and log lines on a quarter of a core.

In this order: for each run, workspace, Git folder, and path with `/*`, and the maximum for all these paths.
"""
MAX_REPORT_SHARE = 0.2


class SettingsError(Exception):
    """The settings are invalid, so no run is possible."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    entries: tuple[Entry | Rejected, ...]
    problems: tuple[Problem, ...] = ()
    key_vault_url: str | None = None
    client_id: str | None = None
    trusted: TrustedHosts = NO_HOSTS
    concurrency: int = 32
    timeout_s: float = 540.0
    fan_out: bool = False
    listed: tuple[Entry | Rejected, ...] = ()
    """The whole workspace list, if `entries` is a part of it."""
    general_notes: tuple[Problem, ...] = ()
    """Warnings about values in an unusual but unambiguous form, except in entries."""
    invocation: Invocation = UNTYPED
    """Program and options for commands in remedies, which read the same settings."""

    @property
    def work_s(self) -> float:
        """Part of the time limit for all work before the report."""
        wanted = [
            folder for entry in self.entries if isinstance(entry, Entry) for folder in entry.workspace.folders
        ]
        patterns = sum(folder.below is not None for folder in wanted)
        report_s = (
            REPORT_S
            + len(self.entries) * REPORT_S_OF_WORKSPACE
            + len(wanted) * REPORT_S_OF_FOLDER
            + min(patterns * REPORT_S_OF_PATTERN, REPORT_S_OF_PATTERNS)
        )
        return self.timeout_s - min(report_s, self.timeout_s * MAX_REPORT_SHARE)

    @property
    def notes(self) -> tuple[Problem, ...]:
        """Warnings about values in an unusual but unambiguous form."""
        own = (note for entry in self.entries if isinstance(entry, Entry) for note in entry.notes)
        return (*self.general_notes, *own)

    def only(self, names: Collection[str]) -> "Settings":
        """Return the settings with only the entries of these names, including rejected ones."""
        return self.narrowed(entry for entry in self.entries if entry.name in names)

    def narrowed(self, entries: Iterable[Entry | Rejected]) -> "Settings":
        """Return the settings with only these entries, which can have fewer folders."""
        chosen = tuple(entries)
        problems = tuple(problem for entry in chosen for problem in entry.problems)
        return replace(self, entries=chosen, problems=problems, listed=self.listed or self.entries)

    def zone(self, workspace: Workspace) -> Zone:
        devops = workspace.devops.registration if workspace.devops else None
        return Zone(workspace.identity or self.client_id, devops)

    def zones(self) -> dict[Zone, "Settings"]:
        """Return the settings of each trust zone, without rejected entries, in the order of the list."""
        listed = self._by_zone(self.listed)
        return {
            zone: replace(self, entries=entries, listed=listed.get(zone, ()))
            for zone, entries in self._by_zone(self.entries).items()
        }

    def _by_zone(self, entries: Iterable[Entry | Rejected]) -> dict[Zone, tuple[Entry | Rejected, ...]]:
        found: dict[Zone, list[Entry]] = {}
        for entry in entries:
            if isinstance(entry, Entry):
                found.setdefault(self.zone(entry.workspace), []).append(entry)
        return {zone: tuple(entries) for zone, entries in found.items()}

    def origins(self) -> frozenset[str]:
        """Return the origins of Azure DevOps: dev.azure.com, and those of the configured repositories."""
        named = {
            folder.repository.origin
            for entry in self.listed or self.entries
            if isinstance(entry, Entry)
            for folder in entry.workspace.folders
            if folder.repository is not None
        }
        return frozenset({BUILT_IN, *named})

    def addresses(self) -> frozenset[str]:
        """Return the URLs of all workspaces, the vault and Azure DevOps."""
        hosts = {entry.workspace.host for entry in self.entries if isinstance(entry, Entry)}
        vault = {self.key_vault_url} if self.key_vault_url else set()
        return self.origins() | hosts | vault


def load(environ: Mapping[str, str], *, whole: bool = True) -> Settings:
    """Read and validate the app settings. If `whole` is False, a required KEY_VAULT_URL can be missing.

    Raises:
        SettingsError: a problem affects every workspace, so nothing can run.
    """
    fatal: list[Problem] = []
    texts = _texts(environ, fatal)
    trusted, complaints = parse_trusted_hosts(texts["TRUSTED_HOSTS"])
    fatal += [Problem("TRUSTED_HOSTS", complaint) for complaint in complaints]
    concurrency = _number(texts, "REFRESH_CONCURRENCY", 32, range(1, 257), fatal)
    timeout_s = _number(texts, "REFRESH_TIMEOUT_SECONDS", 540, _BUDGETS, fatal)
    _in_time(environ, texts, timeout_s, fatal)
    client_id = _client_id(texts, fatal)
    notes: list[Problem] = []
    vault = _key_vault_url(texts, trusted, fatal, notes)
    fan_out = _fan_out(texts, timeout_s, fatal)
    defaults = _defaults(environ, trusted, fatal)
    notes += defaults.notes
    entries = tuple(read_entries(_array(environ, fatal), defaults, trusted, identity=client_id))
    reads_secrets = any(
        isinstance(entry, Entry) and entry.workspace.auth == "oauth_secret" for entry in entries
    )
    if whole and reads_secrets and not environ.get("KEY_VAULT_URL", "").strip():
        message = "is missing, but a workspace reads its secret from it; write https://NAME.vault.azure.net"
        fatal.append(Problem("KEY_VAULT_URL", message + _set_instead(environ, "KEY_VAULT_URL")))
    problems = [problem for entry in entries for problem in entry.problems]
    if fatal:
        raise SettingsError(fatal + problems)
    return Settings(
        entries,
        tuple(problems),
        vault,
        client_id,
        trusted,
        concurrency,
        float(timeout_s),
        fan_out,
        general_notes=tuple(notes),
    )


def _set_instead(environ: Mapping[str, str], name: str) -> str:
    """Return a hint that a misspelled name is set instead, or ""."""
    near = [found for found, meant in near_misses(environ).items() if meant == name]
    return f' ("{redact(near[0])}" is set: is that a misspelling?)' if near else ""


_MAX_CHARS = {"TRUSTED_HOSTS": 8_000}
"""Other settings can have 1,000."""


def _texts(environ: Mapping[str, str], fatal: list[Problem]) -> dict[str, str]:
    """Return the settings that are not JSON. An invalid one is reported, and treated as not set.

    A schedule that the host accepts is always valid, because it must not prevent the run that the host has started.
    """
    texts: dict[str, str] = {}
    for name in SETTINGS.keys() - {"WORKSPACES", "WORKSPACE_DEFAULTS"}:
        text, longest = environ.get(name, "").strip(), _MAX_CHARS.get(name, 1_000)
        wrong = ""
        if looks_like_secret(text):
            wrong = REVOKE_IT
        elif INVISIBLE.search(text):
            wrong = f'"{redact(text)}" {CONTAINS_INVISIBLE}; type it again'
        elif len(text) > longest:
            wrong = f"is too long: {len(text):,} characters; write at most {longest:,}"
        elif name != "REFRESH_SCHEDULE" and (why := remains(text)):
            wrong = f'"{redact(text)}" {why}'
        if name == "REFRESH_SCHEDULE" and wrong and accepts(environ[name]):
            wrong = ""
        fatal += [Problem(name, wrong)] if wrong else []
        texts[name] = "" if wrong else text
    return texts


def _number(texts: Mapping[str, str], name: str, default: int, allowed: range, fatal: list[Problem]) -> int:
    text = texts[name]
    if not text:
        return default
    if re.fullmatch(r"[0-9]{1,9}", text) and int(text) in allowed:
        return int(text)
    advice = (
        f"must be a whole number from {allowed[0]} to {allowed[-1]}; remove it to use the default, {default}"
    )
    fatal.append(Problem(name, f'"{redact(text)}" {advice}'))
    return default


_BUDGETS = range(30, 3601)


def _in_time(
    environ: Mapping[str, str], texts: Mapping[str, str], timeout_s: int, fatal: list[Problem]
) -> None:
    """Reject a time limit beyond that of the host, because a run that the host stops writes no log line."""
    limit = function_timeout(environ)
    if limit is None or timeout_s + ENDING_S < limit.seconds:
        return
    most = limit.seconds - ENDING_S - 1
    found = f'"{timeout_s}"' if texts["REFRESH_TIMEOUT_SECONDS"] else f"its default, {timeout_s},"
    advice = (
        f"write at most {most}, or raise functionTimeout" if most in _BUDGETS else "raise functionTimeout"
    )
    message = f"{found} is too long for a {limit.place}, because a run may end up to {ENDING_S} seconds after it; {advice}"
    fatal.append(Problem("REFRESH_TIMEOUT_SECONDS", message))


def _client_id(texts: Mapping[str, str], fatal: list[Problem]) -> str | None:
    text = texts["AZURE_CLIENT_ID"]
    if text and not GUID.fullmatch(text):
        near = guid_in(text)
        advice = (
            "must be the client id of a user-assigned managed identity, like 00000000-0000-0000-0000-000000000000; "
            + (f"write {near}" if near else "remove it to use the system-assigned one")
        )
        fatal.append(Problem("AZURE_CLIENT_ID", f'"{redact(text)}" {advice}'))
    return text.lower() or None


def _key_vault_url(
    texts: Mapping[str, str], trusted: TrustedHosts, fatal: list[Problem], notes: list[Problem]
) -> str | None:
    text = texts["KEY_VAULT_URL"]
    if not text:
        return None
    try:
        origin = _vault_at(text, trusted)
    except ValueError as error:
        fatal.append(Problem("KEY_VAULT_URL", f'"{redact(text)}" {error}'))
        return None
    if urlsplit(text).hostname != urlsplit(origin).hostname:
        notes.append(
            Problem("KEY_VAULT_URL", f"is a page of the Azure portal; {origin} is used", severity="warning")
        )
    elif rest_of(text):
        notes.append(
            Problem(
                "KEY_VAULT_URL",
                f"contains more than the vault's address; {origin} is used",
                severity="warning",
            )
        )
    return origin


def _vault_at(text: str, trusted: TrustedHosts) -> str:
    """Return the `https://host` of a vault, from its URL, a secret's URL, or a page of the Azure portal.

    Raises:
        ValueError: the value is not such a URL. The text continues a sentence that begins with the value.
    """
    named = vault_name(without_openers(text))
    address = f"https://{redact(named)}.vault.azure.net" if named else "https://NAME.vault.azure.net"
    if "://" not in text:
        raise ValueError(f"must be the address of the vault; write {address}")
    if text.lower().startswith("https://portal.azure.com/"):
        if not named:
            raise ValueError(
                f"is a page of the Azure portal; write the Vault URI that the vault's page shows, like {address}"
            )
        return address.lower()
    if private := re.match(
        r"https?://([a-z0-9-]{3,24})\.(?:privatelink\.vault|(?:privatelink\.)?vaultcore)\.azure\.net(?:[:/?#]|$)",
        text,
        re.IGNORECASE,
    ):
        raise ValueError(f"is the name of a private link; write https://{private[1]}.vault.azure.net")
    origin = origin_of(text, Domain.KEY_VAULT, trusted)
    host = urlsplit(origin).hostname or ""
    if host.count(".") != _VAULT_DOTS and Domain.KEY_VAULT.has(host) and not trusted.trusts(host):
        raise ValueError(f"is not the address of a vault; write {address}")
    return origin


_VAULT_DOTS = 3
"""In `NAME.vault.azure.net`."""


LONGEST_SLICE_S = 570
"""The queue redelivers a message after ten minutes. The slice must end and record this before."""


def _fan_out(texts: Mapping[str, str], timeout_s: int, fatal: list[Problem]) -> bool:
    text = texts["FAN_OUT"] or "off"
    if text not in {"off", "queue"}:
        near = closest(text, ("queue", "off"))
        meant = f'did you mean "{near[0]}"?' if near else 'write "off" for one run that does all'
        message = f'"{redact(text)}" must be "off" or "queue", in lower case; {meant}'
        fatal.append(Problem("FAN_OUT", message))
    if text == "queue" and timeout_s > LONGEST_SLICE_S:
        message = (
            f'"{timeout_s}" is too long for FAN_OUT "queue": after ten minutes without a word the queue gives a slice to another '
            f"worker; write at most {LONGEST_SLICE_S}"
        )
        fatal.append(Problem("REFRESH_TIMEOUT_SECONDS", message))
    return text == "queue"


_EXAMPLE = 'write a JSON array of workspaces: [{"host": "https://adb-….azuredatabricks.net", …}]'


def _array(environ: Mapping[str, str], fatal: list[Problem]) -> list[object]:
    text = environ.get("WORKSPACES", "")
    if not text.strip():
        message = f"is missing; {_EXAMPLE}" + _set_instead(environ, "WORKSPACES")
        fatal.append(Problem("WORKSPACES", message))
        return []
    try:
        value = parse(text)
    except JsonError as error:
        fatal.append(Problem("WORKSPACES", str(error)))
        return []
    match value:
        case []:
            fatal.append(Problem("WORKSPACES", f"is empty; {_EXAMPLE}"))
        case list() if len(value) > MAX_WORKSPACES:
            message = f"contains {len(value):,} workspaces; write at most {MAX_WORKSPACES:,}, and give the rest to another app"
            fatal.append(Problem("WORKSPACES", message))
        case list():
            return value
        case {"WORKSPACES": _}:
            message = (
                'contains app settings by name; write only what follows "WORKSPACES": here, the array in [ ]'
            )
            fatal.append(Problem("WORKSPACES", message))
        case dict():
            fatal.append(Problem("WORKSPACES", "must be an array; put [ ] around the workspace's { }"))
        case str() if looks_like_secret(value):
            fatal.append(Problem("WORKSPACES", REVOKE_IT))
        case str():
            fatal.append(Problem("WORKSPACES", 'must be an array; put [ ] around the string: ["https://…"]'))
        case _:
            fatal.append(Problem("WORKSPACES", f"must be an array, not {kind_of(value)}; {_EXAMPLE}"))
    return []


def _defaults(environ: Mapping[str, str], trusted: TrustedHosts, fatal: list[Problem]) -> Defaults:
    text = environ.get("WORKSPACE_DEFAULTS", "")
    try:
        value = parse(text) if text.strip() else {}
    except JsonError as error:
        fatal.append(Problem("WORKSPACE_DEFAULTS", str(error)))
        return LACKING_NOTHING
    if not isinstance(value, dict):
        message = f'must be one object, in {{ }}, not {kind_of(value)}; write {{"client_id": "…", …}}'
        fatal.append(Problem("WORKSPACE_DEFAULTS", message))
        return LACKING_NOTHING
    defaults, problems = read_defaults(value, trusted)
    fatal += problems
    return defaults
