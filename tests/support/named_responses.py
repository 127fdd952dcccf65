"""Hostile responses that have caused or could cause a defect; every `make test` runs them."""

import json
from collections.abc import Iterator, Mapping

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

# In an `Echo`, -1 is the latest secret of a host: for a workspace's folders, the stored Azure DevOps token.
LISTED = "/api/2.0/repos$"


def _one(service: Service, *changes: Change, route: str | None = None, method: str | None = None) -> Example:
    return Example(service, (Strike(changes, route, method),))


def _listed(field: str, value: Value) -> Example:
    return _one("databricks", Json(f"repos.*.{field}", value), route=LISTED, method="GET")


def _listed_path(text: str) -> Example:
    return _listed("path", Plain("/Repos/mirror/" + text))


def _expiry(value: Value | None) -> Example:
    return _one("identity", Json("expires_on", value))


def _token(claim: str, value: Value) -> Example:
    return _one("identity", Json("access_token", Token(claim, value)))


def _echoes() -> Iterator[tuple[str, Example]]:
    devops = "https://dev.azure.com/contoso/Data%20Platform/_git/"
    for field, before in (
        ("path", "/Repos/mirror/"),
        ("branch", ""),
        ("head_commit_id", ""),
        ("url", devops),
    ):
        yield (
            f"a listed folder whose {field} is the Azure DevOps token",
            _listed(field, Echo(-1, before=before)),
        )
    yield "a listed folder whose path is the OAuth secret", _listed("path", Echo(0, before="/Repos/mirror/"))
    # Only the signature: the parts before it are common to many tokens.
    own = Echo(1, "piece", start=-1, length=60, before="/Repos/mirror/")
    yield "a listed folder with the end of the workspace's own access token in its path", _listed("path", own)
    piece = Echo(-1, "piece", start=300, length=12, before="/Repos/mirror/")
    yield "a listed folder with twelve characters of the token in its path", _listed("path", piece)
    for form in ("base64", "upper", "lower"):
        echo = Echo(-1, "second half", form, before="/Repos/mirror/")
        yield f"a listed folder with half the token, in {form}, in its path", _listed("path", echo)
    secret = Echo(0, form="url")
    yield (
        "a sign-in error whose code is the OAuth secret, URL-encoded",
        _one(
            "databricks",
            Status(400),
            Json("error", secret),
            Json("error_description", secret),
            route="/oidc/",
        ),
    )
    for service in ("identity", "keyvault", "devops", "databricks"):
        error = Json("", Raw(json.dumps({"error_code": "X", "message": "x", "error": {"code": "X"}})))
        code = [
            Json(at, Echo(-1)) for at in ("error_code", "message", "error.code", "error.message", "typeKey")
        ]
        names = ("x-request-id", "x-ms-request-id", "x-vss-e2eid", "ActivityId")
        ids = [Header(name, Echo(-1, "piece", start=200, length=60)) for name in names]
        yield f"an error of {service} that is all secrets", _one(service, Status(403), error, *code, *ids)


def _odd_paths() -> Iterator[tuple[str, Example]]:
    for what, text in {
        "an unpaired surrogate": "\ud800",
        "line breaks": "two\nlines\r\nthree\x85four",
        "an escape sequence": "\x1b[31mred\x1b]0;title\x07",
        "separators of lines and paragraphs": "a\u2028b\u2029c",
        "bidi marks": "\u202egnp.exe\u2066\u200f",
        "a null": "a\x00b",
    }.items():
        yield f"a listed path with {what}", _listed_path(text)
    invisible = Long("\U000f0000", 1_900, "/Repos/mirror/")  # ten characters are written for each
    yield "a listed path of 1,900 characters that nobody sees", _listed("path", invisible)
    yield "a listed path 3 MB long", _listed("path", Long("x", 3_000_000, "/Repos/mirror/"))
    for field in ("branch", "head_commit_id", "url"):
        yield f"a listed {field} with an unpaired surrogate", _listed(field, Plain("\ud800"))
        yield f"a listed {field} 1 MB long", _listed(field, Long("x", 1_000_000))


def _odd_json() -> Iterator[tuple[str, Example]]:
    everything: Mapping[str, Value] = {
        "nesting 60,000 deep": Nested(60_000),
        "nesting without end": Nested(60_000, '{"x":', open=True),
        "an integer of 5,000 digits": Digits(5000),
        "NaN": Raw("NaN"),
        "an infinity": Raw("-Infinity"),
    }
    for what, value in everything.items():
        yield f"{what} from a workspace", _one("databricks", Json("", value))
        yield f"{what} from Azure DevOps with 500", _one("devops", Json("", value), Status(500))
    yield (
        "nesting in a sign-in error",
        _one("databricks", Json("", Nested(60_000)), Status(401), route="/oidc/"),
    )
    yield "an id of 5,000 digits", _listed("id", Digits(5000))
    yield "an id of 300 digits", _listed("id", Digits(300))
    yield "an id that is NaN", _listed("id", Raw("NaN"))
    yield "a key twice", _listed("path", Doubled(Plain("/Repos/mirror/second")))
    yield (
        "a credential's id twice",
        _one("databricks", Json("credentials.0.credential_id", Doubled(Raw("1"))), route="/git-credentials$"),
    )
    commits: Mapping[str, Value] = {
        "an unpaired surrogate": Plain("\ud800"),
        "two lines": Plain("main\n"),
        "a number": Raw("7"),
        "the Azure DevOps token": Echo(-1),
        "100 kB long": Long("a", 100_000),
        "missing": Raw("null"),
    }
    for what, value in commits.items():
        yield f"an objectId that is {what}", _one("devops", Json("value.*.objectId", value))


