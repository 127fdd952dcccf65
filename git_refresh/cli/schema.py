"""The JSON Schema of a `workspaces.json`, made from the models, for editors to complete and check it by."""

from typing import Any

from git_refresh.settings.models import Folder, Workspace
from git_refresh.settings.names import SETTINGS

_Schema = dict[str, Any]


def schema() -> _Schema:
    """The whole schema: an array of workspaces, or app settings by name.

    It is never stricter than the app itself; what no schema can say (trusted hosts, names given twice) the app says.
    """
    folder, workspace = _object(Folder), _object(Workspace)
    workspace["properties"]["folders"]["items"] = _or_text(
        "#/$defs/folder", "A Git folder's path.", folder["properties"]["path"]
    )
    workspace["properties"]["run_as"]["items"] = {
        "anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string", "pattern": "^[0-9]+$"}]
    }
    shared = {key: value for key, value in workspace["properties"].items() if key not in {"host", "name"}}
    defaults = {**workspace, "properties": shared, "required": []}
    workspaces = {
        "type": "array",
        "minItems": 1,
        "items": _or_text("#/$defs/workspace", "A workspace's address.", workspace["properties"]["host"]),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Workspaces of databricks-git-refresh",
        "description": "An array of workspaces, or app settings by name.",
        "anyOf": [{"$ref": "#/$defs/workspaces"}, {"$ref": "#/$defs/settings"}],
        "$defs": {
            "workspaces": workspaces,
            "settings": _settings(),
            "defaults": defaults,
            "workspace": workspace,
            "folder": folder,
        },
    }


def _settings() -> _Schema:
    properties: _Schema = {"$schema": {"type": "string"}}
    for name, setting in SETTINGS.items():
        properties[name] = {
            "type": ["string", "integer"] if setting.example.isdecimal() else "string",
            "description": setting.description,
            "examples": [setting.example],
        }
    properties["WORKSPACES"] = {
        "description": SETTINGS["WORKSPACES"].description,
        "$ref": "#/$defs/workspaces",
    }
    properties["WORKSPACE_DEFAULTS"] = {
        "description": SETTINGS["WORKSPACE_DEFAULTS"].description,
        "$ref": "#/$defs/defaults",
    }
    return {
        "type": "object",
        "properties": properties,
        "required": ["WORKSPACES"],
        "additionalProperties": {"type": "string"},
    }


def _object(model: type[Folder | Workspace]) -> _Schema:
    made = model.model_json_schema()
    made.pop("$defs", None)
    for name, value in made["properties"].items():
        made["properties"][name] = _plain(value)
    return {key: value for key, value in made.items() if key != "title"}


def _plain(value: _Schema) -> _Schema:
    """Without the titles that only repeat the key, and without the null that nobody has to write."""
    made = {key: item for key, item in value.items() if key not in {"title", "anyOf"}}
    if made.get("default", ...) is None:
        del made["default"]
    for choice in value.get("anyOf", []):
        made |= choice if choice.get("type") != "null" else {}
    return made


def _or_text(reference: str, description: str, text: _Schema) -> _Schema:
    """The short form: a string in place of an object."""
    short = {"type": "string", "description": description, "examples": text["examples"]}
    short |= {key: text[key] for key in ("pattern",) if key in text}
    return {"anyOf": [short, {"$ref": reference}]}
