"""The decision about an OAuth secret: one row per case."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from git_refresh.admin.rotation.decide import (
    Decision,
    RotationTarget,
    SecretSnapshot,
    decide,
)
from git_refresh.admin.rotation.report import PreviousSecretReport
from git_refresh.admin.values import OAuthSecret, SignIn, Version, place_of, tags_of
from tests.support.fakes import NOW

CLIENT_ID = "5a1e0000-0000-4000-8000-000000000001"
HOST = "https://adb-1.1.azuredatabricks.net"
TARGET = RotationTarget("oauth", CLIENT_ID, (HOST,), ("data-1",))

PLACE = place_of("https://contoso.vault.azure.net", "oauth")


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def secret(
    id_: str, *, ends: float | None = 30, life: float = 730, scopes: tuple[str, ...] = ()
) -> OAuthSecret:
    end = None if ends is None else ago(-ends)
    return OAuthSecret(id_, end - timedelta(days=life) if end else ago(life), end, scopes)


def version(
    of: str | None,
    age: float,
    *,
    ends: float | None = 30,
    client_id: str = CLIENT_ID,
    tags: dict[str, str] | None = None,
) -> Version:
    given = (tags_of(of, client_id, PLACE) if of else {}) | (tags or {})
    return Version(f"{of}-{age}", ago(age), None if ends is None else ago(-ends), tags=given)


def seen(*versions: Version, has: list[OAuthSecret], **more: Any) -> SecretSnapshot:
    """Return a snapshot in which the last version is the current one."""
    return SecretSnapshot(
        **{
            "target": TARGET,
            "place": PLACE,
            "current": versions[-1],
            "sign_ins": {HOST: SignIn.ACCEPTED},
            "versions": versions,
            "siblings": {},
            "principal": 7,
            "secrets": has,
            "vault_time": NOW,
            "databricks_time": NOW,
            **more,
        }
    )


def decided(*versions: Version, has: list[OAuthSecret], within: float = 60, **more: Any) -> Decision:
    return decide(seen(*versions, has=has, **more), NOW, timedelta(days=within))


def unknown(*versions: Version, has: list[OAuthSecret], **more: Any) -> list[str]:
    return [each.id for each in seen(*versions, has=has, **more).unclaimed(NOW)]


FAR: dict[str, Any] = {"ends": 600.0}
REJECTED = {HOST: SignIn.REJECTED}


@pytest.mark.parametrize(
    ("of", "told", "within", "create", "why"),
    [
        ({"ends": 59.9}, {"ends": 59.9}, 60, True, "the previous one expires on 2027-01-22, in 59 days"),
        ({"ends": 61}, {"ends": 61}, 60, False, "it expires on 2027-01-23, in 61 days"),
        ({"ends": 61}, {"ends": 20}, 60, True, "in 20 days"),
        ({"ends": 20}, {"ends": 61}, 60, True, "in 20 days"),
        ({"ends": None}, {"ends": 20}, 60, True, "in 20 days"),
        ({"ends": -1}, {"ends": -1}, 60, True, "the previous one expired on 2026-11-22"),
        ({"ends": 20, "life": 90}, {"ends": 20}, 60, True, "in 20 days"),
        ({"ends": 50, "life": 90}, {"ends": 50}, 60, False, "in 50 days"),
        ({"ends": 1, "life": 1.5}, {"ends": 1}, 60, False, "in 1 day"),
    ],
)
def test_it_is_made_anew_when_it_ends_soon(
    of: dict[str, Any],
    told: dict[str, Any],
    within: float,
    create: bool,  # noqa: FBT001
    why: str,
) -> None:
    age = min(10, of.get("life", 730) - (of["ends"] or 0))
    found = decided(version("a", age, **told), has=[secret("a", **of)], within=within)
    assert (found.create, found.stop) == (create, "")
    assert found.why.endswith(why)


def test_one_that_does_not_work_is_made_anew() -> None:
    found = decided(version("a", 10, **FAR), has=[secret("a", **FAR)], sign_ins=REJECTED)
    assert (found.create, found.why) == (True, f"{HOST} does not accept the previous one")
    assert decided(version("gone", 10, **FAR), has=[], sign_ins=REJECTED).create


@pytest.mark.parametrize("ends", [600.0, 61.0, None])
def test_what_is_forced_is_made_whenever_the_previous_one_ends(ends: float | None) -> None:
    it = seen(version("a", 10, ends=ends), has=[secret("a", ends=ends)])
    found = decide(it, NOW, timedelta(days=60), force=True)
    assert (found.create, found.stop, found.why) == (True, "", "--force was set")


def test_what_is_forced_is_still_held_by_what_stops_any_other() -> None:
    four = [secret(name) for name in "abcd"]
    it = seen(version("a", 10), has=four)
    assert decide(it, NOW, timedelta(days=60), force=True).stop == "room"


def test_a_secret_with_an_unknown_expiry_gets_no_successor() -> None:
    found = decided(version(None, 10, ends=None), has=[secret("a")])
    assert (found.create, found.stop) == (False, "end")


def test_the_new_one_has_the_scopes_and_the_life_of_the_current_one() -> None:
    others = [secret("b", scopes=("sql",)), secret("a", life=90, ends=20, scopes=("all-apis",))]
    found = decided(version("a", 70, ends=20), has=others)
    assert (found.scopes, found.lifetime) == (("all-apis",), timedelta(days=90))


@pytest.mark.parametrize("life", [0.001, 1, 90])
def test_neither_service_alone_lets_a_new_one_expire_early(life: float) -> None:
    one = decided(version("a", 700, ends=30), has=[secret("a", life=life, ends=30)])
    other = decided(version("a", life - 30, ends=30), has=[secret("a", life=730, ends=30)])
    assert one.lifetime == other.lifetime == timedelta(days=730)
    assert one.create
    assert decided(version("a", 700, ends=None), has=[secret("a", life=life, ends=30)]).lifetime is None


def test_no_life_is_longer_than_databricks_lets_it() -> None:
    assert decided(version("a", 70, ends=20), has=[secret("a", life=800, ends=20)]).lifetime == timedelta(
        days=730
    )
    endless = replace(secret("a"), expires_at=None)
    assert decided(version("a", 70, ends=20), has=[endless]).lifetime is None


@pytest.mark.parametrize(
    ("scopes", "stop", "new"),
    [
        ([("sql", "jobs"), ("jobs", "sql")], "", ("jobs", "sql")),
        ([("sql",), ()], "scopes", ()),
        ([("all-apis",), ()], "", ()),
        ([("all-apis",), ("all-apis",)], "", ("all-apis",)),
        ([("all-apis",), ("all-apis", "sql")], "scopes", ()),
        ([(), ()], "", ()),
        ([], "", ()),
    ],
)
def test_without_a_tag_the_scopes_are_those_that_all_have(
    scopes: list[tuple[str, ...]], stop: str, new: tuple[str, ...]
) -> None:
    has = [secret(f"s{number}", scopes=each) for number, each in enumerate(scopes)]
    found = decided(version(None, 10), has=has)
    assert (found.stop, found.create, found.scopes, found.lifetime) == (stop, not stop, new, None)
    assert found.delete == ()
    assert len(unknown(version(None, 10), has=has)) == len(scopes)
    assert not found.known


@pytest.mark.parametrize(("there", "create"), [(3, True), (4, False), (5, False)])
def test_the_fifth_secret_stays_free_for_an_emergency(there: int, create: bool) -> None:  # noqa: FBT001
    has = [secret("a", ends=20), *(secret(f"x{number}") for number in range(there - 1))]
    found = decided(version("a", 10, ends=20), has=has)
    assert (found.create, found.stop) == (create, "" if create else "room")


def test_what_is_deleted_makes_room() -> None:
    has = [secret("a", ends=20), secret("old"), secret("x"), secret("y")]
    found = decided(version("old", 30), version("a", 10, ends=20), has=has)
    assert ([each.id for each in found.delete], found.create) == (["old"], True)


OLD = version("old", 300)
CURRENT = version("a", 10, **FAR)
HAS = [secret("a", **FAR), secret("old"), secret("hand")]


def deleted(found: Decision) -> list[str]:
    return [each.id for each in found.delete]


def test_only_what_an_older_version_of_ours_names_is_deleted() -> None:
    found = decided(OLD, CURRENT, has=HAS)
    assert deleted(found) == ["old"]
    assert unknown(OLD, CURRENT, has=HAS) == ["hand"]


@pytest.mark.parametrize(
    "versions",
    [
        [version("old", 300, client_id="another"), CURRENT],
        [version("old", 300, tags={"made-by": "somebody"}), CURRENT],
        [version("old", 300, tags={"databricks-stored-as": "another.vault.azure.net/oauth"}), CURRENT],
        [version("old", 300, tags={"databricks-stored-as": f"{PLACE}-2"}), CURRENT],
        [version("old", 300, tags={"databricks-stored-as": ""}), CURRENT],
        [OLD, version("a", 10, tags={"made-by": "somebody"}, **FAR)],
        [OLD, version("a", 10, tags={"databricks-stored-as": "another.vault.azure.net/oauth"}, **FAR)],
        [version("old", 300, tags={"databricks-secret-id": "no id; rm -rf"}), CURRENT],
        [version("old", 9), CURRENT],
        [version("old", 10), CURRENT],
        [version("old", 300), version("old", 9), CURRENT],
        [replace(OLD, created_on=None), CURRENT],
        [OLD, replace(CURRENT, created_on=None)],
        [OLD, version(None, 10, **FAR)],
        [OLD, version("not-there", 10, **FAR)],
        [OLD, version("a", 10, client_id="another", **FAR)],
        [version("a", 300), version("old", 10, **FAR)],
    ],
    ids=[
        "of another principal",
        "not of ours",
        "of another vault",
        "of another name",
        "of no place",
        "the current one not of ours",
        "the current one of another vault",
        "with an odd id",
        "newer",
        "of the same second",
        "older and newer",
        "of no time",
        "the current one of no time",
        "the current one without tags",
        "the current one not there",
        "the current one of another principal",
        "it is the current one",
    ],
)
def test_what_is_not_replaced_for_certain_stays(versions: list[Version]) -> None:
    assert "old" not in deleted(decided(*versions, has=HAS))


def test_what_is_held_stays_and_says_why() -> None:
    found = decided(OLD, CURRENT, has=HAS, held={"old": "it is in use"})
    assert deleted(found) == []
    assert found.kept == (PreviousSecretReport("old", HAS[1].created_at, "kept", reason="it is in use"),)


def test_what_is_held_makes_no_room() -> None:
    has = [secret("a", ends=20), secret("old"), secret("x"), secret("y")]
    versions = [version("old", 30), version("a", 10, ends=20)]
    assert decided(*versions, has=has).create
    assert decided(*versions, has=has, held={"old": "it is in use"}).stop == "room"


HAND = {"made-by": "", "databricks-stored-as": ""}


def test_a_manual_tag_gives_the_scopes_and_allows_no_deletion() -> None:
    has = [secret("a", scopes=("sql",), ends=20), secret("b")]
    found = decided(version("a", 10, ends=20, tags=HAND), has=has)
    assert (found.create, found.stop, found.scopes, found.known) == (True, "", ("sql",), True)
    later = [version("a", 10, ends=20, tags=HAND), version("b", 2, **FAR)]
    assert deleted(decided(*later, has=has)) == []
    assert unknown(*later, has=has) == ["a"], "it is told"


@pytest.mark.parametrize("said", SignIn)
def test_what_is_stored_of_another_principal_is_not_overwritten(said: SignIn) -> None:
    other = version("p", 10, ends=20, client_id="5a1e0000-0000-4000-8000-00000000000F")
    found = decided(other, has=[secret("a")], sign_ins={HOST: said})
    assert (found.create, found.stop) == (False, "principal")
    assert decided(version("a", 10, ends=20, client_id=CLIENT_ID.upper()), has=[secret("a")]).create


@pytest.mark.parametrize(
    ("latest", "name"),
    [
        ([version(None, 5)], "other"),
        ([version("x", 9), version(None, 5)], "other"),
        ([version("x", 5), version(None, 5)], "other"),
        ([version("x", 9), replace(version("x", 5), created_on=None)], "other"),
        ([version(None, 9), version("x", 5)], None),
        ([version("x", 5, client_id="another")], None),
        ([], None),
    ],
)
def test_what_another_name_holds_is_known_by_its_latest_tags(latest: list[Version], name: str | None) -> None:
    assert seen(CURRENT, has=HAS, siblings={"other": latest}).untagged_sibling == name


def test_a_life_that_is_asked_for_goes_before_the_old_one_s() -> None:
    it = seen(version("a", 70, ends=20), has=[secret("a", life=90, ends=20)])
    assert decide(it, NOW, timedelta(days=60), timedelta(days=180)).lifetime == timedelta(days=180)


def test_while_the_current_one_does_not_work_nothing_is_deleted() -> None:
    assert deleted(decided(OLD, CURRENT, has=HAS, sign_ins=REJECTED)) == []


def test_what_another_name_holds_stays() -> None:
    assert deleted(decided(OLD, CURRENT, has=HAS, siblings={"other": [version("old", 5)]})) == []
    assert unknown(CURRENT, has=HAS, siblings={"other": [version("hand", 5)]}) == ["old"]


@pytest.mark.parametrize(("age", "gone"), [(0.99, []), (1.0, ["old"])])
def test_a_day_has_to_pass(age: float, gone: list[str]) -> None:
    found = decided(OLD, version("a", age, **FAR), has=HAS)
    assert deleted(found) == gone
    kept = [] if gone else [("old", ago(age) + timedelta(days=1))]
    assert [(each.id, each.kept_until) for each in found.kept] == kept


def test_an_expired_secret_counts_and_is_not_reported_as_unknown() -> None:
    has = [secret("a", ends=20), *(secret(f"x{number}", ends=-5) for number in range(3))]
    found = decided(version("a", 10, ends=20), has=has)
    assert found.stop == "room"
    assert unknown(version("a", 10, ends=20), has=has) == []
