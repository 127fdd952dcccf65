"""Strategies for hostile responses of one or two services."""

from dataclasses import replace

from hypothesis import strategies as st

from tests.support.fuzz_fixture import Example, Service, Strike
from tests.support.hostile import Digits, Doubled, Echo, Long, Nested, Plain, Raw, Text, Token, Value
from tests.support.mutations import (
    Body,
    Change,
    Endless,
    FolderBomb,
    GzipBomb,
    Header,
    Json,
    Length,
    Mark,
    Status,
)

TEXTS = (
    "",
    " ",
    "\x00",
    "two\nlines",
    "two\r\nlines",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "a\u2028b\u2029c\x85d",
    "\u202egnp.exe\u2066",
    "\ufeff\u200b",
    "é\U0001d4b3",
    "\ud800",
    "\udfff\ud83d",
    "%s%n{0}${x}",
    "null",
    "-1",
    "main",
    "/Repos/mirror/one",
    "/Repos/mirror/two\nlines",
    "/Repos/etl/../../etc",
    "/Workspace/Repos/etl/prod",
    "https://dev.azure.com/contoso/Data%20Platform/_git/etl",
    "https://dev.azure.com/%00/%0a/_git/%1b[31m",
    "https://user:password@evil.example/contoso/_git/etl",
    "https://[::1",
    "refs/heads/main",
    "0" * 40,
    "REPO",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "INTERNAL_ERROR",
    "TF401444: Please sign-in at least once",
    # Words of the app's own output: masking a token that looks like them would mask too much.
    "git_refresh.run",
    "git_refresh.workspace",
    "workspaces_failed",
    "adb-0000000000000003.3.azuredatabricks.net",
)
JSON = (
    *("null", "true", "0", "-1", "1", "1.5", "1e300", "1e999", "-1e999", "NaN", "Infinity", "-Infinity"),
    *('""', "[]", "{}", "[[]]", "[null]", "[1, 2]", '{"a": 1, "a": 2}', '{"code": {"code": 1}}', '{"": ""}'),
    *("253402300800", "-62135596801", "1732000000000", "9007199254740993", "99999999999999999999"),
    *('"1e5"', '"99999999999999999999"', '"-5"', '"\u0661"', '"NaN"', '"soon"', '"2026-01-01T00:00:00Z"'),
    *(
        r'"\ud800"',
        r'"\udc00\ud800"',
        '"raw\x01control"',
        '"\x7f"',
        r'"\u0000"',
        '"open',
        "",
        "[1,",
        "'x'",
        "﻿{}",
    ),
)
DATES = (
    "soon",
    "0",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Sat, 01 Jan 0001 00:00:00 +2359",
    "Tue, 14 Nov 2023 22:13:20 +99999999999",
    "Mon, 32 Foo 99999 99:99:99 GMT",
    "Tue, 14 Nov 999999999999999999999 22:13:20 GMT",
)
WAITS = (
    "0",
    "-1",
    "0.5",
    "1e9",
    "3600",
    "99999999999999999999",
    "Infinity",
    "nan",
    "²",
    "\u0661",
    *DATES[:5],
)
TYPES = (
    "",
    "text/html",
    "application/json; charset=utf-16",
    "application/json; charset=utf-7",
    "application/json; charset=hex",
    "application/json; charset=\x00",
    "application/json; charset=" + "x" * 3000,
    "application/xml",
    "text/plain; charset=rot13",
    "multipart/form-data",
    "\xff",
)
ENCODINGS = ("gzip", "deflate", "br", "zstd", "identity", "gzip, " * 9 + "gzip", "nonsense", "\x00")
CHALLENGES = (
    "Bearer",
    "Basic realm=x",
    'Bearer authorization="https://evil.example/tenant", resource="https://evil.example"',
    'Bearer authorization="https://login.microsoftonline.com/", resource="https://vault.azure.net"',
    'Bearer authorization="", resource=""',
    'Bearer resource="https://vault.azure.net", scope="x", claims="e30="',
    'Bearer error="insufficient_claims", claims="!", resource="https://vault.azure.net"',
    "Bearer " + 'a="b", ' * 2000,
)
ERRORS = (
    *("", "error", "error_code", "message", "error_description", "error.code", "error.message"),
    *("error.innererror.code", "details", "typeKey", "detail", "value", "value.Message"),
)
SHAPES = (
    '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "detail": "No.", "status": "404"}',
    '{"schemas": null, "detail": null, "status": null, "scimType": []}',
    '{"count": 1, "value": {"Message": "TF400813: No."}}',
    '{"count": 1, "value": {"Message": null}}',
    '{"count": 0, "value": []}',
    '{"count": null, "value": null}',
    '{"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "No."}',
    '{"error_code": 400, "message": "Timed out after 30s"}',
    '{"error_code": "403", "message": "Unauthorized network access to workspace: 1"}',
    '{"message": "TF24668: The following team project collection is stopped: contoso.", "typeKey": "VssServiceException"}',
)
"""Further formats of errors."""
OBJECT = ("path", "object_id", "object_type", "directory_info", "directory_info.is_git_folder")
FOLDER = ("id", "path", "branch", "head_commit_id", "url", "provider", "sparse_checkout", "git_cli_enabled")
CREDENTIALS = ("credential_id", "git_provider", "git_username", "is_default_for_provider", "name")
PATHS: dict[str | None, tuple[str, ...]] = {
    "/msi/": (
        "access_token",
        "access_token",
        "expires_on",
        "expires_on",
        "expires_in",
        "token_type",
        "resource",
    ),
    "/secrets/": (
        "value",
        "id",
        "attributes",
        "attributes.exp",
        "attributes.enabled",
        "attributes.nbf",
        "tags",
    ),
    "/refs$": (
        *("value", "value.*", "value.0", "value.*.name", "value.*.objectId", "value.*.objectId"),
        *("value.*.peeledObjectId", "count"),
    ),
    "^/oidc/": ("access_token", "access_token", "token_type", "expires_in", "scope"),
    "/git-credentials$": ("credentials", "credentials.*", *(f"credentials.*.{name}" for name in CREDENTIALS)),
    "/repos$": (
        *("repos", "repos.*", "repos.0", "next_page_token"),
        *(f"repos.{which}.{name}" for which in "*0" for name in FOLDER),
        *FOLDER,
    ),
    "/repos/": FOLDER,
    "/get-status$": (
        *("object_type", "object_id", "path", "directory_info", "directory_info.is_git_folder"),
        *("git_info", "git_info.id", "git_info.path"),
    ),
    "/workspace/list$": (
        *("objects", "objects.*", "objects.0"),
        *(f"objects.{which}.{name}" for which in "*0" for name in OBJECT),
    ),
}
"""The fields in a response, by route; an error's fields can be in any."""
REQUEST_IDS = ("x-request-id", "x-ms-request-id", "x-vss-e2eid", "ActivityId", "x-databricks-request-id")
AROUND = ("", "", "/Repos/mirror/", "https://dev.azure.com/contoso/", "refs/heads/", "feature/", "Invalid: ")


