"""A list is data: its settings are validated, nothing is run, and errors are in JSON."""

import ast
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st

from git_refresh.cli import files
from git_refresh.cli.main import main
from git_refresh.settings.models import Folder, Workspace
from git_refresh.settings.names import SETTINGS
from tests.support.examples import as_often_as
from tests.support.paths import PACKAGE

FUZZ = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""Examples for `make fuzz`; 0 in `make test`."""
HOST = "https://adb-1.1.azuredatabricks.net"
LIST = [{"host": HOST, "auth": "managed_identity"}]


@pytest.fixture(autouse=True)
def _no_settings() -> Iterator[None]:
    with patch.dict(os.environ):
        for name in SETTINGS:
            os.environ.pop(name, None)
        yield


def typed(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], prog_name="git-refresh")


# The process's environment does not change


CHANGING = {"update", "pop", "popitem", "setdefault", "clear", "__setitem__", "__delitem__", "__ior__"}
DIRECT = {"putenv", "unsetenv"}


def writes_to_the_environment(source: str) -> list[int]:
    """Return the lines that change `os.environ` by any name."""
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "os"
        for alias in node.names
    }

    def is_of_os(node: ast.expr, names: set[str]) -> bool:
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=name):
                return name in names
            case ast.Name(id=name):
                return imported.get(name) in names
        return False

    def changes(node: ast.AST) -> bool:
        environ = {"environ", "environb"}
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in CHANGING:
                return is_of_os(value, environ)
            case ast.Call(func=called):
                return is_of_os(called, DIRECT)
            case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()) | ast.AugAssign(target=value):
                return is_of_os(value, environ)
            case ast.Assign(targets=targets):
                return any(is_of_os(target, environ) for target in targets)
        return False

    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.expr | ast.stmt) and changes(node)]


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE))
)
def test_no_code_changes_the_environment(file: Path) -> None:
    assert writes_to_the_environment(file.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "os.environ['x'] = '1'",
        "os.environ.update(a)",
        "os.environ.pop('x', None)",
        "os.environ.setdefault('x', '1')",
        "os.environ |= a",
        "os.environ = a",
        "del os.environ['x']",
        "os.putenv('x', '1')",
        "os.environ.clear()",
        "from os import environ; environ['x'] = '1'",
        "from os import environ as e; e.update(a)",
        "from os import putenv as p; p('x', '1')",
    ],
)
def test_a_change_of_the_environment_is_found(line: str) -> None:
    assert writes_to_the_environment(f"import os\n{line}") == [2]
    assert writes_to_the_environment("import os\na = {**os.environ, 'x': '1'}; environ = dict(a)") == []


EVIL = {
    "PATH": "/evil",
    "PYTHONPATH": "/evil",
    "LD_PRELOAD": "/evil.so",
    "HTTPS_PROXY": "http://evil.example:1",
    "REQUESTS_CA_BUNDLE": "/evil.pem",
    "IDENTITY_ENDPOINT": "http://evil.example/",
    "AZURE_CONFIG_DIR": "/evil",
    "SLACK": "x",
}


@pytest.mark.parametrize("form", ["settings by name", "local.settings.json", "az"])
def test_other_keys_of_a_file_are_named_and_not_used(tmp_path: Path, form: str) -> None:
    values = {"WORKSPACES": json.dumps(LIST), "REFRESH_SCHEDULE": "0 */15 * * * *", **EVIL}
    content: object = {
        "settings by name": values,
        "local.settings.json": {"Values": values},
        "az": [{"name": name, "value": value} for name, value in values.items()],
    }[form]
    file = tmp_path / "list.json"
    file.write_text(json.dumps(content))
    assert files.read_settings(file).values.keys() == {"WORKSPACES", "REFRESH_SCHEDULE"}
    before = dict(os.environ)
    for arguments in ([str(file)], ["--settings", str(file)]):
        done = typed("check", *arguments, "--offline", "--json")
        assert done.exit_code == 0
        told = {
            check["subject"]: check["error"]["code"]
            for check in json.loads(done.stdout)["checks"]
            if check["status"] == "warning"
        }
        assert told == dict.fromkeys(EVIL, "ignored_setting") | {"SLACK": "unknown_setting"}
    assert dict(os.environ) == before


@pytest.mark.parametrize("command", ["plan", "run", "status", "rotate"])
def test_every_command_names_the_other_keys_of_a_file_once(tmp_path: Path, command: str) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps({"WORKSPACES": [], **EVIL}))
    done = typed(command, "--settings", file)
    assert done.exit_code == 2, "an empty list, so nothing is contacted"
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Ignored in the file")]
    assert all(name in line for name in EVIL)


# Whatever a file contains


def is_told_in_json(*arguments: str | Path) -> None:
    """Check that the command exits with 0 or 2 and one JSON object, without a traceback."""
    done = typed(*arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code in {0, 2}
    report = json.loads(done.stdout)
    if done.exit_code == 2:
        assert report["result"] == "failed"


KEYS = [
    *SETTINGS,
    *Workspace.model_fields,
    *Folder.model_fields,
    "Values",
    "IsEncrypted",
    "name",
    "value",
    "",
    "=",
    "a\0b",
]
texts = st.one_of(
    st.text(st.characters(), max_size=12),
    st.sampled_from(
        [
            "\ud800",
            "a\udfffb",
            "\0",
            "=",
            HOST,
            "1e999",
            "[" * 200,
            "[" * 2000,
            "{" * 2000,
            "\x1b]8;;x\x07",
            "[/b]",
            ":warning:",
        ]
    ),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.just(10**400), texts),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | texts, inner, max_size=5)
    ),
    max_leaves=12,
)
settings_by_name = st.dictionaries(st.sampled_from([*SETTINGS]) | texts, values | texts, max_size=6)
content = st.one_of(
    st.binary(max_size=60),
    values.map(lambda value: json.dumps(value).encode()),
    settings_by_name.map(lambda value: json.dumps(value).encode()),
    settings_by_name.map(lambda value: json.dumps({"Values": value}).encode()),
    st.dictionaries(texts, texts, max_size=5).map(
        lambda value: json.dumps([{"name": name, "value": text} for name, text in value.items()]).encode()
    ),
    st.tuples(values, st.integers(0, 40), st.binary(max_size=3)).map(
        lambda parts: json.dumps(parts[0]).encode()[: parts[1]] + parts[2]
    ),
)
drawn = settings(max_examples=FUZZ) if FUZZ else as_often_as(150)


@drawn
@given(content=content)
@example(content=b'{"WORKSPACES": [], "a\\u0000b": "x", "=": "y", "": "z"}')
@example(content=b'{"Values": {"WORKSPACES": "[]", "\\ud800": "\\udfff"}}')
@example(content=b'{"WORKSPACES": "[]", "WORKSPACE_DEFAULTS": "' + b"[" * 100_000 + b'"}')
@example(content=b'{"WORKSPACES": "' + b"[" * 100_000 + b'"}')
@example(content=b"[" * 100_000)
@example(content=b'{"a":' * 100_000)
@example(content=b'{"WORKSPACES": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
@example(content=b'{"WORKSPACES": [1e999, ' + b"9" * 5000 + b"]}")
@example(content=b'{"WORKSPACES": [{"host": 1e999, "additional_principal_ids": [' + b"9" * 4000 + b"]}]}")
@example(content=b'{"WORKSPACES": ["\xff"]}')
@example(content=b"")
def test_any_file_gives_a_report_in_json(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("any") / "list.json"
    file.write_bytes(content)
    is_told_in_json("check", file, "--offline", "--json")
    is_told_in_json("check", "--settings", file, "--offline", "--json")


@as_often_as(60)
@given(content=content)
@example(content=b'{"WORKSPACES": "[]", "WORKSPACE_DEFAULTS": "' + b"[" * 100_000 + b'"}')
def test_every_command_reports_a_file_without_settings_in_json(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("any") / "list.json"
    file.write_bytes(content)
    with patch.object(files, "SETTINGS", {}):  # so no service is called
        for command in ("run", "plan", "status", "rotate"):
            done = typed(command, "--settings", file, "--json")
            assert done.exit_code == 2, done.stdout
            assert json.loads(done.stdout)["problems"]
    done = typed("status", "--report", file, "--settings", file, "--json")
    assert (done.exit_code, bool(json.loads(done.stdout)["problems"])) == (2, True)
    for arguments in (
        ("deploy", file, "--app", "x1", "--json"),
        ("onboard", "--new-principal", "x", "--settings", file, "--json"),
    ):
        done = typed(*arguments)
        assert done.exit_code in {0, 1, 2, 3}
        json.loads(done.stdout)


@drawn
@given(
    variables=st.dictionaries(
        st.sampled_from(
            [*SETTINGS, "AzureWebJobsStorage", "AzureFunctionsJobHost__functionTimeout", "WORKSPACE"]
        ),
        st.one_of(
            st.binary(max_size=30).map(os.fsdecode),
            texts,
            values.map(json.dumps),
            st.just("[" * 100_000),
        ).filter(lambda text: "\0" not in text and _fits(text)),
        min_size=1,
    )
)
def test_any_environment_gives_a_report_in_json(variables: dict[str, str]) -> None:
    with patch.dict(os.environ, {"WORKSPACES": "x", **variables}):
        is_told_in_json("check", "--offline", "--json")


def _fits(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


# Any kind of file

COMMANDS: list[list[str]] = [
    ["check", "FILE", "--offline"],
    ["check", "--settings", "FILE"],
    ["plan", "FILE"],
    ["run", "--settings", "FILE"],
    ["status", "--settings", "FILE"],
    ["status", "--report", "FILE"],
    ["onboard", "--settings", "FILE"],
    ["rotate", "--settings", "FILE"],
    ["deploy", "FILE", "--app", "x1"],
]


def problems_with(file: Path, arguments: list[str]) -> str:
    """Return the text of `--json` for an unusable file."""
    done = typed(*(argument.replace("FILE", str(file)) for argument in arguments), "--json")
    assert done.exit_code == 2, done.output
    report: dict[str, Any] = json.loads(done.stdout)
    told = report.get("problems") or [
        {"location": check["subject"], "message": check["message"]} for check in report["checks"]
    ]
    assert told[0]["location"] == str(file)
    return str(told[0]["message"])


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("kind", ["missing", "directory", "endless", "large", "unreadable"])
def test_any_kind_of_file_ends_with_2_and_its_place(
    tmp_path: Path, kind: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "list.json"
    match kind:
        case "directory":
            file.mkdir()
        case "endless":
            file = Path("/dev/zero")
        case "large":
            with file.open("wb") as sparse:
                sparse.truncate(100 * 2**20)
        case "unreadable":
            file.write_text("[]")

            def refuse(*_: object) -> None:
                raise PermissionError(13, "Permission denied")

            monkeypatch.setattr(Path, "open", refuse)
    message = problems_with(file, arguments)
    expected = {
        "missing": "cannot be read: No such file or directory",
        "directory": "cannot be read: Is a directory",
        "endless": "is too large: it has more than 4 MB",
        "large": "is too large: it has more than 4 MB",
        "unreadable": "cannot be read: Permission denied",
    }
    assert message == expected[kind]


def test_what_comes_through_a_pipe_late_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)

    def write() -> None:
        os.write(writer, json.dumps(LIST).encode())
        os.close(writer)

    late = threading.Timer(0.1, write)
    late.start()
    assert json.loads(files.read_settings(pipe).values["WORKSPACES"]) == LIST
    late.join()


def test_a_file_with_many_names_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps({"WORKSPACES": [], **{f"x{number}": "" for number in range(2_000)}}))
    assert "contains 2,001 settings" in problems_with(file, ["check", "FILE", "--offline"])


@pytest.mark.parametrize(
    "form", ['{"WORKSPACES": [], "WORKSPACES": []}', '{"Values": {"FAN_OUT": "x", "FAN_OUT": "off"}}']
)
def test_a_setting_that_a_file_has_twice_is_refused(tmp_path: Path, form: str) -> None:
    file = tmp_path / "list.json"
    file.write_text(form)
    done = typed("check", file, "--offline")
    assert done.exit_code == 2
    assert "is written more than once; keep one" in done.stdout


# Allowed hosts for a person's tokens


TRUSTED = {
    "WORKSPACES": [
        {
            "host": "https://data.contoso.example",
            "auth": "managed_identity",
            "folders": [{"path": "/Repos/a/b", "url": "https://git.contoso.example/o/p/_git/r"}],
        }
    ],
    "TRUSTED_HOSTS": ".contoso.example,10.1.2.3",
    "KEY_VAULT_URL": "https://10.1.2.3:8443",
    "REFRESH_SCHEDULE": "0 */15 * * * *",
    "AZURE_CLIENT_ID": "5a1e0000-0000-4000-8000-000000000001",
}
FLAGS = "--trust-host data.contoso.example --trust-host git.contoso.example --trust-host 10.1.2.3"
CONTACTS = {
    "check": [],
    "plan": [],
    "run": ["--yes"],
    "status": [],
    "onboard": [],
    "rotate": [],
}


def trusted_list(tmp_path: Path, **changes: object) -> Path:
    file = tmp_path / "list.json"
    file.write_text(json.dumps({**TRUSTED, **changes}))
    return file


@pytest.mark.parametrize("command", CONTACTS)
def test_a_file_alone_does_not_say_where_a_token_goes(tmp_path: Path, command: str) -> None:
    done = typed(command, *CONTACTS[command], "--settings", trusted_list(tmp_path), "--json")
    assert done.exit_code == 2
    assert FLAGS in done.stdout
    assert "Socket" not in done.output


@pytest.mark.parametrize("command", [command for command in CONTACTS if command != "rotate"])
def test_what_was_allowed_on_the_command_line_is_contacted(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token")  # an unused port
    for flags in (FLAGS.split(), ["--trust-host", ".contoso.example", "--trust-host", "10.1.2.3"]):
        done = typed(command, *CONTACTS[command], "--settings", trusted_list(tmp_path), *flags, "--json")
        assert done.exit_code == 1, done.output
    partly = typed(
        command,
        *CONTACTS[command],
        "--settings",
        trusted_list(tmp_path),
        "--trust-host",
        ".contoso.example",
        "--json",
    )
    assert partly.exit_code == 2
    assert "--trust-host 10.1.2.3" in partly.stdout


def test_the_environment_s_trusted_hosts_are_the_caller_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token")
    monkeypatch.setenv("TRUSTED_HOSTS", str(TRUSTED["TRUSTED_HOSTS"]))
    assert typed("plan", "--settings", trusted_list(tmp_path), "--json").exit_code == 1
    for name, value in TRUSTED.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else json.dumps(value))
    assert typed("plan", "--json").exit_code == 1


def test_offline_needs_no_trust(tmp_path: Path) -> None:
    assert typed("check", "--settings", trusted_list(tmp_path), "--offline").exit_code == 0


def test_a_list_alone_is_checked_with_the_hosts_that_are_allowed(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps(["https://data.contoso.example"]))
    assert typed("check", file, "--offline").exit_code == 2
    assert typed("check", file, "--offline", "--trust-host", "data.contoso.example").exit_code == 2, (
        "without auth"
    )
    file.write_text(json.dumps([{"host": "https://data.contoso.example", "auth": "managed_identity"}]))
    assert typed("check", file, "--offline", "--trust-host", "data.contoso.example").exit_code == 0


def test_of_many_hosts_the_suffix_is_named_that_covers_them(tmp_path: Path) -> None:
    many = [{"host": f"https://d{n}.contoso.example", "auth": "managed_identity"} for n in range(9)]
    done = typed("plan", "--settings", trusted_list(tmp_path, WORKSPACES=many, KEY_VAULT_URL=""), "--json")
    assert done.exit_code == 2
    assert "add --trust-host .contoso.example" in done.stdout


@pytest.mark.parametrize(
    "host", ["https://x.example", "a b", "x.example/", "x:1", "", ",", "a.example,b.example", "*.x", "[/b]"]
)
@pytest.mark.parametrize("command", CONTACTS)
def test_what_is_no_host_cannot_be_trusted(command: str, host: str) -> None:
    done = typed(command, "--trust-host", host)
    assert (done.exit_code, done.stdout) == (2, "")


def test_every_command_that_reads_settings_takes_trust_host() -> None:
    options = {
        name: {opt for each in command.params for opt in each.opts} for name, command in main.commands.items()
    }
    assert (
        {name for name, has in options.items() if "--trust-host" in has} - {"deploy"}
        == {name for name, has in options.items() if "--settings" in has}
        == CONTACTS.keys()
    )
    assert isinstance(main, click.Group)
