"""The JSON Schema of a `workspaces.json`, made from the models, for editors to complete and check it by."""

import re
from typing import Any

from git_refresh.settings.entries import MAX_WORKSPACES
from git_refresh.settings.models import DevOps, Folder, Workspace
from git_refresh.settings.names import SETTINGS

_Schema = dict[str, Any]


def _any_case(text: str) -> str:
    """Patterns of a schema have no flag for it."""
    return re.sub("[a-z]", lambda letter: f"[{letter[0].upper()}{letter[0]}]", text)


# What is written around a text, the app takes off. What JavaScript and Python read alike is used here, and no more.
_LABEL = "[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"
_HTTPS = _any_case("https") + "://"
_ACCOUNTS = _any_case("accounts") + r"\."
_ELSEWHERE = (
    rf"(?:{_any_case('www')}\.)?(?:{_any_case(r'github\.com|gitlab\.com|bitbucket\.org')})(?![0-9A-Za-z.-])"
)
_GUID = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_PAGE = "(?:[/?#].*)?"
"""Behind a host or a repository: the app takes a page of it for the thing itself."""
_NOT_SEEN = r"\u0000-\u001f"
_NAME = rf"[^/*\\{_NOT_SEEN}]+"
_IN_URL = rf"(?!\.{{1,2}}/)[^/?#\\{_NOT_SEEN}]+"
_SSH = (
    rf"(?:{_any_case('git')}(?:::|\+))?(?:{_any_case('ssh')}://)?(?:[^/@:\s]+@)?(?:[^/@:\s]*\.)?(?:{_any_case('ssh.dev.azure')}|{_any_case('visualstudio')})"
    rf"\.{_any_case('com')}(?::22)?[:/].+"
)
_IN_REF = r"[^\s~^:?*\[\\]"
_NUMBERS = {
    "REFRESH_CONCURRENCY": (1, 256, "[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-6]"),
    "REFRESH_TIMEOUT_SECONDS": (30, 3600, "[3-9][0-9]|[1-9][0-9]{2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600"),
}
_PATTERNS = {
    "host": (
        rf"{_HTTPS}(?!{_ACCOUNTS}){_HOST}{_PAGE}",
        "The workspace's address: https:// and the host name.",
    ),
    "path": (
        rf"/(?!Workspace/\*/*\s*$)(?:(?!\.{{1,2}}/){_NAME}/)+(?:\*|(?!\.{{1,2}}/*\s*$){_NAME})/*",
        "An absolute path in the workspace, like /Repos/etl/production; * alone may be its last part.",
    ),
    "url": (
        (
            rf"(?:(?:{_any_case('git')}(?:::|\+))?{_HTTPS}(?:[^/?#:{_NOT_SEEN}]*@)?(?!{_ELSEWHERE}){_HOST}/+(?:{_IN_URL}/){{0,2}}_git/"
            rf"(?!\.{{1,2}}/*\s*$){_IN_URL}{_PAGE}|{_SSH})"
        ),
        "A repository in Azure DevOps: https://dev.azure.com/ORGANIZATION/PROJECT/_git/REPOSITORY.",
    ),
    "branch": (
        rf"(?!refs/(?:heads|tags)/)(?![-/])(?!\S*(?:\.\.|@\{{|//)){_IN_REF}*(?![/.]\s*$){_IN_REF}",
        "The short name: main, not refs/heads/main or origin/main.",
    ),
    "client_secret_name": (
        "[0-9A-Za-z-]{1,127}",
        "The name of a secret in Key Vault: letters, digits and hyphens.",
    ),
    "KEY_VAULT_URL": (
        rf"(?:{_HTTPS}{_HOST}{_PAGE})?",
        "https:// and the vault's host name.",
    ),
    "REFRESH_SCHEDULE": (
        r"(?:(?:\S+\s+){5}\S+)?",
        "Six fields, seconds first: 0 */15 * * * * is every 15 minutes.",
    ),
    "client_id": (_GUID, "The application id of a service principal."),
    "identity": (_GUID, "The client id of a user-assigned managed identity."),
    "tenant_id": (_GUID, "The id of a tenant, not its name."),
    "AZURE_CLIENT_ID": (f"(?:{_GUID})?", "The client id of a user-assigned managed identity."),
    "TRUSTED_HOSTS": (
        r"[0-9A-Za-z.:,\s-]*",
        "Host names, suffixes and IP addresses with commas between, without https:// and path.",
    ),
    "FAN_OUT": ("(?:off|queue)?", '"off" or "queue".'),
    **{
        name: (f"(?:0*(?:{digits}))?", f"A whole number from {least} to {most}.")
        for name, (least, most, digits) in _NUMBERS.items()
    },
}
"""What a text must look like, without what is around it; and what an editor says where it does not (Visual Studio Code does)."""

_PATTERNS["tag"] = _PATTERNS["branch"]


def _text(name: str) -> _Schema:
    pattern, message = _PATTERNS[name]
    return {"pattern": rf"^\s*{pattern}\s*$", "patternErrorMessage": message}


