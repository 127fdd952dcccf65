"""Each workspace of a fleet is in one slice, and messages contain nothing confidential."""

import json
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.model.values import Slice
from git_refresh.run.slices import (
    MAX_WORKSPACES_PER_SLICE,
    Message,
    UnreadableMessageError,
    cut,
    messages,
    read_message,
)
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings, load
from tests.support.examples import as_often_as
from tests.support.slices import RUN, entry

IDENTITIES = [None, *(f"5a1e0000-0000-4000-8000-00000000000{digit}" for digit in range(3))]
UNTIL = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)
NOW = UNTIL - timedelta(minutes=15)


def settings(*entries: object, **more: str) -> Settings:
    return load({"WORKSPACES": json.dumps(entries), "KEY_VAULT_URL": "https://v.vault.azure.net", **more})


def fleet(workspaces: int) -> Settings:
    return settings(*(entry(number) for number in range(workspaces)))


@pytest.mark.parametrize(
    ("workspaces", "lengths"),
    [(1, [1]), (50, [50]), (51, [26, 25]), (100, [50, 50]), (1_003, [48] * 20 + [43])],
)
def test_slices_have_similar_lengths_of_at_most_fifty(workspaces: int, lengths: list[int]) -> None:
    assert [len(names) for names in cut(fleet(workspaces))] == lengths


def drawn_entry() -> st.SearchStrategy[Any]:
    names = st.text(st.characters(min_codepoint=33, max_codepoint=0x1F9FF, exclude_categories=("C", "Z")))
    good = st.builds(
        entry,
        st.integers(0, 300),
        name=st.one_of(names, st.integers(0, 300).map(lambda number: f"data-{number}")),
        identity=st.sampled_from(IDENTITIES),
    )
    return st.one_of(good, good.map(lambda item: {**item, "hots": 1}), st.just(7), st.just({}))


@as_often_as(100)
@given(st.lists(drawn_entry(), min_size=1, max_size=160))
def test_each_entry_is_in_exactly_one_slice_whatever_the_list_holds(entries: list[Any]) -> None:
    found = settings(*entries)
    slices = [found.only(names) for names in cut(found)]
    assert sorted(map(id, (each for part in slices for each in part.entries))) == sorted(
        map(id, found.entries)
    )
    assert sorted(map(str, (problem for part in slices for problem in part.problems))) == sorted(
        map(str, found.problems)
    )
    for names, part in zip(cut(found), slices, strict=True):
        good = [each for each in part.entries if isinstance(each, Entry)]
        assert len(names) <= MAX_WORKSPACES_PER_SLICE
        assert len({found.zone(each.workspace).identity for each in good}) <= 1


@as_often_as(50)
@given(st.lists(drawn_entry(), min_size=1, max_size=60))
def test_a_message_fits_on_the_queue_and_is_read_as_it_was_written(entries: list[Any]) -> None:
    found = settings(*entries)
    for message in messages(found, RUN, UNTIL):
        assert len(b64encode(message.text().encode())) <= 64 * 1024
        assert read_message(message.text()) == message


@pytest.mark.parametrize(
    "changed",
    [
        {"slice": Slice(RUN, 2, 2)},
        {"slice": Slice("b7a1c0de-0000-4000-8000-000000000002", 1, 2)},
        {"valid_until": UNTIL - timedelta(seconds=1)},
        {"workspaces": ("nobody",)},
        {"workspaces": ("data-1", "data-2")},
    ],
)
def test_a_message_that_differs_in_anything_has_another_fingerprint(changed: dict[str, Any]) -> None:
    message = Message(Slice(RUN, 1, 2), UNTIL, ("data-1",))
    assert replace(message, **changed).fingerprint != message.fingerprint
    assert read_message(f" {message.text()}\n").fingerprint == message.fingerprint


def test_a_moment_is_read_in_any_time_zone() -> None:
    message = Message(Slice(RUN, 1, 2), UNTIL, ("data-1",))
    elsewhere = json.dumps({**json.loads(message.text()), "valid_until": "2026-11-25T23:30:00+05:30"})
    assert read_message(elsewhere) == message


def test_what_the_host_writes_into_a_message_does_not_matter() -> None:
    message = Message(Slice(RUN, 1, 2), UNTIL, ("data-1",))
    assert read_message(json.dumps({"$AzureWebJobsParentId": "x", **json.loads(message.text())})) == message


def test_no_key_of_a_message_replaces_the_queue_metadata_of_the_host() -> None:
    """The host copies them over the trigger's own metadata, in any letter case."""
    of_the_queue = {"id", "dequeuecount", "expirationtime", "insertiontime", "nextvisibletime", "popreceipt"}
    assert not of_the_queue & {key.lower() for key in WRITTEN}


def test_the_longest_names_in_the_widest_letters_fit_on_the_queue() -> None:
    found = settings(*(entry(number, name=f"{number:03}" + "😀" * 197) for number in range(120)))
    written = messages(found, RUN, UNTIL)
    assert max(len(b64encode(message.text().encode())) for message in written) <= 64 * 1024
    assert sum(len(message.workspaces) for message in written) == 120


def test_an_entry_without_a_name_costs_its_slice_nothing() -> None:
    (message,) = messages(settings(entry(1), entry(2, name="")), RUN, UNTIL)
    assert read_message(message.text()).workspaces == ("data-1", "adb-2")


