"""Authentication on a laptop by the Azure CLI, here a fake `az` on the PATH."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from git_refresh.cli.ask import NO_TERMINAL
from git_refresh.failures.diagnosis import Diagnosis
from localcloud import Cloud, Fleet
from tests.support import warm
from tests.support.app import run_app


@pytest.fixture
def laptop(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the path for `az` on a machine without an identity endpoint."""
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
    """Write an `az` that is signed in."""
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
    assert error.code == "azure_cli_not_signed_in"
    assert error.message == "Could not get a token for Azure DevOps: Azure CLI: not signed in."
    assert "az login" in error.remedy


@pytest.mark.parametrize(
    ("proxy", "named"), [("http://me:hunter2@127.0.0.1:9", "127.0.0.1:9 (HTTPS_PROXY)"), ("", None)]
)
def test_an_azure_cli_without_network_gets_no_advice_to_sign_in(
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


TENANT = "5a1e0000-0000-4000-8000-00000000000a"
DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798"
AGAIN = (
    "Run the command below to authenticate interactively; additional arguments may be added as needed:\naz logout\n"
    f'az login --tenant "{TENANT}" --scope "{DEVOPS}/.default"'
)
"""The text that azure-cli prints after a refusal by Microsoft Entra."""
TRACE = "Trace ID: 0c1f Correlation ID: 7d2e Timestamp: 2026-11-30 10:00:00Z"
NOT_VERIFIED = (
    "HTTPSConnectionPool(host='login.microsoftonline.com', port=443): Max retries exceeded with url: /x (Caused by "
    "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {} (_ssl.c:1028)')))\n"
    "Certificate verification failed. This typically happens when using Azure CLI behind a proxy that intercepts traffic with a "
    "self-signed certificate. Please add this certificate to the trusted CA bundle."
)
CRASH = (
    "The command failed with an unexpected error. Here is the traceback:\n{}\nTraceback (most recent call last):\n"
    '  File "/opt/az/lib/cli/__init__.py", line 1, in <module>\n    import {}  # az login\n{}\n'
    "To check existing issues, please visit: https://github.com/Azure/azure-cli/issues"
)
SAID = {
    f"ERROR: AADSTS{number}: {text}. {TRACE}\n{AGAIN}": (code, f"(AADSTS{number})")
    for code, refusals in {
        "azure_cli_sign_in_again": {
            50074: "Strong Authentication is required",
            50076: "Due to a configuration change made by your administrator, you must use multi-factor authentication to access 'x'",
            50079: "Due to a configuration change made by your administrator, you must enroll in multi-factor authentication",
            50158: "External security challenge not satisfied",
            50173: "The provided grant has expired due to it being revoked, a fresh auth token is needed",
            70043: "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access",
            700082: "The refresh token has expired due to inactivity. The token was issued on 2026-01-01",
        },
        "azure_cli_conditional_access": {
            53000: "Device is not in required device state: compliant",
            53001: "Device is not in required device state: domain_joined",
            53003: "Access has been blocked by Conditional Access policies",
            530035: "Access has been blocked by security defaults",
        },
        "azure_cli_not_assigned": {
            50105: "Your administrator has configured the application y ('z') to block users"
        },
        "azure_cli_secret_expired": {
            7000222: f"The provided client secret keys for app '{TENANT}' are expired"
        },
        "azure_cli_refused": {
            50020: "User account from identity provider does not exist in tenant",
            65001: "The user or administrator has not consented to use the application",
            900023: "Specified tenant identifier 'x' is neither a valid DNS name, nor a valid external domain",
        },
    }.items()
    for number, text in refusals.items()
} | {
    f"ERROR: {NOT_VERIFIED.format('unable to get local issuer certificate')}": (
        "azure_cli_unreachable",
        "unable to get local issuer certificate",
    ),
    f"ERROR: {NOT_VERIFIED.format('Basic Constraints of CA cert not marked critical')}": (
        "azure_cli_unreachable",
        "Basic Constraints of CA cert not marked critical",
    ),
    CRASH.format("No module named 'msal'", "msal", "ModuleNotFoundError: No module named 'msal'"): (
        "azure_cli_broken",
        "ModuleNotFoundError",
    ),
    CRASH.format(
        "[Errno 13]", "os", "PermissionError: [Errno 13] Permission denied: '/home/me/.azure/az.sess'"
    ): (
        "azure_cli_broken",
        "PermissionError",
    ),
    "/usr/bin/env: 'python3': No such file or directory": ("azure_cli_broken", "it exited with code 1"),
    "ERROR: Please run 'az login' to setup account.": ("azure_cli_not_signed_in", "not signed in"),
    "ERROR: User 'me' does not exist in MSAL token cache. Run `az login`.": (
        "azure_cli_not_signed_in",
        "not signed in",
    ),
    "ERROR: Can't find token from MSAL cache.\nTo re-authenticate, please run:\naz login": (
        "azure_cli_not_signed_in",
        "not signed in",
    ),
}


def failure(fleet: Fleet) -> Diagnosis:
    error = run_app({**os.environ, **fleet.settings}).workspaces[0].error
    assert error
    return error


def test_each_failure_of_the_azure_cli_has_its_own_code_and_number(fleet: Fleet, laptop: Path) -> None:
    for said, (code, shown) in SAID.items():
        stand_in(laptop, f"sys.exit({said!r})")
        error = failure(fleet)
        assert (error.code, shown in error.message) == (code, True), error.message


def test_signing_in_again_is_advised_in_full_and_only_where_it_helps(fleet: Fleet, laptop: Path) -> None:
    for said, (code, _) in SAID.items():
        stand_in(laptop, f"sys.exit({said!r})")
        remedy = failure(fleet).remedy
        whole = remedy.endswith(f"az login --tenant {TENANT} --scope {DEVOPS}/.default")
        assert whole == (code in {"azure_cli_sign_in_again", "azure_cli_refused"}), remedy
        assert ("az login" in remedy) == (code in {*HELPED, "azure_cli_secret_expired"}), remedy


HELPED = {"azure_cli_sign_in_again", "azure_cli_refused", "azure_cli_not_signed_in"}


def test_a_certificate_that_az_rejects_goes_into_the_bundle_it_reads(
    fleet: Fleet, laptop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(laptop, f"sys.exit({NOT_VERIFIED.format('unable to get local issuer certificate')!r})")
    assert "to the PEM file in REQUESTS_CA_BUNDLE" in failure(fleet).remedy
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    assert "Set REQUESTS_CA_BUNDLE to a PEM file" in failure(fleet).remedy


@pytest.mark.parametrize(
    "printed",
    [
        "Environment    HomeTenantId    IsDefault\n-------------  ---------------",
        "",
        "[]",
        "null",
        "accessToken: eyJ0eXAi\nexpires_on: 1",
        '{"accessToken": "canary", "expires_on": "soon"}',
        '{"accessToken": "can ary", "expires_on": 99999999999}',
    ],
)
def test_an_az_that_prints_no_token_is_broken_whatever_it_prints(
    fleet: Fleet, laptop: Path, printed: str
) -> None:
    stand_in(laptop, f"print({printed!r})")
    error = failure(fleet)
    assert error.code == "azure_cli_broken"
    assert "canary" not in str(error)


def test_an_az_that_cannot_be_executed_is_broken_not_missing(fleet: Fleet, laptop: Path) -> None:
    laptop.write_text("#!/usr/bin/env python3\n")
    assert "it cannot be executed" in failure(fleet).message
    laptop.write_text("#!/opt/nowhere/python3\n")
    laptop.chmod(0o755)
    error = failure(fleet)
    assert (error.code, "it cannot be executed" in error.message) == ("azure_cli_broken", True)
    laptop.write_text("#!/bin/sh\nexec python-of-az -m azure.cli\n")
    assert "it exited with code 127" in failure(fleet).message


def test_an_az_that_takes_too_long_is_slow(
    fleet: Fleet, laptop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("git_refresh.clients.identity.TOKEN_LIMIT_S", 1.0)
    laptop.write_text("#!/bin/sh\nexec sleep 60\n")
    laptop.chmod(0o755)
    error = failure(fleet)
    assert error.code == "azure_cli_slow"
    assert error.message.endswith("Azure CLI: no response within 1 second.")
    assert error.remedy.endswith(
        f"az account get-access-token --resource {DEVOPS} --query expiresOn --output json"
    )


@pytest.mark.usefixtures("laptop")
def test_without_azure_cli_a_laptop_gets_advice_to_install_it(fleet: Fleet) -> None:
    error = run_app({**os.environ, **fleet.settings}).workspaces[0].error
    assert error
    assert error.code == "azure_cli_missing"
    assert error.message == "Could not get a token for Azure DevOps: Azure CLI: it is not installed."
    assert "https://aka.ms/azure-cli" in error.remedy
    assert "az login" in error.remedy


@pytest.mark.usefixtures("laptop")
def test_without_identity_an_app_in_azure_gets_advice_to_assign_one(fleet: Fleet) -> None:
    environ = {**os.environ, **fleet.settings, "WEBSITE_SITE_NAME": "contoso-git-refresh"}
    error = run_app(environ).workspaces[0].error
    assert error
    assert error.code == "identity_missing"
    assert "az functionapp identity assign" in error.remedy
    assert "az login" not in error.remedy


def run(fleet: Fleet, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run as in a pipeline, without a terminal."""
    return warm.run("run", *arguments, environ={**os.environ, **fleet.settings, **more})


def stored(fleet: Fleet) -> int:
    return sum(len(workspace.credentials) for workspace in fleet.workspaces)


@pytest.mark.usefixtures("signed_in")
def test_a_personal_token_is_not_stored_without_a_confirmation(cloud: Cloud, fleet: Fleet) -> None:
    done = run(fleet)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == (
        "Settings: the environment.\n"
        "✗ run: found no managed identity, so it would store your own Azure DevOps token (az login) as the "
        f"Git credential of 3 workspaces. It {NO_TERMINAL}\nNo changes made.\n"
    )
    done = run(fleet, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["result"], report["problems"][0]["location"]) == (2, "failed", "run")
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
    assert (
        run(fleet, WORKSPACES="[")
        .stderr.decode()
        .splitlines()[1]
        .startswith("✗ WORKSPACES: is not valid JSON")
    ), "first things first"


def test_a_managed_identity_is_asked_nothing(fleet: Fleet) -> None:
    assert run(fleet).returncode == 0
    assert stored(fleet) == 3


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    ("answer", "code", "credentials", "said"),
    [
        ("y\n", 0, 3, "Refreshed 3 of 3 workspaces"),
        ("n\n", 2, 0, "No changes made"),
        ("\n", 2, 0, "No changes made"),
        ("\x04", 130, 0, "Interrupted. No changes made."),
    ],
)
def test_a_person_at_a_terminal_is_asked(
    fleet: Fleet, answer: str, code: int, credentials: int, said: str
) -> None:
    environ = {**os.environ, **fleet.settings, "TERM": "dumb"}
    done = warm.on_terminal("run", environ=environ, columns=200, keys={"[y/N]": answer})
    shown = done.stdout.decode()
    assert (done.returncode, stored(fleet)) == (code, credentials), shown
    assert "as the Git credential of 3 workspaces, until the app's next run. Continue? [y/N]" in shown
    assert said in shown


def test_a_refusal_on_a_laptop_does_not_ask_to_grant_access_to_the_app(
    cloud: Cloud, fleet: Fleet, laptop: Path
) -> None:
    """Otherwise a person would get a license, but the app would not."""
    bob = cloud.person("bob")
    bob.sign_in(laptop.parent)
    entries = json.loads(fleet.settings["WORKSPACES"])
    entries[1] = {"host": entries[1]["host"], "name": "data-2", "auth": "managed_identity"}
    environ = {**os.environ, **fleet.settings, "WORKSPACES": json.dumps(entries)}
    checks = json.loads(warm.run("check", "--json", environ=environ).stdout)["checks"]
    refused = {check["error"]["code"]: check["error"] for check in checks if check["error"]}
    assert {"key_vault_forbidden", "devops_not_a_member", "not_in_workspace"} <= set(refused)
    for code in ("key_vault_forbidden", "devops_not_a_member", "not_in_workspace"):
        assert refused[code]["cause"].startswith("This check used your account")
        assert bob.object_id not in refused[code]["remedy"]
        assert "git_refresh onboard" in refused[code]["remedy"]
