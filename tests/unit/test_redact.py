import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.output.redact import (
    INVISIBLE,
    escape_unprintable,
    looks_like_secret,
    redact,
    silence_sdk_logs,
)

SHOWN = {
    "a password that contains the separators of a URL": (
        "https://me:hun@ter/2?#@dev.azure.com/a",
        "https://dev.azure.com/a",
    ),
    "a port, which is no password": ("https://a.b:8443/c:/me@c.d", "https://a.b:8443/c:/me@c.d"),
    "an unpaired surrogate": ("a\ud800b", r"a\ud800b"),
    "what was typed": ("what? #1 //a@b", "what? #1 //a@b"),
    "a URL without password, query and fragment": (
        "https://me:hunter2@dev.azure.com/a/b?token=hunter2#hunter2",
        "https://dev.azure.com/a/b",
    ),
    "a URL without a query of several lines": ("https://a.b/c?x\nhunter2", "https://a.b/c"),
    "a URL without a fragment": ("https://a.b/c#access_token=hunter2", "https://a.b/c"),
    "a mail address in a path": ("https://a.b/Users/me@c.d/e", "https://a.b/Users/me@c.d/e"),
    "nothing invisible": ("a\r\n\x1b[2J\x7fb\u202e\u2028\xa0", r"a\r\n\x1b[2J\x7fb\u202e\u2028\xa0"),
    "no blank that is a letter to Unicode": ("a\u115f\u1160\u3164\uffa0b", r"a\u115f\u1160\u3164\uffa0b"),
    "no tag": ("a\U000e0000\U000e0041\U000e007fb", r"a\U000e0000\U000e0041\U000e007fb"),
    "as much as fits": ("a b " * 30, "a b " * 30),
    "the start of what does not": ("a b " * 30 + "c", "a b " * 29 + "a b…"),
}


@pytest.mark.parametrize(("typed", "expected"), SHOWN.values(), ids=SHOWN)
def test_what_was_typed_is_shown_as_far_as_it_may_be(typed: str, expected: str) -> None:
    assert redact(typed) == expected