def _weighted[T](*choices: tuple[int, st.SearchStrategy[T]]) -> st.SearchStrategy[T]:
    """Return one of these by weight; `one_of` weighs nested alternatives instead."""
    return st.sampled_from([choice for times, choice in choices for _ in range(times)]).flatmap(lambda it: it)


echoes: st.SearchStrategy[Echo] = st.builds(
    Echo,
    st.integers(-3, 3),
    st.sampled_from(["whole", "first half", "second half", "piece"]),
    st.sampled_from(["plain", "base64", "url", "upper", "lower"]),
    st.sampled_from(AROUND),
    st.sampled_from(["", "/etl", "\n", "-x"]),
    st.integers(0, 1500),
    st.integers(12, 60),
)
longs = st.builds(
    Long, st.sampled_from(["x", "/x", "é", "\n", "\u202e"]), st.sampled_from([300, 70_000, 2_000_000])
)
texts: st.SearchStrategy[Text] = st.one_of(st.builds(Plain, st.sampled_from(TEXTS)), echoes)
deep = st.builds(Nested, st.sampled_from([100, 60_000]), st.sampled_from(["[", '{"x":']), st.booleans())
numbers = st.builds(Digits, st.sampled_from([30, 400, 5000]))
values: st.SearchStrategy[Value] = _weighted(
    (6, st.builds(Raw, st.sampled_from(JSON))), (6, texts), (1, deep), (1, longs), (1, numbers)
)
tokens = st.builds(Token, st.sampled_from(["exp", "exp", "oid", "tid", ""]), values)
changed = _weighted((8, values), (1, tokens), (1, st.builds(Doubled, values)), (1, st.none()))


def jsons(route: str | None) -> st.SearchStrategy[Json]:
    """Return a change of the JSON, usually of a field that the app reads."""
    own = PATHS.get(route) or tuple(path for paths in PATHS.values() for path in paths)
    at = st.one_of(st.sampled_from(own), st.sampled_from(own), st.sampled_from(ERRORS), st.integers(0, 40))
    return st.builds(Json, at, changed)


def _header(names: tuple[str, ...], choices: tuple[str, ...]) -> st.SearchStrategy[Header]:
    return st.builds(Header, st.sampled_from(names), st.builds(Plain, st.sampled_from(choices)))


