"""Snapshots of infra/, its queries, and those of the command line."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.paths import PACKAGE, ROOT
from tools.alert_clock import rule_name
from tools.snapshots import FOLDER, Deployment, parse

FILES = sorted([*(ROOT / "infra/queries").rglob("*.kql"), *PACKAGE.rglob("*.kql")])
QUERIES = {file.name: file.read_text() for file in FILES}

type Infra = Mapping[str, str]
"""Texts of infra/, azure.yaml, the snapshots and the compiled template, by name."""


def _read(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}


INFRA: Infra = {
    **_read(ROOT / "infra"),
    **_read(FOLDER),
    "azure.yaml": (ROOT / "azure.yaml").read_text(),
}


def deployment(infra: Infra, variant: str) -> Deployment:
    """Return the deployment of a variant."""
    return parse(infra[f"{variant}.snapshot.json"])


PLAIN = deployment(INFRA, "plain")
QUEUED = deployment(INFRA, "queue")
ZONED = deployment(INFRA, "zones")
CLOSED = deployment(INFRA, "closed-network")
VARIANTS = {name.removesuffix(".snapshot.json") for name in INFRA if name.endswith(".snapshot.json")}
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
ACTION_GROUP = "Microsoft.Insights/actionGroups"
ROLE_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"


def token_of(deployed: Deployment) -> str:
    """Return the suffix of all names."""
    name: str = deployed.the("Microsoft.Web/sites")["name"]
    return name.rpartition("-")[2]


def kind_of(resource_id: str) -> str:
    """Return the type in a resource ID, also in that of an extension resource."""
    parts = resource_id.rpartition("/providers/")[2].split("/")
    return "/".join([parts[0], *parts[1::2]])


def extended(resource: dict[str, Any]) -> str:
    """Return the type of the resource that a role assignment, lock or diagnostic setting extends."""
    expression = re.match(r"\[extensionResourceId\('([^']+)'", resource["id"])
    return kind_of(expression[1] if expression else resource["id"].rpartition("/providers/")[0])


def app_settings(deployed: Deployment) -> list[tuple[str, Any]]:
    """Return the app settings that a variant sets in a new app."""
    (settings,) = deployed.of_type("Microsoft.Web/sites/config")
    found: list[tuple[str, Any]] = []
    for call in re.finditer(r"createObject\(", settings["properties"]):
        names_and_values = _arguments(settings["properties"], call.end())
        for name, value in zip(names_and_values[::2], names_and_values[1::2], strict=True):
            literal = value.startswith("'")
            found.append((name[1:-1], value[1:-1].replace("''", "'") if literal else f"[{value}]"))
    return found


def _arguments(expression: str, start: int) -> list[str]:
    """Return the arguments of a call in an expression; `start` is behind its parenthesis."""
    found, depth, quoted = [""], 0, False
    for character in expression[start:]:
        quoted ^= character == "'"
        if not quoted and character == ")" and depth == 0:
            break
        depth += 0 if quoted else {"(": 1, ")": -1}.get(character, 0)
        if not quoted and character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [each.strip() for each in found if each.strip()]


def next_steps(deployed: Deployment) -> list[str]:
    """Return the texts of the output NEXT_STEPS, with the expressions of values that only Azure knows."""
    texts: list[str] = []
    for each in _arguments(deployed.outputs["NEXT_STEPS"], len("[createArray(")):
        text, *values = _arguments(each, len("format(")) if each.startswith("format(") else [each]
        filled = text.strip("'").replace("''", "'")
        for number, value in enumerate(values):
            filled = filled.replace(f"{{{number}}}", value.strip("'"))
        texts.append(filled)
    return texts


def templates(template: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a compiled template and those of its modules."""
    yield template
    for each in resources_of(template):
        if each["type"] == "Microsoft.Resources/deployments":
            yield from templates(each["properties"]["template"])


def resources_of(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the resources of a compiled file, which is an object if a resource is `existing`."""
    found = template["resources"]
    return list(found.values() if isinstance(found, dict) else found)


def template(infra: Infra) -> dict[str, Any]:
    """Return the compiled main.bicep."""
    whole: dict[str, Any] = json.loads(infra["main.json"])
    return whole


type Rule = tuple[int, str, str, str, int, str, bool, bool, str, tuple[str, ...]]
"""Severity, window, frequency, operator, threshold, query, auto-resolution, scope is the log workspace, summed column, dimensions."""


def rules(deployed: Deployment) -> dict[str, Rule]:
    found: dict[str, Rule] = {}
    for each in deployed.of_type("Microsoft.Insights/scheduledQueryRules"):
        rule = each["properties"]
        (one,) = rule["criteria"]["allOf"]
        times = (rule["windowSize"], rule["evaluationFrequency"])
        query = " ".join(one["query"].split())
        (scope,) = rule["scopes"]
        more = (rule["autoMitigate"], "Microsoft.OperationalInsights/workspaces" in scope)
        assert one["timeAggregation"] == ("Total" if "metricMeasureColumn" in one else "Count")
        dimensions = one.get("dimensions", [])
        assert all((by["operator"], by["values"]) == ("Include", ["*"]) for by in dimensions)
        split = (one.get("metricMeasureColumn", ""), tuple(by["name"] for by in dimensions))
        compared = (one["operator"], one["threshold"], query)
        found[rule_name(each)] = (rule["severity"], *times, *compared, *more, *split)
    return found
