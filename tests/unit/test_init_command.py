"""`init`: a first `workspaces.json`."""

import json
import resource
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from git_refresh.cli import init as init_module
from git_refresh.cli.files import read_settings
from git_refresh.cli.init import init as command
from git_refresh.cli.main import main
from git_refresh.cli.schema import schema
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import load

HOST = "https://adb-1.1.azuredatabricks.net"
URL = "https://dev.azure.com/contoso/Data%20Platform/_git/etl"
CLIENT_ID = "5a1e0000-0000-4000-8000-000000000001"
VAULT = "https://contoso.vault.azure.net"


def init(file: Path, *options: str, answers: str = "") -> Result:
    arguments = ["init", *options, "-o", str(file)]
    return CliRunner().invoke(main, arguments, input=answers, prog_name="git-refresh")


FORMS: dict[str, list[str]] = {
    "an address and a repository": ["--host", HOST, "--repository", URL],
    "a service principal": ["--host", HOST, "--repository", URL, "--client-id", CLIENT_ID, "--vault", VAULT],
    "everything": [
        *("--host", HOST, "--repository", URL, "--client-id", CLIENT_ID, "--vault", VAULT),
        *("--path", "/Repos/etl/production", "--branch", "main"),
    ],
}


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_what_is_written_passes_the_check_and_the_schema_that_it_names(
    tmp_path: Path, options: list[str]
) -> None:
    file = tmp_path / "workspaces.json"
    done = init(file, *options)
    assert done.exit_code == 0, done.output
    for arguments in (["check", str(file), "--offline"], ["check", "--settings", str(file), "--offline"]):
        checked = CliRunner().invoke(main, arguments)
        assert (checked.exit_code, "✓ app settings: 1 workspace, 1 Git folder" in checked.stdout) == (0, True)
    written = json.loads(file.read_text())
    named = (file.parent / written["$schema"]).resolve()
    assert json.loads(named.read_text()) == schema()
    jsonschema.validate(written, schema())


def test_without_a_service_principal_it_signs_in_as_the_managed_identity(tmp_path: Path) -> None:
    init(tmp_path / "w.json", *FORMS["an address and a repository"])
    (entry,) = load(read_settings(tmp_path / "w.json").values).entries
    assert isinstance(entry, Entry)
    assert entry.workspace.auth == "managed_identity"
    (folder,) = entry.workspace.folders
    assert (folder.path, folder.branch) == ("/Workspace/Shared/etl", None)


def test_every_answer_is_in_the_file(tmp_path: Path) -> None:
    init(tmp_path / "w.json", *FORMS["everything"])
    settings = load(read_settings(tmp_path / "w.json").values)
    (entry,) = settings.entries
    assert isinstance(entry, Entry)
    assert entry.workspace.oauth is not None
    assert (settings.key_vault_url, entry.workspace.oauth.client_id) == (VAULT, CLIENT_ID)
    (folder,) = entry.workspace.folders
    assert (folder.path, folder.url, folder.branch) == ("/Repos/etl/production", URL, "main")


def test_it_says_what_to_type_next(tmp_path: Path) -> None:
    file = tmp_path / "my list.json"
    done = init(file, *FORMS["a service principal"])
    lines = done.stdout.splitlines()
    assert "/Workspace/Shared/etl" in lines[0]
    assert f"service principal {CLIENT_ID}" in lines[0]
    assert f"  git-refresh check '{file}' --offline" in lines
    assert f"  git-refresh plan --settings '{file}'" in lines
    names = [line.split()[1] for line in lines if line.startswith("  git-refresh")]
    assert names == ["check", "onboard", "plan", "deploy"]


@pytest.mark.parametrize("program", ["git-refresh", "python -m git_refresh"])
def test_the_next_commands_begin_as_this_one_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["init", *FORMS["an address and a repository"]]
    done = CliRunner().invoke(main, arguments, prog_name=program)
    assert f"  {program} check --offline\n" in done.stdout
    assert f"  {program} plan" in done.stdout


