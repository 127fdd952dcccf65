"""Turns validation errors of Pydantic into problems with location and fix."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from git_refresh.model.values import Problem
from git_refresh.output.redact import REVOKE_IT, looks_like_secret, redact
from git_refresh.output.text import closest
from git_refresh.settings.models import DevOps, Folder


def problem_of(where: str, detail: ErrorDetails, model: type[BaseModel], data: Mapping[str, Any]) -> Problem:
    """Return the problem for a validation error. `data` is the entry with its defaults."""
    if detail["loc"][:1] == ("devops",) and len(detail["loc"]) > 1:
        inner: ErrorDetails = {**detail, "loc": detail["loc"][1:]}
        return problem_of(f"{where}.devops", inner, DevOps, data["devops"])
    place = where + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    found = detail["input"]
    key = str(detail["loc"][-1]) if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        place = f"{where}.{redact(key)}"
        return Problem(place, _unknown_key(where, key, model, data), f"{model.__name__} {redact(key)}")
    commands = getattr(detail.get("ctx", {}).get("error"), "commands", ())
    return Problem(place, _message(detail, found, key, model), _kind(detail, model), commands=commands)


def _kind(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """Return the model, key and violated rule. For the app's own checks, the rule is the line that raises."""
    keys = ".".join(part for part in detail["loc"] if isinstance(part, str))
    rule: str = detail["type"]
    trace = getattr(detail.get("ctx", {}).get("error"), "__traceback__", None)
    while trace is not None:
        rule = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{model.__name__}.{keys} {rule}"


def _message(detail: ErrorDetails, found: object, key: str, model: type[BaseModel]) -> str:
    kind = kind_of(found)
    match detail["type"]:
        case "missing":
            text = f"is missing; write {_example(key, model)}"
        case "value_error":
            reason = str(detail.get("ctx", {}).get("error", detail["msg"]))
            quotable = isinstance(found, str) and found.strip() and key != "client_secret_name"
            text = f'"{redact(str(found))}" {reason}' if quotable else reason
        case "literal_error":
            text = _one_of(found, str(detail.get("ctx", {}).get("expected", "")).replace("'", '"'))
        case "string_type" if found is None and not model.model_fields[key].is_required():
            text = "must be a string, not null; leave the key out to use its default"
        case "string_type":
            text = f"must be a string in double quotes, not {kind}"
        case "string_too_short" | "too_short":
            text = "must not be empty; leave it out instead"
        case "tuple_type":
            joined = isinstance(found, str) and " " in found.strip()
            text = f"must be an array, not {kind}; {JOINED if joined else 'put [ ] around it'}"
        case "int_type":
            text = f"must be a whole number, not {kind}"
        case "greater_than":
            text = "must be greater than 0"
        case other:
            text = _PLAIN[other].format_map(detail.get("ctx", {})) if other in _PLAIN else detail["msg"]
    return text


_PLAIN = {
    "model_type": 'must be an object: {{"tenant_id": "…", "client_id": "…"}}',
    "string_too_long": "is too long; write at most {max_length:,} characters",
    "string_unicode": "contains an unpaired surrogate; type it again",
    "less_than": "is too large for a service principal's numeric id",
    "too_long": "has too many items; write at most {max_length}",
}


JOINED = "write each of its items in [ ]; if ConvertTo-Json has joined them, add -Depth 10 to it"


def _one_of(found: object, allowed: str) -> str:
    if not isinstance(found, str):
        return f"must be {allowed}, not {kind_of(found)}"
    choices = [part.strip(' "') for part in allowed.replace(" or ", ",").split(",")]
    near = closest(_folded(found), choices)
    advice = f'; did you mean "{near[0]}"?' if near else ""
    return f'"{redact(found)}" must be {allowed}{advice}'


def _example(key: str, model: type[BaseModel]) -> str:
    field = model.model_fields.get(key)
    examples = field.examples if field is not None else None
    return f'"{key}": {json.dumps(examples[0])}' if examples else f'"{key}": …'


