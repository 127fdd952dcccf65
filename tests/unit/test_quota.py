from hypothesis import given
from hypothesis import strategies as st

from git_refresh.model.quota import Quota


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 50)), max_size=60))
def test_all_parties_stay_within_the_total_and_each_within_its_maximum(
    asked: list[tuple[str, int]],
) -> None:
    shares, taken = Quota(100, 4, 40), dict.fromkeys("abcd", 0)
    for party, amount in asked:
        taken[party] += amount * shares.take(party, amount)
    assert sum(taken.values()) <= 100
    assert max(taken.values()) <= 40


@given(st.lists(st.integers(1, 50), max_size=60))
def test_what_a_party_is_due_is_there_whatever_the_others_take(asked: list[int]) -> None:
    shares = Quota(100, 4, 100)
    for amount in asked:
        shares.take("greedy", amount)
    assert all(shares.take(party, 12) for party in ("b", "c", "d"))


def test_a_party_can_take_what_no_other_needs() -> None:
    shares = Quota(100, 4, 60)
    assert shares.take("a", 60)
    assert not shares.take("a", 1), "its most"
    assert shares.take("b", 12)
    assert not shares.take("b", 5), "12 are its own, and 2 are left of the common half"
