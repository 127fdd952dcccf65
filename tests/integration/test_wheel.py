"""The wheel for `pipx install` and `uvx`: its contents, and its use without a checkout."""

import json
import os
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from git_refresh.settings.functions_host import FUNCTION_TIMEOUT
from tests.support.paths import ROOT
from tests.support.project_files import PROJECT, tracked

NAME, VERSION = PROJECT["project"]["name"], PROJECT["project"]["version"]
DEPLOYED_ALONE = ("azure.functions", "azure_functions_runtime", "azure.storage")
"""Modules of the group `app` that the wheel does not need."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built as `pip` and `uv` do, without an index."""
    folder = tmp_path_factory.mktemp("dist")
    backend = PROJECT["build-system"]["build-backend"]
    code = f"import sys, {backend} as backend; print(backend.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return folder / done.stdout.strip()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site-packages")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def git_refresh(
    installed: Path, cwd: Path, *arguments: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the script of an installed wheel, without packages of the Functions host."""
    module, _, function = PROJECT["project"]["scripts"]["git-refresh"].partition(":")
    without = f"sys.modules.update(dict.fromkeys({DEPLOYED_ALONE}))"
    code = f"import sys; {without}; from {module} import {function}; {function}()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(installed), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = {name for name in names if name.startswith(f"{NAME.replace('-', '_')}-{VERSION}.dist-info/")}
    assert names - metadata == {name for name in tracked() if name.startswith("git_refresh/")}
    assert wheel.name == f"{NAME.replace('-', '_')}-{VERSION}-py3-none-any.whl"


def test_it_brings_its_command_and_all_that_this_needs(installed: Path) -> None:
    (folder,) = installed.glob("*.dist-info")
    metadata = Parser().parsestr((folder / "METADATA").read_text())
    assert metadata["Requires-Python"] == ">=3.13"
    assert sorted(metadata.get_all("Requires-Dist", [])) == sorted(PROJECT["project"]["dependencies"])
    scripts = ConfigParser()
    scripts.read(folder / "entry_points.txt")
    assert dict(scripts["console_scripts"]) == PROJECT["project"]["scripts"]


def test_it_needs_what_is_deployed_in_the_same_ranges_and_more() -> None:
    wanted = {Requirement(text).name: text for text in PROJECT["project"]["dependencies"]}
    deployed = {Requirement(text).name: text for text in PROJECT["dependency-groups"]["app"]}
    shared = wanted.keys() & deployed.keys()
    assert {wanted[name] for name in shared} == {deployed[name] for name in shared}
    assert deployed.keys() - shared == {"azure-functions", "azure-functions-runtime", "azure-storage-blob"}


def test_every_module_of_the_command_line_loads_without_the_functions_host(
    installed: Path, tmp_path: Path
) -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({DEPLOYED_ALONE}))\n"
        "import importlib, pkgutil, git_refresh.admin, git_refresh.cli\n"
        "for package in (git_refresh.admin, git_refresh.cli):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        print(importlib.import_module(module.name).__file__)\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    files = done.stdout.split()
    assert len(files) > 30
    assert all(file.startswith(str(installed)) for file in files)


def test_outside_of_a_checkout_a_first_list_is_written_and_checked(installed: Path, tmp_path: Path) -> None:
    options = (
        "--host",
        "https://adb-1.1.azuredatabricks.net",
        "--repository",
        "https://dev.azure.com/contoso/Data/_git/etl",
    )
    done = git_refresh(installed, tmp_path, "init", *options)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "workspaces.json").read_text())
    assert "$schema" not in written, "where it is on this laptop means nothing on another"
    done = git_refresh(installed, tmp_path, "check", "workspaces.json", "--offline", "--json")
    assert (done.returncode, json.loads(done.stdout)["result"]) == (0, "ok"), done.stderr


def test_outside_of_a_checkout_the_shipped_time_limit_is_known(installed: Path, tmp_path: Path) -> None:
    assert json.loads((ROOT / "host.json").read_text())["functionTimeout"] == FUNCTION_TIMEOUT
    listed = '[{"host": "https://adb-1.1.azuredatabricks.net", "auth": "managed_identity"}]'
    environ = {"REFRESH_SCHEDULE": "0 */15 * * * *", "WORKSPACES": listed}
    for seconds, code in (("594", 0), ("595", 2)):
        done = git_refresh(
            installed, tmp_path, "check", "--offline", REFRESH_TIMEOUT_SECONDS=seconds, **environ
        )
        assert done.returncode == code, done.stdout


def test_outside_of_a_checkout_no_page_is_named_that_is_not_there(installed: Path, tmp_path: Path) -> None:
    done = git_refresh(installed, tmp_path, "explain", "key_vault_forbidden")
    assert done.returncode == 0
    assert "docs/" not in done.stdout


def test_outside_of_a_checkout_the_schema_is_that_of_the_pages(installed: Path, tmp_path: Path) -> None:
    done = git_refresh(installed, tmp_path, "schema")
    assert json.loads(done.stdout) == json.loads((ROOT / "docs/workspaces.schema.json").read_text())