def test_a_vault_is_given_for_the_secret_in_it(tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    done = init(file, "--host", HOST, "--repository", URL, "--vault", VAULT)
    assert done.exit_code == 0, done.output
    assert json.loads(file.read_text())["WORKSPACE_DEFAULTS"] == {
        "client_secret_name": "databricks-oauth-secret"
    }
    assert "--new-principal git-refresh --apply" in done.stdout


def test_without_a_vault_a_service_principal_is_federated_by_a_policy(
    tmp_path: Path,
) -> None:
    file = tmp_path / "w.json"
    done = init(file, "--host", HOST, "--repository", URL, "--client-id", CLIENT_ID)
    assert json.loads(file.read_text())["WORKSPACE_DEFAULTS"] == {"auth": "federated", "client_id": CLIENT_ID}
    assert f"onboard --settings {file} --apply\n" in done.stdout
    assert f"plan --settings {file}" in done.stdout


IDENTITY = "5a1e0000-0000-4000-8000-000000000002"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--auth", "federated"], {"auth": "federated"}),
        (["--auth", "oauth_secret", "--vault", VAULT], {"client_secret_name": "databricks-oauth-secret"}),
    ],
)
def test_without_a_service_principal_the_list_needs_only_its_client_id(
    tmp_path: Path, options: list[str], expected: dict[str, str]
) -> None:
    file = tmp_path / "w.json"
    done = init(file, "--host", HOST, "--repository", URL, "--identity", IDENTITY, *options)
    assert done.exit_code == 0, done.output
    written = json.loads(file.read_text())
    assert (written["AZURE_CLIENT_ID"], written["WORKSPACE_DEFAULTS"]) == (IDENTITY, expected)
    assert f"onboard --settings {file} --new-principal git-refresh --apply" in done.stdout
    (problem,) = load(read_settings(file).values).problems
    assert "needs client_id" in problem.message
    written["WORKSPACE_DEFAULTS"]["client_id"] = CLIENT_ID
    file.write_text(json.dumps(written))
    assert not load(read_settings(file).values).problems


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--auth", "oauth_secret"], "--auth oauth_secret needs --vault"),
        (["--auth", "federated", "--vault", VAULT], "--auth federated cannot be combined with --vault"),
        (["--auth", "managed_identity", "--client-id", CLIENT_ID], "cannot be combined with --client-id"),
        (["--identity", "x"], '✗ --identity: "x" must be the client id'),
    ],
)
def test_contradictory_options_are_reported(tmp_path: Path, options: list[str], said: str) -> None:
    done = init(tmp_path / "w.json", "--host", HOST, "--repository", URL, *options)
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "w.json").exists()


def test_a_file_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "workspaces.json"
    file.write_text("mine")
    done = init(file, *FORMS["everything"])
    assert (done.exit_code, done.stdout, file.read_text()) == (2, "", "mine")
    assert done.stderr == f"✗ {file}: exists and was not changed; name another file: -o FILE\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "http://x", "--repository", URL], '✗ --host: "http://x" must start with https://'),
        (["--host", HOST, "--repository", "https://github.com/a/b"], "✗ --repository: "),
        (["--host", HOST, "--repository", URL, "--path", "x"], '✗ --path: "x" must be an absolute path'),
        (["--host", HOST, "--repository", URL, "--vault", "http://x"], '✗ KEY_VAULT_URL: "http://x"'),
        (
            ["--host", HOST, "--repository", URL, "--client-id", "dose" + "0a" * 16],
            "✗ --client-id: looks like a secret",
        ),
    ],
)
def test_a_mistake_is_reported_by_its_option_and_nothing_is_written(
    tmp_path: Path, options: list[str], said: str
) -> None:
    done = init(tmp_path / "w.json", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said.replace("KEY_VAULT_URL", "--vault") in done.stderr
    assert "dose" not in done.output
    assert not (tmp_path / "w.json").exists()


def test_an_unwritable_file_is_reported_in_one_line(tmp_path: Path) -> None:
    done = init(tmp_path / "none/w.json", *FORMS["everything"])
    assert done.exit_code == 2
    assert done.stderr == f"✗ {tmp_path / 'none/w.json'}: cannot be written: No such file or directory\n"


def test_without_a_terminal_it_says_what_is_missing_and_asks_nothing(tmp_path: Path) -> None:
    done = init(tmp_path / "w.json", "--host", HOST, answers=f"{URL}\n")
    assert (done.exit_code, "add --repository" in done.stderr) == (2, True)


def test_on_a_terminal_it_asks_for_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init_module, "_has_terminal", lambda: True)
    answers = f"{URL}\noauth_secret\n{VAULT}\n{CLIENT_ID}\n"
    done = init(tmp_path / "w.json", "--host", HOST, answers=answers)
    assert done.exit_code == 0, done.output
    assert read_settings(tmp_path / "w.json").values["KEY_VAULT_URL"] == VAULT
    done = init(tmp_path / "w2.json", answers=f"{HOST}\n{URL}\nmanaged_identity\n")
    assert "the app's managed identity" in done.stdout


