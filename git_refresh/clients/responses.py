"""Models that validate the responses of services: types, lengths and characters.

An invalid response, or one that repeats a secret, raises `UnexpectedAnswerError`.
"""

import base64
import codecs
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, get_origin

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import from_json

from git_refresh.model.values import GUID
from git_refresh.output.mask import SecretFilter
from git_refresh.output.redact import INVISIBLE


class UnexpectedAnswerError(Exception):
    """A response differs from the service's documentation."""


def without_mark(body: bytes) -> bytes:
    """Remove the byte-order mark with which some errors of Azure DevOps begin."""
    return body.removeprefix(codecs.BOM_UTF8)


def read_json(body: bytes) -> object:
    """Return the value of a JSON text; None if it is invalid. Ignores a byte-order mark.

    NaN, unpaired surrogates, numbers with thousands of digits, and nesting deeper than 200 are invalid.
    """
    try:
        return from_json(without_mark(body), allow_inf_nan=False)
    except ValueError:
        return None


def read[M: Response](model: type[M], value: object, secrets: SecretFilter) -> M:
    """Return a response as `model`.

    Raises:
        UnexpectedAnswerError: the value does not fit the model, or contains a secret.
    """
    try:
        return model.model_validate(value, context=secrets)
    except ValidationError:
        pass
    raise UnexpectedAnswerError  # outside of the `except`, because a validation error quotes its input


def _may_be_kept(text: str, info: ValidationInfo) -> str:
    if INVISIBLE.search(text):
        raise ValueError("control characters")
    secrets = info.context
    if isinstance(secrets, SecretFilter) and secrets.contains(text):
        raise ValueError("a secret")
    return text


def _absolute(path: str) -> str:
    if not path.startswith("/") or any(name in {"", ".", ".."} for name in path.split("/")[1:]):
        raise ValueError("no absolute path")
    return path


def _or_none(value: object) -> object:
    return None if value == "" else value


def _attached(value: object) -> object:
    return None if value in ("", "HEAD") else value


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value) else value


Id = Annotated[int, Field(strict=True, gt=0, lt=2**63)]
NumericText = Annotated[Id, BeforeValidator(_number)]
"""An ID that SCIM returns as text."""
Word = Annotated[str, Field(strict=True, max_length=400), AfterValidator(_may_be_kept)]
"""A name, type or user name. Paths, URLs and refs have the same limits as in the settings."""
Path = Annotated[
    str, Field(strict=True, max_length=2000), AfterValidator(_absolute), AfterValidator(_may_be_kept)
]
Url = Annotated[str, Field(strict=True, max_length=2000), AfterValidator(_may_be_kept)]
_Ref = Annotated[str, Field(strict=True, max_length=2000), AfterValidator(_may_be_kept)]
Branch = Annotated[_Ref | None, BeforeValidator(_attached)]
"""None on a detached HEAD, if the field is absent, empty or HEAD. No recorded response shows which."""
Commit = Annotated[
    str, Field(strict=True, pattern=r"^(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$"), AfterValidator(_may_be_kept)
]
SecretText = Annotated[str, Field(strict=True, pattern=r"^[!-~]+$", max_length=16_384)]
"""A token or secret that fits into an HTTP header: visible ASCII without spaces."""
Issuer = Annotated[
    str, Field(strict=True, max_length=120, pattern=r"^https://[a-z.]+/[0-9a-f-]{36}(?:/v2\.0)?/?$")
]
"""Issuer of Microsoft Entra. No other text is accepted, because commands for the user quote it."""
Guid = Annotated[str, Field(strict=True, pattern=rf"^{GUID.pattern}$")]
PageToken = Annotated[str, Field(strict=True, max_length=4096)]
"""Sent back to the service, and never shown."""

_YEAR_10000 = 253_402_300_800
"""In Unix seconds. No `datetime` is later, and current milliseconds are larger."""


def _moment(seconds: object) -> datetime:
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds < _YEAR_10000:
        raise ValueError("no Unix seconds")
    return datetime.fromtimestamp(seconds, UTC)


Moment = Annotated[datetime, BeforeValidator(_moment)]
"""Written as Unix seconds."""


