"""The deployed app: files, pins, settings, and the cost of its imports."""

import json
import re
import subprocess
import sys
from importlib.metadata import requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from git_refresh import __version__
from git_refresh.settings.names import SETTINGS
from tests.support.paths import ROOT
from tests.support.project_files import PROJECT, entries, ignored, pins


def closure(requirements: list[str]) -> set[str]:
    """Return the names of the requirements and of all their dependencies, as installed."""
    found: set[str] = set()
    queue = [Requirement(text) for text in requirements]
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        for text in requires(name) or []:
            further = Requirement(text)
            extras = [{"extra": extra} for extra in requirement.extras] or [{"extra": ""}]
            wanted = further.marker is None or any(further.marker.evaluate(extra) for extra in extras)
            if wanted and (canonicalize_name(further.name) not in found or further.extras):
                queue.append(further)
        found.add(name)
    return found


SOURCES = {
    "requirements.txt": PROJECT["dependency-groups"]["app"],
    "requirements-cli.txt": PROJECT["project"]["dependencies"],
    "requirements-dev.txt": PROJECT["dependency-groups"]["dev"],
}


@pytest.mark.parametrize(("file", "ranges"), SOURCES.items(), ids=SOURCES)
def test_a_requirements_file_pins_all_that_pyproject_toml_asks_for(file: str, ranges: list[str]) -> None:
    pinned = pins(file)
    for text in ranges:
        requirement = Requirement(text)
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, (
            f"make requirements: {text}"
        )
    assert set(pinned) == closure(ranges), "make requirements"


def test_what_is_deployed_the_command_line_and_the_tests_share_their_pins() -> None:
    for file in SOURCES:
        for name, pin in pins(file).items():
            assert version(name) == pin, f"make install: {name}"


@pytest.mark.parametrize("file", SOURCES)
def test_every_requirement_has_hashes_and_names_no_index(file: str) -> None:
    for requirement, hashes in entries(file).items():
        assert hashes, f"make requirements: {requirement}"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), requirement
    assert "://" not in (ROOT / file).read_text()


def test_the_worker_library_of_the_tests_is_deployed() -> None:
    assert "azure-functions-runtime" in pins("requirements.txt")


def test_no_tool_for_laptops_is_deployed() -> None:
    assert not {"click", "rich", "aiohttp", "pytest", "trustme"} & set(pins("requirements.txt"))


@pytest.mark.parametrize("boundary", [True, False])
def test_only_the_product_is_published(*, boundary: bool) -> None:
    """Compared with all files of a used checkout, so a new top-level file must be classified."""
    top = {path.name for path in ROOT.iterdir()} | {
        "__pycache__",
        "__azurite_db_blob_extent__.json",
        "__blobstorage__",
        "__queuestorage__",
        "AzuriteConfig",
        ".python_packages",
        ".git",
        ".venv",
        ".github",
        ".vscode",
        "mutants",
        "dist",
        "local.settings.json",
        "azure.yaml",
        "workspaces.json",
        "app-settings.json",
        "SECURITY.md",
    }
    published = {
        name
        for name in top
        if not ignored(name, boundary=boundary) and not ignored(f"{name}/x", boundary=boundary)
    }
    assert published == {"function_app.py", "git_refresh", "host.json", "requirements.txt"}
    modules = [
        path.relative_to(ROOT).as_posix() for path in (ROOT / "git_refresh").rglob("*") if path.is_file()
    ]
    left_out = {module for module in modules if ignored(module, boundary=boundary)}
    command_line = {
        module for module in modules if module.startswith(("git_refresh/cli/", "git_refresh/admin/"))
    }
    assert command_line
    assert {path for path in left_out if "__pycache__" not in path} == {
        "git_refresh/__main__.py",
        *(module for module in command_line if "__pycache__" not in module),
    }
    assert not [module for module in modules if "__pycache__" in module and module not in left_out]


def test_a_run_loads_only_the_parts_of_databricks_sdk_that_it_uses() -> None:
    code = 'import sys, git_refresh.app; print(*(n for n in sys.modules if n.startswith("databricks.sdk")))'
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "databricks.sdk" not in loaded, "whoever imports it gets all of it"
    assert {name for name in loaded if name.startswith("databricks.sdk.service.")} == {
        "databricks.sdk.service._internal",
        "databricks.sdk.service.provisioning",
        "databricks.sdk.service.workspace",
    }


def test_what_is_published_does_not_import_what_is_left_out() -> None:
    product = [
        path
        for path in (ROOT / "git_refresh").rglob("*.py")
        if path.stem != "__main__" and not {"admin", "cli"} & set(path.relative_to(ROOT).parts)
    ]
    sources = [ROOT / "function_app.py", *product]
    forbidden = re.compile(
        r"^\s*(from|import) (click|rich|localcloud|tools|git_refresh\.(admin|cli)|tests)\b", re.MULTILINE
    )
    assert not [path.name for path in sources if forbidden.search(path.read_text())]


def test_importing_the_app_is_quick_and_leaves_the_heavy_sdks_for_the_run() -> None:
    code = (
        "import sys, time; start = time.process_time(); import function_app; took = time.process_time() - start; "
        "heavy = [m for m in ('databricks', 'azure.identity', 'azure.keyvault', 'pydantic', 'requests') if m in sys.modules]; "
        "print(took, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    took, heavy = done.stdout.split(maxsplit=1)
    assert heavy.strip() == "[]"
    assert float(took) < 1.0, "the promise is 0.35 s on a quiet machine; this is the wide margin"


def test_the_example_names_every_setting_and_is_accepted() -> None:
    example = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    assert set(example) >= SETTINGS.keys()
    assert all(isinstance(value, str) for value in example.values())
    from git_refresh.settings.load import load  # noqa: PLC0415

    assert not load(example).problems


def test_host_json_is_as_the_facts_demand() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    assert (host["version"], host["functionTimeout"]) == ("2.0", "00:10:00")
    assert host["extensionBundle"]["id"] == "Microsoft.Azure.Functions.ExtensionBundle"
    assert host["logging"]["logLevel"] == {
        "default": "Warning",
        "Function": "Information",
        "Host.Results": "Information",
        "Host.Aggregator": "Information",
    }
    left_out = host["logging"]["applicationInsights"]["samplingSettings"]["excludedTypes"].split(";")
    assert {"Request", "Exception", "Trace"} <= set(left_out), "our log lines are traces"


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["project"]["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
