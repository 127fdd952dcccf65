"""The pictures of the pages show what the commands show today. (Made anew by `make docs`.)"""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tools.pictures import PICTURES


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_the_terminal_shows(name: str) -> None:
    drawn = PICTURES[name].draw()
    assert drawn == (ROOT / name).read_text(encoding="utf-8"), "make docs"
    assert not re.search(r"(?:url\(|href=)[\"']?http|<script", drawn), "it needs nothing from elsewhere"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_on_a_page_with_words_for_who_cannot_see_it(name: str) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    file = Path(name).name
    assert any(f"images/{file})" in page.read_text(encoding="utf-8") for page in pages)
