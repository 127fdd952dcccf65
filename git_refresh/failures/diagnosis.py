"""Diagnoses of failures: a stable code, what happened, the cause, and the remedy."""

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
    """A failure as reports show it. The JSON has the first four fields."""

    code: str
    message: str
    cause: str
    remedy: str
    kind: str = field(default="", compare=False)
    """Equal for failures of one code that differ only in values. Not in the JSON."""
    commands: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Commands in cause and remedy, in their order. Not in the JSON."""
    happened: str = field(default="", compare=False, repr=False)
    """Message without the attempted operation, for output that names it already. Not in the JSON."""
    temporary: bool = field(default=False, compare=False, repr=False)
    """True if the next run usually succeeds without an action. Not in the JSON."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message} {self.cause} {self.remedy}"


_COMMAND = Command("COMMAND")


@dataclass(frozen=True, slots=True)
class DiagnosisContext:
    """Values for the braces in the table of failures, all safe to show. Defaults mean unknown values."""

    host: str = "HOST"
    vault: str = "VAULT_URL"
    secret: str = "SECRET_NAME"  # noqa: S105  # not a secret
    client_id: str = "CLIENT_ID"
    principal: str = "the service principal"
    principal_id: str = "PRINCIPAL_ID"
    """Numeric ID in Databricks."""
    oauth_secret: str = "OAUTH_SECRET_ID"  # noqa: S105  # an ID
    object_id: str = "OBJECT_ID"
    named_in: str = "AZURE_CLIENT_ID"
    """Setting that names the identity."""
    tenant: str = "TENANT"
    app: str = "APP"
    group: str = "GROUP"
    subscription: str = "SUBSCRIPTION_ID"
    account_id: str = "ACCOUNT_ID"
    """Databricks account."""
    registration: str = "APPLICATION_ID"
    """Application ID of the app registration that represents the identity in another tenant."""
    organization: str = "ORGANIZATION"
    project: str = "PROJECT"
    repository: str = "REPOSITORY"
    url: str = "REPOSITORY_URL"
    path: str = "PATH"
    ref: str = "The branch or tag"
    who: str = "an administrator with the permission"
    """Role with the permission that the signed-in user lacks."""
    command: Command = _COMMAND
    """Command for that role to run."""
    invocation: Invocation = UNTYPED
    """Program and options for commands in remedies, which read the same settings."""
    late_because: str = "The previous run took too long, or the app was not running."
    refreshing: str = (
        'Set "additional_principal_ids": [NUMERIC_ID] in the workspace\'s entry. '
        "If it is a user, change Run as to a service principal."
    )
    """Remedy for a job whose Run as identity the app does not refresh."""
    commit: str = "COMMIT"
    """Commit ID that an entry has instead of a branch or tag."""
    component: str = "COMPONENT_ID"
    """Resource ID of the app's Application Insights component."""
    known: frozenset[Known] = frozenset()
    """Facts that select the row. Not in any text."""


def diagnose(error: BaseException, context: DiagnosisContext) -> Diagnosis:
    """Return the diagnosis of an exception: a failed call, the end of the run's time, or a bug in the app."""
    match error:
        case ServiceError():
            return explain(error.failure, context)
        case TimeoutError():
            return out_of_time(context)
    return internal(error, context)


def explain(failure: ServiceFailure, context: DiagnosisContext) -> Diagnosis:
    """Return the diagnosis of a failed call.

    The diagnosis quotes only file names, IDs and AADSTS numbers of the service's message.
    """
    row = next((row for row in TABLE if fits(row, failure, context.known)), UNKNOWN)
    values = _values(context)
    values["service"] = str(failure.service)
    values["address"] = values.get(_ADDRESS.get(failure.service, ""), values["address"])
    if failure.kind is FailureKind.TLS and failure.service in {Service.ENTRA, Service.AZURE_CLI}:
        values |= {"service": str(Service.ENTRA), "address": "https://login.microsoftonline.com"}
    values["files"] = _files(failure)
    values |= {
        name: value for name, value in {**_token_claims(failure), **_network(failure)}.items() if value
    }
    if values["object_id"] == _DEFAULTS["object_id"]:
        values["object_id"] = _object_id(failure) or values["object_id"]
    found = _filled(_with_tls_reason(row, failure), what_happened(failure), values)
    found = replace(found, kind=_kind(failure, row), happened=how_it_failed(failure))
    if not failure.proxy or failure.kind is FailureKind.PROXY_AUTH:
        return found
    way = f"Check the proxy {values['proxy']} ({values['proxy_variable']})."
    return replace(found, remedy=f"{way} {found.remedy}")


