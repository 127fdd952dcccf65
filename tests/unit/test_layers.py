"""The architecture: the core has no clients, imports go one way, packages export nothing."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import PACKAGE, ROOT

MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in PACKAGE.rglob("*.py")
}
CORE = sorted(
    name
    for name in MODULES
    if not name.startswith(
        (
            "git_refresh.admin",
            "git_refresh.clients",
            "git_refresh.cli",
            "git_refresh.app",
            "git_refresh.__main__",
        )
    )
)
HEAVY = (
    "azure",
    "databricks",
    "msal",
    "requests",
    "urllib3",
    "certifi",
    "ssl",
    "http.client",
    "git_refresh.clients",
)


def imports(file: Path) -> set[str]:
    """Return the modules of the package that a module imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "git_refresh":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found


def test_importing_the_core_loads_no_sdk_no_http_library_and_no_client() -> None:
    code = f"import sys; {'; '.join(f'import {name}' for name in CORE)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = [
        name
        for name in done.stdout.split()
        if any(name == top or name.startswith(f"{top}.") for top in HEAVY)
    ]
    assert loaded == []


def test_only_the_composition_root_imports_clients() -> None:
    """And tools that are not deployed: `admin` has its own services around the same guard."""
    users = {
        name
        for name, file in MODULES.items()
        if not name.startswith(("git_refresh.clients", "git_refresh.admin"))
        and any(used.startswith("git_refresh.clients") for used in imports(file))
    }
    assert users == {"git_refresh.app"}


@pytest.mark.parametrize(("room", "users"), [("cli", {"cli", "__main__"}), ("admin", {"cli", "admin"})])
def test_nothing_that_is_deployed_imports_what_is_not(room: str, users: set[str]) -> None:
    found = {
        name
        for name, file in MODULES.items()
        if any(used.split(".")[1:2] == [room] for used in imports(file))
    }
    assert {name.split(".")[1] for name in found} <= users


def test_imports_go_in_no_circle() -> None:
    TopologicalSorter({name: imports(file) - {name} for name, file in MODULES.items()}).prepare()


def test_imports_between_rooms_go_one_way_over_few_floors() -> None:
    rooms: dict[str, set[str]] = {}
    for name, file in MODULES.items():
        room = (name.split(".")[1:] or ["version"])[0]
        used = {(other.split(".")[1:] or ["version"])[0] for other in imports(file)}
        rooms.setdefault(room, set()).update(used - {room})
    floors: dict[str, int] = {}
    for room in TopologicalSorter(rooms).static_order():
        floors[room] = max((floors[below] + 1 for below in rooms.get(room, ())), default=0)
    assert max(floors.values()) < MAX_FLOORS, floors


MAX_FLOORS = 9
"""From the package's version up to `__main__`."""


@pytest.mark.parametrize("package", sorted(file.parent.name for file in PACKAGE.rglob("*/__init__.py")))
def test_a_package_says_what_it_is_for_and_exports_nothing(package: str) -> None:
    file = next(file for file in PACKAGE.rglob("*/__init__.py") if file.parent.name == package)
    (docstring,) = ast.parse(file.read_text()).body
    assert isinstance(docstring, ast.Expr)


TESTS = sorted((ROOT / "tests").rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Return all imports of a file, with the names of `from` imports after a dot."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_tests_share_only_through_support() -> None:
    shared = {
        file.name for file in TESTS if any(re.match(r"tests(\.\w+)*\.test_", name) for name in imported(file))
    }
    assert not shared


def test_root_is_defined_once() -> None:
    assert [file.name for file in TESTS if re.search(r"\.parents\[", file.read_text())] == ["paths.py"]


@pytest.mark.parametrize("room", ["git_refresh", "localcloud", "tools", "benchmarks"])
def test_nothing_outside_tests_imports_tests(room: str) -> None:
    users = {
        file.name
        for file in (ROOT / room).rglob("*.py")
        if any(name.partition(".")[0] == "tests" for name in imported(file))
    }
    assert users == set()


def test_names_of_tests_have_at_most_70_characters() -> None:
    names = [
        name
        for file in TESTS
        for name in re.findall(r"^ *(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    ]
    assert [name for name in names if len(name) > 70] == []
