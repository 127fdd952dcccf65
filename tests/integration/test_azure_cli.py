"""On a laptop there is no identity endpoint: the Azure CLI's sign-in is used, here a stand-in for `az` on the PATH."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localcloud import Cloud, Fleet
from tests.integration.running import run_app
from tools import warm


@pytest.fixture
def laptop(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without identity endpoint; the path where `az` is to be."""
    assert fleet.workspaces, "made first: seeding needs git, and its PATH"
    monkeypatch.delenv("IDENTITY_ENDPOINT")
    monkeypatch.delenv("IDENTITY_HEADER")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "az"


def stand_in(az: Path, code: str) -> None:
    az.write_text(f"#!{sys.executable}\nimport sys\n{code}\n")
    az.chmod(0o755)


@pytest.fixture
def signed_in(cloud: Cloud, laptop: Path) -> None:
    """Somebody has done `az login`."""
    tokens = {
        resource: {"accessToken": cloud.identity.token(resource), "expires_on": int(time.time()) + 3900}
        for resource in ("499b84ac-1321-427f-aa17-267ca6975798", "https://vault.azure.net")
    }
    answers = {resource: json.dumps(answer) for resource, answer in tokens.items()}
    stand_in(
        laptop,
        f"answers = {answers!r}\nprint(next(a for resource, a in answers.items() if resource in ' '.join(sys.argv)))",
    )


@pytest.mark.usefixtures("signed_in")
def test_the_azure_cli_s_sign_in_is_used(cloud: Cloud, fleet: Fleet) -> None:
    report = run_app({**os.environ, **fleet.settings})
    assert report.result == "ok", report.summary()
    assert not [request for request in cloud.requests if request.service == "identity"]


def test_a_sign_in_that_has_run_out_says_az_login(fleet: Fleet, laptop: Path) -> None:
    stand_in(laptop, "sys.exit('ERROR: Please run \\'az login\\' to setup account.')")
    error = run_app({**os.environ, **fleet.settings}).workspaces[0].error
    assert error
    assert error.code == "azure_cli_sign_in"
    assert error.message == "Could not get a token for Azure DevOps: Azure CLI: nobody is signed in."
    assert "az login" in error.remedy


@pytest.mark.parametrize(
    ("proxy", "named"), [("http://me:hunter2@127.0.0.1:9", "127.0.0.1:9 (HTTPS_PROXY)"), ("", None)]
)
def test_an_azure_cli_without_network_is_not_told_to_sign_in(
    fleet: Fleet, laptop: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, named: str | None
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    stand_in(
        laptop,
        "sys.exit('ERROR: Please ensure you have network connection. Error detail: HTTPSConnectionPool(host=...)')",
    )
    error = run_app({**os.environ, **fleet.settings}).workspaces[0].error
    assert error
    assert error.code == "azure_cli_unreachable"
    assert ("Check the proxy" in error.remedy) == (named is not None)
    assert (named or "") in error.remedy
    assert "hunter2" not in str(error)


@pytest.mark.usefixtures("laptop")
def test_without_azure_cli_a_laptop_is_told_to_install_it(fleet: Fleet) -> None:
    error = run_app({**os.environ, **fleet.settings}).workspaces[0].error
    assert error
    assert error.code == "azure_cli_missing"
    assert error.message == "Could not get a token for Azure DevOps: Azure CLI: it is not installed."
    assert "https://aka.ms/azure-cli" in error.remedy
    assert "az login" in error.remedy


@pytest.mark.usefixtures("laptop")
def test_without_identity_an_app_in_azure_is_told_to_have_one_assigned(fleet: Fleet) -> None:
    environ = {**os.environ, **fleet.settings, "WEBSITE_SITE_NAME": "contoso-git-refresh"}
    error = run_app(environ).workspaces[0].error
    assert error
    assert error.code == "identity_missing"
    assert "az functionapp identity assign" in error.remedy
    assert "az login" not in error.remedy


def run(fleet: Fleet, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """As a pipeline does, without a terminal."""
    return warm.run("run", *arguments, environ={**os.environ, **fleet.settings, **more})


def stored(fleet: Fleet) -> int:
    return sum(len(workspace.credentials) for workspace in fleet.workspaces)


@pytest.mark.usefixtures("signed_in")
def test_somebody_s_own_token_is_not_stored_where_nobody_can_be_asked(cloud: Cloud, fleet: Fleet) -> None:
    done = run(fleet)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == (
        "✗ run: there is no managed identity here, so this would store your own token (that of your sign-in with az login) as the "
        "Git credential of 3 workspaces; add --yes if that is meant\nNothing was run.\n"
    )
    done = run(fleet, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["result"], report["problems"][0]["where"]) == (2, "failed", "run")
    assert (stored(fleet), cloud.requests) == (0, [])


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("yes", ["--yes", "-y"])
def test_it_is_stored_where_the_command_says_so(fleet: Fleet, yes: str) -> None:
    done = run(fleet, yes)
    assert (done.returncode, stored(fleet)) == (0, 3), done.stderr


@pytest.mark.usefixtures("signed_in")
def test_what_is_read_alone_needs_no_yes(fleet: Fleet) -> None:
    for command in ("plan", "check"):
        assert warm.run(command, environ={**os.environ, **fleet.settings}).returncode == 0
    assert run(fleet, WORKSPACES="[").stderr.decode().startswith("✗ WORKSPACES: is not valid JSON"), (
        "first things first"
    )


def test_a_managed_identity_is_asked_nothing(fleet: Fleet) -> None:
    assert run(fleet).returncode == 0
    assert stored(fleet) == 3


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    ("answer", "code", "credentials", "said"),
    [
        ("y\n", 0, 3, "3 of 3 workspaces fresh"),
        ("n\n", 2, 0, "Nothing was run"),
        ("\n", 2, 0, "Nothing was run"),
        ("\x04", 130, 0, "Interrupted; nothing was run."),
    ],
)
def test_somebody_at_a_terminal_is_asked(
    fleet: Fleet, answer: str, code: int, credentials: int, said: str
) -> None:
    environ = {**os.environ, **fleet.settings, "TERM": "dumb"}
    done = warm.on_terminal("run", environ=environ, columns=200, keys={"[y/N]": answer})
    shown = done.stdout.decode()
    assert (done.returncode, stored(fleet)) == (code, credentials), shown
    assert "as the Git credential of 3 workspaces, until the app's next run. Go on? [y/N]" in shown
    assert said in shown


def test_what_is_refused_to_somebody_on_a_laptop_is_not_told_to_be_granted_in_the_app_s_place(
    cloud: Cloud, fleet: Fleet, laptop: Path
) -> None:
    """Else a licence goes to a person, and the app still has none."""
    bob = cloud.person("bob")
    bob.sign_in(laptop.parent)
    entries = json.loads(fleet.settings["WORKSPACES"])
    entries[1] = {"host": entries[1]["host"], "name": "data-2", "auth": "managed_identity"}
    environ = {**os.environ, **fleet.settings, "WORKSPACES": json.dumps(entries)}
    checks = json.loads(warm.run("check", "--json", environ=environ).stdout)["checks"]
    refused = {check["error"]["code"]: check["error"] for check in checks if check["error"]}
    assert {"key_vault_forbidden", "devops_not_a_member", "not_in_workspace"} <= set(refused)
    for code in ("key_vault_forbidden", "devops_not_a_member", "not_in_workspace"):
        assert refused[code]["cause"].startswith("Your own sign-in may not")
        assert bob.object_id not in refused[code]["remedy"]
        assert "git_refresh onboard" in refused[code]["remedy"]
