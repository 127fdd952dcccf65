"""Run the commands of the pages in a copy of the checkout, as printed and in their sequence.

Stand-ins replace the programs that need Azure, and return the settings of the embedded cloud.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from git_refresh.cli.main import main
from localcloud import Cloud, Fleet, play, seed
from localcloud.authority import TENANT, entra_v2
from localcloud.databricks.workspace import Workspace
from localcloud.fleet import APP, CLIENT_ID, SECRET, SECRET_NAME
from tests.support import setup_paths, warm
from tests.support.paths import ROOT

PAGES = {page: page.read_text() for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
OURS = "git-refresh "
OTHER_PAGES = ("docs/pipelines/README.md", "infra/README.md", "SECURITY.md", "CHANGELOG.md")
NEEDS_AZURE = ("az", "azd", "func", "databricks")
EDITOR = "editor"
"""Replaces the reader, who adds the application ID of a new service principal to the list."""
STAND_IN = """\
#!/bin/sh
basename "$0" >> "$CALLS"
case "$(basename "$0") $*" in
  "az functionapp config appsettings list"*) cat "$DEPLOYED";;
  "az account "*) exec "$SIGNED_IN/az" "$@";;
  "az deployment group show "*KEY_VAULT_NAME* | "azd env get-value KEY_VAULT_NAME") echo contoso-git-refresh;;
  "az deployment group show "*IDENTITY_CLIENT_ID* | "azd env get-value IDENTITY_CLIENT_ID") echo "$OWN_CLIENT_ID";;
  "azd env get-value "*) echo stand-in;;
  "az "*"--output tsv") echo stand-in;;
  "git-refresh deploy "* | "git-refresh onboard "*" --remove") ;;
  "git-refresh "*) exec .venv/bin/python -m git_refresh "$@";;
  "editor "*)
    jq --arg id "$1" '.WORKSPACE_DEFAULTS.client_id = $id' workspaces.json > list
    mv list workspaces.json;;
  "databricks "*) echo "$CREATED_BY_DATABRICKS";;
esac
"""
CREATED = {
    "id": "1",
    "object_id": 2,
    "applicationId": CLIENT_ID,
    "secret": SECRET,
    "expire_time": "2028-11-24T00:00:00.000Z",
}
"""Output of each command of the Databricks CLI."""
INSTEAD = {"make test": "make --dry-run test"}
"""`make test` would run these tests."""


def commands(text: str) -> list[str]:
    """Return the commands of the console blocks of a page."""
    blocks = re.findall(r"^ *```console\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines), lines
    return [line.removeprefix("$ ") for line in lines]


WITH_COMMANDS = [page for page, text in PAGES.items() if commands(text)]


@pytest.fixture
def owned(cloud: Cloud) -> Fleet:
    """Return a fleet that a reader of the pages owns."""
    return play.furnish(seed(cloud))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a clone after `make install`, with the list of the README in workspaces.json."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607  # git from the PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    place = tmp_path / "checkout"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    (place / ".venv").mkdir()
    for path in (ROOT / ".venv").iterdir():
        if path.name != "installed":
            (place / ".venv" / path.name).symlink_to(path)
    (place / ".venv/installed").touch()
    (place / "workspaces.json").write_text(the_readme_s_list())
    return place


def write_own(owned: Fleet, copy: Path) -> None:
    """Replace the list of the README by that of the owned fleet."""
    text = {n: json.loads(v) if v[0] in "[{" else v for n, v in owned.settings.items()}
    (copy / "workspaces.json").write_text(json.dumps(text))


def the_readme_s_list() -> str:
    (text,) = re.findall(r"```json\n(.*?)```", PAGES[ROOT / "README.md"], re.DOTALL)
    return str(text)


@pytest.fixture
def environ(tmp_path: Path, cloud: Cloud, owned: Fleet) -> Iterator[dict[str, str]]:
    """Yield an environment in which stand-ins replace the programs that need Azure."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in (*NEEDS_AZURE, EDITOR, "git-refresh"):
        (tools / name).write_text(STAND_IN)
        (tools / name).chmod(0o755)
    (tools / "pipx").write_text("#!/bin/sh\n")
    (tools / "pipx").chmod(0o755)
    deployed = tmp_path / "deployed"
    deployed.write_text(json.dumps([{"name": n, "value": v} for n, v in owned.settings.items()]))
    answers = {"CREATED_BY_DATABRICKS": json.dumps(CREATED), "OWN_CLIENT_ID": cloud.identity.client_id}
    ada = cloud.person("ada")
    owned.app.group.assign(ada.object_id, "Website Contributor", "Monitoring Reader")
    answers["SIGNED_IN"] = str(ada.sign_in(tmp_path / "signed-in"))
    places = {"CALLS": str(tmp_path / "calls"), "DEPLOYED": str(deployed), "HOME": str(tmp_path)}
    yield {"PATH": f"{tools}:{os.environ['PATH']}", **cloud.environment(), **places, **answers}
    assert not cloud.refused, "nothing was asked of the real world"


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_every_printed_command_works_as_printed(
    owned: Fleet, copy: Path, environ: dict[str, str], page: Path
) -> None:
    needs_jq = any(command.startswith("jq ") for command in commands(PAGES[page]))
    if needs_jq and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    write_own(owned, copy)
    for command in commands(PAGES[page]):
        if command.startswith(OURS):
            typed = command.replace("--app APP", f"--app {APP}").replace("--apply", "--apply --yes")
            arguments = shlex.split(typed.removeprefix(OURS), comments=True)
            done = warm.run(*arguments, environ=environ, folder=copy)
        else:
            bare = command.partition(" #")[0].strip()
            line = ["/bin/sh", "-c", INSTEAD.get(bare, command)]
            done = subprocess.run(line, cwd=copy, env=environ, capture_output=True, timeout=90, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout.decode()}\n{done.stderr.decode()}"
    files = {"workspaces.json", "app-settings.json"}
    left = (
        {path.name for path in copy.iterdir()}
        - {path.name for path in ROOT.iterdir()}
        - files
        - {"__pycache__"}
    )
    assert not left, "one name for a file on all pages"


