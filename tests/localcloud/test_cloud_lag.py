import time

from localcloud.lag import Lag


def test_without_a_lag_everything_is_shown_at_once() -> None:
    lag = Lag()
    lag.writing("key", "before")
    assert lag.shown("key", "now") == "now"


def test_for_a_while_reads_show_what_was_there_before() -> None:
    lag = Lag()
    lag.seconds = 0.05
    lag.writing("key", "before")
    lag.writing("key", "between")
    assert (lag.shown("key", "now"), lag.shown("other", "now")) == ("before", "now")
    time.sleep(0.06)
    assert lag.shown("key", "now") == "now"


def test_what_was_not_there_is_not_shown() -> None:
    lag = Lag()
    lag.seconds = 60
    lag.writing("key", None)
    shown: str | None = lag.shown("key", "now")
    assert shown is None
    lag.seconds = 0
    assert lag.shown("key", "now") == "now"
