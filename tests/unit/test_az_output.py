"""Output of az in a format other than JSON, in place of settings."""

import pytest

from git_refresh.settings.json_text import JsonError, parse

TABLES = (
    "Name                 SlotSetting    Value\n-------------------  -------------  -----\nWORKSPACES           False          []\n",
    "Name        Value\r\n----------  -------\r\nWORKSPACES  []\r\n",
    "\n\nColumn1\n---------\n[]",
)


@pytest.mark.parametrize("text", TABLES)
def test_table_output_of_az_is_called_so(text: str) -> None:
    with pytest.raises(JsonError, match="table output of az; add --output json"):
        parse(text)


def test_tab_separated_output_of_az_is_called_so() -> None:
    with pytest.raises(JsonError, match="the output of az, but not JSON; add --output json"):
        parse("WORKSPACES\tFalse\t[]\n")


@pytest.mark.parametrize("text", ["hello", "hello\n-- x", '["a"\n---\n]', "https://a\nhttps://b"])
def test_other_text_is_not_blamed_on_az(text: str) -> None:
    with pytest.raises(JsonError) as caught:
        parse(text)
    assert "az;" not in str(caught.value)
