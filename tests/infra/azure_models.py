"""Azure resources held against what Microsoft publishes of them: the models in its azure-mgmt-* packages.

Those come in two makes. One has annotations and says `rest_field`; the other an `_attribute_map` with flattened names and types
as text, and names its enums only in the docstring.
"""

import enum
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from tests.infra.bicep_deploy import Resource, Unknown

_WEB, _STORAGE, _VAULT = "azure.mgmt.web.models", "azure.mgmt.storage.models", "azure.mgmt.keyvault.models"
_LOGS, _MONITOR = "azure.mgmt.loganalytics.models", "azure.mgmt.monitor.models"
_PLACES = {
    "Microsoft.Web/serverfarms": (_WEB, "AppServicePlan"),
    "Microsoft.Web/sites": (_WEB, "Site"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": (
        _WEB,
        "CsmPublishingCredentialsPoliciesEntity",
    ),
    "Microsoft.Storage/storageAccounts": (_STORAGE, "StorageAccountCreateParameters"),
    "Microsoft.Storage/storageAccounts/blobServices": (_STORAGE, "BlobServiceProperties"),
    "Microsoft.Storage/storageAccounts/blobServices/containers": (_STORAGE, "BlobContainer"),
    "Microsoft.Storage/storageAccounts/queueServices": (_STORAGE, "QueueServiceProperties"),
    "Microsoft.Storage/storageAccounts/queueServices/queues": (_STORAGE, "StorageQueue"),
    "Microsoft.Storage/storageAccounts/managementPolicies": (_STORAGE, "ManagementPolicy"),
    "Microsoft.KeyVault/vaults": (_VAULT, "VaultCreateOrUpdateParameters"),
    "Microsoft.OperationalInsights/workspaces": (_LOGS, "Workspace"),
    "Microsoft.Insights/components": (
        "azure.mgmt.applicationinsights.v2020_02_02.models",
        "ApplicationInsightsComponent",
    ),
    "Microsoft.Insights/workbooks": ("azure.mgmt.applicationinsights.v2023_06_01.models", "Workbook"),
    "Microsoft.Insights/scheduledQueryRules": (_MONITOR, "ScheduledQueryRuleResource"),
    "Microsoft.Insights/actionGroups": (_MONITOR, "ActionGroupResource"),
}
_BY_HAND: dict[str, "Kind"] = {
    # So few properties that a package of megabytes is not worth it.
    "Microsoft.ManagedIdentity/userAssignedIdentities": {"location": "str", "tags": ("map", "str")},
    "Microsoft.Authorization/roleAssignments": {
        "properties": {
            "principalId": "str",
            "principalType": (
                "enum",
                frozenset({"User", "Group", "ServicePrincipal", "ForeignGroup", "Device"}),
            ),
            "roleDefinitionId": "str",
            "description": "str",
        },
    },
    "Microsoft.Authorization/locks": {
        "properties": {"level": ("enum", frozenset({"CanNotDelete", "ReadOnly"})), "notes": "str"},
    },
    "Microsoft.Network/privateEndpoints": {
        "location": "str",
        "tags": ("map", "str"),
        "properties": {
            "subnet": {"id": "str"},
            "privateLinkServiceConnections": (
                "list",
                {"name": "str", "properties": {"privateLinkServiceId": "str", "groupIds": ("list", "str")}},
            ),
        },
    },
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": {
        "properties": {
            "privateDnsZoneConfigs": ("list", {"name": "str", "properties": {"privateDnsZoneId": "str"}}),
        },
    },
    # In none of the packages.
    "Microsoft.Insights/diagnosticSettings": {
        "properties": {
            "workspaceId": "str",
            "logs": ("list", {"category": "str", "categoryGroup": "str", "enabled": "bool"}),
        },
    },
}
_SIMPLE: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}
_OF_BICEP = {"name", "parent", "scope", "dependsOn"}

type Kind = str | type | _ReadOnly | dict[str, Kind] | tuple[str, Any]
"""A simple type's name; a model; fields by name; a list, a map or an enum of something."""


@dataclass(frozen=True, slots=True)
class _ReadOnly:
    """Stands for the kind of what the service alone sets."""