WRONG_ANSWERS = {
    "a region for a workspace": [
        *("https://northeurope.azuredatabricks.net", "$(HOST)", "", HOST),
        *(URL, "managed_identity"),
    ],
    "another service's repository": [HOST, "https://github.com/a/b", "etl", URL, "managed_identity"],
    "an id that is none": [HOST, URL, "federated", "git-refresh", "4711", CLIENT_ID],
    "a vault that is none": [HOST, URL, "oauth_secret", "contoso", "http://x", VAULT, "x y", CLIENT_ID],
    "a way of signing in that is none": [HOST, URL, "pat", "managed_identity"],
}


@pytest.mark.parametrize("answers", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_a_wrong_answer_is_asked_for_again_and_no_other_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    monkeypatch.setattr(init_module, "_has_terminal", lambda: True)
    file = tmp_path / "w.json"
    done = init(file, answers="\n".join([*answers, ""]))
    assert (done.exit_code, "Error: " in done.stderr) == (0, True), done.output
    (entry,) = load(read_settings(file).values).entries
    assert isinstance(entry, Entry)
    assert entry.workspace.host == HOST
    assert entry.workspace.folders[0].url == URL


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--identity", "x"], "✗ --identity: "),
        (["--path", "~/etl"], "✗ --path: "),
        (["--repository", "git@github.com:a/b.git"], "✗ --repository: "),
    ],
)
def test_an_invalid_option_is_reported_before_any_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.setattr(init_module, "_has_terminal", lambda: True)
    done = init(tmp_path / "w.json", *options, answers=f"{HOST}\n{URL}\n\n\n")
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
    assert "address" not in done.stderr.partition("✗")[0]
    done = init(tmp_path / "none/w.json", answers=f"{HOST}\n{URL}\n\n\n")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)


def test_copied_addresses_are_written_as_they_are_used(tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    copied = [
        "--host",
        f"{HOST}/?o=1#folder/2",
        "--repository",
        f"{URL}.git?version=GBmain",
        "--vault",
        f"{VAULT}/secrets/x",
    ]
    done = init(file, *copied)
    assert done.exit_code == 0, done.output
    written = json.loads(file.read_text())
    (entry,) = written["WORKSPACES"]
    assert (entry["host"], written["KEY_VAULT_URL"]) == (HOST, VAULT)
    assert entry["folders"] == [{"path": "/Workspace/Shared/etl", "url": URL}]
    assert not load(read_settings(file).values, whole=False).notes
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["--vault", "--repository", "--host"]


@pytest.mark.parametrize("raised", [KeyboardInterrupt, EOFError])
def test_an_interrupted_question_ends_with_130_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]
) -> None:
    def interrupted(_: str) -> str:
        raise raised

    monkeypatch.setattr(init_module, "_has_terminal", lambda: True)
    monkeypatch.setattr("click.termui.visible_prompt_func", interrupted)
    with CliRunner().isolation():
        monkeypatch.setattr("click.termui.visible_prompt_func", interrupted)
        with pytest.raises(SystemExit) as ended:
            main(["init", "-o", str(tmp_path / "w.json")])
    assert ended.value.code == 130
    assert not (tmp_path / "w.json").exists()


@pytest.mark.parametrize("options", [[], ["--host", HOST, "--repository", URL]])
def test_on_a_terminal_it_proposes_to_sign_in_without_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    """With the README's options too; otherwise the page's next command would refuse the list."""
    monkeypatch.setattr(init_module, "_has_terminal", lambda: True)
    answers = "\n" if options else f"{HOST}\n{URL}\n\n\n"
    done = init(tmp_path / "w.json", *options, "--identity", IDENTITY, answers=answers)
    assert done.exit_code == 0, done.output
    assert "Authentication method (federated, oauth_secret, managed_identity) [federated]" in done.stderr
    assert json.loads((tmp_path / "w.json").read_text())["WORKSPACE_DEFAULTS"] == {"auth": "federated"}
    assert "--new-principal git-refresh --apply" in done.stdout


def test_for_machines_it_prints_what_it_has_written(tmp_path: Path) -> None:
    done = init(tmp_path / "w.json", *FORMS["everything"], "--json")
    assert done.stdout == (tmp_path / "w.json").read_text()


def test_every_place_that_names_an_option_has_that_option() -> None:
    options = {name for parameter in command.params for name in parameter.opts}
    assert set(init_module._OPTIONS.values()) <= options


def test_a_file_that_cannot_be_written_whole_is_not_left_behind(tmp_path: Path) -> None:
    """A limit on the size of files fails in the middle of a file, like a full disk."""
    file = tmp_path / "w.json"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        done = init(file, *FORMS["an address and a repository"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.exit_code == 2
    assert not file.exists()
    assert init(file, *FORMS["an address and a repository"]).exit_code == 0
