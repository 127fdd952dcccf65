"""From a symptom to what it means: a stable code, the cause, and what to type."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, timedelta
from typing import Literal

from git_refresh.failures.failure import AADSTS, FailureKind, Service, ServiceError, ServiceFailure
from git_refresh.failures.table import CERTIFICATES, OWN, TABLE, UNKNOWN, Known, Match, Row
from git_refresh.model.values import AZURE_DEVOPS, GUID, Problem
from git_refresh.output.redact import redact
from git_refresh.output.shell import UNTYPED, Command, Invocation, fill


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A failure as reports show it; the same four keys everywhere."""

    code: str
    message: str
    cause: str
    remedy: str
    kind: str = field(default="", compare=False)
    """Tells failures of one code apart that differ in more than names and values. Not in the JSON."""
    commands: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """The commands in cause and remedy, in order: none of them is folded. Not in the JSON."""
    happened: str = field(default="", compare=False, repr=False)
    """The message of a failed call without what was attempted, for a line whose subject names that. Not in the JSON."""
    temporary: bool = field(default=False, compare=False, repr=False)
    """Whether the next run usually succeeds without an action. Not in the JSON."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message} {self.cause} {self.remedy}"


_COMMAND = Command("COMMAND")


@dataclass(frozen=True, slots=True)
class DiagnosisContext:
    """What the run knows around a failure, to fill into the texts. All of it may be shown.

    The defaults are used for what it does not know; capitals say that a value belongs there.
    """

    host: str = "HOST"
    vault: str = "VAULT_URL"
    secret: str = "SECRET_NAME"  # noqa: S105  # no secret
    client_id: str = "CLIENT_ID"
    principal: str = "the service principal"
    principal_id: str = "PRINCIPAL_ID"
    """The number that Databricks gives it."""
    oauth_secret: str = "OAUTH_SECRET_ID"  # noqa: S105  # an id
    object_id: str = "OBJECT_ID"
    named_in: str = "AZURE_CLIENT_ID"
    """Where the settings name the identity."""
    tenant: str = "TENANT"
    app: str = "APP"
    """Name of the function app."""
    group: str = "GROUP"
    """Its resource group."""
    subscription: str = "SUBSCRIPTION_ID"
    account_id: str = "ACCOUNT_ID"
    """Of the Databricks account."""
    registration: str = "APPLICATION_ID"
    """Of the app registration that speaks for the identity in that tenant."""
    organization: str = "ORGANIZATION"
    project: str = "PROJECT"
    repository: str = "REPOSITORY"
    url: str = "REPOSITORY_URL"
    path: str = "PATH"
    ref: str = "The branch or tag"
    who: str = "somebody with the right to do it"
    """Who can do what the signed-in person lacks the permission for."""
    command: Command = _COMMAND
    """What that person types."""
    invocation: Invocation = UNTYPED
    """How a command that reads the same settings is typed."""
    late_because: str = "The previous run took too long, or the app was not running."
    """Why a run began late, as far as the timer's status shows it."""
    refreshing: str = (
        'In the workspace\'s entry in WORKSPACES write "additional_principal_ids": [NUMERIC_ID]. Of people this app keeps no '
        "credentials: let their jobs run as a service principal, the app's own or one in additional_principal_ids."
    )
    """How whom a job runs as becomes one that is kept fresh."""
    commit: str = "COMMIT"
    """The ID of a commit that stands where a branch or tag belongs."""
    component: str = "COMPONENT_ID"
    """The resource ID of the app's Application Insights component."""
    known: frozenset[Known] = frozenset()
    """What the run has proved: it decides which row explains a failure, and fills no text."""


def diagnose(error: BaseException, context: DiagnosisContext) -> Diagnosis:
    """Return the diagnosis of what ended a step: a failed call, the end of the run's time, or a defect of the app."""
    match error:
        case ServiceError():
            return explain(error.failure, context)
        case TimeoutError():
            return out_of_time(context)
    return internal(error, context)


def explain(failure: ServiceFailure, context: DiagnosisContext) -> Diagnosis:
    """Diagnose a failed call. Of an answer's text only the file names of a conflict and the caller's own object id are shown."""
    row = next((row for row in TABLE if fits(row, failure, context.known)), UNKNOWN)
    values = _values(context)
    values["service"] = str(failure.service)
    values["address"] = values.get(_ADDRESS.get(failure.service, ""), values["address"])
    if failure.kind is FailureKind.TLS and failure.service in {Service.ENTRA, Service.AZURE_CLI}:
        values |= {"service": str(Service.ENTRA), "address": "https://login.microsoftonline.com"}
    values["files"] = _files(failure)
    values |= {name: value for name, value in {**_presented(failure), **_network(failure)}.items() if value}
    if values["object_id"] == _DEFAULTS["object_id"]:
        values["object_id"] = _object_id(failure) or values["object_id"]
    found = _filled(_of_certificate(row, failure), what_happened(failure), values)
    found = replace(found, kind=_kind(failure, row), happened=how_it_failed(failure))
    if not failure.proxy or failure.kind is FailureKind.PROXY_AUTH:
        return found
    way = f"Check the proxy {values['proxy']} ({values['proxy_variable']}), which is on the way."
    return replace(found, remedy=f"{way} {found.remedy}")