def _odd_times() -> Iterator[tuple[str, Example]]:
    ends: Mapping[str, Value | None] = {
        "in milliseconds": Plain("1893456000000"),
        "in milliseconds, as a number": Raw("1893456000000"),
        "negative": Plain("-62135596801"),
        "beyond year 9999": Plain("253402300800"),
        "infinite": Raw("1e999"),
        "text": Plain("soon"),
        "a date": Plain("2030-01-01T00:00:00+00:00"),
        "missing": None,
    }
    for what, value in ends.items():
        yield f"an expires_on that is {what}", _expiry(value)
    claims: Mapping[str, tuple[str, Value]] = {
        "an exp in milliseconds": ("exp", Raw("1893456000000")),
        "a negative exp": ("exp", Raw("-99999999999999")),
        "an exp that is text": ("exp", Plain("soon")),
        "an exp that is NaN": ("exp", Raw("NaN")),
        "an exp of 5,000 digits": ("exp", Digits(5000)),
        "an odd oid": ("oid", Plain("two\nlines\u202e\ud800")),
        "an oid 100 kB long": ("oid", Long("x", 100_000)),
        "nesting 60,000 deep": ("", Nested(60_000)),
        "nothing but a list": ("", Raw("[]")),
    }
    for what, (claim, value) in claims.items():
        yield f"a token whose claims have {what}", _token(claim, value)
    for source in ("253402300800", "-99999999999999", '"soon"', "1e300", "1e999", "true"):
        yield f"a secret's exp of {source}", _one("keyvault", Json("attributes.exp", Raw(source)))
    for date in ("Fri, 31 Dec 9999 23:59:59 -2359", "Sat, 01 Jan 0001 00:00:00 +2359", "soon"):
        yield f"a Date of {date}", _one("devops", Header("Date", Plain(date)))


def _bombs() -> Iterator[tuple[str, Example]]:
    cookies: Text = Long("x", 60_000, "a=")
    for service in ("identity", "keyvault", "devops", "databricks"):
        yield f"90 long cookies from {service}", _one(service, Header("Set-Cookie", cookies, 90))
    yield (
        "20 pages of 60,000 folders",
        _one("databricks", FolderBomb(20, 60_000, "/Repos/mirror"), route=LISTED),
    )
    yield "a gzip bomb", _one("databricks", GzipBomb(60), route=LISTED)
    yield "a gzip bomb in ten layers", _one("databricks", GzipBomb(3, 10), route=LISTED)
    yield "continue without end", _one("databricks", Endless("continue"), route=LISTED)
    yield "headers without end", _one("databricks", Endless("headers"), route="/oidc/")
    yield "a length that is too long", _one("databricks", Length(1000), route=LISTED)
    yield "a length that is too short", _one("databricks", Length(-5, keep=True), route=LISTED)
    yield "a wait of an odd length", _one("databricks", Status(429), Header("Retry-After", Plain("-1")))
    yield (
        "an encoding of odd characters",
        _one(
            "databricks",
            Header("Content-Type", Plain("text/plain; charset=hex")),
            Body(Plain("zz")),
            Status(400),
        ),
    )


def _recorded_shapes() -> Iterator[tuple[str, Example]]:
    """Yield recorded responses of vendors: byte-order marks, null lists, other formats of errors."""
    for service in ("identity", "keyvault", "devops", "databricks"):
        yield f"a byte-order mark before every answer of {service}", _one(service, Mark())
        yield f"a byte-order mark before every error of {service}", _one(service, Mark(), Status(403))
    for service, route, field in (
        ("devops", "/refs$", "value"),
        ("databricks", LISTED, "repos"),
        ("databricks", "/git-credentials$", "credentials"),
    ):
        null = _one(service, Json(field, Raw("null")), route=route, method="GET")  # type: ignore[arg-type]  # one of these
        yield f"null in the place of {field}", null
    improper = Json("", Raw('{"count": 1, "value": {"Message": "x"}}'))
    scim = Json("", Raw('{"schemas": [], "detail": "x", "status": "403"}'))
    yield (
        "a wrapped error that is the Azure DevOps token",
        _one("devops", Status(401), improper, Json("value.Message", Echo(-1))),
    )
    yield (
        "a SCIM error that is the workspace's secrets",
        _one("databricks", Status(403), scim, Json("detail", Echo(-1))),
    )
    for form in ("plain", "url"):
        header = Header("X-TFS-ServiceError", Echo(-1, form=form))
        yield (
            f"a header for errors with the token, {form}",
            _one("devops", Status(401), Body(Plain("")), header),
        )


def _words() -> Iterator[tuple[str, Example]]:
    """Yield tokens that are words of the app's own output, which must not be masked."""
    for word in ("git_refresh.run", "git_refresh.workspace", "adb-0000000000000003.3.azuredatabricks.net"):
        yield f"an access token that reads {word}", _one("databricks", Json("access_token", Plain(word)))
        yield f"an identity's token that reads {word}", _one("identity", Json("access_token", Plain(word)))
        yield f"a secret that reads {word}", _one("keyvault", Json("value", Plain(word)))


NAMED: dict[str, Example] = {
    name: example
    for group in (_echoes, _odd_paths, _odd_json, _odd_times, _bombs, _recorded_shapes, _words)
    for name, example in group()
}
PROCESSES = (
    "a listed folder whose path is the Azure DevOps token",
    "a listed path with an unpaired surrogate",
)
"""Also run as `python -m git_refresh run --json`, at 1.5 seconds each."""
