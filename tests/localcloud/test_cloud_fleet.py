import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from localcloud import Cloud, seed
from localcloud.rest import Rest


def test_seeds_what_its_settings_say(cloud: Cloud) -> None:
    fleet = seed(cloud, workspaces=2)
    assert fleet.settings["KEY_VAULT_URL"] == fleet.vault.url == "https://contoso.vault.azure.net"
    entries = json.loads(fleet.settings["WORKSPACES"])
    assert [entry["host"] for entry in entries] == [workspace.url for workspace in fleet.workspaces]
    there, missing = entries[0]["folders"]
    assert fleet.workspaces[0].folder(there) is not None
    assert fleet.workspaces[0].folder(missing["path"]) is None
    assert missing["url"] == fleet.repositories[1].url
    defaults = json.loads(fleet.settings["WORKSPACE_DEFAULTS"])
    assert set(defaults) == {"client_id", "client_secret_name"}


def test_a_thousand_hosts_have_names_of_their_own(cloud: Cloud) -> None:
    hosts = {cloud.workspace(f"adb-{number:016}.1.azuredatabricks.net").host for number in range(1000)}
    assert len(hosts) == 1000


def test_serves_a_fleet_until_ctrl_c(tmp_path: Path) -> None:
    settings = tmp_path / "local.settings.json"
    command = [sys.executable, "-m", "localcloud", "--workspaces", "1", "--settings", str(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "Ctrl-C" in process.stderr.readline()
        exports = [process.stdout.readline() for _ in range(11)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""

    pasted = subprocess.run(
        ["/bin/sh", "-c", f"{''.join(exports)}\nenv"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    values = json.loads(settings.read_text())
    assert values["IsEncrypted"] is False
    assert all(f"{name}={value}\n" in pasted.stdout for name, value in values["Values"].items())
    assert {"HTTPS_PROXY", "IDENTITY_ENDPOINT", "WORKSPACES", "KEY_VAULT_URL"} < set(values["Values"])


def test_a_settings_file_that_is_not_its_own_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "local.settings.json"
    file.write_text('{"Values": {"WORKSPACES": "[]"}}')
    command = [sys.executable, "-m", "localcloud", "--settings", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "name another file" in done.stderr) == (2, True)
    assert file.read_text() == '{"Values": {"WORKSPACES": "[]"}}'


def test_a_service_principal_of_the_fleet_signs_in(cloud: Cloud, api: Rest) -> None:
    fleet = seed(cloud, workspaces=1)
    defaults = json.loads(fleet.settings["WORKSPACE_DEFAULTS"])
    principal = fleet.workspaces[0].service_principal(defaults["client_id"], "rotated")
    assert Rest(api.session, fleet.workspaces[0], principal).token