def finding(code: str, context: DiagnosisContext, **values: object) -> Diagnosis:
    """The diagnosis of something that the app has found by itself; `values` are those that only its message has."""
    row = next(row for row in OWN if row.code == code)
    found = _filled(row, row.message, _values(context) | {name: str(value) for name, value in values.items()})
    problem = values.get("problem")
    return replace(found, kind=problem.kind) if isinstance(problem, Problem) else found


def wrong_entry(problems: Sequence[Problem]) -> Diagnosis:
    """The diagnosis of an entry of `WORKSPACES` with which nothing can be done."""
    found = finding("invalid_settings", DiagnosisContext(), problem=" ".join(map(str, problems)))
    return replace(found, kind=" ".join(problem.kind or problem.message for problem in problems))


def noted(where: str, found: Diagnosis, severity: Literal["error", "warning"] = "warning") -> Problem:
    """A diagnosis as one of a report's problems."""
    return Problem(where, str(found), f"{found.code} {found.kind}", severity, found)


def clock_skew(behind: timedelta, context: DiagnosisContext) -> Diagnosis:
    """The diagnosis of a clock that is behind by so much, or ahead if that is negative."""
    direction = "behind" if behind > timedelta() else "ahead"
    return finding(
        "clock_skew", context, minutes=f"{abs(behind) / timedelta(minutes=1):.0f}", direction=direction
    )


def out_of_time(context: DiagnosisContext) -> Diagnosis:
    """The diagnosis of what was not begun, or not waited for, when the run's time was over."""
    row = next(row for row in TABLE if row.code == "out_of_time")
    return _filled(row, "The run ran out of time before this was done.", _values(context))


def interrupted(context: DiagnosisContext) -> Diagnosis:
    """The diagnosis of what was not finished when the run was interrupted."""
    return finding("interrupted", context)


def in_general(row: Row, around: str = "") -> Diagnosis:
    """What a row says when nothing is known of a failure, with this around each command: for the documentation."""
    return _filled(row, row.seen, _values(DiagnosisContext()), around)


