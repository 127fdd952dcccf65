"""Invalid parameters fail before Azure creates a resource, and each piece of Bicep on a page compiles.

These need the Bicep CLI: `test_bicep_cli` reports what is not tried without it.
"""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.project_files import tracked
from tests.support.templates import app_settings
from tools import bicep, snapshots
from tools.queries import ROOT

APP = ROOT / "infra/app.bicepparam"
SUBNET = "/subscriptions/0/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/vnet/subnets/snet"
REFUSED = {
    "a private endpoint without a subnet": (
        f"param privateEndpointSubnetId = '{SUBNET}'",
        ["privateEndpointSubnetId requires subnetId", "Set subnetId to the resource ID of a subnet"],
    ),
    "identities alike": (
        "param identities = [\n  { name: 'finance', grantKeyVaultAccess: false }\n  { name: 'Finance', grantKeyVaultAccess: true }\n]",
        ['the name "finance" more than once', "Write another name"],
    ),
    "an identity with a blank": (
        "param identities = [\n  { name: 'fin ance', grantKeyVaultAccess: false }\n]",
        ['the name "fin ance"', "Write letters, digits and hyphens only"],
    ),
    "a name in place of the ID of a subnet": (
        "param subnetId = 'snet-app'",
        ['subnetId is "snet-app"', "Write /subscriptions/ID/", "/subnets/SUBNET"],
    ),
    "the ID of a network in place of a subnet's": (
        f"param subnetId = '{SUBNET.rpartition('/subnets/')[0]}'",
        ["subnetId is", "/subnets/SUBNET"],
    ),
    "an ID without the name of a subnet": (
        f"param subnetId = '{SUBNET.removesuffix('snet')}'",
        ["subnetId is", "/subnets/SUBNET"],
    ),
    "an ID with an empty part": (
        f"param subnetId = '{SUBNET.replace('/0/', '//')}'",
        ["subnetId is", "/subnets/SUBNET"],
    ),
    "a name in place of the ID of a group": (
        "param privateDnsZoneResourceGroupId = 'rg-dns'",
        ["privateDnsZoneResourceGroupId is", "Write /subscriptions/ID/resourceGroups/GROUP"],
    ),
    "the address of an action group in the portal": (
        "param existingActionGroupId = 'https://portal.azure.com/#resource/subscriptions/0'",
        ["existingActionGroupId is", "/providers/Microsoft.Insights/actionGroups/NAME"],
    ),
    "the address of a vault": (
        "param existingKeyVaultName = 'https://kv-contoso.vault.azure.net'",
        ["existingKeyVaultName is", "Write only the name"],
    ),
    "several at once": (
        "param subnetId = 'a'\n\nparam existingActionGroupId = 'b'",
        ['subnetId is "a"', 'existingActionGroupId is "b"'],
    ),
}


def deploy(cli: str, folder: Path, text: str, name: str = "case") -> str:
    """Deploy the usual parameters with changes, and return the error, or "" on success."""
    file = folder / f"{name}.bicepparam"
    plain = os.path.relpath(snapshots.FOLDER / "plain.bicepparam", folder)
    main = os.path.relpath(snapshots.MAIN, folder)
    file.write_text(f"using '{main}'\nextends '{plain}'\n\n{text}\n")
    return snapshots.differences(cli, file, mode="overwrite")


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_refused_with_what_to_write(
    text: str,
    told: list[str],
    cli: str,
    tmp_path: Path,
) -> None:
    refused = deploy(cli, tmp_path, text)
    assert [part for part in told if part not in refused] == [], refused


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("", True),
        ("param noRecipient = true", False),
        ("param alertWebhook = 'https://hooks.contoso.com/oncall'", False),
        (
            "param existingActionGroupId = '/subscriptions/0/resourceGroups/a/providers/Microsoft.Insights/actionGroups/b'",
            False,
        ),
    ],
    ids=["none", "none meant", "webhook", "action group"],
)
def test_alerts_need_a_recipient_unless_none_is_asked_for(
    text: str, *, refused: bool, cli: str, tmp_path: Path
) -> None:
    """A snapshot does not evaluate secure parameters, so the test makes the webhook a plain one."""
    infra = shutil.copytree(snapshots.MAIN.parent, tmp_path / "infra")
    main = (infra / "main.bicep").read_text()
    (infra / "main.bicep").write_text(main.replace("@secure()\nparam alertWebhook", "param alertWebhook"))
    case = infra / "case.bicepparam"
    case.write_text(f"using 'main.bicep'\n\nparam environmentName = 'git-refresh'\n\n{text}\n")
    said = snapshots.differences(cli, case, mode="overwrite")
    assert ("Set alertEmail, alertWebhook or existingActionGroupId" in said, bool(said)) == (
        refused,
        refused,
    ), said


@pytest.mark.parametrize(
    "text", [f"param subnetId = '{SUBNET.lower()}'", "param existingKeyVaultName = 'Kv-1'"]
)
def test_letter_case_and_digits_are_no_reason_to_refuse(text: str, cli: str, tmp_path: Path) -> None:
    assert deploy(cli, tmp_path, text) == ""


