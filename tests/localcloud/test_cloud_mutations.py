import contextlib
import gzip
import json
import ssl
from collections.abc import Callable
from http.client import HTTPSConnection
from urllib.parse import urlsplit

import jwt
import pytest
import requests
from requests.auth import HTTPBasicAuth

from localcloud import Cloud, Fault
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from localcloud.rest import Rest
from tests.support.hostile import Digits, Doubled, Echo, Long, Nested, Place, Plain, Raw, Token
from tests.support.mutations import (
    Body,
    Change,
    Endless,
    FolderBomb,
    GzipBomb,
    Header,
    Json,
    Length,
    Status,
    mutate,
)

SECRET = "s3cret+/="


@pytest.fixture
def get(cloud: Cloud, session: requests.Session, workspace: Workspace) -> Callable[..., requests.Response]:
    """Return a function that gets a small JSON response with changes."""

    def get(*changes: Change) -> requests.Response:
        cloud.clear_faults()
        cloud.inject(Fault(mutate(*changes)))
        url = f"{workspace.url}/.well-known/databricks-config"
        return session.get(url, timeout=5, allow_redirects=False)

    return get


type Get = Callable[..., requests.Response]


def test_an_unchanged_response_is_the_real_one_and_keeps_the_connection(cloud: Cloud, get: Get) -> None:
    for _ in range(3):
        answer = get()
        assert (answer.status_code, answer.reason, answer.json()["cloud"]) == (200, "OK", "Azure")
        assert answer.headers["x-request-id"]
    # The observer might not have the status yet when the response arrives.
    assert [seen.status for seen in cloud.requests[:2]] == [200] * 2
    assert len(cloud.requests) == 3


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (Json("cloud", Plain("moon")), '"cloud": "moon"'),
        (Json("cloud", Raw("NaN")), '"cloud": NaN'),
        (Json("cloud", Raw('"\\ud800"')), '"cloud": "\\ud800"'),
        (Json("cloud", Digits(5000)), '"cloud": ' + "7" * 5000),
        (Json("cloud", Nested(3)), '"cloud": [[["Azure"]]]'),
        (Json("cloud", Nested(2, '{"x":', open=True)), '"cloud": {"x":{"x":"Azure"'),
        (Json("cloud", Doubled(Plain("moon"))), '"cloud": "Azure", "cloud": "moon"'),
        (Json("cloud", Long("\u2028", 2, "x")), '"cloud": "x\\u2028\\u2028"'),
        (Json("*", Raw("1")), '"cloud": 1, "host_type": 1'),
        (Json("new", Raw("1")), '"new": 1'),
        (Json("", Raw("[]")), "[]"),
        (Json("", Nested(60_000)), "[" * 60_000),
    ],
)
def test_a_value_of_the_json_is_replaced(get: Get, change: Change, shown: str) -> None:
    assert shown in get(change).text


def test_a_value_is_found_by_its_number_or_left_out(get: Get) -> None:
    whole = get().json()
    assert get(Json(0, Raw("1"))).text == "1"
    assert get(Json(1, Raw("1"))).json() == whole | {next(iter(whole)): 1}
    assert get(Json(len(whole) + 2, Raw("1"))).json() == whole | {next(iter(whole)): 1}
    assert list(get(Json("cloud", None)).json()) == [key for key in whole if key != "cloud"]
    assert get(Json("nowhere.deep", Raw("1"))).json() == whole
    assert get(Json("nowhere", None)).json() == whole
    assert get(Json("", None)).content == b""


def test_changes_add_up(get: Get) -> None:
    answer = get(
        Json("cloud", Raw("1")), Json("x", Raw("2")), Status(503), Header("Retry-After", Plain("-1"))
    )
    assert (answer.status_code, answer.reason) == (503, "Service Unavailable")
    assert answer.headers["Retry-After"] == "-1"
    assert (answer.json()["cloud"], answer.json()["x"]) == (1, 2)