headers = st.one_of(
    _header(("Date",), DATES),
    _header(("Retry-After", "x-ms-retry-after-ms"), WAITS),
    _header(("Content-Type",), TYPES),
    _header(("Content-Encoding", "Transfer-Encoding"), (*ENCODINGS, "chunked")),
    _header(("WWW-Authenticate",), CHALLENGES),
    _header(
        ("Location",), ("https://evil.example/", "/login.html?error=private-link-validation-error:42", "\x00")
    ),
    st.builds(
        Header,
        st.sampled_from([*REQUEST_IDS, "X-TFS-ServiceError", "Location", "x-ms-continuationtoken", "Date"]),
        texts,
    ),
    st.builds(Header, st.sampled_from(["X-Request-Id", "Content-Type", "Date"]), st.none()),
    st.builds(Header, st.just("Set-Cookie"), st.just(Long("x", 60_000, "a=")), st.sampled_from([1, 90])),
    st.builds(Header, st.just("X-Many"), st.just(Long("x", 10)), st.sampled_from([90, 200])),
)
statuses = st.builds(
    Status,
    st.one_of(
        st.sampled_from(
            [100, 101, 103, 200, 201, 202, 203, 204, 206, 301, 304, 307, 400, 401, 403, 404, 409]
        ),
        st.sampled_from([400, 403, 404, 408, 410, 416, 418, 429, 451, 500, 502, 503, 504, 511, 599]),
        st.integers(100, 599),
    ),
    st.one_of(st.none(), texts),
)
shapes: st.SearchStrategy[Change] = st.one_of(
    st.just(Mark()), st.builds(Json, st.just(""), st.builds(Raw, st.sampled_from(SHAPES)))
)
bodies = st.one_of(
    st.builds(Body, texts, st.sampled_from(["utf-8", "utf-16"])),
    st.builds(Body, st.just(Plain("<html><body>Sign in</body></html>"))),
)
bombs: st.SearchStrategy[Change] = st.one_of(
    st.builds(GzipBomb, st.sampled_from([3, 30]), st.sampled_from([1, 3])),
    st.builds(Endless, st.sampled_from(["headers", "continue", "body"])),
    st.builds(Length, st.sampled_from([-1, -30, 1, 1000, 10**12]), st.booleans()),
    st.builds(FolderBomb, st.sampled_from([1, 3]), st.sampled_from([1000, 30_000]), st.just("/Repos/mirror")),
)


@st.composite
def changes(draw: st.DrawFn, route: str | None) -> tuple[Change, ...]:
    """Return changes of a response: usually its JSON, sometimes status or header, rarely expensive ones."""
    kind = draw(st.sampled_from(["json"] * 12 + ["headers"] * 3 + ["shape"] * 2 + ["body", "bomb"]))
    found: list[Change] = []
    if kind == "json":
        found += draw(st.lists(jsons(route), min_size=1, max_size=2))
    if kind == "body":
        found.append(draw(bodies))
    if kind == "shape":
        found += draw(st.lists(shapes, min_size=1, max_size=2))
    if kind == "headers":
        found += draw(st.lists(headers, min_size=1, max_size=2))
    elif draw(st.integers(0, 5)) == 5:
        found.append(draw(headers))
    if draw(st.integers(0, 3)) == 3:
        found.append(draw(statuses))
    if kind == "bomb":
        found.append(draw(bombs))
    return tuple(found)


ROUTES: dict[Service, tuple[tuple[str | None, str | None], ...]] = {
    "identity": (("/msi/", None),),
    "keyvault": (("/secrets/", None),),
    "devops": (("/refs$", "GET"),),
    "databricks": (
        (None, None),
        ("^/oidc/", "POST"),
        ("/git-credentials$", "GET"),
        ("/git-credentials/", "PATCH"),
        ("/git-credentials$", "POST"),
        ("/repos$", "GET"),
        ("/repos/", "GET"),
        ("/repos/", "PATCH"),
        ("/repos$", "POST"),
        ("/get-status$", "GET"),
        ("/workspace/list$", "GET"),
        ("/mkdirs$", "POST"),
    ),
    "login": (("/token$", "POST"),),
}
NEEDS = {"POST/git-credentials$": "credential missing", "PATCH/repos/": "folder behind"} | dict.fromkeys(
    ("POST/repos$", "POST/mkdirs$", "GET/get-status$"), "folder missing"
)
"""The state of data-2 in which the app sends a request."""


@st.composite
def examples(draw: st.DrawFn, service: Service) -> Example:
    """Return one or more changed responses of a service."""
    routes = draw(st.lists(st.sampled_from(ROUTES[service]), min_size=1, max_size=2, unique=True))
    strikes, before = [], []
    for route, method in routes:
        strikes.append(Strike(draw(changes(route)), route, method, draw(st.sampled_from([None, None, 1, 2]))))
        before += [NEEDS[f"{method}{route}"]] if f"{method}{route}" in NEEDS else []
    if service == "databricks" and draw(st.booleans()):
        before.append("federated")
    debug = draw(st.integers(0, 3)) == 3
    return Example(service, tuple(strikes), tuple(sorted(set(before))), debug)  # type: ignore[arg-type]


@st.composite
def examples_of_two(draw: st.DrawFn) -> Example:
    """Return changed responses of two services in one run."""
    first, second = draw(st.lists(st.sampled_from(list(ROUTES)), min_size=2, max_size=2, unique=True))
    one, other = draw(examples(first)), draw(examples(second))
    strikes = (*one.strikes, *(replace(strike, service=second) for strike in other.strikes))
    return Example(first, strikes, tuple(sorted({*one.before, *other.before})), one.debug)