@pytest.mark.parametrize("workspaces", [100, 150, 1_000])
def test_on_too_few_workers_each_slice_gets_its_turn(workspaces: int) -> None:
    found, early = fleet(workspaces), Counter[int]()
    for number in range(60):
        order = [each.slice.number for each in messages(found, str(UUID(int=number)), UNTIL)]
        early.update(order[: len(order) // 2])
    assert len(early) == len(order)
    assert min(early.values()) > max(early.values()) / 3, "none is favored by much"


def test_a_message_has_names_and_no_setting() -> None:
    secret = "dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48"
    entries = [
        entry(
            1,
            folders=["/Repos/secret-project/x"],
            auth="oauth_secret",
            client_id="5a1e0000-0000-4000-8000-000000000001",
            client_secret_name="s",
        ),
        {**entry(2), "client_secret_name": secret},
        {**entry(3), "name": secret},
    ]
    (message,) = messages(settings(*entries), RUN, UNTIL)
    written = json.loads(message.text())
    assert written.keys() == {"version", "run_id", "slice", "slices", "valid_until", "workspaces"}
    assert written["workspaces"] == ["data-1", "data-2", "adb-3"]
    assert secret not in message.text()


def test_a_name_is_found_in_the_list_wherever_it_is_cut_now() -> None:
    (message,) = messages(fleet(9), RUN, UNTIL)
    now = settings(*(entry(number) for number in (77, 3, 2)))
    assert [each.name for each in now.only(message.workspaces).entries] == ["data-3", "data-2"]


def test_the_whole_list_and_no_slice_decides_where_a_token_can_go() -> None:
    own = {"path": "/Repos/a/b", "url": "https://git.contoso.com/o/P/_git/R"}
    found = settings(entry(1, folders=[own]), entry(2), TRUSTED_HOSTS="git.contoso.com")
    (zone,) = found.only(["data-2"]).zones().values()
    (whole,) = found.zones().values()
    assert zone.origins() == whole.origins()
    assert "https://git.contoso.com" in zone.origins()


def test_a_slice_of_one_zone_knows_no_trusted_hosts_of_another() -> None:
    own = {"path": "/Repos/a/b", "url": "https://git.contoso.com/o/P/_git/R"}
    found = settings(
        entry(1, folders=[own], identity=IDENTITIES[1]),
        entry(2, identity=IDENTITIES[2]),
        TRUSTED_HOSTS="git.contoso.com",
    )
    (zone,) = found.only(["data-2"]).zones().values()
    assert zone.origins() == {"https://dev.azure.com"}


WRITTEN = json.loads(Message(Slice(RUN, 1, 2), UNTIL, ("data-1",)).text())
UNREADABLE = {
    "nothing": ("", "is not a JSON object"),
    "an array": ("[1]", "is not a JSON object"),
    "half": (json.dumps(WRITTEN)[:-4], "is not a JSON object"),
    "endlessly nested": ("[" * 100_000, "is not a JSON object"),
    "another version": (
        json.dumps({**WRITTEN, "version": 2}),
        "has version 2, and this app reads version 1: it was put on the queue before or after an upgrade",
    ),
    "no version": (
        json.dumps({"run_id": RUN}),
        "has version null, and this app reads version 1: it was put on the queue before or after an upgrade",
    ),
    "a version like ours": (
        json.dumps({**WRITTEN, "version": True}),
        "has version true, and this app reads version 1: it was put on the queue before or after an upgrade",
    ),
    "no run": (json.dumps({**WRITTEN, "run_id": "x"}), "is wrong in: run_id"),
    "no names": (json.dumps({**WRITTEN, "workspaces": []}), "is wrong in: workspaces"),
    "numbers": (json.dumps({**WRITTEN, "workspaces": [1], "slice": "1"}), "is wrong in: slice, workspaces"),
    "no time zone": (
        json.dumps({**WRITTEN, "valid_until": "2026-11-25T18:00:00"}),
        "is wrong in: valid_until",
    ),
    "the end of time": (
        json.dumps({**WRITTEN, "valid_until": "9999-12-31T23:59:59-14:00"}),
        "is wrong in: valid_until",
    ),
    "settings in it": (json.dumps({**WRITTEN, "client_secret": "x"}), "is wrong in: client_secret"),
    "a slice beyond the last": (json.dumps({**WRITTEN, "slice": 3}), "is wrong in: slice"),
    "lines in a name": (json.dumps({**WRITTEN, "workspaces": ["a\nb"]}), "is wrong in: workspaces"),
}


@pytest.mark.parametrize(("text", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_invalid_message_is_reported_by_its_flaw(text: str, said: str) -> None:
    with pytest.raises(UnreadableMessageError) as raised:
        read_message(text)
    assert str(raised.value) == said


ANYTHING = st.recursive(
    st.none() | st.text() | st.integers() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(WRITTEN)) | st.text(), inner),
)


def reading(value: object) -> str:
    """Return the objection to a message, or "" for a valid one."""
    try:
        read_message(json.dumps(value))
    except UnreadableMessageError as error:
        return str(error)
    return ""


@as_often_as(50)
@given(ANYTHING)
def test_nothing_on_the_queue_is_more_than_unreadable(content: object) -> None:
    for value in (content, {**WRITTEN, **content} if isinstance(content, dict) else [content]):
        said = reading(value)
        assert len(said) < 1_000
        assert said.isprintable()
