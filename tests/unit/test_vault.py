"""Secrets of Key Vault through the SDK, without sockets."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from git_refresh.clients.connections import tls_context
from git_refresh.clients.key_vault import KeyVault
from git_refresh.clients.session import Network
from git_refresh.failures.failure import ServiceError
from git_refresh.model.values import Token
from git_refresh.output.mask import SecretFilter
from tests.support.fakes import NOW, FakeServices, deadline

SENT = "dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48"
SECRET = "dose00112233445566778899aabbccddeeff"


class FakeIdentity(FakeServices):
    def token(self, resource: str) -> Token:
        return Token(SecretStr(SENT), NOW + timedelta(hours=1))


def vault(
    monkeypatch: pytest.MonkeyPatch,
    value: object,
    expires_on: datetime | None,
    secrets: SecretFilter,
    begins: datetime | None = None,
) -> KeyVault:
    """Return a vault in which every secret is this one."""
    made = KeyVault(
        "https://contoso.vault.azure.net",
        FakeIdentity({}),  # type: ignore[arg-type]  # tokens are all that is asked of it
        Network(tls_context(), deadline(), secrets),
    )
    found = SimpleNamespace(value=value, properties=SimpleNamespace(expires_on=expires_on, not_before=begins))
    monkeypatch.setattr(made._client, "get_secret", lambda _: found)
    return made


def test_a_secret_is_known_as_one_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = SecretFilter()
    found = vault(monkeypatch, f" {SECRET}\n", None, secrets).secret("name")
    assert found.value.get_secret_value() == SECRET
    assert secrets.contains(SECRET)


@pytest.mark.parametrize(
    "value", [f"\ufeff{SECRET}", f"\ufeff {SECRET}\r\n", f"{SECRET}\ufeff", f"\u00a0{SECRET}\u00a0"]
)
def test_what_an_editor_puts_around_a_secret_is_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    assert vault(monkeypatch, value, None, SecretFilter()).secret("name").value.get_secret_value() == SECRET


def test_a_secret_before_its_activation_date_is_used_and_the_date_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begins = NOW + timedelta(days=1)
    found = vault(monkeypatch, SECRET, None, SecretFilter(), begins).secret("name")
    assert (found.value.get_secret_value(), found.valid_from) == (SECRET, begins)


@pytest.mark.parametrize(
    ("value", "expires_on", "kind"),
    [
        (SENT, None, "unexpected"),
        (None, None, "unexpected"),
        ("", None, "value"),
        ("two words", None, "value"),
        (SECRET, NOW, "lapsed"),
        (SECRET, NOW.replace(tzinfo=None), "unexpected"),
    ],
)
def test_a_secret_that_has_lapsed_is_none_or_was_sent_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, value: object, expires_on: datetime | None, kind: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        vault(monkeypatch, value, expires_on, SecretFilter()).secret("name")
    assert caught.value.failure.kind == kind
    assert caught.value.failure.ended == (expires_on if kind == "lapsed" else None)
