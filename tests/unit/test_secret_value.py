"""Values stored in Key Vault that are not an OAuth secret."""

import pytest

from git_refresh.clients.secret_value import flaw_of
from tests.support.secret_values import RIGHT, WRONG


@pytest.mark.parametrize("value", WRONG)
def test_a_value_that_is_no_oauth_secret_is_called_what_it_is(value: str) -> None:
    found = flaw_of(value)
    assert WRONG[value] in found
    assert RIGHT not in found
    assert not value.strip() or value.strip() not in found


@pytest.mark.parametrize("value", [RIGHT, f"\ufeff{RIGHT}\r\n", f"  {RIGHT} ", "opaque", "s3cr3t-of-tests_1"])
def test_a_value_that_may_be_one_is_tried(value: str) -> None:
    assert flaw_of(value) == ""
