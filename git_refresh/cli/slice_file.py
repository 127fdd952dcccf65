"""A message of the queue in a file, for `run --slice`: to do by hand what no worker has done."""

import base64
import binascii
import sys
from pathlib import Path
from typing import Any

from git_refresh.redact import visible
from git_refresh.settings.json_text import JsonError, parse
from git_refresh.settings.load import SettingsError
from git_refresh.slices import Message, UnreadableMessageError, read_message
from git_refresh.values import Problem


def read_slice(file: Path) -> Message:
    """The message in a file, or on stdin where it is `-`: as JSON, as the base64 on the queue, or as `az storage message peek` shows it.

    Raises:
        SettingsError: there is none in it, or more than one.
    """
    where = "stdin" if str(file) == "-" else visible(str(file))
    try:
        text = (sys.stdin.buffer.read() if where == "stdin" else file.read_bytes()).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise SettingsError([Problem(where, "cannot be read as UTF-8 text")]) from None
    try:
        return read_message(_decoded(_content(where, text)))
    except UnreadableMessageError as error:
        problem = Problem(where, f"contains no message of a slice: it {error}; write one as the queue has it")
    raise SettingsError([problem])


def _content(where: str, text: str) -> str:
    """The message's own text, out of what `az` prints around it."""
    value: Any
    try:
        value = parse(text)
    except JsonError:
        return text
    if isinstance(value, list):
        if len(value) != 1:
            message = f"contains {len(value)} messages; give one"
            raise SettingsError([Problem(where, message)])
        value = value[0]
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        return str(value["content"])
    return value if isinstance(value, str) else text


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return text