_WRITTEN = {"type": "string"}
_REPOS = r"^\s*(?:/Workspace)?/Repos/"
_FOLDER_RULES: list[_Schema] = [
    {
        "not": {"required": ["branch", "tag"], "properties": {"branch": _WRITTEN, "tag": _WRITTEN}},
        "errorMessage": "Keep one of branch and tag.",
    },
    *(
        {
            "not": {
                "required": ["path", key],
                "properties": {"path": {"pattern": r"/\*/*\s*$"}, key: {"type": kind}},
            },
            "errorMessage": f"With a path ending in /*, {key} has no effect.",
        }
        for key, kind in (("url", "string"), ("sparse", "array"))
    ),
    {
        "not": {
            "required": ["sparse"],
            "properties": {"sparse": {"type": "array"}, "url": {"type": "null"}},
        },
        "errorMessage": "sparse is used only when the folder is created: it needs url.",
    },
    {
        "not": {
            "required": ["path", "url"],
            "properties": {
                "path": {"allOf": [{"pattern": _REPOS}, {"not": {"pattern": rf"{_REPOS}[^/]+/[^/]+/*\s*$"}}]},
                "url": _WRITTEN,
            },
        },
        "errorMessage": "Below /Repos a folder can only be created as /Repos/FOLDER/NAME.",
    },
]


def schema() -> _Schema:
    """The whole schema: an array of workspaces, or app settings by name.

    It is never stricter than the app itself; what no schema can say (trusted hosts, names given twice) the app says. A file of settings
    as Azure or Functions write it is none that people edit by it.
    """
    folder, workspace, devops = _object(Folder), _object(Workspace), _object(DevOps)
    folder["allOf"] = _FOLDER_RULES
    devops["properties"]["client_id"] |= {
        "pattern": rf"^\s*{_GUID}\s*$",
        "patternErrorMessage": "The application id of an app registration.",
    }
    workspace["properties"]["folders"] |= {"maxItems": MAX_WORKSPACES, "uniqueItems": True}
    workspace["properties"]["folders"]["items"] = _or_text(
        "#/$defs/folder", "A Git folder's path.", folder["properties"]["path"]
    )
    workspace["properties"]["additional_principal_ids"]["items"] = {
        "anyOf": [
            {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 2**63},
            {"type": "string", "pattern": "^0*[1-9][0-9]*$", "maxLength": 19},
        ]
    }
    shared = {key: value for key, value in workspace["properties"].items() if key not in {"host", "name"}}
    defaults = {**workspace, "properties": shared, "required": []}
    workspaces = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_WORKSPACES,
        "uniqueItems": True,
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
            "devops": devops,
        },
    }


def _settings() -> _Schema:
    properties: _Schema = {"$schema": {"type": "string"}}
    for name, setting in SETTINGS.items():
        properties[name] = {
            "type": "string",
            "description": setting.description,
            "examples": [setting.example],
        }
        properties[name] |= _text(name) if name in _PATTERNS else {}
    for name, (least, most, _) in _NUMBERS.items():
        properties[name] |= {"type": ["string", "integer"], "minimum": least, "maximum": most}
    for name, reference, start in (
        ("WORKSPACES", "workspaces", r"\["),
        ("WORKSPACE_DEFAULTS", "defaults", r"(?:\{|$)"),
    ):
        # Or as text, as Azure has it: then an editor cannot look into it.
        as_text = {"type": "string", "pattern": rf"^\s*{start}"}
        properties[name] = {
            "description": SETTINGS[name].description,
            "anyOf": [{"$ref": f"#/$defs/{reference}"}, as_text],
        }
    return {
        "type": "object",
        "properties": properties,
        "required": ["WORKSPACES"],
    }


def _object(model: type[Folder | Workspace | DevOps]) -> _Schema:
    made = model.model_json_schema()
    made.pop("$defs", None)
    for name, value in made["properties"].items():
        made["properties"][name] = _plain(value) | (_text(name) if name in _PATTERNS else {})
    return {key: value for key, value in made.items() if key != "title"}


def _plain(value: _Schema) -> _Schema:
    """Without the titles that only repeat the key, and without the null as a choice that nobody has to look at."""
    made = {key: item for key, item in value.items() if key not in {"title", "anyOf"}}
    if made.get("default", ...) is None:
        del made["default"]
    for choice in value.get("anyOf", []):
        made |= _not_blank(choice) if choice.get("type") != "null" else {}
    if "$ref" in made:
        reference = f"#/$defs/{str(made.pop('$ref')).rpartition('/')[2].lower()}"
        return made | {"anyOf": [{"$ref": reference}, {"type": "null"}]}
    if "anyOf" in value:
        made["type"] = [made["type"], "null"]
    return _not_blank(made)


def _not_blank(value: _Schema) -> _Schema:
    """Of a text the app takes off what is around it, and then there must be something."""
    if "items" in value:
        return value | {"items": _not_blank(value["items"])}
    if value.get("minLength") != 1:
        return value
    return {key: item for key, item in value.items() if key != "minLength"} | {"pattern": r"\S"}


def _or_text(reference: str, description: str, text: _Schema) -> _Schema:
    """The short form: a string in place of an object."""
    short = {"type": "string", "description": description, "examples": text["examples"]}
    short |= {key: text[key] for key in ("pattern", "patternErrorMessage", "maxLength") if key in text}
    return {"anyOf": [short, {"$ref": reference}]}
