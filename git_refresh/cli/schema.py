"""`schema`: the JSON Schema of a `workspaces.json`, made from the models, so that editors complete and check it."""

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


@click.command(name="schema", short_help="The JSON Schema of a workspaces.json.")
def print_schema() -> None:
    """Print the JSON Schema of a workspaces.json, for editors and pipelines."""
    with render.writing():
        render.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


def schema() -> _Schema:
    """The whole schema: an array of workspaces, or app settings by name.

    It has the keys, types, choices and descriptions. The app checks the form of each value, and is never stricter here than there.
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
        # Or as text, as Azure has it: then an editor cannot look into it.
        del properties[name]["type"], properties[name]["examples"]
        properties[name]["anyOf"] = [{"$ref": f"#/$defs/{form}"}, {"type": "string"}]
    return properties


def _or_text(model: str, text: _Schema) -> _Schema:
    """An object, or only the text that stands for it."""
    return {"anyOf": [text, {"$ref": f"#/$defs/{model}"}]}
