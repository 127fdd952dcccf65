"""Names that look like markup, in every command on a real terminal: shown literally, with their IDs."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from localcloud import Cloud, Fault, Fleet, faults
from localcloud.fleet import UngrantedFleet, seed_ungranted
from localcloud.people import laptop
from tests.support import warm

NAMES = ["[", "[b]", "[link=https:evil.example]x", "[red]x[", ":warning:", "a\u3000b", "👩\u200d🔧", "%s{x}"]
SHOWN = [*NAMES[:5], r"a\u3000b", r"👩\u200d🔧", NAMES[7]]
FOLDERS = [f"/Workspace/Shared/{name}/b]" for name in NAMES]
MARKUP_ID = "[link=https:evil.example]x[/link]"


@pytest.fixture
def named(fleet: Fleet) -> dict[str, str]:
    """Return settings with these names, which the workspaces' own data has too."""
    entries = json.loads(fleet.settings["WORKSPACES"])
    etl = fleet.repositories[0]
    for folder in FOLDERS:
        fleet.workspaces[0].add_folder(folder, etl)
    etl.commit({"jobs/more.py": "print('more')\n"})
    for index, entry in enumerate(entries):
        entry |= {"name": NAMES[index + 1] + "/", "folders": ["/Workspace/Shared/*"]}
    entries[0]["folders"] = [*FOLDERS, "/Workspace/Shared/[/b]/none"]
    return {**fleet.settings, "WORKSPACES": json.dumps(entries)}


def on_a_terminal(*arguments: str | Path, environ: Mapping[str, str], code: int) -> str:
    done: subprocess.CompletedProcess[bytes] = warm.on_terminal(*arguments, environ=environ, columns=400)
    sent = done.stdout.decode()
    assert done.returncode == code, sent
    assert "Traceback" not in sent
    links = re.findall(r"\x1b\]8;[^;]*;([^\x1b\x07]+)", sent)
    assert all(link.startswith("file://") for link in links), "to our own page alone"
    return sent


def test_names_of_workspaces_and_folders_are_shown_as_they_are(cloud: Cloud, named: dict[str, str]) -> None:
    environ = {**os.environ, **cloud.environment(), **named}
    sent = on_a_terminal("run", environ=environ, code=1)
    assert [name for name in SHOWN if f"/Workspace/Shared/{name}/b]" in sent] == SHOWN
    assert "/Workspace/Shared/[/b]/none" in sent


def test_what_is_no_code_is_shown_as_it_is() -> None:
    assert "[/b]" in on_a_terminal("explain", "[/b]", environ=dict(os.environ), code=2)


@pytest.fixture
def listless(cloud: Cloud, tmp_path: Path) -> dict[str, str]:
    """Return a laptop with a list whose first entry has no client_id."""
    fleet: UngrantedFleet = seed_ungranted(cloud)
    entries: list[dict[str, Any]] = json.loads(fleet.settings["WORKSPACES"])
    for entry in entries:
        entry.pop("client_id", None)
    az = fleet.admin.sign_in(tmp_path / "az")
    return {
        **laptop({**os.environ, **cloud.environment(), **fleet.settings}, az),
        "WORKSPACES": json.dumps(entries[:1]),
    }


MAKE = ("onboard", "--new-principal", "etl refresh", "--apply", "--yes")


def test_an_application_id_that_is_markup_is_not_lost(cloud: Cloud, listless: dict[str, str]) -> None:
    def renamed(body: bytes) -> bytes:
        return json.dumps({**json.loads(body), "applicationId": MARKUP_ID}).encode()

    cloud.inject(Fault(faults.replace_body(renamed), method="POST", route="ServicePrincipals"))
    sent = on_a_terminal(*MAKE, environ=listless, code=0)
    assert f'"client_id": "{MARKUP_ID}"' in sent


def test_the_id_of_a_created_principal_is_printed_even_on_a_full_disk(
    cloud: Cloud, listless: dict[str, str], tmp_path: Path
) -> None:
    said = tmp_path / "said"
    process = warm.start(*MAKE, "--json", environ=listless, stdout="/dev/full", stderr=said)
    process.join(60)
    assert process.exitcode == 1
    (made,) = cloud.account.named("etl refresh")
    assert made.client_id in said.read_text()
