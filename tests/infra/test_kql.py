"""The queries, checked by Microsoft's language service with the documented tables.

Application Insights: https://learn.microsoft.com/azure/azure-monitor/app/convert-classic-resource#table-structure ("legacy" names, which
a query on the component has). The workspace's own log: https://learn.microsoft.com/azure/azure-monitor/logs/monitor-workspace.
"""

import json

from tests.support.templates import QUERIES
from tools.kql import HERE, diagnose

BROKEN = {
    "an operator": ("run-failed.kql", "| where", "| wehre", "KS"),
    "a bracket": ("no-successful-run.kql", ")", "", "KS"),
    "a column": ("run-failed.kql", "success", "succeeded", "does not refer to any known column"),
    "a table": ("no-run.kql", "traces", "AppTraces", "does not refer to any known table"),
    "a column of another table": ("no-run.kql", "traces", "requests", "does not refer to any known column"),
    "a function": ("no-successful-run.kql", "countif(", "countwhen(", "does not refer to any known function"),
    "a column of a summary": (
        "no-successful-run.kql",
        "successful == 0",
        "succesful == 0",
        "does not refer to",
    ),
    "a type": ("run-failed.kql", "name == 'refresh_git'", "name + 1 == 2", "KS"),
    "the workspace's log": (
        "log-cap-reached.kql",
        "Category",
        "Kategory",
        "does not refer to any known column",
    ),
}


def test_the_language_service_accepts_a_query_and_refuses_each_broken_copy() -> None:
    """Check all queries with one process, because the service starts slowly."""
    broken = {name: QUERIES[file].replace(old, new) for name, (file, old, new, _) in BROKEN.items()}
    assert all(broken[name] != QUERIES[file] for name, (file, *_) in BROKEN.items())
    together = {name: text.replace("INTERVAL_SECONDS", "900") for name, text in (QUERIES | broken).items()}
    said = diagnose(together)
    assert {file: said[file] for file in QUERIES if said[file]} == {}
    for name, (*_, answer) in BROKEN.items():
        assert any(answer in each for each in said[name]), (name, said[name])


def test_it_is_installed_by_its_hash_from_the_registry_that_npm_uses() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, f"npm install --omit-lockfile-registry-resolved: {name}"
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    assert {f"node_modules/{name}": version for name, version in wanted.items()}.items() <= {
        name: package["version"] for name, package in packages.items()
    }.items()