class Response(BaseModel):
    """Base of all models. Undocumented fields are dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _read_nulls(cls, value: object) -> object:
        """Treat null as an empty list or a missing optional field, because services return either."""
        if not isinstance(value, Mapping) or None not in value.values():
            return value
        fields = cls.model_fields
        lists = {name for name, field in fields.items() if get_origin(field.annotation) in {list, tuple}}
        optional = {name for name, field in fields.items() if not field.is_required()}
        known = {key: [] if found is None and key in lists else found for key, found in value.items()}
        return {key: found for key, found in known.items() if found is not None or key not in optional}


class Page(Response):
    next_page_token: PageToken | None = None


def or_nothing(value: object, handler: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401  # pydantic's own type
    """Return None for an invalid value instead of failing the whole response."""
    try:
        return handler(value)
    except ValidationError:
        return None


class Credential(Response):
    """Item of `GET /api/2.0/git-credentials`."""

    credential_id: Id
    git_provider: Word = ""
    # Only for the choice among several credentials, so an invalid value does not reject the credential.
    git_username: Annotated[Word | None, WrapValidator(or_nothing)] = None
    name: Annotated[Word | None, WrapValidator(or_nothing)] = None
    is_default_for_provider: Annotated[bool | None, WrapValidator(or_nothing)] = None


class Credentials(Response):
    """`GET /api/2.0/git-credentials`. An empty list is absent."""

    credentials: Annotated[list[Credential], Field(max_length=1000)] = []


class MadeCredential(Response):
    """`POST /api/2.0/git-credentials`."""

    credential_id: Id


class Repo(Response):
    """`GET /api/2.0/repos/{id}`, and item of `GET /api/2.0/repos`."""

    id: Id
    path: Path
    url: Url = ""
    """Empty for a folder without a remote repository."""
    branch: Branch = None
    head_commit_id: Annotated[Commit | None, BeforeValidator(_or_none)] = None
    git_cli_enabled: Annotated[bool | None, WrapValidator(or_nothing)] = None


class Repos(Page):
    """Page of `GET /api/2.0/repos`. Each folder is validated separately."""

    repos: list[Any] = []


class Directory(Response):
    """`directory_info` of a DIRECTORY. Without it, the object might be a Git folder with Git CLI access."""

    is_git_folder: Annotated[Annotated[bool, Field(strict=True)] | None, WrapValidator(or_nothing)] = None


class GitInfo(Response):
    """`git_info` of an object that is a Git folder or inside one: that Git folder."""

    id: Id
    path: Path


class Object(Response):
    """Item of `GET /api/2.0/workspace/list`."""

    path: Path
    object_id: Id
    object_type: Word
    directory_info: Annotated[Directory | None, WrapValidator(or_nothing)] = None


class Objects(Response):
    """`GET /api/2.0/workspace/list`. Each object is validated separately."""

    objects: list[Any] = []


class Status(Response):
    """`GET /api/2.0/workspace/get-status`."""

    object_id: Id | None = None
    object_type: Word | None = None
    directory_info: Annotated[Directory | None, WrapValidator(or_nothing)] = None
    git_info: Annotated[GitInfo | None, WrapValidator(or_nothing)] = None


class SignedIn(Response):
    """`POST /oidc/v1/token`."""

    access_token: Annotated[SecretText, AfterValidator(_may_be_kept)]


class GitRefs(Response):
    """Azure DevOps, Git - Refs - List, api-version 7.1. Each ref is validated separately."""

    value: list[dict[str, Any]]


class GitRef(Response):
    """Item of `GitRefs`. The commit of an annotated tag is `peeledObjectId`."""

    objectId: Commit  # noqa: N815  # Azure DevOps' name
    peeledObjectId: Commit | None = None  # noqa: N815


class GitCommit(Response):
    """Azure DevOps, Git - Commits - Get, api-version 7.1."""

    commitId: Commit  # noqa: N815  # Azure DevOps' name


class Diffs(Response):
    """Azure DevOps, Git - Diffs - Get, api-version 7.1."""

    commonCommit: Annotated[Commit | None, BeforeValidator(_or_none)] = None  # noqa: N815


class RefName(Response):
    name: Annotated[str, Field(strict=True, max_length=120), AfterValidator(_may_be_kept)]
    """Longer names cannot be suggested, because `redact` shortens them."""


class IdentityToken(Response):
    """Token from azure-identity."""

    token: Annotated[SecretText, AfterValidator(_may_be_kept)]
    expires_on: Moment


def _bare(value: object) -> object:
    return value.strip().strip("\ufeff").strip() if isinstance(value, str) else value


class VaultSecret(Response):
    """Secret from the Key Vault client, without surrounding whitespace."""

    value: Annotated[SecretText, BeforeValidator(_bare), AfterValidator(_may_be_kept)]
    expires_on: AwareDatetime | None = None
    not_before: AwareDatetime | None = None


class ClaimsResponse(Response):
    """Claims of a JWT, which the app does not verify. Invalid claims count as absent."""

    exp: Annotated[Moment | None, WrapValidator(or_nothing)] = None
    oid: Annotated[Guid | None, WrapValidator(or_nothing)] = None
    tid: Annotated[Guid | None, WrapValidator(or_nothing)] = None
    iss: Annotated[Issuer | None, WrapValidator(or_nothing)] = None
    sub: Annotated[Guid | None, WrapValidator(or_nothing)] = None
    aud: Annotated[Guid | None, WrapValidator(or_nothing)] = None


def claims_of(token: str) -> ClaimsResponse:
    """Return the claims of a token; none if it is not a JWT."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""  # noqa: PLR2004  # header, payload, signature
    try:
        claims = read_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        claims = None
    return ClaimsResponse.model_validate(claims if isinstance(claims, dict) else {})


def signature_of(token: str) -> str:
    """Return the signature of a JWT. A token from an exchange can repeat the other parts."""
    return token.rpartition(".")[2]