def test_headers_can_be_anything(get: Get) -> None:
    assert get(Header("Set-Cookie", Long("x", 1000, "a="), 90)).headers["Set-Cookie"].count("a=xxx") == 90
    assert get(Header("Date", Plain("soon"))).headers["Date"] == "soon"
    assert "x-request-id" not in get(Header("X-Request-Id", None)).headers
    with pytest.raises(requests.exceptions.ConnectionError, match="100 headers"):
        get(Header("X-Many", Plain("x"), 101))


def test_the_status_line_can_be_anything(get: Get) -> None:
    assert (get(Status(599)).status_code, get(Status(599)).reason) == (599, "Odd")
    assert get(Status(200, Plain("Fine\tthanks"))).reason == "Fine\tthanks"
    with pytest.raises(requests.exceptions.ConnectionError):
        get(Status(100))


def test_a_body_can_be_anything(get: Get) -> None:
    assert get(Body(Plain("<html>"))).text == "<html>"
    assert get(Body(Plain("\ud800"))).content == b"\xed\xa0\x80"
    assert get(Body(Plain("x"), "utf-16")).content.endswith(b"x\0")


@pytest.mark.parametrize("layers", [1, 2])
def test_a_small_body_unpacks_to_a_large_one(get: Get, layers: int) -> None:
    answer = get(GzipBomb(3, layers))
    assert len(answer.content) == 3 * 2**20
    assert int(answer.headers["Content-Length"]) < 2**16
    with pytest.raises(requests.exceptions.ContentDecodingError):
        get(Header("Content-Encoding", Plain("gzip")))
    assert gzip.compress(b"")


def test_the_length_can_lie(get: Get) -> None:
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        get(Length(100))
    answer = get(Length(-100, keep=True))
    assert len(answer.content) == int(answer.headers["Content-Length"])
    assert get().json()["cloud"] == "Azure", "what was left over is in nobody's way"


@pytest.mark.parametrize("what", ["headers", "body"])
def test_an_answer_can_be_endless(
    cloud: Cloud, session: requests.Session, workspace: Workspace, what: str
) -> None:
    cloud.inject(Fault(mutate(Endless(what))))  # type: ignore[arg-type]
    got = 0
    with contextlib.suppress(requests.exceptions.RequestException):  # the client refuses this many headers
        answer = session.get(
            f"{workspace.url}/.well-known/databricks-config", timeout=0.2, stream=True, hooks={}
        )
        for chunk in answer.iter_content(2**16):
            got += len(chunk)
            if got > 5 * 2**20:
                break
        answer.close()
    assert got > 5 * 2**20 or what != "body"
    cloud.clear_faults()
    assert session.get(f"{workspace.url}/.well-known/databricks-config", timeout=5).ok


