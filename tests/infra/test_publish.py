"""The publish command on all pages, and the hook of azd that waits for role assignments."""

import re
import shutil
import subprocess

import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.project_files import tracked
from tests.support.templates import PLAIN

PUBLISH = re.compile("functionapp " + r"publish\b(?! --help)(.*)")


def without_language(text: str) -> list[str]:
    """Return the uses that fail in Core Tools with "Can't determine project language from files".

    The language comes from `--python`, from `FUNCTIONS_WORKER_RUNTIME` or from a `local.settings.json`, which is never committed:
    https://github.com/Azure/azure-functions-core-tools, `GlobalCoreToolsSettings.Init`.
    """
    return [rest for rest in PUBLISH.findall(text) if "--python" not in re.split("[`;|]", rest)[0]]


def test_the_command_names_the_language_wherever_it_stands() -> None:
    files = {name: text for name, text in tracked().items() if name != "tests/support/vendors.json"}
    uses = {name: PUBLISH.findall(text) for name, text in files.items() if PUBLISH.search(text)}
    assert {
        "docs/setup.md",
        "docs/runbook.md",
    } <= uses.keys()
    assert {name: without_language(text) for name, text in files.items() if without_language(text)} == {}


@pytest.mark.parametrize(
    "text",
    [
        "publish APP`",
        'publish "$APP"',
        "publish APP` and `func new --python`",
        "publish ${app.outputs.name}'",
    ],
)
def test_a_use_without_the_language_is_noticed(text: str) -> None:
    assert without_language(f"func azure functionapp {text}")


HOOK = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]["predeploy"]
STANDS_FOR = """\
sleep() { echo "sleep $*"; }
azd() { echo "azd $*"; }
"""
"""Functions that print their arguments."""


@pytest.mark.parametrize("shell", [shell for shell in ("sh", "bash", "dash") if shutil.which(shell)])
@pytest.mark.parametrize(
    ("awaited", "waits"),
    [(None, True), ("of-another", True), ("id", False)],
    ids=["first", "made again", "later"],
)
def test_azd_waits_once_for_the_roles_of_an_identity(shell: str, awaited: str | None, *, waits: bool) -> None:
    """Azd runs a hook with `set -e`, and with the outputs of the template in its environment."""
    done = subprocess.run(
        [shell, "-ec", STANDS_FOR + HOOK["run"]],
        env={"IDENTITY_OBJECT_ID": "id"} | ({"ROLES_AWAITED_FOR": awaited} if awaited else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    said, *ran = done.stdout.splitlines() or [""]
    assert ran == (["sleep 300", "azd env set ROLES_AWAITED_FOR id"] if waits else [])
    assert ("five minutes" in said, HOOK["interactive"], done.stderr) == (waits, True, "")
    assert "IDENTITY_OBJECT_ID" in PLAIN.outputs