_MEANT = {
    "Workspace": {
        "url": "host",
        "workspace": "host",
        "workspace_url": "host",
        "address": "host",
        "secret_name": "client_secret_name",
        "app_id": "client_id",
        "application_id": "client_id",
        "service_principal": "client_id",
        "username": "git_username",
        "repos": "folders",
        "git_folders": "folders",
        "folder": "folders",
        "paths": "folders",
        "principals": "additional_principal_ids",
        "managed_identity": "identity",
        "identity_client_id": "identity",
        "azure_client_id": "identity",
        "azure_devops": "devops",
        "tenant": "devops",
        "tenant_id": "devops",
    },
    "DevOps": {
        "tenant": "tenant_id",
        "app_id": "client_id",
        "application_id": "client_id",
        "appid": "client_id",
    },
    "Folder": {
        "repo": "url",
        "repo_url": "url",
        "repository": "url",
        "git_url": "url",
        "ref": "branch",
        "folder": "path",
        "sparse_checkout": "sparse",
        "conflict": "on_conflict",
    },
}
"""Common wrong names of keys, except misspellings."""


OWN_KEYS = ("host", "name")
"""Keys that are invalid in `WORKSPACE_DEFAULTS`, because each workspace has its own."""
DEFAULTS = "WORKSPACE_DEFAULTS"


def _unknown_key(where: str, key: str, model: type[BaseModel], data: Mapping[str, Any]) -> str:
    refused = OWN_KEYS if where == DEFAULTS else ()
    known = [name for name in model.model_fields if name not in refused]
    kind, folded = model.__name__, _folded(key)
    near = closest(folded, known)
    meant = _MEANT[kind].get(folded) or next(iter(near or closest(folded, refused)), None)
    if looks_like_secret(key):
        return REVOKE_IT
    if folded in _SECRETS:
        advice = "secrets do not belong here: store it in Key Vault, and write the name of the Key Vault secret in client_secret_name"
    elif kind == "Folder" and folded in _COMMITS:
        advice = "a folder follows a branch or a tag: tag the commit, and write the tag"
    elif folded == "discard":
        advice = 'write "on_conflict": "discard"'
    elif kind == "Workspace" and _of_folder(folded, data):
        advice = f'it belongs to a folder: write "folders": [{_folder(data)}]'
    elif meant in refused:
        advice = f'if it is "{meant}", it belongs to one workspace; write it in WORKSPACES'
    elif meant:
        advice = f'did you mean "{meant}"?'
    else:
        advice = f"the known keys are {', '.join(known)}"
    return f"is not a key of {'devops' if kind == 'DevOps' else f'a {kind.lower()}'}; {advice}"


_SECRETS = ("secret", "client_secret", "oauth_secret", "password", "token", "pat")
_COMMITS = ("commit", "commit_id", "commit_sha", "sha", "rev", "revision", "git_commit", "hash")
_FOLDER_KEYS = {key: (field.examples or [field.default])[0] for key, field in Folder.model_fields.items()}
"""Keys of a folder, each with an example."""


def _of_folder(folded: str, data: Mapping[str, Any]) -> bool:
    """Return whether a key in a workspace belongs to a folder. Without `host`, `url` might mean the host."""
    return folded in _FOLDER_KEYS and not (folded == "url" and "host" not in data)


def _folder(data: Mapping[str, Any]) -> str:
    """Return a folder entry with the misplaced keys, and examples for values that are not safe to display."""
    written = {_folded(key): value for key, value in data.items() if _of_folder(_folded(key), data)}
    folder = {
        key: _value_or_example(written.get(key), example)
        for key, example in _FOLDER_KEYS.items()
        if key in written or key == "path"
    }
    return json.dumps(folder, ensure_ascii=False)


def _value_or_example(value: object, example: object) -> object:
    fine = isinstance(value, str) and value and not looks_like_secret(value) and redact(value) == value
    return value if fine else example


def _folded(text: str) -> str:
    return text.strip().casefold().replace("-", "_").replace(" ", "_")


def kind_of(value: object) -> str:
    """Return the JSON type of a value. Security: the value itself might be a secret."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return "a string"
        case int():
            return "a number"
        case float():
            return "a number with a decimal point"
        case list():
            return "an array"
        case _:
            return "an object"