def test_a_response_can_be_100_continue_without_end(
    cloud: Cloud, session: requests.Session, workspace: Workspace
) -> None:
    """The test reads the socket, because `requests` does not limit the number of interim responses."""
    cloud.inject(Fault(mutate(Endless("continue"))))
    environment = cloud.environment()
    proxy = urlsplit(environment["HTTPS_PROXY"])
    tls = ssl.create_default_context(cafile=environment["REQUESTS_CA_BUNDLE"])
    connection = HTTPSConnection(str(proxy.hostname), proxy.port, timeout=5, context=tls)
    connection.set_tunnel(workspace.host, 443)
    with contextlib.closing(connection):
        connection.request("GET", "/.well-known/databricks-config")
        got = b""
        while len(got) < 2**20:
            got += connection.sock.recv(2**16)
    once = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (once * (len(got) // len(once) + 1)).startswith(got), "and nothing else"
    cloud.clear_faults()
    assert session.get(f"{workspace.url}/.well-known/databricks-config", timeout=5).ok


def test_a_list_of_folders_can_be_a_bomb(cloud: Cloud, api: Rest, repository: Repository) -> None:
    api.workspace.add_folder("/Repos/etl/prod", repository)
    cloud.inject(Fault(mutate(FolderBomb(3, 1000)), route="/repos$"))
    paths, token = [], "0"
    while token:
        page = api("GET", "/repos", params={"next_page_token": token}).json()
        paths += [folder["path"] for folder in page["repos"]]
        token = page.get("next_page_token", "")
    assert paths == [f"/Repos/bomb/{number}" for number in range(3000)]


def test_nothing_is_remembered_unless_it_is_asked_for(cloud: Cloud, api: Rest) -> None:
    cloud.inject(Fault(mutate(Json("x", Echo()))))
    assert api("GET", "/git-credentials").json() == {"x": ""}
    assert cloud.secrets == []


def test_a_host_sends_the_secrets_back_that_it_was_sent(cloud: Cloud, workspace: Workspace) -> None:
    cloud.remember_secrets()
    other = cloud.workspace("adb-2222222222222222.2.azuredatabricks.net")
    for place, token in ((workspace, "dapi-token-of-one"), (other, "dapi-token-of-other")):
        with requests.Session() as session:
            api = Rest(session, place, place.service_principal("app-1", SECRET))
            api.store_token(token)
            cloud.inject(Fault(mutate(Json("x", Echo(-1)), Json("y", Echo(0))), host=place.host))
            assert (
                api("GET", "/git-credentials").json() | {"x": token, "y": SECRET}
                == api("GET", "/git-credentials").json()
            )
    assert {SECRET, "dapi-token-of-one", "dapi-token-of-other", api.token} <= set(cloud.secrets)
    assert api.token in cloud.issued
    assert SECRET not in cloud.issued
    cloud.remember_secrets()
    assert cloud.secrets == cloud.issued == []


def test_identity_header_assertion_and_basic_password_are_remembered(
    cloud: Cloud, session: requests.Session, workspace: Workspace
) -> None:
    cloud.remember_secrets()
    endpoint = cloud.environment()["IDENTITY_ENDPOINT"]
    session.get(endpoint, headers={"X-IDENTITY-HEADER": cloud.identity.header}, timeout=5)
    session.post(f"{workspace.url}/oidc/v1/token", data={"client_assertion": "eyJ.a.b"}, timeout=5)
    session.get(workspace.url, auth=HTTPBasicAuth("x", "a-password"), timeout=5)
    assert set(cloud.secrets) == {cloud.identity.header, "eyJ.a.b", "a-password"}


@pytest.mark.parametrize(
    ("echo", "shown"),
    [
        (Echo(), "0123456789+/abcdefghij"),
        (Echo(part="first half"), "0123456789+"),
        (Echo(part="second half"), "/abcdefghij"),
        (Echo(part="piece", start=9, length=3), "9+/abcdefghi"),
        (Echo(part="piece", start=9, length=1000), "0123456789+/abcdefghij"),
        (Echo(form="base64"), "MDEyMzQ1Njc4OSsvYWJjZGVmZ2hpag=="),
        (Echo(form="url"), "0123456789%2B%2Fabcdefghij"),
        (Echo(form="upper", before="refs/heads/", after="-x"), "refs/heads/0123456789+/ABCDEFGHIJ-x"),
        (Echo(form="lower"), "0123456789+/abcdefghij"),
    ],
)
def test_a_secret_is_sent_back_in_every_form(echo: Echo, shown: str) -> None:
    assert echo.text(("0123456789+/abcdefghij",)) == shown
    assert json.loads(echo.json(Place(known=("0123456789+/abcdefghij",)))) == shown


def test_a_token_claims_anything() -> None:
    token = Token("exp", Raw("-5")).text(())
    assert jwt.decode(token, options={"verify_signature": False}) == {"exp": -5}
    assert (
        jwt.api_jws.decode_complete(Token("", Raw("[]")).text(()), options={"verify_signature": False})[
            "payload"
        ]
        == b"[]"
    )
