"""What a run has stored, and until when: read from its report, since no workspace ever tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from git_refresh.cli.checks import Status
from git_refresh.cli.files import read_text
from git_refresh.model.values import Problem, Zone
from git_refresh.output.text import count
from git_refresh.settings.json_text import JsonError, parse
from git_refresh.settings.load import SettingsError


@dataclass(frozen=True, slots=True)
class LastRun:
    """A run, as its report tells it."""

    started_at: datetime
    tokens: tuple[tuple[str | None, str | None, datetime], ...]
    """The tokens that it stored: of which identity, for which tenant, and when each ends."""
    actions: Mapping[str, str]
    """What it did with the credential of each workspace, by address."""

    def _ends(self, zone: Zone) -> datetime | None:
        """When what was stored in a zone ends, at the earliest."""
        tenant = zone.devops.tenant_id if zone.devops else None
        return min(
            (
                ends
                for identity, of, ends in self.tokens
                if identity == zone.identity and tenant in {None, of}
            ),
            default=None,
        )

    def told(self, host: str, zone: Zone, now: datetime) -> tuple[Status, str, datetime | None]:
        """How a workspace's credential stands by this run: whether that is well, in words, and when the token ends."""
        run = f"the run of {self.started_at:%Y-%m-%d %H:%M} UTC"
        action = self.actions.get(host)
        if action is None:
            return "warning", f"{run} did not know this workspace", None
        ends_at = self._ends(zone)
        if action not in {"created", "updated"} or ends_at is None:
            return "warning", f"{run} stored nothing ({action})", None
        left = ends_at - now
        ends = f"{ends_at:%Y-%m-%d %H:%M} UTC"
        if left <= timedelta():
            return (
                "warning",
                f"what {run} stored ended at {ends}, {_minutes(-left)} ago, unless a later run has stored more",
                ends_at,
            )
        return "ok", f"what {run} stored ends at {ends}, in {_minutes(left)}", ends_at


def _minutes(time: timedelta) -> str:
    return count(round(time / timedelta(minutes=1)), "minute")


def read_report(file: Path) -> LastRun:
    """The report that `run --json` has printed.

    Raises:
        SettingsError: it cannot be read, or is something else.
    """
    where, text = read_text(file)
    try:
        report = parse(text)
        if isinstance(report, dict) and report.get("dry_run") is True:
            raise SettingsError(
                [Problem(where, "is the report of a plan, which stores nothing; use that of a run")]
            )
        return _last_run(report)
    except JsonError as error:
        problem = Problem(where, str(error))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        problem = Problem(where, "is not the report that run --json prints")
    raise SettingsError([problem])


def _last_run(report: Any) -> LastRun:  # noqa: ANN401  # whatever is in the file
    return LastRun(
        _moment(report["started_at"]),
        tuple(
            (token["identity"], token["tenant"], _moment(token["expires_at"])) for token in report["tokens"]
        ),
        {
            entry["host"]: str((entry["credential"] or {"action": entry["result"]})["action"])
            for entry in report["workspaces"]
        },
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
