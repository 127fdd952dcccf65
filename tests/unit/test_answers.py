"""A service's response becomes a value or one typed failure, checked in one place."""

import base64
import json
from datetime import UTC, datetime
from typing import get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.admin import account as admin_account
from git_refresh.admin import jobs as admin_jobs
from git_refresh.admin import oauth_secrets as admin_oauth_secrets
from git_refresh.admin import organization as admin_organization
from git_refresh.admin import workspace as admin_workspace
from git_refresh.clients import responses
from git_refresh.clients.responses import UnexpectedAnswerError, claims_of, read, read_json
from git_refresh.output.mask import SecretFilter

SECRET = "dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48"
SECRETS = SecretFilter([SECRET])
COMMIT = "9d2c1f0e8b7a6d5c4b3a29180716f5e4d3c2b1a0"
FOLDER = {
    "id": 7,
    "path": "/Repos/etl/prod",
    "url": "https://dev.azure.com/contoso/p/_git/etl",
    "branch": "main",
    "head_commit_id": COMMIT,
}
MODELS = [
    model
    for model in vars(responses).values()
    if isinstance(model, type) and issubclass(model, responses.Response) and model is not responses.Response
]

ODD_TEXT = {
    "a line break": "/Repos/a\nb",
    "an ANSI sequence": "/Repos/\x1b[31mred",
    "an unpaired surrogate": "/Repos/\ud800",
    "a line separator": "/Repos/a\u2028b",
    "a bidirectional override": "/Repos/\u202egnp.exe",
    "no character": "/Repos/\uffff",
    "3 MB": "/Repos/" + "x" * 3_000_000,
    "a number": 5,
    "nothing": None,
    "an object": {},
    "a secret": f"/Repos/{SECRET}",
    "a piece of a secret": f"/Repos/{SECRET[5:20]}",
}
ODD_PATHS = {
    "empty": "",
    "relative": "Repos/etl",
    "a way up": "/Repos/../etl",
    "an empty name": "/Repos//etl",
}
ODD_IDS = [0, -1, 2**63, 10**400, 1.0, 7.5, "7", True, None, [], {}, float("nan"), float("inf")]
ODD_COMMITS = ["", "HEAD", COMMIT[:-1], COMMIT + "0", "g" * 40, COMMIT + "\n", 5, [COMMIT]]


@pytest.mark.parametrize("what", ODD_TEXT)
@pytest.mark.parametrize("key", ["path", "url", "branch", "head_commit_id"])
def test_a_folder_of_which_a_text_is_odd_is_not_what_is_promised(key: str, what: str) -> None:
    if ODD_TEXT[what] is None and key in {"url", "branch", "head_commit_id"}:
        read(responses.Repo, {**FOLDER, key: None}, SECRETS)
        return
    with pytest.raises(UnexpectedAnswerError) as caught:
        read(responses.Repo, {**FOLDER, key: ODD_TEXT[what]}, SECRETS)
    assert (caught.value.__cause__, caught.value.__context__, str(caught.value)) == (None, None, "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("path", path) for path in ODD_PATHS.values()),
        *(("id", id_) for id_ in ODD_IDS),
        *(("head_commit_id", commit) for commit in ODD_COMMITS if commit != ""),
    ],
)
def test_a_folder_of_which_a_value_is_out_of_range_is_not_what_is_promised(key: str, value: object) -> None:
    with pytest.raises(UnexpectedAnswerError):
        read(responses.Repo, {**FOLDER, key: value}, SECRETS)


def test_a_commit_with_a_piece_of_a_secret_in_it_is_not_what_is_promised() -> None:
    with pytest.raises(UnexpectedAnswerError):
        read(responses.Repo, {**FOLDER, "head_commit_id": (SECRET[4:] * 2)[:40]}, SECRETS)


@pytest.mark.parametrize("what", [what for what in ODD_TEXT if what != "nothing"])
def test_a_name_that_is_odd_is_not_what_is_promised(what: str) -> None:
    credential = {"credential_id": 7, "git_provider": "azureDevOpsServices", "git_username": "me"}
    with pytest.raises(UnexpectedAnswerError):
        read(responses.Credential, {**credential, "git_provider": ODD_TEXT[what]}, SECRETS)
    for key in ("git_username", "name"):
        found = read(responses.Credential, {**credential, key: ODD_TEXT[what]}, SECRETS)
        assert getattr(found, key) is None, "it only helps to choose: the credential must not lapse for it"
    with pytest.raises(UnexpectedAnswerError):
        read(responses.Status, {"object_type": ODD_TEXT[what]}, SECRETS)


def test_more_credentials_than_anybody_has_are_not_what_is_promised() -> None:
    credential = {"credential_id": 7, "git_provider": "gitHub"}
    read(responses.Credentials, {"credentials": [credential] * 1000}, SECRETS)
    with pytest.raises(UnexpectedAnswerError):
        read(responses.Credentials, {"credentials": [credential] * 1001}, SECRETS)


def test_a_page_s_token_fits_into_an_address() -> None:
    assert read(responses.Repos, {"next_page_token": "x" * 4096}, SECRETS).next_page_token
    with pytest.raises(UnexpectedAnswerError):
        read(responses.Repos, {"next_page_token": "x" * 4097}, SECRETS)


def test_a_folder_on_a_detached_head_or_without_a_commit_is() -> None:
    found = read(responses.Repo, {**FOLDER, "branch": "", "head_commit_id": ""}, SECRETS)
    assert (found.branch, found.head_commit_id) == (None, None)
    read(responses.Repo, {**FOLDER, "path": "/Repos/Prüfung/ételé 数据", "more": [1]}, SECRETS)


