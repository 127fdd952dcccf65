"""Realistic hostile responses: the request is handled, then the response is changed.

`mutate` is a fault's action with a list of changes, which can be pasted from a fuzzer's output. The response
bypasses the HTTP library, which would enforce the protocol.
"""

import asyncio
import codecs
import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, Protocol, cast, override

from aiohttp import web
from multidict import CIMultiDict

from localcloud.faults import Action, Proceed
from localcloud.memory import KNOWN
from tests.support.hostile import Place, Text, Value

MEGABYTE = 1024 * 1024


@dataclass(slots=True)
class Answer:
    """A response before it is written.

    `known`: the secrets that the host knows.
    `query`: the request's query.
    `keep`: leave the connection open afterwards.
    `endless`: repeated before the head is complete, or after the body, until the client disconnects.
    """

    status: int
    reason: str
    headers: CIMultiDict[str]
    body: bytes
    known: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    keep: bool = True
    endless: Literal["", "headers", "continue", "body"] = ""

    def written(self) -> bytes:
        """Return status line, headers and body; endless headers or `100 Continue` omit the rest."""
        if self.endless == "continue":
            return b""
        head = [f"HTTP/1.1 {self.status} {self.reason}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        text = "\r\n".join(head)
        text += "\r\n\r\n" if self.endless in ("", "body") else "\r\n"
        return text.encode("utf-8", "surrogatepass") + (self.body if self.endless in ("", "body") else b"")


class Change(Protocol):
    """A change that makes a response hostile."""

    def apply(self, answer: Answer) -> None: ...


@dataclass(frozen=True, slots=True)
class Json:
    """A change of a JSON value.

    `at`: a path such as `repos.0.url`, in which `*` is every key or index; the last key can be new. Empty:
    the whole. A number: that value of the response, modulo their number.
    `value`: the new value; None removes it.
    """

    at: str | int
    value: Value | None

    def apply(self, answer: Answer) -> None:
        try:
            everything = {"": json.loads(answer.body)}  # so the whole is a value with a key
        except (ValueError, RecursionError):
            return  # no JSON is left to change
        content = everything[""]
        places = list(_places(content))
        wanted = [places[self.at % len(places)]] if isinstance(self.at, int) else _named(content, self.at)
        marks: dict[str, str] = {}
        for path in wanted:
            *above, key = ("", *path)
            self._put(_at(everything, tuple(above)), key, marks, answer.known)
        text = json.dumps(everything[""]) if everything else ""
        answer.body = _unmarked(text, marks).encode("utf-8", "surrogatepass")

    def _put(
        self, holder: Any, key: str | int, marks: dict[str, str], known: tuple[str, ...]
    ) -> None:  # JSON
        """Insert a placeholder, because the final value might be invalid JSON."""
        there = dict(_members(holder)).get(key)
        if self.value is not None:
            mark = f"@mark-{len(marks)}@"
            name = key if isinstance(key, str) and key else None
            marks[mark] = self.value.json(Place(json.dumps(there), name, known))
            holder[key] = mark
        elif key in dict(_members(holder)):
            del holder[key]


@dataclass(frozen=True, slots=True)
class Header:
    """A new or changed header; None removes it."""

    name: str
    value: Text | None
    times: int = 1

    def apply(self, answer: Answer) -> None:
        answer.headers.popall(self.name, None)
        if self.value is not None:
            for _ in range(self.times):
                answer.headers.add(self.name, self.value.text(answer.known))


@dataclass(frozen=True, slots=True)
class Status:
    """Another status; the reason phrase is arbitrary."""

    code: int
    reason: Text | None = None

    def apply(self, answer: Answer) -> None:
        answer.status = self.code
        known = {status.value: status.phrase for status in HTTPStatus}
        answer.reason = self.reason.text(answer.known) if self.reason else known.get(self.code, "Odd")
        if self.code < HTTPStatus.OK:
            answer.keep = False  # a client treats it as interim and waits for another


@dataclass(frozen=True, slots=True)
class Body:
    content: Text
    encoding: str = "utf-8"

    def apply(self, answer: Answer) -> None:
        answer.body = self.content.text(answer.known).encode(self.encoding, "surrogatepass")


@dataclass(frozen=True, slots=True)
class Mark:
    """A byte-order mark before the body, as Azure DevOps sends one."""

    def apply(self, answer: Answer) -> None:
        answer.body = codecs.BOM_UTF8 + answer.body
        answer.headers.pop("Content-Length", None)


@dataclass(frozen=True, slots=True)
class GzipBomb:
    """A compressed body of this many megabytes of blanks, in as many layers as in Content-Encoding."""

    megabytes: int
    layers: int = 1

    def apply(self, answer: Answer) -> None:
        answer.body = b" " * MEGABYTE * self.megabytes
        for _ in range(self.layers):
            answer.body = gzip.compress(answer.body, 1)
        answer.headers["Content-Encoding"] = ", ".join(["gzip"] * self.layers)


@dataclass(frozen=True, slots=True)
class Length:
    """A wrong Content-Length; the connection stays open or not."""

    off: int
    keep: bool = False

    def apply(self, answer: Answer) -> None:
        answer.headers["Content-Length"] = str(len(answer.body) + self.off)
        answer.keep = self.keep


@dataclass(frozen=True, slots=True)
class Endless:
    """Endless headers, `100 Continue` or body, as fast as the client reads."""

    what: Literal["headers", "continue", "body"]

    def apply(self, answer: Answer) -> None:
        answer.endless = self.what


@dataclass(frozen=True, slots=True)
class FolderBomb:
    """A list of Git folders with this many pages and folders, below a path."""

    pages: int
    folders: int
    below: str = "/Repos/bomb"

    def apply(self, answer: Answer) -> None:
        page = int(answer.query.get("next_page_token", "0"))
        first = page * self.folders
        item = b'{"id":%%d,"path":"%s/%%d","url":"u"}' % self.below.encode()
        items = b",".join(item % (n + 1, n) for n in range(first, first + self.folders))
        more = b',"next_page_token":"%d"' % (page + 1) if page + 1 < self.pages else b""
        answer.body = b'{"repos":[' + items + b"]" + more + b"}"


def mutate(*changes: Change) -> Action:
    """Handle the request, and apply the changes to the response one by one."""

    async def act(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        answer = _answer(await proceed(), request)
        for change in changes:
            change.apply(answer)
        if not answer.endless:
            answer.headers.setdefault("Content-Length", str(len(answer.body)))
        return await _write(request, answer)

    return act


_ENDLESS = {
    "headers": b"X-More: " + b"x" * 1000 + b"\r\n",
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    "body": b" " * 64 * 1024,
}


def _answer(response: web.StreamResponse, request: web.Request) -> Answer:
    body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
    headers = CIMultiDict(response.headers)
    known = request.get(KNOWN, ())
    return Answer(response.status, response.reason or "", headers, body, known, dict(request.query))


class _Written(web.StreamResponse):
    """A response that is already written; the server only handles the connection."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(status=200)
        self._keep = answer.keep and not answer.endless

    @property
    @override
    def keep_alive(self) -> bool:
        return self._keep

    @override
    async def prepare(self, request: web.BaseRequest) -> None: ...

    @override
    async def write_eof(self, data: bytes = b"") -> None: ...


async def _write(request: web.Request, answer: Answer) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        transport.write(answer.written())
    while answer.endless and transport is not None and not transport.is_closing():
        if transport.get_write_buffer_size() < MEGABYTE:
            transport.write(_ENDLESS[answer.endless])
        await asyncio.sleep(0.001)
    return _Written(answer)


def _places(content: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value, in the order of writing."""
    yield path
    for key, value in _members(content):
        yield from _places(value, (*path, key))


def _members(content: object) -> list[tuple[str | int, object]]:
    if isinstance(content, dict):
        return list(content.items())
    return list(enumerate(content)) if isinstance(content, list) else []


def _named(content: object, at: str) -> list[tuple[str | int, ...]]:
    """Return the paths that match a dotted path."""
    if not at:
        return [()]
    *above, last = at.split(".")
    found: list[tuple[str | int, ...]] = [()]
    for step in above:
        found = [
            (*path, key)
            for path in found
            for key, _ in _members(_at(content, path))
            if step in ("*", str(key))
        ]
    result: list[tuple[str | int, ...]] = []
    for path in found:
        holder = _at(content, path)
        there = [key for key, _ in _members(holder) if last in ("*", str(key))]
        new = [last] if isinstance(holder, dict) and last != "*" else []
        result += [(*path, key) for key in there or new]
    return result


def _at(content: object, path: tuple[str | int, ...]) -> Any:  # JSON
    for key in path:
        content = cast("Any", content)[key]
    return content


def _unmarked(text: str, marks: dict[str, str]) -> str:
    replace: Callable[[re.Match[str]], str] = lambda match: marks.get(match[1], match[0])  # noqa: E731
    return re.sub(r'"(@mark-\d+@)"', replace, text)
