import base64
import random
import string
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from git_refresh.output import mask
from git_refresh.output.mask import PIECE, SecretFilter

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiI0OTliODRhYy0xMzIxIiwib2lkIjoiMWIyYzNkNGUifQ.dGhlLXNpZ25hdHVyZS1vZi1hLXRva2Vu"
SECRET = "dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48"
LETTERS = string.ascii_letters + string.digits

FORMS: dict[str, Callable[[str], str]] = {
    "whole": lambda secret: secret,
    "its first half": lambda secret: secret[: len(secret) // 2],
    "a piece from its middle": lambda secret: secret[9 : 9 + PIECE + 2],
    "in capitals": str.upper,
    "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
    "in base64 behind a user name": lambda secret: base64.b64encode(f"me:{secret}".encode()).decode(),
    "URL-encoded": lambda secret: "".join(f"%{ord(char):02x}" for char in secret),
    "URL-encoded base64": lambda secret: quote(base64.b64encode(secret.encode()).decode() + "=", safe=""),
    "with invisible characters in between": "\u200b".join,
    "spelt with spaces": " ".join,
    "between dots": lambda secret: ".".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
}


@pytest.mark.parametrize("secret", [TOKEN, SECRET], ids=["token", "secret"])
@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_however_it_is_written(form: str, secret: str) -> None:
    text = f"Could not move /Repos/{FORMS[form](secret)}/etl to branch main."
    hidden = SecretFilter([secret]).mask(text)
    assert "***" in hidden
    assert not SecretFilter([secret]).contains(hidden)


@given(
    st.text(LETTERS, min_size=24, max_size=200),
    st.integers(0, 200),
    st.integers(PIECE, 60),
    st.text(max_size=40),
)
def test_every_piece_of_every_secret_is_found(secret: str, start: int, length: int, around: str) -> None:
    assume(not secret.isalpha() and not secret.isdecimal())  # no service issues such a secret
    start = min(start, len(secret) - PIECE)
    piece = secret[start : start + length]
    telling = any(len(set(piece[at : at + PIECE].lower())) >= 5 for at in range(len(piece) - PIECE + 1))
    assert SecretFilter([secret]).contains(f"{around} {piece} {around}") >= telling


@pytest.mark.parametrize(
    "text",
    [
        "/Repos/etl/prod",
        "https://adb-0000000000000001.1.azuredatabricks.net",
        "https://dev.azure.com/contoso/Data%20Platform/_git/etl",
        "9d2c1f0e8b7a6d5c4b3a29180716f5e4d3c2b1a0",
        "1b2c3d4e-0000-4000-8000-00000000001d",
        "main",
        SECRET[: PIECE - 1],
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert SecretFilter([TOKEN, SECRET]).mask(text) == text


def test_a_row_of_zeros_is_no_piece_of_a_secret() -> None:
    secrets = SecretFilter(["dose00000000000000000000000000000001"])
    assert not secrets.contains("adb-0000000000000001")
    assert secrets.contains("dose00000000000000000000000000000001")


def test_twelve_letters_and_digits_in_a_row_are_a_piece_and_eleven_not() -> None:
    for start in range(len(SECRET) - 12):
        assert SecretFilter([SECRET]).contains(SECRET[start : start + 12])
        assert not SecretFilter([SECRET]).contains(SECRET[start : start + 11])


def test_what_is_remembered_of_clean_texts_is_bounded() -> None:
    secrets = SecretFilter([SECRET])
    for number in range(10_000):
        assert not secrets.contains(f"folder {number}")
    assert len(secrets._own.clean) < 5_000


@pytest.mark.parametrize("others", [[], [TOKEN]])
def test_what_is_learnt_later_is_found_in_a_text_that_was_clean_before(others: list[str]) -> None:
    secrets = SecretFilter(others)
    assert not secrets.contains(SECRET)
    secrets.add(SECRET)
    assert secrets.contains(SECRET)


def test_a_secret_added_during_a_search_is_found_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secrets = SecretFilter([TOKEN])
    forms = mask._forms

    def meanwhile(text: str) -> Iterator[str]:
        yield from forms(text)
        secrets.add(SECRET)

    with monkeypatch.context() as patch:
        patch.setattr(mask, "_forms", meanwhile)
        secrets.contains(SECRET)
    assert secrets.contains(SECRET)


def test_secrets_beside_others_are_found_too() -> None:
    assert SecretFilter([TOKEN], beside=SecretFilter([SECRET])).contains(SECRET)
    assert not SecretFilter(beside=SecretFilter([SECRET])).contains(TOKEN)
    assert SecretFilter(beside=SecretFilter(beside=SecretFilter([SECRET]))).contains(SECRET)


def test_what_is_too_short_to_be_a_secret_is_not_looked_for() -> None:
    assert not SecretFilter(["", "abc"]).contains("abcdefgh")
    assert SecretFilter(["hunter22"]).contains("password=hunter22")


@pytest.mark.parametrize(
    "value", ["git_refresh.run", "git_refresh.workspace", "unexpected_answer", "1234567890123456"]
)
def test_words_of_the_app_are_no_secrets_even_if_a_service_returns_them(value: str) -> None:
    assert SecretFilter([value]).mask(value) == value


def test_secrets_are_in_no_repr() -> None:
    assert SECRET not in repr(SecretFilter([SECRET]))


# Time


def token(seed: int, length: int = 1_500) -> str:
    return "".join(random.Random(seed).choices(LETTERS, k=length))  # noqa: S311


def one_short_of_a_piece(secrets: Sequence[str], length: int) -> str:
    """Return parts of secrets, each one character too short to be a piece, without separators."""
    drawn, text, before = random.Random(length), "", "/"  # noqa: S311
    known = "/".join(secrets).lower()
    while len(text) < length:
        start = drawn.randrange(len(known) - PIECE)
        part = known[start : start + PIECE - 1]
        if "/" not in part and before + part not in known:
            before = next(letter for letter in LETTERS.lower() if part + letter not in known)
            text += part + before + drawn.choice("/_")
    return text[:length]


def seconds(secrets: SecretFilter, text: str) -> float:
    """Return the CPU seconds of this thread: the least of several uncached texts."""
    took = []
    for number in range(5):
        other = f"{number}/{text}"
        started = time.thread_time()
        secrets.contains(other)
        took.append(time.thread_time() - started)
    return min(took)


HOSTILE: dict[str, Callable[[list[str], int], str]] = {
    "parts one short of a piece": one_short_of_a_piece,
    "parts in base64": lambda secrets, length: base64.b64encode(
        one_short_of_a_piece(secrets, length).encode()
    ).decode(),
    "parts, URL-encoded": lambda secrets, length: "".join(
        f"%{ord(char):02x}" for char in one_short_of_a_piece(secrets, length // 3)
    ),
    "the beginning of a secret, repeated": lambda secrets, length: (
        f"{secrets[0][: PIECE - 1]}/" * (length // PIECE)
    ),
}


@pytest.mark.skipif(settings.get_current_profile_name() == "quick", reason="compares times: for `make test`")
@pytest.mark.parametrize("form", HOSTILE)
def test_the_time_for_a_text_grows_with_its_length_and_no_faster(form: str) -> None:
    known = [token(seed) for seed in range(20)]
    secrets = SecretFilter(known)
    short, long = (HOSTILE[form](known, length) for length in (5_000, 20_000))
    assert any(seconds(secrets, long) < 8 * seconds(secrets, short) for _ in range(5))


@pytest.mark.skipif(settings.get_current_profile_name() == "quick", reason="compares times: for `make test`")
@pytest.mark.parametrize("form", HOSTILE)
@pytest.mark.parametrize("length", [10, 36, 1_500])
def test_the_time_for_a_text_does_not_grow_with_the_secrets(form: str, length: int) -> None:
    """100 times as many secrets take at most three times as long, apart from the search in memory."""
    values, few, many = known_few_and_many(length)
    text = HOSTILE[form]([value + token(1, PIECE) for value in values], 2_000)
    assert any(seconds(many, f"{again}/{text}") < 3 * seconds(few, f"{again}/{text}") for again in range(5))


@cache
def known_few_and_many(length: int) -> tuple[list[str], SecretFilter, SecretFilter]:
    """Return ten secrets of a length, their filter, and one of a thousand, whose creation is slow."""
    many = [token(seed, length) + "7x" for seed in range(1_000)]
    return many[:10], SecretFilter(many[:10]), SecretFilter(many)


def test_parts_one_short_of_a_piece_are_no_secret() -> None:
    known = [token(seed) for seed in range(3)]
    assert not SecretFilter(known).contains(one_short_of_a_piece(known, 2_000))
    assert SecretFilter(known).contains(one_short_of_a_piece(known, 2_000) + known[1][700:712])


def test_each_of_a_thousand_secrets_is_found_whenever_it_was_learnt() -> None:
    secrets = SecretFilter()
    for seed in range(1_000):
        value = token(seed, 40) + "7"
        secrets.add(value)
        assert secrets.contains(f"/Repos/{value[20:32]}/etl")
    assert not secrets.contains("/Repos/etl/prod")