def finding(code: str, context: DiagnosisContext, **values: object) -> Diagnosis:
    """Return the diagnosis of a finding (a row in `OWN`). `values` extend the context."""
    row = next(row for row in OWN if row.code == code)
    found = _filled(row, row.message, _values(context) | {name: str(value) for name, value in values.items()})
    problem = values.get("problem")
    return replace(found, kind=problem.kind) if isinstance(problem, Problem) else found


def wrong_entry(problems: Sequence[Problem]) -> Diagnosis:
    found = finding("invalid_settings", DiagnosisContext(), problem=" ".join(map(str, problems)))
    return replace(found, kind=" ".join(problem.kind or problem.message for problem in problems))


def noted(where: str, found: Diagnosis, severity: Literal["error", "warning"] = "warning") -> Problem:
    return Problem(where, str(found), f"{found.code} {found.kind}", severity, found)


def clock_skew(behind: timedelta, context: DiagnosisContext) -> Diagnosis:
    """Return the diagnosis of a machine whose clock is behind; ahead if `behind` is negative."""
    direction = "behind" if behind > timedelta() else "ahead"
    return finding(
        "clock_skew", context, minutes=f"{abs(behind) / timedelta(minutes=1):.0f}", direction=direction
    )


def out_of_time(context: DiagnosisContext) -> Diagnosis:
    """Return the diagnosis of a step for which the run had no time."""
    row = next(row for row in TABLE if row.code == "out_of_time")
    return _filled(row, "The run ran out of time before this step.", _values(context))


def interrupted(context: DiagnosisContext) -> Diagnosis:
    return finding("interrupted", context)


def in_general(row: Row, around: str = "") -> Diagnosis:
    """Return a row's diagnosis with default values, for pages. `around` encloses each command."""
    return _filled(row, row.seen, _values(DiagnosisContext()), around)


def internal(error: BaseException, context: DiagnosisContext) -> Diagnosis:
    """Return the diagnosis of a bug in the app.

    It contains the location of the exception but not its text, which might contain a secret.
    """
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}" if frame else ""
    return finding("internal_error", context, error=type(error).__name__, place=place)


def fits(row: Row, failure: ServiceFailure, known: frozenset[Known] = frozenset()) -> bool:
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
    FailureKind.TIMEOUT: "no response in time",
    FailureKind.PROXY: "the connection through the HTTP proxy failed",
    FailureKind.PROXY_AUTH: "the HTTP proxy requires a sign-in (407)",
    FailureKind.PROXY_UNUSABLE: "the HTTP proxy cannot be used",
    FailureKind.TOO_LARGE: "the response was too large",
    FailureKind.OUT_OF_TIME: "the run ran out of time",
    FailureKind.LAPSED: "the token or secret has already expired",
    FailureKind.UNEXPECTED: "unexpected response",
    FailureKind.DESCRIPTORS: "the limit of open files is reached",
    FailureKind.NOT_ASSIGNED: "no identity is assigned",
    FailureKind.NOT_INSTALLED: "it is not installed",
    FailureKind.SLOW: "no response",
    FailureKind.BROKEN: "it does not work",
    FailureKind.SIGN_IN: "Microsoft Entra rejected its session",
    FailureKind.SERVER: "the host is Azure DevOps Server",
    FailureKind.VALUE: "the value is not an OAuth secret",
    FailureKind.SIGNED_OUT: "not signed in",
    FailureKind.A_PERSON: "token federation does not support a user account",
    FailureKind.NOT_SENT: "the request was for another host and was not sent",
    FailureKind.NO_PRINCIPAL: "no such service principal",
    FailureKind.NOT_ADMIN: "your account is not an admin",
    FailureKind.PRINCIPAL_AMBIGUOUS: "more than one such service principal",
}
_OF_AZURE_CLI = {FailureKind.TLS: "it could not verify the certificate of Microsoft Entra"}
_TO_THE_PROXY = {
    FailureKind.DNS: "the proxy's host name does not resolve",
    FailureKind.REFUSED: "the proxy refused the connection",
    FailureKind.CONNECT_TIMEOUT: "the connection to the proxy timed out",
}
"""Failures of the connection to the proxy, not of the service."""


def what_happened(failure: ServiceFailure) -> str:
    """Return the sentence with the attempted operation and how it failed."""
    return f"Could not {failure.attempt}: {how_it_failed(failure)}"


