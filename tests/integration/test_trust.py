"""A list sends no token elsewhere, runs nothing, and reaches no environment or child process."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from localcloud import Cloud, Fleet
from localcloud.people import laptop
from tests.support import warm
from tests.support.admin_laptop import admin_of
from tools.queries import ROOT

STRANGE = "data.contoso.example"
AZ = "#!/bin/sh\ntouch {marker}\nexit 1\n"


@pytest.fixture
def at_a_laptop(cloud: Cloud, fleet: Fleet, tmp_path: Path) -> dict[str, str]:
    """Return an environment without the app's settings, signed in with az."""
    person = admin_of(cloud, fleet)
    return laptop({**os.environ, **cloud.environment()}, person.sign_in(tmp_path / "bin"))


def evil_list(fleet: Fleet, tmp_path: Path, **changes: object) -> tuple[Path, Path]:
    """Return a list that tries to run code, and the file that this code would create."""
    marker, place = tmp_path / "ran", tmp_path / "evil"
    place.mkdir(exist_ok=True)
    (place / "az").write_text(AZ.format(marker=marker))
    (place / "az").chmod(0o755)
    (place / "sitecustomize.py").write_text(f"open({str(marker)!r}, 'w')")
    file = tmp_path / "list.json"
    keys = {
        "PATH": f"{place}:{os.environ['PATH']}",
        "PYTHONPATH": str(place),
        "PYTHONSTARTUP": str(place / "sitecustomize.py"),
        "LD_PRELOAD": str(place / "none.so"),
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "REQUESTS_CA_BUNDLE": str(place / "az"),
        "IDENTITY_ENDPOINT": "http://127.0.0.1:9/token",
        "AZURE_CONFIG_DIR": str(place),
    }
    file.write_text(json.dumps({**fleet.settings, **keys, **changes}))
    return file, marker


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "FILE"],
        ["check", "--settings", "FILE"],
        ["plan", "FILE"],
        ["status", "--settings", "FILE"],
        ["rotate", "--settings", "FILE"],
        ["run", "--settings", "FILE", "--yes"],
        ["onboard", "--settings", "FILE"],
    ],
    ids=" ".join,
)
def test_no_key_of_a_list_reaches_the_process_or_a_child(
    cloud: Cloud, fleet: Fleet, tmp_path: Path, at_a_laptop: dict[str, str], arguments: list[str]
) -> None:
    file, marker = evil_list(fleet, tmp_path)
    words = [word.replace("FILE", str(file)) for word in arguments]
    if arguments[0] == "onboard":
        words += ["--object-id", cloud.identity.object_id]
    done = warm.run(*words, "--json", environ=at_a_laptop)
    assert not marker.exists()
    assert done.returncode in {0, 1}, done.stderr.decode()
    assert cloud.requests, "with the environment's own proxy, certificates and az"
    if arguments[0] != "check":
        assert b"Ignored in the file" in done.stderr


def test_a_fresh_process_runs_nothing_of_a_list_either(
    fleet: Fleet, tmp_path: Path, at_a_laptop: dict[str, str]
) -> None:
    file, marker = evil_list(fleet, tmp_path)
    command = [".venv/bin/python", "-m", "git_refresh", "plan", str(file)]
    subprocess.run(command, env=at_a_laptop, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert not marker.exists()


def strange_list(fleet: Fleet, tmp_path: Path) -> Path:
    """Return a list with a workspace on a foreign domain that it trusts by itself."""
    entry = {"host": f"https://{STRANGE}", "auth": "managed_identity", "name": "strange"}
    entries = [*json.loads(fleet.settings["WORKSPACES"])[:1], entry]
    file, _ = evil_list(fleet, tmp_path, WORKSPACES=entries, TRUSTED_HOSTS=STRANGE)
    return file


COMMANDS = [["check"], ["plan"], ["run", "--yes"], ["status"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_list_s_own_host_gets_nothing_until_the_person_names_it(
    cloud: Cloud, fleet: Fleet, tmp_path: Path, at_a_laptop: dict[str, str], command: list[str]
) -> None:
    file = strange_list(fleet, tmp_path)
    done = warm.run(*command, "--settings", file, "--json", environ=at_a_laptop)
    assert done.returncode == 2
    assert f"--trust-host {STRANGE}" in done.stdout.decode()
    assert (cloud.requests, cloud.refused) == ([], [])
    allowed = warm.run(*command, "--settings", file, "--trust-host", STRANGE, "--json", environ=at_a_laptop)
    assert allowed.returncode == 1
    assert f"{STRANGE}:443" in cloud.refused


@pytest.mark.parametrize(("key", "code"), [("y", 1), ("n", 2)])
def test_on_a_terminal_the_person_is_asked(
    cloud: Cloud, fleet: Fleet, tmp_path: Path, at_a_laptop: dict[str, str], key: str, code: int
) -> None:
    file = strange_list(fleet, tmp_path)
    done = warm.on_terminal(
        "status", "--settings", file, environ=at_a_laptop, columns=120, keys={"Continue?": f"{key}\r"}
    )
    assert done.returncode == code, done.stdout.decode()
    assert (f"{STRANGE}:443" in cloud.refused) is (key == "y")
    assert bool(cloud.requests) is (key == "y")


def test_remedies_repeat_what_was_allowed(
    cloud: Cloud, fleet: Fleet, tmp_path: Path, at_a_laptop: dict[str, str]
) -> None:
    file = strange_list(fleet, tmp_path)
    done = warm.run("check", "--settings", file, "--trust-host", STRANGE, "--json", environ=at_a_laptop)
    remedies = [check["error"]["remedy"] for check in json.loads(done.stdout)["checks"] if check["error"]]
    repeated = [text for text in remedies if "python -m git_refresh" in text]
    assert repeated
    assert cloud.requests
    assert all(
        f" --settings {shlex.quote(str(file))} --trust-host {STRANGE} " in f"{text} " for text in repeated
    )
