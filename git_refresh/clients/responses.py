"""The edge where a service's answers become values: each is checked here, once, against what that service documents.

Type, length and alphabet of all that the app keeps of an answer. Nothing behind this edge defends itself again. What does not fit, and what
repeats a secret that the service was sent, is `UnexpectedAnswerError` of the call that asked.
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
    """The service answered, but not with what it promises."""


def without_mark(body: bytes) -> bytes:
    """A body without the byte-order mark that Azure DevOps begins some of its errors with."""
    return body.removeprefix(codecs.BOM_UTF8)


def read_json(body: bytes) -> object:
    """A JSON text as a value, or None. A byte-order mark before it is ignored.

    Unlike `json.loads` it takes no NaN, no unpaired surrogate, no number of thousands of digits and no nesting deeper than 200.
    """
    try:
        return from_json(without_mark(body), allow_inf_nan=False)
    except ValueError:
        return None


def read[M: Response](model: type[M], value: object, secrets: SecretFilter) -> M:
    """An answer's value as what it is promised to be.

    Raises:
        UnexpectedAnswerError: it is something else.
    """
    try:
        return model.model_validate(value, context=secrets)
    except ValidationError:
        pass
    raise UnexpectedAnswerError  # outside of the `except`: a validation error quotes what it has found


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
"""As databases give them."""
NumericText = Annotated[Id, BeforeValidator(_number)]
"""An ID that SCIM writes as text."""
Word = Annotated[str, Field(strict=True, max_length=400), AfterValidator(_may_be_kept)]
"""A name, a type, a user name. The longest paths, addresses and refs are those that the settings may have."""
Path = Annotated[
    str, Field(strict=True, max_length=2000), AfterValidator(_absolute), AfterValidator(_may_be_kept)
]
Url = Annotated[str, Field(strict=True, max_length=2000), AfterValidator(_may_be_kept)]
_Ref = Annotated[str, Field(strict=True, max_length=2000), AfterValidator(_may_be_kept)]
Branch = Annotated[_Ref | None, BeforeValidator(_attached)]
"""None on a detached head, which no recorded answer shows: the field can be absent, empty, or HEAD."""
Commit = Annotated[
    str, Field(strict=True, pattern=r"^(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$"), AfterValidator(_may_be_kept)
]
"""SHA-1 or SHA-256."""
SecretText = Annotated[str, Field(strict=True, pattern=r"^[!-~]+$", max_length=16_384)]
"""A token or secret, which has to fit into an HTTP header: visible ASCII without spaces."""
Issuer = Annotated[
    str, Field(strict=True, max_length=120, pattern=r"^https://[a-z.]+/[0-9a-f-]{36}(?:/v2\.0)?/?$")
]
"""Of Microsoft Entra: it is quoted in what is to be typed, so nothing else is taken."""
Guid = Annotated[str, Field(strict=True, pattern=rf"^{GUID.pattern}$")]
PageToken = Annotated[str, Field(strict=True, max_length=4096)]
"""Opaque; it is sent back and never shown."""

_LATEST = 253_402_300_800
"""Unix seconds of the year 10,000, which no `datetime` can represent. Milliseconds of today are far beyond."""


def _moment(seconds: object) -> datetime:
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds < _LATEST:
        raise ValueError("no Unix seconds")
    return datetime.fromtimestamp(seconds, UTC)


Moment = Annotated[datetime, BeforeValidator(_moment)]
"""Comes as Unix seconds."""


class Response(BaseModel):
    """What a service promises to answer; what it says besides is dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _read_nulls(cls, value: object) -> object:
        """Read null as an empty list where a list is promised, and as not said where a field can be left out: services send either."""
        if not isinstance(value, Mapping) or None not in value.values():
            return value
        fields = cls.model_fields
        lists = {name for name, field in fields.items() if get_origin(field.annotation) in {list, tuple}}
        optional = {name for name, field in fields.items() if not field.is_required()}
        known = {key: [] if found is None and key in lists else found for key, found in value.items()}
        return {key: found for key, found in known.items() if found is not None or key not in optional}


class Page(Response):
    """A page of a list."""

    next_page_token: PageToken | None = None