def complaints(resource: Resource) -> list[str]:
    """What Microsoft's model of the resource does not know."""
    where = f"{resource.file}: {resource.symbol}"
    kind = _kind_of(resource.type)
    if kind is None:
        return [f"{where}: {resource.type} is no type that is known here"]
    body = {key: value for key, value in resource.body.items() if key not in _OF_BICEP}
    return [f"{where}{complaint}" for complaint in _compare(body, kind)]


def _kind_of(type_: str) -> Kind | None:
    if type_ not in _PLACES:
        return _BY_HAND.get(type_)
    module, name = _PLACES[type_]
    model: type = getattr(import_module(module), name)
    return model


def _compare(value: Any, kind: Kind) -> Iterator[str]:
    if isinstance(value, Unknown) or value is None or kind == "any":
        return
    if isinstance(kind, _ReadOnly):
        yield " is set by the service alone"
    elif isinstance(kind, tuple):
        yield from _compare_shape(value, *kind)
    elif isinstance(kind, str):
        if type(value) not in _SIMPLE[kind]:
            yield f" is {value!r}, and should be {kind}"
    elif isinstance(value, dict):
        fields = kind if isinstance(kind, dict) else _fields(kind)
        yield from (f".{key} is no property" for key in value.keys() - fields.keys())
        for key in value.keys() & fields.keys():
            yield from (f".{key}{complaint}" for complaint in _compare(value[key], fields[key]))
    else:
        yield f" is {value!r}, and should be an object"


def _compare_shape(value: Any, shape: str, inner: Any) -> Iterator[str]:
    if shape == "enum":
        if value not in inner:
            yield f" is {value!r}, and none of {', '.join(sorted(inner))}"
    elif isinstance(value, list if shape == "list" else dict):
        for place, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from (f"[{place}]{complaint}" for complaint in _compare(item, inner))
    else:
        yield f" is {value!r}, and should be a {shape}"


@lru_cache
def _fields(model: type) -> dict[str, Kind]:
    if hasattr(model, "_attribute_map"):
        return _from_attribute_map(model)
    hints = typing.get_type_hints(
        model, localns={"_models": import_module(model.__module__.rpartition(".")[0])}
    )
    found: dict[str, Kind] = {}
    for attribute, hint in hints.items():
        field: Any = next(
            (base.__dict__[attribute] for base in model.__mro__ if attribute in base.__dict__), None
        )
        if hasattr(field, "_rest_name_input"):
            name = field._rest_name_input or attribute
            found[name] = _ReadOnly() if field._visibility == ["read"] else _from_hint(hint)
    return found


def _from_hint(hint: Any) -> Kind:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        wanted = [each for each in inner if each not in (str, types.NoneType)] or [str]
        return _from_hint(wanted[0])
    if origin is list:
        return ("list", _from_hint(inner[0]))
    if origin is dict:
        return ("map", _from_hint(inner[1]))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return ("enum", frozenset(each.value for each in hint))
    if hint in (str, int, float, bool):
        return str(hint.__name__)
    return hint if isinstance(hint, type) and "azure.mgmt" in hint.__module__ else "any"


def _from_attribute_map(model: Any) -> dict[str, Kind]:
    module = import_module(model.__module__.rpartition(".")[0])
    enums = dict(re.findall(r":vartype (\w+): str or\s+~[\w.]+\.(\w+)", model.__doc__))
    found: dict[str, Any] = {}
    for attribute, entry in model._attribute_map.items():
        *parents, name = entry["key"].split(".")
        at = found
        for parent in parents:
            at = at.setdefault(parent, {})
        if model._validation.get(attribute, {}).get("readonly"):
            at[name] = _ReadOnly()
        elif attribute in enums:
            at[name] = _from_hint(getattr(module, enums[attribute]))
        else:
            at[name] = _from_text(entry["type"], module)
    return found


def _from_text(text: str, module: types.ModuleType) -> Kind:
    if text[0] in "[{":
        return ("list" if text[0] == "[" else "map", _from_text(text[1:-1], module))
    if text in ("str", "int", "float", "bool"):
        return text
    model: type | None = getattr(module, text, None)
    return model or "any"
