"""A fleet cut into slices, each a message on a queue: how `FAN_OUT=queue` spreads one run over many workers.

A message has names in it and no settings: those are read where it is worked on, so that it can neither be stale nor give anything away.
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
"""The queue, and the container of the claims."""

MAX_WORKSPACES_PER_SLICE = 50
"""Workspaces in a slice. What they share (a token, a secret, where a branch is) is fetched once for all of them, and the Flex Consumption
plan bills a second for an execution at least: https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan."""

_ROOM = 25_000
"""Bytes of a slice's names as JSON. A log line with all of them must fit (`log.MAX_LINE_CHARS`), as must a message: 65,536 in base64,
https://learn.microsoft.com/rest/api/storageservices/put-message."""

VERSION = 1


class UnreadableMessageError(Exception):
    """This is no message of ours. The text says why, as it reads after "the message"."""


@dataclass(frozen=True, slots=True)
class Message:
    """One slice of one run: the names of its workspaces. From `valid_until` on, when the next run is due, it is too late."""

    slice: Slice
    valid_until: datetime
    workspaces: tuple[str, ...]

    def text(self) -> str:
        """The message as the queue has it."""
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
        """Differs between two messages that differ in anything."""
        return sha256(self.text().encode()).hexdigest()[:32]


def cut(settings: Settings) -> list[tuple[str, ...]]:
    """The names of each slice: in the order of the list, those of one identity together, and all about as long as each other.

    Rejected entries have a name, too: the worker of their slice reports them. Entries of the same name stay together.
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
    """A slice as it is, or halved until it fits: JSON writes twelve bytes for one character of a name, if it has to."""
    if len(json.dumps(names)) <= _ROOM or len(names) == 1:
        yield names
        return
    middle = len(names) // 2
    yield from _fitting(names[:middle])
    yield from _fitting(names[middle:])


def messages(settings: Settings, run_id: str, until: datetime) -> list[Message]:
    """A message for each slice of the fleet, for the time until the next run; in another order in each run."""
    parts = cut(settings)
    found = [
        Message(Slice(run_id, number, len(parts)), until.replace(microsecond=0), names)
        for number, names in enumerate(parts, start=1)
    ]
    Random(run_id).shuffle(found)  # noqa: S311  # on too few workers, too, each slice gets its turn
    return found


def read_message(text: str) -> Message:
    """A message as the queue had it.

    Raises:
        UnreadableMessageError: it is none, or another version of this app has written it.
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
    own = {key: item for key, item in value.items() if not key.startswith("$")}  # the host's keys begin so
    try:
        read = _Written.model_validate(own)
        until = read.valid_until.astimezone(UTC)
    except ValidationError as error:
        places = {".".join(map(str, each["loc"][:1])) for each in error.errors(include_url=False)}
        wrong = ", ".join(sorted(redact(place)[:40] for place in places)[:10])
    except OverflowError:  # the first or last hours that there are, elsewhere on earth
        wrong = "valid_until"
    else:
        if read.slice <= read.slices:
            return Message(Slice(str(read.run_id), read.slice, read.slices), until, read.workspaces)
        wrong = "slice"
    raise UnreadableMessageError(f"is wrong in: {wrong}")


_Name = Annotated[str, Field(max_length=2_000), AfterValidator(seen)]


class _Written(BaseModel):
    """What a message says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    run_id: UUID
    slice: int = Field(strict=True, ge=1, le=100_000)
    slices: int = Field(strict=True, ge=1, le=100_000)
    valid_until: AwareDatetime
    workspaces: tuple[_Name, ...] = Field(min_length=1, max_length=1_000)
