"""Long and odd texts are read in a time proportional to their length."""

import contextlib
import json
import time
from collections.abc import Callable

import pytest
from hypothesis import settings

from git_refresh.cli.check_schedule import schedule_problem, schedule_warnings
from git_refresh.failures.diagnosis import DiagnosisContext, explain
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceFailure
from git_refresh.model.hosts import NO_HOSTS, Domain, TrustedHosts, origin_of, parse_trusted_hosts
from git_refresh.model.repository import parse_repository
from git_refresh.model.schedule import Schedule
from git_refresh.output import redact
from git_refresh.settings.json_text import parse
from git_refresh.settings.load import SettingsError, load
from git_refresh.settings.names import SETTINGS, near_misses
from tests.support.fakes import NOW

pytestmark = pytest.mark.skipif(
    settings.get_current_profile_name() == "quick", reason="compares times: for `make test`"
)

HOST = "https://adb-1.1.azuredatabricks.net"
VAULT = "https://contoso.vault.azure.net"
LIST = json.dumps([{"host": HOST, "auth": "managed_identity"}])

CHARACTERS = [":", "/", "@", '"', "'", "[", "{", "\\", "a", "1", " ", "\n", ".", "-", ",", "“"]
WORDS = [
    "://",
    "https://",
    "a@",
    "a:",
    "a.",
    "a-",
    "1,",
    "a,",
    '"a":',
    '\\"',
    "//a:",
    "?#",
    "0Q~",
    "eyJ",
    "TF401444: ",
]
WORDS += [
    "Caller: ",
    ";oid=",
    "dapi",
    "aaa0Q~",
    "*/",
    "…",
    "{{",
    "$(",
    "__",
    "%",
    "\ud800",
    "\u202e",
    "\u017f",
    "1:1/",
]

READERS: dict[str, Callable[[str], object]] = {
    "shown": redact.redact,
    "a URL shown": lambda text: redact.redact(f"https://{text}"),
    "a URL looked through for secrets, however long": lambda text: redact._without_url_secrets(f"a://{text}"),
    "tokens": redact._TOKEN_LIKE.findall,
    "trusted hosts": parse_trusted_hosts,
    "an origin": lambda text: origin_of(f"https://{text}", Domain.KEY_VAULT, TrustedHosts(("a.b",))),
    "a repository": lambda text: parse_repository(text, NO_HOSTS),
    "a repository's path": lambda text: parse_repository(f"https://dev.azure.com/{text}", NO_HOSTS),
    "a repository by SSH": lambda text: parse_repository(f"git@ssh.dev.azure.com:v3/{text}", NO_HOSTS),
    "JSON": parse,
    "a JSON array": lambda text: parse(f"[{text}"),
    "a JSON text": lambda text: parse(f'["{text}'),
    "a JSON text with a mistake behind": lambda text: parse(f'["{text}",]'),
    "a JSON key": lambda text: parse(f'{{"{text}'),
    "a JSON value": lambda text: parse(f'{{"a": {text}'),
    "what follows a JSON text": lambda text: parse(f'["a"{text}'),
    "a schedule": Schedule.read,
    "a field of a schedule": lambda text: Schedule.read(f"0 {text} * * * *"),
    "a schedule that the host refuses": schedule_problem,
    "a field of a surprising schedule": lambda text: schedule_warnings(f"0 {text}0/0 22-6 * * *", NOW),
    "the name of a setting": lambda text: near_misses({text: ""}),
    "the name of a key": lambda text: load({"WORKSPACES": json.dumps([{"host": HOST, text: 1}])}),
    **{
        f"an answer of {service}": lambda text, service=service: explain(  # type: ignore[misc]  # bound early
            ServiceFailure(service, Operation.SIGN_IN.of(), FailureKind.ANSWER, 400, message=text),
            DiagnosisContext(),
        )
        for service in Service
    },
    **{
        f"a workspace's {key}": lambda text, key=key: load(  # type: ignore[misc]
            {"WORKSPACES": json.dumps([{"host": HOST, key: text}]), "KEY_VAULT_URL": VAULT}
        )
        for key in ("host", "name", "auth", "client_id", "client_secret_name", "git_username", "workspaceUrl")
    },
    **{
        f"a folder's {key}": lambda text, key=key: load(  # type: ignore[misc]
            {"WORKSPACES": json.dumps([{"host": HOST, "folders": [{"path": "/a/b", key: text}]}])}
        )
        for key in ("path", "url", "branch", "tag", "on_conflict")
    },
    **{
        name: lambda text, name=name: load({"WORKSPACES": LIST, name: text})  # type: ignore[misc]
        for name in SETTINGS
    },
}
SMALL, TIMES = 4_000, 8
MEASURABLE = 0.04
"""Seconds of this thread's CPU. Below that, caches and garbage collection dominate."""


def seconds(read: Callable[[str], object], text: str) -> float:
    started = time.thread_time()
    with contextlib.suppress(ValueError, SettingsError):
        read(text)
    return time.thread_time() - started


def grows_faster_than_its_text(read: Callable[[str], object], word: str) -> bool:
    """Return whether eight times the text takes over 32 times the time; quadratic growth would be 64."""
    small, large = (word * SMALL)[:SMALL], (word * SMALL * TIMES)[: SMALL * TIMES]
    for _ in range(5):
        took = seconds(read, large)
        if took < MEASURABLE or took < 4 * TIMES * min(seconds(read, small) for _ in range(3)):
            return False
    return True


@pytest.mark.parametrize("name", READERS)
def test_the_time_to_read_a_text_grows_with_its_length_and_no_faster(name: str) -> None:
    slow = [word for word in (*CHARACTERS, *WORDS) if grows_faster_than_its_text(READERS[name], word)]
    assert not slow


def test_defaults_and_workspaces_take_linear_time_together() -> None:
    def both(size: str) -> None:
        count = len(size) // 40
        defaults = {"auth": "managed_identity", "folders": [f"/Shared/{number}" for number in range(count)]}
        hosts = [f"https://adb-{number}.1.azuredatabricks.net" for number in range(count)]
        found = load({"WORKSPACES": json.dumps(hosts), "WORKSPACE_DEFAULTS": json.dumps(defaults)})
        assert not found.problems

    assert not grows_faster_than_its_text(both, "x")


def test_wrong_defaults_are_not_held_against_every_workspace_anew() -> None:
    def both(size: str) -> None:
        count = len(size) // 40
        defaults = {f"key{number}": 1 for number in range(count)}
        load({"WORKSPACES": json.dumps([{}] * count), "WORKSPACE_DEFAULTS": json.dumps(defaults)})

    assert not grows_faster_than_its_text(both, "x")
