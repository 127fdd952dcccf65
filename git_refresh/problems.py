"""What is wrong with the settings, in words that somebody in a hurry can act on."""

import difflib
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from git_refresh.redact import shown


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: `WORKSPACES[2].host`."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def problem_of(where: str, detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    """Pydantic's finding in words that somebody in a hurry can act on."""
    place = where + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    found = detail["input"]
    key = str(detail["loc"][-1]) if detail["loc"] else ""
    match detail["type"]:
        case "missing":
            text = "is missing"
        case "extra_forbidden":
            return Problem(f"{where}.{shown(key)}", _unknown_key(key, model))
        case "value_error":
            reason = str(detail.get("ctx", {}).get("error", detail["msg"]))
            text = (
                f'"{shown(found)}" {reason}'
                if isinstance(found, str) and key != "client_secret_name"
                else reason
            )
        case "literal_error":
            text = f"{_quoted(found)} must be {detail.get('ctx', {}).get('expected', '')}".replace("'", '"')
        case "string_type":
            text = f"must be text in double quotes, and is {kind_of(found)}"
        case "string_too_short" | "too_short":
            text = "must not be empty"
        case "string_too_long":
            text = "is too long"
        case "tuple_type":
            text = f"must be an array, in [ ], and is {kind_of(found)}"
        case "int_type" | "greater_than":
            text = f"must be a positive whole number, and is {kind_of(found)}"
        case _:
            text = detail["msg"]
    return Problem(place, text)


def _unknown_key(key: str, model: type[BaseModel]) -> str:
    known = list(model.model_fields)
    near = difflib.get_close_matches(key.casefold().replace("-", "_").replace(" ", "_"), known, 1)
    advice = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
    return f"is not a key of a {model.__name__.lower()}; {advice}"


def _quoted(value: object) -> str:
    return f'"{shown(value)}"' if isinstance(value, str) else kind_of(value)


def kind_of(value: object) -> str:
    """What somebody wrote, by its JSON name; never its contents, which could be anything."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case _:
            return "an object"