def or_nothing(value: object, handler: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401  # pydantic's own type
    """As if it were not said, where it is not what is promised."""
    try:
        return handler(value)
    except ValidationError:
        return None


class Credential(Response):
    """One of `GET /api/2.0/git-credentials`."""

    credential_id: Id
    git_provider: Word = ""
    # They only help to choose among several: an odd one must not let the credential lapse.
    git_username: Annotated[Word | None, WrapValidator(or_nothing)] = None
    name: Annotated[Word | None, WrapValidator(or_nothing)] = None
    is_default_for_provider: Annotated[bool | None, WrapValidator(or_nothing)] = None


class Credentials(Response):
    """`GET /api/2.0/git-credentials`. Without any the workspace leaves the list out."""

    credentials: Annotated[list[Credential], Field(max_length=1000)] = []


class MadeCredential(Response):
    """`POST /api/2.0/git-credentials`."""

    credential_id: Id


class Repo(Response):
    """`GET /api/2.0/repos/{id}`, and one of its list."""

    id: Id
    path: Path
    url: Url = ""
    """Empty where the folder was made without a remote repository."""
    branch: Branch = None
    head_commit_id: Annotated[Commit | None, BeforeValidator(_or_none)] = None
    git_cli_enabled: Annotated[bool | None, WrapValidator(or_nothing)] = None


class Repos(Page):
    """A page of `GET /api/2.0/repos`; each of its folders is read by itself, so that one odd folder costs no other."""

    repos: list[Any] = []


class Directory(Response):
    """What an object of type DIRECTORY adds. Absent says nothing: a Git folder with Git CLI access is such an object."""

    is_git_folder: Annotated[Annotated[bool, Field(strict=True)] | None, WrapValidator(or_nothing)] = None


class GitInfo(Response):
    """What `return_git_info` adds for a Git folder, and for what is in one: the id and the path of the folder."""

    id: Id
    path: Path


class Object(Response):
    """One of `GET /api/2.0/workspace/list`."""

    path: Path
    object_id: Id
    object_type: Word
    directory_info: Annotated[Directory | None, WrapValidator(or_nothing)] = None


class Objects(Response):
    """`GET /api/2.0/workspace/list`; each object is read by itself."""

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
    """Azure DevOps, Git - Refs - List, api-version 7.1. Only the ref that is looked for is read further."""

    value: list[dict[str, Any]]


class GitRef(Response):
    """One of them; of an annotated tag the commit is `peeledObjectId`."""

    objectId: Commit  # noqa: N815  # Azure DevOps' name
    peeledObjectId: Commit | None = None  # noqa: N815


class GitCommit(Response):
    """Azure DevOps, Git - Commits - Get, api-version 7.1."""

    commitId: Commit  # noqa: N815  # Azure DevOps' name


class Diffs(Response):
    """Azure DevOps, Git - Diffs - Get, api-version 7.1."""

    commonCommit: Annotated[Commit | None, BeforeValidator(_or_none)] = None  # noqa: N815
    """The merge base; None: there is none."""


class RefName(Response):
    """One of them, by its name alone."""

    name: Annotated[str, Field(strict=True, max_length=120), AfterValidator(_may_be_kept)]
    """A name that is longer than `redact` shows is never suggested."""


class IdentityToken(Response):
    """A token of Microsoft Entra, as azure-identity hands it over."""

    token: Annotated[SecretText, AfterValidator(_may_be_kept)]
    expires_on: Moment


def _bare(value: object) -> object:
    return value.strip().strip("\ufeff").strip() if isinstance(value, str) else value


class VaultSecret(Response):
    """A secret of Key Vault, as its client hands it over. What an editor has put around the value is dropped."""

    value: Annotated[SecretText, BeforeValidator(_bare), AfterValidator(_may_be_kept)]
    expires_on: AwareDatetime | None = None
    not_before: AwareDatetime | None = None


class ClaimsResponse(Response):
    """What a JWT says of itself, unverified: its reader is the service that it is for. What does not fit is as if it were not said."""

    exp: Annotated[Moment | None, WrapValidator(or_nothing)] = None
    oid: Annotated[Guid | None, WrapValidator(or_nothing)] = None
    tid: Annotated[Guid | None, WrapValidator(or_nothing)] = None
    iss: Annotated[Issuer | None, WrapValidator(or_nothing)] = None
    sub: Annotated[Guid | None, WrapValidator(or_nothing)] = None
    aud: Annotated[Guid | None, WrapValidator(or_nothing)] = None


def claims_of(token: str) -> ClaimsResponse:
    """The claims of a token; of one that is no JWT, none."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""  # noqa: PLR2004  # header, payload, signature
    try:
        claims = read_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        claims = None
    return ClaimsResponse.model_validate(claims if isinstance(claims, dict) else {})


def signature_of(token: str) -> str:
    """The part of a JWT that no other one has: what is exchanged for another tells much the same in the rest."""
    return token.rpartition(".")[2]