def how_it_failed(failure: ServiceFailure) -> str:
    """Return how a call failed, as a sentence of its own."""
    if failure.ended is not None:
        ended = failure.ended.astimezone(UTC)
        return f"it expired on {ended:%Y-%m-%d at %H:%M} UTC."
    if failure.status is not None and failure.kind in {
        FailureKind.ANSWER,
        FailureKind.LOST,
        FailureKind.NOT_ACTIVE,
    }:
        # Databricks repeats the status as the error code in some responses.
        code = "" if failure.error_code == str(failure.status) else redact(failure.error_code)
        how = f"{failure.service} returned {failure.status} {code}".rstrip()
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
    request_id = _REQUEST_ID.format(redact(failure.request_id)) if failure.request_id else ""
    return f"{how}{request_id}."


_REQUEST_ID = " (request ID {})"


def without_request_id(message: str) -> str:
    """Return a message of `how_it_failed` or `what_happened` without its request ID, to compare failures."""
    before, after = map(re.escape, _REQUEST_ID.split("{}"))
    return re.sub(rf"{before}[^)]*{after}", "", message)


def logged(code: str, message: str, cause: str, remedy: str) -> Diagnosis:
    """Return a diagnosis from its logged texts, with the commands that the table has at their places."""
    row = next((row for row in (*TABLE, *OWN) if row.code == code), UNKNOWN)
    position, begin, commands = 0, 0, list[str]()
    for number, part in enumerate(row.remedy.split("`")):
        for index, literal in enumerate(re.split(r"\{\w+\}", part)):
            at = remedy.find(literal, position)
            if at < 0:
                return Diagnosis(code, message, cause, remedy)
            if number and number % 2 == 0 and index == 0:
                commands.append(remedy[begin : at if part else len(remedy)])
            position = at + len(literal)
        begin = begin if number % 2 else position
    return Diagnosis(code, message, cause, remedy, commands=tuple(commands))


def _kind(failure: ServiceFailure, row: Row) -> str:
    """Return `Diagnosis.kind`: the service, and for an unknown failure its response."""
    answered = f" {failure.kind} {failure.status} {failure.error_code}" if row is UNKNOWN else ""
    return f"{failure.service}{' through a proxy' if failure.proxy else ''}{answered}"


def _with_tls_reason(row: Row, failure: ServiceFailure) -> Row:
    """Return the row, with cause and remedy for OpenSSL's reason after a TLS failure."""
    if failure.kind is not FailureKind.TLS or not failure.detail:
        return row
    found = next(each for each in CERTIFICATES if re.search(each.pattern, failure.detail, re.IGNORECASE))
    remedy = found.remedy_with_bundle if failure.bundle and found.remedy_with_bundle else found.remedy
    return replace(row, cause=found.cause, remedy=remedy, temporary=False)


def _network(failure: ServiceFailure) -> dict[str, str]:
    proxy = redact(failure.proxy)
    return {
        "proxy": proxy if ":" in proxy.rpartition("]")[2] or not proxy else f"{proxy} without a port",
        "proxy_variable": failure.proxy_variable,
        "bundle": failure.bundle,
        "tenant": failure.tenant,
        "scope": failure.scope,
        "resource": failure.scope.removesuffix("/.default"),
        "application": _application(failure),
    }


def _application(failure: ServiceFailure) -> str:
    """Return the application ID of the Azure CLI's service principal if Microsoft Entra quotes it."""
    found = re.search(rf"AADSTS7000222: .{{0,200}}app '({GUID.pattern})'", failure.message)
    return found[1] if found else ""


def _token_claims(failure: ServiceFailure) -> dict[str, str]:
    """Return the claims of the exchanged token, with which a federation policy must match."""
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
    """Return the caller's object ID if the service quotes it, because a token might not contain it."""
    pattern = _NAMED.get(failure.service)
    found = pattern.search(failure.message) if pattern else None
    return found[1] if found else ""


_DEFAULTS = asdict(DiagnosisContext())
_ADDRESS = {Service.DATABRICKS: "host", Service.KEY_VAULT: "vault", Service.AZURE_DEVOPS: "url"}


def _values(context: DiagnosisContext) -> dict[str, str]:
    """Return the values for the braces. Empty values have their defaults."""
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
        # Unlike str.format, this keeps braces in values and names without a value.
        return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)

    commands: list[str] = []

    # The program's name also occurs in prose.
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
