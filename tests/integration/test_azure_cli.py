"""On a laptop there is no identity endpoint: the Azure CLI's sign-in is used, here a stand-in for `az` on the PATH."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from localcloud import Cloud, Fleet
from tests.integration.running import run_app


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


def test_the_azure_cli_s_sign_in_is_used(cloud: Cloud, fleet: Fleet, laptop: Path) -> None:
    tokens = {
        resource: {"accessToken": cloud.identity.token(resource), "expires_on": int(time.time()) + 3900}
        for resource in ("499b84ac-1321-427f-aa17-267ca6975798", "https://vault.azure.net")
    }
    answers = {resource: json.dumps(answer) for resource, answer in tokens.items()}
    stand_in(
        laptop,
        f"answers = {answers!r}\nprint(next(a for resource, a in answers.items() if resource in ' '.join(sys.argv)))",
    )
    report = run_app({**os.environ, **fleet.settings})
    assert report.result == "ok", report.summary()
    assert not [request for request in cloud.requests if request.service == "identity"]


def test_a_sign_in_that_has_run_out_says_az_login(fleet: Fleet, laptop: Path) -> None:
    stand_in(laptop, "sys.exit('ERROR: Please run \\'az login\\' to setup account.')")
    error = run_app({**os.environ, **fleet.settings}).workspaces[0].error
    assert error
    assert error.code == "azure_cli_sign_in"
    assert "az login" in error.remedy


@pytest.mark.usefixtures("laptop")
def test_without_identity_and_azure_cli_both_ways_out_are_told(fleet: Fleet) -> None:
    error = run_app({**os.environ, **fleet.settings}).workspaces[0].error
    assert error
    assert error.code == "identity_missing"
    assert "az functionapp identity assign" in error.remedy
    assert "az login" in error.remedy
