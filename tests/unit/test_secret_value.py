"""What people store in Key Vault in place of an OAuth secret."""

import pytest

from git_refresh.clients.secret_value import flaw_of

RIGHT = "dose5b2d8064c7e1f09a3b5d2c487f3c9a1e"

WRONG = {
    "": "blank",
    " \n\t": "blank",
    "\ufeff": "blank",
    f'{{"client_secret": "{RIGHT}"}}': "JSON",
    f'{{"secret":"{RIGHT}"}}': "JSON",
    f'["{RIGHT}"]': "JSON",
    f'\ufeff{{"value": "{RIGHT}"}}': "JSON",
    f'{{"value": "{RIGHT}"': "JSON",
    f'"{RIGHT}"': "quotation marks",
    f"'{RIGHT}'": "quotation marks",
    f"\u201c{RIGHT}\u201d": "quotation marks",
    f'{RIGHT}"': "quotation marks",
    f"Secret\n------------------------------------\n{RIGHT}": "table output",
    f"Id    Secret                                Status\n----  ------------------------------------  ------\nx  {RIGHT}  ACTIVE": "table",
    f"Secret ------------------------------------ {RIGHT}": "table output",
    f"secret: {RIGHT}": "several lines or words",
    f"{RIGHT}\nx": "several lines or words",
    f"{RIGHT[:9]} {RIGHT[9:]}": "several lines or words",
    "aB28Q~abcdefghijklmnopqrstuvwxyz01234567": "client secret of Microsoft Entra",
    "~._8Q~ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.~0123": "client secret of Microsoft Entra",
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln": "an access token",
    "dapi0123456789abcdef0123456789abcdef-2": "personal access token of Databricks",
    f"{'a' * 76}AZDO1234": "personal access token of Azure DevOps",
    "5A1E0000-0000-4000-8000-000000000001": "an ID",
    "https://contoso.vault.azure.net/secrets/etl": "an address",
    "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/etl)": "Key Vault reference",
    "$(OAUTH_SECRET)": "placeholder",
    "<secret>": "placeholder",
    "d\x00o\x00s\x00e\x00": "characters that no OAuth secret has",
    f"\u00ef\u00bb\u00bf{RIGHT}": "characters that no OAuth secret has",
}


@pytest.mark.parametrize("value", WRONG)
def test_a_value_that_is_no_oauth_secret_is_called_what_it_is(value: str) -> None:
    found = flaw_of(value)
    assert WRONG[value] in found
    assert RIGHT not in found
    assert not value.strip() or value.strip() not in found


@pytest.mark.parametrize("value", [RIGHT, f"\ufeff{RIGHT}\r\n", f"  {RIGHT} ", "opaque", "s3cr3t-of-tests_1"])
def test_a_value_that_may_be_one_is_tried(value: str) -> None:
    assert flaw_of(value) == ""