def test_what_the_sdk_says_may_be_left_out_may_be() -> None:
    folder = {key: value for key, value in FOLDER.items() if key != "url"}
    assert read(responses.Repo, folder, SECRETS).url == "", "made without a remote repository"
    assert read(responses.Repo, {**FOLDER, "url": None}, SECRETS).url == ""
    (credential,) = read(responses.Credentials, {"credentials": [{"credential_id": 5}]}, SECRETS).credentials
    assert (credential.git_provider, credential.git_username) == ("", None)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(MODELS), st.data())
def test_whatever_comes_becomes_a_value_or_the_one_failure(
    model: type[responses.Response], data: st.DataObject
) -> None:
    keys = list(model.model_fields)
    value = data.draw(anything | st.dictionaries(st.sampled_from(keys), anything, max_size=len(keys)))
    try:
        read(model, value, SECRETS)
    except UnexpectedAnswerError as error:
        assert error.__context__ is None  # noqa: PT017  # either is fine


@given(st.binary(max_size=60) | st.text().map(str.encode))
def test_a_body_is_json_or_nothing(body: bytes) -> None:
    value = read_json(body)
    json.dumps(value).encode()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_no_part_of_a_body(mark: bytes) -> None:
    assert read_json(mark + b'{"a": 1}') == {"a": 1}


ADMIN = [admin_organization, admin_workspace, admin_account, admin_jobs, admin_oauth_secrets]
EVERY_MODEL = [
    *MODELS,
    *(
        model
        for module in ADMIN
        for model in vars(module).values()
        if isinstance(model, type)
        and issubclass(model, responses.Response)
        and model is not responses.Response
    ),
]


@pytest.mark.parametrize("model", EVERY_MODEL, ids=lambda model: f"{model.__module__}.{model.__name__}")
def test_null_is_an_empty_list_and_what_is_not_said(model: type[responses.Response]) -> None:
    lists = {n for n, f in model.model_fields.items() if get_origin(f.annotation) in {list, tuple}}
    optional = {n for n, f in model.model_fields.items() if not f.is_required()}
    found = model._read_nulls(dict.fromkeys(model.model_fields))  # type: ignore[operator]
    assert found == {key: [] for key in lists} | dict.fromkeys(model.model_fields.keys() - lists - optional)


def test_a_list_that_is_null_is_read_and_one_of_another_type_is_not() -> None:
    assert read(responses.GitRefs, {"value": None, "count": 0}, SECRETS).value == []
    assert read(responses.Repos, {"repos": None, "next_page_token": None}, SECRETS).repos == []
    assert read(responses.Credentials, {"credentials": None}, SECRETS).credentials == []
    wrongs: list[dict[str, object]] = [{}, {"value": {}}, {"value": ""}, {"value": 0}]
    for wrong in wrongs:
        with pytest.raises(UnexpectedAnswerError):
            read(responses.GitRefs, wrong, SECRETS)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"NaN",
        b'{"a": Infinity}',
        b'"\\ud800"',
        b'"half \\udc00 way"',
        b"9" * 5000,
        b"[" * 60_000 + b"]" * 60_000,
        b'{"a":' * 60_000 + b"1" + b"}" * 60_000,
    ],
)
def test_json_that_python_alone_would_take_or_choke_on_is_none(body: bytes) -> None:
    assert read_json(body) is None


def jwt(payload: bytes) -> str:
    return f"e30.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 60_000,
        b"not json",
        b"[]",
        b"5",
        b"\xff",
        b'{"exp": -1}',
        b'{"exp": 1795500000000}',
        b'{"exp": 1e400}',
        b'{"exp": "soon"}',
        b'{"exp": true}',
        b'{"exp": null, "oid": 5}',
        b'{"oid": "<script>"}',
        b'{"exp": ' + b"9" * 400 + b"}",
    ],
)
def test_claims_that_are_odd_are_as_if_nothing_were_said(payload: bytes) -> None:
    claims = claims_of(jwt(payload))
    assert (claims.exp, claims.oid) == (None, None)


def test_claims_are_read() -> None:
    claims = claims_of(jwt(b'{"exp": 1795500000, "oid": "1b2c3d4e-0000-4000-8000-00000000001d"}'))
    assert claims.exp == datetime.fromtimestamp(1795500000, UTC)
    assert claims.oid == "1b2c3d4e-0000-4000-8000-00000000001d"


@pytest.mark.parametrize("token", ["", "opaque", "a.b", "a.b.c.d", "..", "a.%%%.c", "é.é.é"])
def test_a_token_that_is_no_jwt_claims_nothing(token: str) -> None:
    assert claims_of(token).exp is None


@pytest.mark.parametrize(
    "ends", [0, -5, 1795500000000, 253402300800, "1795500000", 1795500000.5, True, None, 10**400]
)
def test_an_end_that_is_no_unix_time_is_unexpected(ends: object) -> None:
    with pytest.raises(UnexpectedAnswerError):
        read(responses.IdentityToken, {"token": "opaque", "expires_on": ends}, SECRETS)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ümlaut", "x" * 20_000, 5, None, SECRET])
def test_a_token_that_fits_in_no_header_or_was_sent_is_unexpected(token: object) -> None:
    for model, key in (
        (responses.SignedIn, "access_token"),
        (responses.VaultSecret, "value"),
        (responses.IdentityToken, "token"),
    ):
        ends = 1795500000 if model is responses.IdentityToken else None
        read(model, {key: "opaque", "expires_on": ends}, SECRETS)
        with pytest.raises(UnexpectedAnswerError):
            read(model, {key: token, "expires_on": ends}, SECRETS)
