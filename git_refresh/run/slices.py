"""Splits the workspace list into slices, each with a message on the queue (`FAN_OUT=queue`).

A message contains only the names of workspaces. The worker reads the current settings.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import batched
from math import ceil
from random import Random
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from git_refresh.model.values import Slice, utc_text
from git_refresh.output.redact import redact
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.fields import seen
from git_refresh.settings.json_text import JsonError, parse
from git_refresh.settings.load import Settings

QUEUE = "git-refresh-slices"
"""Name of the queue, and of the container for the claims."""

MAX_WORKSPACES_PER_SLICE = 50
"""Large slices share tokens, secrets and lookups, and each execution is billed for at least a second:
https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan
"""

_MAX_NAMES_BYTES = 25_000
"""Names of a slice as JSON. All must fit into a log line (`log.MAX_LINE_CHARS`) and into a message.

A message has at most 65,536 bytes in base64: https://learn.microsoft.com/rest/api/storageservices/put-message
"""

VERSION = 1


class UnreadableMessageError(Exception):
    """The app cannot read a message. The text continues the words "The message"."""


@dataclass(frozen=True, slots=True)
class Message:
    """A queue message for one slice. It expires at `valid_until`, when the next run is due."""

    slice: Slice
    valid_until: datetime
    workspaces: tuple[str, ...]

    def text(self) -> str:
        return json.dumps(
            {
                "version": VERSION,
                "run_id": self.slice.run_id,
                "slice": self.slice.number,
                "slices": self.slice.total,
                "valid_until": utc_text(self.valid_until),
                "workspaces": list(self.workspaces),
            }
        )

    @property
    def fingerprint(self) -> str:
        return sha256(self.text().encode()).hexdigest()[:32]


def cut(settings: Settings) -> list[tuple[str, ...]]:
    """Return the workspace names of each slice. A slice has workspaces of one identity.

    Slices of an identity have similar lengths. A rejected entry is in a slice too, so a worker reports it.
    """
    groups: dict[str | None, list[str]] = {}
    seen: set[str] = set()
    for entry in sorted(settings.entries, key=lambda entry: isinstance(entry, Rejected)):
        zone = settings.zone(entry.workspace).identity if isinstance(entry, Entry) else settings.client_id
        if entry.name not in seen:
            seen.add(entry.name)
            groups.setdefault(zone, []).append(entry.name)
    return [names for group in groups.values() for names in _parts(group)]


def _parts(names: list[str]) -> Iterator[tuple[str, ...]]:
    parts = ceil(len(names) / MAX_WORKSPACES_PER_SLICE)
    for part in batched(names, ceil(len(names) / parts), strict=False):
        yield from _fitting(part)


def _fitting(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Halve a slice until its names fit. JSON can use twelve bytes for one character."""
    if len(json.dumps(names)) <= _MAX_NAMES_BYTES or len(names) == 1:
        yield names
        return
    middle = len(names) // 2
    yield from _fitting(names[:middle])
    yield from _fitting(names[middle:])


def messages(settings: Settings, run_id: str, until: datetime) -> list[Message]:
    """Return one message for each slice, in random order."""
    parts = cut(settings)
    found = [
        Message(Slice(run_id, number, len(parts)), until.replace(microsecond=0), names)
        for number, names in enumerate(parts, start=1)
    ]
    Random(run_id).shuffle(found)  # noqa: S311  # not for security: no slice is always last
    return found


def read_message(text: str) -> Message:
    """Parse a message.

    Raises:
        UnreadableMessageError: the message is invalid, or has another version.
    """
    try:
        value = parse(text)
    except JsonError:
        value = None
    if not isinstance(value, dict):
        raise UnreadableMessageError("is not a JSON object")
    version = value.get("version")
    if version != VERSION or isinstance(version, bool):
        raise UnreadableMessageError(
            f"has version {redact(json.dumps(version)[:40])}, and this app reads version {VERSION}: it was put on the queue before or "
            "after an upgrade"
        )
    wrong = ""
    own = {key: item for key, item in value.items() if not key.startswith("$")}  # the host's own keys
    try:
        read = _MessageJson.model_validate(own)
        until = read.valid_until.astimezone(UTC)
    except ValidationError as error:
        places = {".".join(map(str, each["loc"][:1])) for each in error.errors(include_url=False)}
        wrong = ", ".join(sorted(redact(place)[:40] for place in places)[:10])
    except OverflowError:  # beyond the first or last hours of datetime
        wrong = "valid_until"
    else:
        if read.slice <= read.slices:
            return Message(Slice(str(read.run_id), read.slice, read.slices), until, read.workspaces)
        wrong = "slice"
    raise UnreadableMessageError(f"is wrong in: {wrong}")


_Name = Annotated[str, Field(max_length=2_000), AfterValidator(seen)]


class _MessageJson(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    run_id: UUID
    slice: int = Field(strict=True, ge=1, le=100_000)
    slices: int = Field(strict=True, ge=1, le=100_000)
    valid_until: AwareDatetime
    workspaces: tuple[_Name, ...] = Field(min_length=1, max_length=1_000)