def test_the_readme_s_run_has_moved_the_folders(owned: Fleet, copy: Path, environ: dict[str, str]) -> None:
    """The commands of the page reach the embedded cloud."""
    write_own(owned, copy)
    (command,) = [c for c in commands(PAGES[ROOT / "README.md"]) if c.startswith(f"{OURS}run")]
    warm.run(*shlex.split(command.removeprefix(OURS), comments=True), environ=environ, folder=copy)
    folder = owned.workspaces[1].folder("/Repos/etl/prod")
    assert folder
    assert folder.head == owned.repositories[0].head()


def script(tool: str, grants: Sequence[setup_paths.Step], method: str) -> str:
    """Return the commands of a path with confirmed prompts, a run as the app does it, and the clean-up."""
    path = setup_paths.pasted(setup_paths.setup_path(tool, grants), method)
    created = 'echo "id $PRINCIPAL, application id $APPLICATION_ID"\n'
    path = path.replace(created, f'{created}{EDITOR} "$APPLICATION_ID"\n')
    clean_up = setup_paths.pasted([setup_paths.CLEAN_UP], method)
    return f"{path}git-refresh check\ngit-refresh run\n{clean_up}".replace("--apply\n", "--apply --yes\n")


def grant_nothing(cloud: Cloud, workspace: Workspace) -> None:
    """Remove all permissions of the app. The user of `onboard` is admin of everything."""
    ada = cloud.person("ada")
    organization = cloud.devops.organization("contoso")
    organization.remove_member(cloud.identity.object_id)
    organization.add_administrator(ada.object_id)
    cloud.account.admins.add(ada.object_id)
    workspace.ungranted = True
    workspace.users_entitlements.clear()
    workspace.add_user(ada, admin=True)
    cloud.keyvault("contoso-git-refresh").allow_writing(ada.object_id)


def grant(cloud: Cloud, workspace: Workspace, method: str) -> None:
    """Grant in the embedded cloud what the stand-ins do not."""
    if method == "managed_identity":
        workspace.add_managed_identity(cloud.identity.object_id)
    elif method == "federated":
        workspace.federate(CLIENT_ID, issuer=entra_v2(TENANT), subject=cloud.identity.object_id)
    else:
        workspace.service_principal(CLIENT_ID, SECRET)
        end = datetime.now(UTC) + timedelta(days=700)
        cloud.keyvault("contoso-git-refresh").set(SECRET_NAME, SECRET, expires_on=end)


PATHS = [
    *(("az", "onboard", method) for method in setup_paths.METHODS),
    *(("az", "manual", method) for method in setup_paths.METHODS),
    ("azd", "onboard", "federated"),
]


@pytest.mark.skipif(shutil.which("jq") is None or shutil.which("bash") is None, reason="needs jq and bash")
@pytest.mark.parametrize(("tool", "grants", "method"), PATHS, ids=map("-".join, PATHS))
def test_the_setup_page_pasted_into_one_shell_leads_to_a_run(  # fixtures and a case
    cloud: Cloud,
    copy: Path,
    environ: dict[str, str],
    tmp_path: Path,
    tool: str,
    grants: str,
    method: str,
) -> None:
    (copy / "workspaces.json").unlink()
    workspace = cloud.workspace("adb-1234567890123456.7.azuredatabricks.net")
    etl = cloud.devops.repository("contoso", "Data Platform", "etl")
    manual = grants == "manual"
    if manual:
        grant(cloud, workspace, method)
    else:
        grant_nothing(cloud, workspace)
    done = subprocess.run(
        ["bash", "-eux", "-o", "pipefail"],  # noqa: S607  # from the PATH
        input=script(tool, setup_paths.MANUAL_GRANTS if manual else setup_paths.ONBOARD, method),
        cwd=copy,
        env=environ,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"
    (folder,) = workspace.folders
    assert (folder.path, folder.head) == ("/Repos/etl/production", etl.head())
    called = {*(tmp_path / "calls").read_text().split()}
    tools = {"az", "func"} if tool == "az" else {"az", "azd"}
    assert called - {EDITOR} == {*tools, "git-refresh", *(["databricks"] if manual else [])}
    assert (EDITOR in called) == (manual and method != "managed_identity")


def test_the_readme_s_list_is_right(copy: Path) -> None:
    done = warm.run("check", "workspaces.json", "--offline", environ={"HOME": str(copy)}, folder=copy)
    assert done.returncode == 0, done.stdout
    assert "2 workspaces, 2 Git folders" in done.stdout.decode()


def test_a_settings_file_has_one_name_on_every_page() -> None:
    texts = [*PAGES.values(), *((ROOT / name).read_text() for name in OTHER_PAGES)]
    ours = rf"git[-_]refresh (?:{'|'.join(main.commands)}) [^|>`\n]*?([\w./@-]+\.json)\b"
    given = {name for text in texts for name in re.findall(ours, text)}
    assert given == {"workspaces.json"}
    assert not [text for text in texts if "--settings @" in text]
