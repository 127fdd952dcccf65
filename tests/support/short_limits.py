"""Short limits for runs with hanging and failing services.

Only this module knows the names of the app's limits in `git_refresh`.
"""

import sys
from dataclasses import replace
from typing import Any

import pytest

from git_refresh import app
from git_refresh.model.clock import SystemClock

LIMITS = (
    "TOKEN_LIMIT_S",
    "SECRET_LIMIT_S",
    "REF_LIMIT_S",
    "CALL_LIMIT_S",
    "SIGN_IN_LIMIT",
    "CREDENTIAL_LIMIT",
    "LOOKUP_LIMIT",
    "LISTING_LIMIT",
    "PROBE_LIMIT",
)


def shorten(patch: pytest.MonkeyPatch, *, limit_s: float, budget_s: float) -> None:
    """Limit every operation to `limit_s` and the run to `budget_s`, without waits between attempts."""
    found = set()
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] != "git_refresh":
            continue
        for limit in (*LIMITS, "REPORT_GRACE_S"):
            if isinstance(vars(module).get(limit), float):
                patch.setattr(module, limit, 0.5 if limit == "REPORT_GRACE_S" else float(limit_s))
                found.add(limit)
    assert found == {*LIMITS, "REPORT_GRACE_S"}, "the limits have other names now"
    load = vars(app)["load"]

    def briskly(*arguments: Any, **options: Any) -> Any:
        return replace(load(*arguments, **options), timeout_s=budget_s)

    def pass_over(_: object, seconds: float) -> None:
        assert 0 <= seconds <= budget_s, f"a wait of {seconds} s"

    patch.setattr(app, "load", briskly)
    patch.setattr(SystemClock, "sleep", pass_over)
