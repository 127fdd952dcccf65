"""`schema`: the JSON Schema of a `workspaces.json`, generated from the models."""

import json
from typing import Any

import click
from pydantic import TypeAdapter

from git_refresh.cli import render
from git_refresh.settings.entries import MAX_WORKSPACES
from git_refresh.settings.models import Workspace
from git_refresh.settings.names import SETTINGS
from git_refresh.settings.problems import OWN_KEYS

_Schema = dict[str, Any]


@click.command(name="schema")
def print_schema() -> None:
    """Print the JSON Schema of workspaces.json."""
    with render.writing():
        render.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


def schema() -> _Schema:
    """Return the schema: an array of workspaces, or app settings by name.

    It has keys, types, choices, and descriptions. It never rejects a list that the app accepts.
    """
    made = TypeAdapter(tuple[Workspace, ...]).json_schema()
    definitions: _Schema = made["$defs"]
    folder, workspace = definitions["Folder"]["properties"], definitions["Workspace"]["properties"]
    workspace["folders"] |= {"maxItems": MAX_WORKSPACES, "items": _or_text("Folder", folder["path"])}
    workspace["additional_principal_ids"]["items"] = {"type": ["integer", "string"]}
    definitions["defaults"] = {
        **definitions["Workspace"],
        "properties": {key: value for key, value in workspace.items() if key not in OWN_KEYS},
        "required": [],
    }
    definitions["workspaces"] = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_WORKSPACES,
        "items": _or_text("Workspace", workspace["host"]),
    }
    definitions["settings"] = {"type": "object", "properties": _settings(), "required": ["WORKSPACES"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Workspaces of databricks-git-refresh",
        "description": "An array of workspaces, or app settings by name.",
        "anyOf": [{"$ref": "#/$defs/workspaces"}, {"$ref": "#/$defs/settings"}],
        "$defs": definitions,
    }


def _settings() -> _Schema:
    properties: _Schema = {"$schema": {"type": "string"}}
    for name, setting in SETTINGS.items():
        kind = ["string", "integer"] if setting.default.isdecimal() else "string"
        properties[name] = {"type": kind, "description": setting.description, "examples": [setting.example]}
    for name, form in (("WORKSPACES", "workspaces"), ("WORKSPACE_DEFAULTS", "defaults")):
        # JSON as text is valid too, as in Azure, but editors cannot check it.
        del properties[name]["type"], properties[name]["examples"]
        properties[name]["anyOf"] = [{"$ref": f"#/$defs/{form}"}, {"type": "string"}]
    return properties


def _or_text(model: str, text: _Schema) -> _Schema:
    """Return the schema of an object or its short form as a string."""
    return {"anyOf": [text, {"$ref": f"#/$defs/{model}"}]}
