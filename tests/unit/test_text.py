import pytest

from git_refresh.output.text import closest, count, first_of


def test_a_count_has_its_plural() -> None:
    assert [count(number, "day") for number in (0, 1, 2)] == ["0 days", "1 day", "2 days"]


@pytest.mark.parametrize(
    ("names", "noun", "said"),
    [
        (["a"], "", "a"),
        (["a", "b"], "", "a, b"),
        (["a", "b", "c"], "", "a, b and 1 more"),
        (["a, x", "b", "c"], "", "a, x; b and 1 more"),
        (["a", "b", "c"], "day", "a, b and 1 more day"),
        (["a", "b", *"c" * 1_000], "", "a, b and 1,000 more"),
    ],
)
def test_of_many_names_the_first_stand_with_a_count(names: list[str], noun: str, said: str) -> None:
    assert first_of(names, 2, noun) == said


def test_the_closest_ignores_letter_case_and_keeps_the_spelling() -> None:
    assert closest(" PORD ", ["Prod", "test"]) == ["Prod"]
    assert closest("x" * 100_000, ["x" * 100_000 + "y"]) == ["x" * 100_000 + "y"]
    assert closest("zzz", ["prod"]) == []