def internal(error: BaseException, context: DiagnosisContext) -> Diagnosis:
    """The diagnosis of a mistake in this app. The exception's text could contain anything and is left out; its place cannot."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}" if frame else ""
    return finding("internal_error", context, error=type(error).__name__, place=place)


def fits(row: Row, failure: ServiceFailure, known: frozenset[Known] = frozenset()) -> bool:
    """Whether a row is about this failure; the first in the table that is explains it."""
    return any(_matches(match, failure, known) for match in row.matches)


def _matches(match: Match, failure: ServiceFailure, known: frozenset[Known]) -> bool:
    return (
        known.issuperset(match.known)
        and (not match.service or failure.service in match.service)
        and (not match.kind or failure.kind in match.kind)
        and (not match.status or failure.status in match.status)
        and (not match.error_code or re.fullmatch(match.error_code, failure.error_code) is not None)
        and (not match.pattern or re.search(match.pattern, failure.message) is not None)
        and (not match.operation or failure.attempt.operation in match.operation)
    )


_KINDS = {
    FailureKind.DNS: "its host name does not resolve",
    FailureKind.TLS: "its TLS certificate could not be verified",
    FailureKind.REFUSED: "the connection was refused",
    FailureKind.RESET: "the connection was lost",
    FailureKind.CONNECT_TIMEOUT: "the connection timed out",
    FailureKind.TIMEOUT: "no answer came in time",
    FailureKind.PROXY: "the connection through the HTTP proxy failed",
    FailureKind.PROXY_AUTH: "the HTTP proxy requires a sign-in (407)",
    FailureKind.PROXY_UNUSABLE: "the HTTP proxy cannot be used",
    FailureKind.TOO_LARGE: "the answer was too large",
    FailureKind.OUT_OF_TIME: "the run ran out of time",
    FailureKind.LAPSED: "what it returned has already expired",
    FailureKind.UNEXPECTED: "the answer was not the documented one",
    FailureKind.DESCRIPTORS: "the limit of open files is reached",
    FailureKind.NOT_ASSIGNED: "there is none",
    FailureKind.NOT_INSTALLED: "it is not installed",
    FailureKind.SLOW: "no answer came",
    FailureKind.BROKEN: "it does not work",
    FailureKind.SIGN_IN: "Microsoft Entra refused its sign-in",
    FailureKind.SERVER: "it is Azure DevOps Server",
    FailureKind.VALUE: "its value is no OAuth secret",
    FailureKind.SIGNED_OUT: "nobody is signed in",
    FailureKind.A_PERSON: "its sign-in is a person's, and cannot be exchanged",
    FailureKind.NOT_SENT: "the request was for another host and was not sent",
    FailureKind.NO_PRINCIPAL: "it has none",
    FailureKind.NOT_ADMIN: "the signed-in person is not an admin",
    FailureKind.PRINCIPAL_AMBIGUOUS: "it has more than one",
}
_OF_AZURE_CLI = {FailureKind.TLS: "it could not verify the certificate of Microsoft Entra"}
_TO_THE_PROXY = {
    FailureKind.DNS: "the proxy's host name does not resolve",
    FailureKind.REFUSED: "the proxy refused the connection",
    FailureKind.CONNECT_TIMEOUT: "the connection to the proxy timed out",
}
"""What happens before a proxy is reached, and so not to the service behind it."""


def what_happened(failure: ServiceFailure) -> str:
    """What was attempted, and how it failed: the sentence that every diagnosis of a failed call begins with."""
    return f"Could not {failure.attempt}: {how_it_failed(failure)}"


def how_it_failed(failure: ServiceFailure) -> str:
    """How a call failed, as it reads after what was attempted."""
    if failure.ended is not None:
        ended = failure.ended.astimezone(UTC)
        return f"it ended on {ended:%Y-%m-%d at %H:%M} UTC."
    if failure.status is not None and failure.kind in {
        FailureKind.ANSWER,
        FailureKind.LOST,
        FailureKind.NOT_ACTIVE,
    }:
        # Databricks repeats the status as the code of some refusals.
        code = "" if failure.error_code == str(failure.status) else redact(failure.error_code)
        how = f"{failure.service} answered {failure.status} {code}".rstrip()
    else:
        kinds = _KINDS | _TO_THE_PROXY if failure.proxy else _KINDS
        detail = f" ({redact(failure.detail)})" if failure.detail else ""
        detail = f" within {failure.detail}" if failure.kind is FailureKind.SLOW and detail else detail
        if failure.service is Service.AZURE_CLI:
            kinds = kinds | _OF_AZURE_CLI
        how = f"{failure.service}: {kinds.get(failure.kind, failure.kind)}{detail}"
    number = AADSTS.search(failure.message)
    if number is not None and number[0] not in failure.error_code:
        how += f" ({number[0]})"
    request_id = f" (request id {redact(failure.request_id)})" if failure.request_id else ""
    return f"{how}{request_id}."


def _kind(failure: ServiceFailure, row: Row) -> str:
    """What tells failures of one code apart, whose cause and remedy are the same: the service; and of what no row explains, the answer."""
    answered = f" {failure.kind} {failure.status} {failure.error_code}" if row is UNKNOWN else ""
    return f"{failure.service}{' through a proxy' if failure.proxy else ''}{answered}"


def _of_certificate(row: Row, failure: ServiceFailure) -> Row:
    """A row with the cause and the remedy that fit what OpenSSL says, where that is known."""
    if failure.kind is not FailureKind.TLS or not failure.detail:
        return row
    found = next(each for each in CERTIFICATES if re.search(each.pattern, failure.detail, re.IGNORECASE))
    remedy = found.remedy_with_bundle if failure.bundle and found.remedy_with_bundle else found.remedy
    return replace(row, cause=found.cause, remedy=remedy, temporary=False)


def _network(failure: ServiceFailure) -> dict[str, str]:
    """What is on the way, and what the Azure CLI needs to sign in again."""
    proxy = redact(failure.proxy)
    return {
        "proxy": proxy
        if ":" in proxy.rpartition("]")[2] or not proxy
        else f"{proxy}, whose port is not named,",
        "proxy_variable": failure.proxy_variable,
        "bundle": failure.bundle,
        "tenant": failure.tenant,
        "scope": failure.scope,
        "resource": failure.scope.removesuffix("/.default"),
        "application": _application(failure),
    }


def _application(failure: ServiceFailure) -> str:
    """The application that a person's or a pipeline's sign-in with the Azure CLI is for, where Microsoft Entra quotes it."""
    found = re.search(rf"AADSTS7000222: .{{0,200}}app '({GUID.pattern})'", failure.message)
    return found[1] if found else ""


def _presented(failure: ServiceFailure) -> dict[str, str]:
    """What the assertion says of itself that was to be exchanged: a policy has to say the same."""
    claims = failure.claims
    if claims is None:
        return {}
    return {
        "issuer": claims.issuer,
        "subject": claims.subject,
        "audience": claims.audience,
        "object_id": claims.object_id,
    }


def _files(failure: ServiceFailure) -> str:
    found = re.search(r"[Cc]onflicting files: ([^\n]{1,2000})", failure.message)
    return f": {redact(found[1].partition('. ')[0].rstrip('. '))}" if found else ""


_NAMED = {
    # Azure DevOps: "TF401444: Please sign-in at least once as TENANT\\TENANT\\OBJECT_ID in a web browser"
    Service.AZURE_DEVOPS: re.compile(rf"TF401444: .{{0,200}}\\({GUID.pattern})(?![\\\w-])"),
    # Key Vault: "Caller: appid=…;oid=OBJECT_ID;iss=…"
    Service.KEY_VAULT: re.compile(rf"Caller: .{{0,200}};oid=({GUID.pattern});"),
}


def _object_id(failure: ServiceFailure) -> str:
    """The caller's object id, where the service quotes it: a token need not tell it."""
    pattern = _NAMED.get(failure.service)
    found = pattern.search(failure.message) if pattern else None
    return found[1] if found else ""