@pytest.mark.parametrize(
    ("name", "fits", "beside"),
    [("workspaces", 131_060, len('[""]')), ("workspaceDefaults", 131_052, len('{"a":""}'))],
)
@pytest.mark.parametrize("letter", ["x", "\N{LATIN SMALL LETTER A WITH DIAERESIS}", "\N{EURO SIGN}"])
def test_a_list_that_one_setting_cannot_hold_is_refused_to_the_byte(
    name: str,
    fits: int,
    beside: int,
    letter: str,
    cli: str,
    tmp_path: Path,
) -> None:
    for more, refused in ((0, False), (1, True)):
        size = fits - beside + more
        text = letter * (size // len(letter.encode()))
        text += "y" * (size - len(text.encode()))
        (tmp_path / "list.json").write_text(json.dumps([text] if name == "workspaces" else {"a": text}))
        answer = deploy(cli, tmp_path, f"param {name} = loadJsonContent('list.json')")
        assert (f"{name} has {fits + 1} bytes" in answer, bool(answer)) == (refused, refused), answer[:500]


def test_a_list_far_too_long_is_refused_with_its_size(cli: str, tmp_path: Path) -> None:
    list_ = [{"host": "https://adb-1.1.azuredatabricks.net", "folders": ["/Repos/a"]}, "\N{EURO SIGN}"] * 3000
    (tmp_path / "list.json").write_text(json.dumps(list_))
    size = len(json.dumps(list_, ensure_ascii=False, separators=(",", ":")).encode())
    assert f"workspaces has {size} bytes" in deploy(
        cli, tmp_path, "param workspaces = loadJsonContent('list.json')"
    )


def pieces() -> dict[str, str]:
    """Return each piece of Bicep on a page or in a comment, by file and number."""
    found: dict[str, str] = {}
    for path, text in tracked().items():
        blocks: list[str] = []
        if path.endswith(".md"):
            blocks = re.findall(r"^ *```bicep\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
            blocks += re.findall(r"`(param \w+ = [^`]+)`", text)
        elif path.endswith(".bicep"):
            blocks = re.findall(r"^ *//.*?\b(param \w+ = .+)$", text, re.MULTILINE)
        elif path == "infra/app.bicepparam":  # users comment out their own lines
            blocks = re.findall(r"^//.*?\b(param (?:fanOut|workspace\w+) = .+[')\w])$", text, re.MULTILINE)
        found |= {f"{path} {number}": block for number, block in enumerate(blocks, 1)}
    return found


SHOWN = pieces()


@pytest.mark.parametrize("place", SHOWN)
def test_every_piece_of_bicep_that_is_shown_can_be_deployed(place: str, cli: str, tmp_path: Path) -> None:
    """Paths are relative to infra/, the folder of the parameters file."""
    folder = tmp_path / "infra"
    folder.mkdir()
    host = "https://adb-1234567890123456.7.azuredatabricks.net"
    for list_ in (
        {"WORKSPACES": [host]},
        {"WORKSPACES": [host], "WORKSPACE_DEFAULTS": {"auth": "managed_identity"}},
    ):
        (tmp_path / "workspaces.json").write_text(json.dumps(list_))
        assert deploy(cli, folder, SHOWN[place]) == ""


def test_the_pieces_of_bicep_are_found_where_they_are_shown() -> None:
    assert {"infra/README.md", "docs/fan-out.md"} <= {place.partition(" ")[0] for place in SHOWN}


def commented_list() -> str:
    """Return the commented lines for a list in workspaces.json, or "" if they are used."""
    return "\n".join(re.findall(r"^// +(param \w+ = .*workspaces\.json.*)$", APP.read_text(), re.MULTILINE))


@pytest.mark.parametrize("defaults", [None, {"auth": "managed_identity"}], ids=["without", "with"])
def test_the_list_is_deployed_with_and_without_shared_keys(
    defaults: dict[str, str] | None,
    cli: str,
    tmp_path: Path,
) -> None:
    if not commented_list():
        pytest.skip("app.bicepparam no longer shows the two lines in a comment.")
    folder = tmp_path / "infra"
    folder.mkdir()
    hosts = ["https://adb-1234567890123456.7.azuredatabricks.net"]
    whole = {"WORKSPACES": hosts} | ({"WORKSPACE_DEFAULTS": defaults} if defaults else {})
    (tmp_path / "workspaces.json").write_text(json.dumps(whole))
    assert deploy(cli, folder, commented_list()) == ""
    deployed = snapshots.parse((folder / "case.snapshot.json").read_text())
    settings = dict(app_settings(deployed))
    assert json.loads(settings["WORKSPACES"]) == hosts
    assert json.loads(settings["WORKSPACE_DEFAULTS"]) == (defaults or {})
    compiled = bicep.run(cli, "build-params", str(folder / "case.bicepparam"), "--stdout")
    assert (compiled.returncode, compiled.stderr) == (0, "")
