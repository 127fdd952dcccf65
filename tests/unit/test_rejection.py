"""Conclusions from Azure DevOps' responses about a token, and about a pull."""

import pytest

from git_refresh.failures.failure import (
    FailureKind,
    Operation,
    Service,
    ServiceFailure,
    is_definite,
    is_rejection,
)

PAGE = "<!DOCTYPE html><html><head><title>Azure DevOps Services | Sign In</title></head></html>"
REJECTED = {
    "a reason in JSON": (401, "UnauthorizedRequestException", "TF400813: The user is not authorized."),
    "a reason without a type": (401, "", "TF401444: Please sign-in at least once as …"),
    "a type without a reason": (403, "UnauthorizedRequestException", ""),
    "a policy": (401, "", "VS403463: The conditional access policy … has failed."),
    "an HTML page with a reason": (401, "", "<html><title>Access Denied: TF400813: …</title></html>"),
    "a sign-in page": (203, "", PAGE),
    "a sign-in page with 200": (200, "", PAGE),
    "a sign-in page with 401": (401, "", PAGE),
    "a redirect to sign in": (302, "", "https://spsprodweu1.vssps.visualstudio.com/_signin"),
}
UNPROVEN = {
    "a bare 401": (401, "", ""),
    "a bare 403": (403, "", ""),
    "a page of something between": (403, "", "<html><title>Web filter</title>Blocked</html>"),
    "a page that looks fine": (200, "", "<html><title>Proxy</title>Welcome</html>"),
    "a redirect elsewhere": (302, "", "https://portal.contoso.com/ Found"),
    "a word in capitals": (403, "ERROR", "ERROR: blocked"),
    "a failing service": (503, "", PAGE),
    "too many requests": (429, "", "TF400733: The request has been canceled"),
    "no answer": (None, "", ""),
}


def symptom(
    status: int | None, code: str, message: str, service: Service = Service.AZURE_DEVOPS
) -> ServiceFailure:
    return ServiceFailure(service, Operation.READ_JOB.of(), FailureKind.ANSWER, status, code, message)


@pytest.mark.parametrize("answer", REJECTED.values(), ids=REJECTED)
def test_a_token_is_rejected_with_a_reason_or_by_a_sign_in_page(answer: tuple[int, str, str]) -> None:
    assert is_rejection(symptom(*answer))
    assert is_definite(symptom(*answer))
    assert not is_rejection(symptom(*answer, Service.DATABRICKS))
    assert not is_definite(symptom(*answer, Service.DATABRICKS))


@pytest.mark.parametrize("answer", UNPROVEN.values(), ids=UNPROVEN)
def test_nothing_else_proves_that_a_token_is_rejected(answer: tuple[int | None, str, str]) -> None:
    assert not is_rejection(symptom(*answer))
    assert not is_definite(symptom(*answer))


@pytest.mark.parametrize(
    "answer",
    [
        (404, "GitRepositoryNotFoundException", "TF401019: …"),
        (404, "", "The controller for path '/x' was not found or does not implement IController."),
        (400, "", "VS800075: …"),
        (503, "VssServiceException", "TF24668: The following team project collection is stopped: contoso."),
    ],
)
def test_what_a_pull_would_only_meet_again_says_nothing_about_the_token(answer: tuple[int, str, str]) -> None:
    assert is_definite(symptom(*answer))
    assert not is_rejection(symptom(*answer))