_DEFAULTS = asdict(DiagnosisContext())
_ADDRESS = {Service.DATABRICKS: "host", Service.KEY_VAULT: "vault", Service.AZURE_DEVOPS: "url"}


def _values(context: DiagnosisContext) -> dict[str, str]:
    """What fills the braces. An empty fact is as good as none."""
    facts = asdict(replace(context, invocation=UNTYPED))
    del facts["known"], facts["invocation"]
    values = {name: value or _DEFAULTS[name] for name, value in facts.items()}
    values |= {"program": context.invocation.program, "options": context.invocation.options}
    vault = re.match(r"https://([\w-]+)\.vault\.", values["vault"])
    more = {
        "vault_name": vault[1] if vault else "VAULT",
        "service": "The service",
        "address": "ADDRESS",
        "files": "",
        "id": "ID",
        "issuer": "https://login.microsoftonline.com/TENANT_ID/v2.0",
        "subject": values["object_id"],
        "audience": "fb60f99c-7a34-4190-8149-302f77469936",
        "proxy": "PROXY",
        "proxy_variable": "HTTPS_PROXY",
        "bundle": "REQUESTS_CA_BUNDLE",
        "https": values["url"],
        "scope": f"{AZURE_DEVOPS}/.default",
        "resource": AZURE_DEVOPS,
        "application": "APPLICATION",
    }
    return values | more


def _arguments(values: Mapping[str, str]) -> dict[str, str]:
    """What commands are given that is made of several values."""
    issuer, subject = values["issuer"], values["subject"]
    policy = {"issuer": issuer, "audiences": [values["audience"]], "subject": subject}
    trust = {
        "name": "git-refresh",
        "issuer": issuer,
        "subject": subject,
        "audiences": ["api://AzureADTokenExchange"],
    }
    return {
        "by_client_id": f'applicationId eq "{values["client_id"]}"',
        "policy": json.dumps({"oidc_policy": policy}),
        "trust": json.dumps(trust),
    }


def _filled(row: Row, message: str, values: Mapping[str, str], around: str = "") -> Diagnosis:
    arguments = {**values, **_arguments(values)}

    def filled(text: str) -> str:
        # Not str.format: what is filled in may contain braces itself, and a name without a value stays.
        return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)

    commands: list[str] = []

    # The program's name stands in prose too.
    given = [
        value for name, value in values.items() if isinstance(value, Command) and value and name != "program"
    ]

    def with_commands(text: str) -> str:
        parts = text.split("`")
        commands.extend(value for value in given for part in parts[::2] if value in filled(part))
        parts[::2] = map(filled, parts[::2])
        parts[1::2] = [fill(command, arguments) for command in parts[1::2]]
        commands.extend(parts[1::2])
        parts[1::2] = [f"{around}{command}{around}" for command in parts[1::2]]
        return "".join(parts)

    cause, remedy = with_commands(row.cause), with_commands(row.remedy)
    in_order = sorted(dict.fromkeys(commands), key=f"{cause} {remedy}".find)
    return Diagnosis(
        row.code, filled(message), cause, remedy, commands=tuple(in_order), temporary=row.temporary
    )
