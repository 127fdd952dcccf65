"""The house rules for prose, as CONTRIBUTING.md has them."""

from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tools.prose import BUDGETS, MAX_PAGES_WORDS, files, findings

MARKDOWN = {path.relative_to(ROOT).as_posix(): path for path in files() if path.suffix == ".md"}


def test_no_text_breaks_the_rules_for_prose() -> None:
    counts = {path.relative_to(ROOT).as_posix(): len(findings(path)) for path in files()}
    assert {name: count for name, count in counts.items() if count} == {}, ".venv/bin/python -m tools.prose"


def test_every_page_has_a_word_budget_and_keeps_it() -> None:
    words = {name: len(path.read_text().split()) for name, path in MARKDOWN.items()}
    assert words.keys() == BUDGETS.keys()
    assert {name: count for name, count in words.items() if count > BUDGETS[name]} == {}
    pages = [count for name, count in words.items() if not name.startswith(("tests/", ".github/"))]
    assert sum(pages) <= MAX_PAGES_WORDS


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("page.md", "The app tells you.\n\n```\nIt tells you.\n```\n\nIt `tells` you.\n", [1]),
        ("page.md", "| Code | Nobody does it. |\n|---|---|\n| `x` | The admin does it. |\n", [1]),
        ("page.md", f"{'word ' * 25}end.\n\n{'word ' * 24}end.\n", [1]),
        ("page.md", f"{'word ' * 13}[{'word ' * 13}](https://example.com/a).\n", [1]),
        ("code.py", '"""Whether it works."""\n\nTEXT = "it was told to the app"\n# Anew.\n', [1, 3, 4]),
        ("code.py", "row(seen='it was told to the app')  # noqa: S106\n", []),
        ("code.py", "# The first line of a comment, which\n# ends here and tells nothing.\n", [1]),
        ("main.bicep", "@description('Whom to notify.')\nparam whom string // a role\n", [1]),
        ("Makefile", "test: ## run all tests anew\n\techo anew\n", [1]),
    ],
)
def test_a_break_of_the_rules_is_found_at_its_line(
    name: str, text: str, lines: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.prose.ROOT", tmp_path)
    file = tmp_path / name
    file.write_text(text)
    assert sorted({finding.line for finding in findings(file)}) == lines
