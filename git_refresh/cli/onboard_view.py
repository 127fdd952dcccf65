"""What people see of an onboarding, in the manner of `terraform plan`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from rich.status import Status
from rich.text import Text

from git_refresh.cli import render
from git_refresh.cli.checks import CheckReport
from git_refresh.cli.findings import MARK, STYLE, Finding, Places, fold, show_finding
from git_refresh.cli.options import quiet
from git_refresh.output.log import RedactingLogger

if TYPE_CHECKING:
    from git_refresh.admin.grants import Grant

_SIGN = {"exists": "=", "planned": "+", "granted": "✓", "skipped": MARK["skipped"]}
_STYLE = {**STYLE, "exists": "dim", "planned": "green", "granted": "green"}
_SAID = {
    "planned": "to grant",
    "exists": "there already",
    "failed": "that you cannot grant",
    "skipped": "left out",
}


@dataclass(frozen=True, slots=True)
class OnboardResult:
    """What came of it."""

    grants: "tuple[Grant, ...]"
    checked: CheckReport | None
    applied: bool
    interrupted: bool

    @property
    def result(self) -> Literal["ok", "failed"]:
        """Red too where something was left out for the failure of another."""
        left = any(grant.status == "skipped" and grant.needs for grant in self.grants)
        failed = left or self.interrupted or any(grant.error is not None for grant in self.grants)
        return "failed" if failed or (self.checked and self.checked.result == "failed") else "ok"

    def as_dict(self) -> dict[str, Any]:
        """As `--json` has it."""
        return {
            "version": 1,
            "result": self.result,
            "applied": self.applied,
            "grants": [grant.as_dict() for grant in self.grants],
            "check": self.checked.as_dict() if self.checked else None,
        }


class OnboardView:
    """Where people look on; under `--json` nobody does."""

    def __init__(self, logger: RedactingLogger, places: Places, *, as_json: bool) -> None:
        self._logger = logger
        self._places = places
        self._shows = not as_json
        self._lock = Lock()
        self._status: Status | None = None
        self._out = render.console()
        self._err = render.console(stderr=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say what is waited for, as long as it is."""
        with self._err.status(what) as status:
            with self._lock:
                self._status = status
            try:
                yield
            finally:
                with self._lock:
                    self._status = None

    def plan(self, found: "Sequence[Grant]") -> None:
        """Everything, by place, and how much of each."""
        if not self._shows:
            return
        by_place: dict[str, list[Grant]] = {}
        for grant in found:
            if not (quiet() and grant.status == "exists"):
                by_place.setdefault(grant.location, []).append(grant)
        with render.writing():
            for place, grants in by_place.items():
                self._say(self._logger.redact_text(place), "bold")
                for grant in grants:
                    self._line(grant, "")
            numbers = {status: sum(grant.status == status for grant in found) for status in _SAID}
            said = ", ".join(f"{number} {_SAID[status]}" for status, number in numbers.items() if number)
            self._say(f"Plan: {said or 'nothing'}.", "bold")

    def _say(self, text: str, style: str = "") -> None:
        fold(Text(), Text(text, style), self._out)

    def given(self, grant: "Grant") -> None:
        """What came of one."""
        if self._shows:
            with self._lock, render.writing():
                if self._status is not None:  # it would be written over
                    self._status.stop()
                self._line(grant, f"{self._logger.redact_text(grant.location)}: ")
                if self._status is not None:
                    self._status.start()

    def _line(self, grant: "Grant", place: str) -> None:
        what = self._logger.redact_text(grant.description)
        if grant.error is not None:
            error = self._logger.redact(grant.error)
            show_finding([Finding("failed", f"{place}{what}", error.message, error)], self._out, indent=2)
            return
        mark = Text(f"  {_SIGN[grant.status]} ", _STYLE[grant.status])
        why = f": {self._logger.redact_text(grant.reason)}" if grant.reason else ""
        style = "dim" if grant.status == "exists" else ""
        fold(mark, Text.assemble((place, "bold"), (what, style), why), self._out)

    def end(self, done: OnboardResult) -> None:
        """What comes last."""
        if done.interrupted:
            granted = any(grant.status == "granted" for grant in done.grants)
            what = "What was granted stays; run it again for the rest." if granted else "Nothing was granted."
            self._say(f"Interrupted. {what}", "red")
        elif not done.applied and any(grant.status == "planned" for grant in done.grants):
            self._say("Nothing was granted yet: add --apply.")
        elif not done.applied and done.grants and all(grant.status == "exists" for grant in done.grants):
            self._say("Nothing is missing.")
        for grant in done.grants:
            if grant.client_id is not None:
                self._say("Write into WORKSPACE_DEFAULTS, and run onboard again without --new-principal:")
                self._say(f'  "client_id": "{self._logger.redact_text(grant.client_id)}"')
        unseen = [grant for grant in done.grants if grant.error and grant.error.code == "grant_not_visible"]
        for grant in unseen:
            self._line(grant, f"{self._logger.redact_text(grant.location)}: ")
        if done.checked is not None:
            self._out.print()
            render.show_check(self._logger.redact(done.checked), self._out, self._places)
            missing = sum(grant.error is not None for grant in done.grants)
            if missing:
                verb = "takes" if missing == 1 else "take"
                self._say(
                    f"Not all is granted: {missing} {verb} somebody else or failed, see ✗ above; then type it again."
                )
            elif done.result == "ok" and not quiet():
                self._say(
                    "All is granted. Next: deploy the list, wait five minutes, publish (docs/setup.md, steps 4 and 6)."
                )