SECRETS = {
    "a JWT": "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQi.c2ln-_",
    "the start of a JWT": "eyJ0eXAiO",
    "a secret of a service principal": "dose" + "0123456789abcdef" * 2,
    "a Databricks token": "dapi" + "0123456789abcdef" * 2 + "-3",
    "a Databricks token of another kind": "dkea" + "0123456789abcdef" * 2,
    "a Databricks token of a third kind": "dsapi" + "0123456789abcdef" * 2,
    "the start of one": "dapi" + "0123456789abcdef",
    "an Entra client secret": "abc8Q~" + "aB3.-_~x" * 4,
    "an Azure DevOps token": "abcdefghijklmnopqrstuvwxyz234567" * 2,
    "an Azure DevOps token of the new length": "aB3" * 28,
    "a key of 32 bytes": "aB3+" * 10 + "aB3=",
    "a storage key": "aB3+/" * 17 + "a==",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("around", ["{}", "my {} here", '"{}"', "a={}", "https://a.b/{}/c"])
def test_what_looks_like_a_secret_is_never_shown(secret: str, around: str) -> None:
    text = redact(around.format(secret))
    assert "***" in text
    assert not any(secret[at : at + 8] in text for at in range(4, len(secret) - 8, 4))


@pytest.mark.parametrize(
    "text",
    [
        "https://me:hunter2{}",
        "https://me:hunter2{}@dev.azure.com/a",
        "https://me:hunter2@{}@dev.azure.com/a",
        "https://hunter2{}@dev.azure.com/a",
        "x https://a.b/c https://me:hunter2{}@dev.azure.com/a",
    ],
)
@pytest.mark.parametrize("sign", [":", "/", " ", "é", "@"])
def test_no_piece_of_a_password_is_shown_of_a_text_too_long_to_search(text: str, sign: str) -> None:
    assert "hunter2" not in redact(text.format(sign * 120_000))


@given(st.integers(0, 120), st.sampled_from(sorted(SECRETS)), st.sampled_from(["/", " ", ":", "@"]))
def test_a_token_is_not_shown_where_a_long_text_is_cut_through_it(before: int, name: str, sign: str) -> None:
    secret = SECRETS[name]
    # Text removed at the front moves the cut into view.
    text = redact(f"{'a' * (4_000 - before)}{sign}{secret}{'é' * 9_000}")
    assert not any(secret[at : at + 8] in text for at in range(len(secret) - 8))


@pytest.mark.parametrize(
    "text",
    [
        "/Workspace/Shared/etl",
        "00000000-0000-0000-0000-000000000000",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "dapi-token-of-the-etl-team",
        "eyJ",
    ],
    ids=["a path", "a client id", "a commit", "the name of a secret", "a short word"],
)
def test_what_is_no_secret_is_shown_whole(text: str) -> None:
    assert redact(text) == text


@given(st.text(st.characters()) | st.text("\n\x1b\x85\u2028\u202e\ud800\ufeff\u3000aé", max_size=200))
def test_what_is_shown_is_one_line_of_signs_that_can_be_seen(text: str) -> None:
    for gone in (redact(text), escape_unprintable(text)):
        assert gone.isprintable()
        assert not INVISIBLE.search(gone)
    assert not text.isprintable() or INVISIBLE.search(text) or escape_unprintable(text) == text


@pytest.mark.parametrize("first", ["\U000e0000", "\u115f", "\u3164", "\uffa0"])
def test_unicode_blanks_are_escaped_like_control_characters(first: str) -> None:
    last = {"\U000e0000": "\U000e007f", "\u115f": "\u1160"}.get(first, first)
    block = {chr(code) for code in range(ord(first), ord(last) + 1)}
    around = {chr(ord(first) - 1), chr(ord(last) + 1)}
    assert {sign for sign in block | around if INVISIBLE.search(sign)} == block


CERTAIN = {
    name: SECRETS[name]
    for name in (
        "a JWT",
        "a secret of a service principal",
        "a Databricks token",
        "a Databricks token of another kind",
        "a Databricks token of a third kind",
        "a storage key",
    )
} | {
    "an Entra client secret": "abc8Q~" + "aB3.-_~x" * 4 + "ab",
    "an Azure DevOps token": "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst",
    "an Azure DevOps token of the new length": "aB3" * 25 + "a" + "AZDO" + "aB3c",
}
AROUND = st.text("/\\ \"'=:;,.?&#@()é\n", max_size=8)


@given(st.sampled_from(sorted(CERTAIN)), AROUND, AROUND)
def test_a_certain_secret_is_reported_and_never_shown(name: str, before: str, after: str) -> None:
    text = before + CERTAIN[name] + after
    assert looks_like_secret(text)
    assert not any(CERTAIN[name][at : at + 12] in redact(text) for at in range(len(CERTAIN[name]) - 12))


@pytest.mark.parametrize("secret", CERTAIN.values(), ids=CERTAIN)
def test_a_secret_with_a_line_break_from_email_is_recognized(secret: str) -> None:
    assert looks_like_secret(f"{secret[:20]}\r\n{secret[20:]}")


WORDS = st.from_regex(r"[a-zA-Z0-9]{1,12}([-_. ][a-zA-Z0-9]{1,12}){0,3}", fullmatch=True)
IDS = st.uuids().map(str)
COMMITS = st.from_regex(r"[0-9a-f]{40}|[0-9a-f]{64}", fullmatch=True)
HOSTS = st.from_regex(r"https://adb-[0-9]{16}\.[0-9]{1,2}\.azuredatabricks\.net", fullmatch=True)
PATHS = st.lists(WORDS | IDS | COMMITS, min_size=1, max_size=12).map("/".join)


@given(PATHS | HOSTS | st.tuples(HOSTS, PATHS).map("/".join))
def test_no_id_commit_host_or_path_looks_like_a_secret(text: str) -> None:
    assert not looks_like_secret(text)


@pytest.mark.parametrize(
    "text", ["x" * 52, "dapi-token", "eyJ-team", "feature/dose-of-data", "q" * 84, "A" * 88]
)
def test_a_long_or_telling_name_does_not_look_like_a_secret(text: str) -> None:
    assert not looks_like_secret(text)


SDKS = ["azure.core", "azure.identity", "azure.keyvault", "databricks", "msal", "requests", "urllib3"]


class Ear(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record)


@pytest.fixture
def ear() -> Iterator[Ear]:
    """Capture the root's handlers, from loggers in their initial state, which is then restored."""
    loggers = [logging.getLogger(name) for name in SDKS]
    before = [(logger.propagate, logger.handlers, logger.level) for logger in loggers]
    for logger in loggers:
        logger.propagate, logger.handlers = True, []
    root, make, ear = logging.getLogger(), logging.getLogRecordFactory(), Ear()
    logging.setLogRecordFactory(logging.LogRecord)
    root.addHandler(ear)
    yield ear
    root.removeHandler(ear)
    logging.setLogRecordFactory(make)
    for logger, (propagate, handlers, level) in zip(loggers, before, strict=True):
        logger.propagate, logger.handlers = propagate, handlers
        logger.setLevel(level)


@pytest.mark.parametrize("name", SDKS)
def test_what_sdks_log_reaches_no_handler_whatever_the_level(
    name: str, ear: Ear, capsys: pytest.CaptureFixture[str]
) -> None:
    silence_sdk_logs()
    logging.getLogger(name).setLevel(logging.DEBUG)
    for level in (logging.DEBUG, logging.WARNING, logging.CRITICAL):
        logging.getLogger(f"{name}.deep.inside").log(level, "hunter2")
    assert not ear.heard
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("child", ["", ".deep.inside"])
@pytest.mark.parametrize("name", SDKS)
def test_a_handler_on_an_sdk_logger_gets_no_texts_of_the_sdk(name: str, child: str, ear: Ear) -> None:
    silence_sdk_logs()
    logging.getLogger(name).addHandler(ear)
    try:
        raise ValueError("hunter2")  # noqa: TRY301  # an exception as an SDK logs it
    except ValueError:
        logging.getLogger(name + child).exception("hunter2 %s", "hunter2", stack_info=True)
    (record,) = ear.heard
    assert "hunter2" not in logging.Formatter().format(record)
    assert "hunter2" not in repr(vars(record))
    assert "ValueError" not in repr(vars(record))


def test_the_words_of_others_are_left_as_they_are(ear: Ear) -> None:
    silence_sdk_logs()
    for name in ("git_refresh", "databricksomething", "azure.functions"):
        logging.getLogger(name).error("said by %s", name)
    assert [(record.name, record.getMessage()) for record in ear.heard] == [
        ("git_refresh", "said by git_refresh"),
        ("databricksomething", "said by databricksomething"),
        ("azure.functions", "said by azure.functions"),
    ]


@pytest.mark.usefixtures("ear")
def test_silencing_again_changes_nothing() -> None:
    silence_sdk_logs()
    make, handlers = logging.getLogRecordFactory(), [list(logging.getLogger(name).handlers) for name in SDKS]
    silence_sdk_logs()
    assert logging.getLogRecordFactory() is make
    assert [logging.getLogger(name).handlers for name in SDKS] == handlers


def test_what_an_sdk_says_to_the_root_logger_is_withheld_too() -> None:
    silence_sdk_logs()
    make = logging.getLogRecordFactory()
    place = "/app/.python_packages/lib/site-packages/databricks/sdk/errors/parser.py"
    record = make("root", logging.DEBUG, place, 89, "Error parsing %s", ("dapi-secret",), None)
    assert "secret" not in record.getMessage()
    ours = make("root", logging.INFO, "/app/git_refresh/app.py", 1, "%s", ("fine",), None)
    assert ours.getMessage() == "fine"
